package signature_test

import (
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/signature"
)

func secret(fill string, size int) string {
	return "whsec_" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat(fill, size)))
}

// The example of the specification's own libraries.
func TestKnownSignature(t *testing.T) {
	t.Parallel()
	s, err := signature.New([]string{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"})
	require.NoError(t, err)
	got, err := s.Sign("msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`))
	require.NoError(t, err)
	require.Equal(t, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", got)
}

func TestEverySecretSigns(t *testing.T) {
	t.Parallel()
	secrets := []string{secret("a", 24), secret("b", 32), secret("c", 64)}
	s, err := signature.New(secrets)
	require.NoError(t, err)
	now := time.Now()
	for _, body := range []string{"", `{"a":1}`, "ü\x00"} {
		value, err := s.Sign("id:start", now, []byte(body))
		require.NoError(t, err)
		require.Len(t, strings.Split(value, " "), 3)
		headers := http.Header{}
		headers.Set(signature.HeaderID, "id:start")
		headers.Set(signature.HeaderTimestamp, strconv.FormatInt(now.Unix(), 10))
		headers.Set(signature.HeaderSignature, value)
		for _, known := range secrets {
			receiver, err := standardwebhooks.NewWebhook(known)
			require.NoError(t, err)
			require.NoError(t, receiver.Verify([]byte(body), headers))
			require.Error(t, receiver.Verify([]byte(body+" "), headers))
		}
		stranger, err := standardwebhooks.NewWebhook(secret("d", 32))
		require.NoError(t, err)
		require.Error(t, stranger.Verify([]byte(body), headers))
	}
}

func TestSecrets(t *testing.T) {
	t.Parallel()
	s, err := signature.New(nil)
	require.NoError(t, err)
	require.Nil(t, s)
	good := secret("k", 24)
	for name, tc := range map[string]struct {
		secrets []string
		want    string
	}{
		"no prefix":     {[]string{good, "hushhushhushhushhushhushhushhush"}, "entry 2 does not begin with whsec_"},
		"other prefix":  {[]string{"whpk_hushhushhushhushhushhushhushhush"}, "entry 1 does not begin with whsec_"},
		"no base64":     {[]string{"whsec_hush!hush"}, "entry 1 is not whsec_ and base64"},
		"unpadded":      {[]string{strings.TrimRight(secret("hush", 8), "=")}, "entry 1 is not whsec_ and base64"},
		"empty":         {[]string{"whsec_"}, "entry 1 has a key of 0 bytes, not of 24 to 64"},
		"short":         {[]string{secret("hus", 7)}, "entry 1 has a key of 21 bytes"},
		"long":          {[]string{good, secret("hush", 17)}, "entry 2 has a key of 68 bytes"},
		"more than ten": {make([]string, 11), "11 entries are more than 10"},
	} {
		s, err := signature.New(tc.secrets)
		require.Nil(t, s, name)
		require.ErrorContains(t, err, tc.want, name)
		require.NotContains(t, err.Error(), "hush", name)
		require.NotContains(t, err.Error(), "aHVz", name)
	}
}
