package bearer_test

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/bearer"
)

func hash(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

func TestFind(t *testing.T) {
	t.Parallel()
	tokens, err := bearer.Parse([]string{"ci:write:" + hash("one"), "on call:admin:" + strings.ToUpper(hash("two")), "grafana:read:" + hash("three")})
	require.NoError(t, err)
	for secret, want := range map[string]struct {
		name  string
		scope bearer.Scope
	}{
		"one": {"ci", bearer.Write}, "two": {"on call", bearer.Admin}, "three": {"grafana", bearer.Read},
		"": {}, "four": {}, "ONE": {}, hash("one"): {}, "one ": {},
	} {
		found := tokens.Find(secret)
		require.Equal(t, want.name, found.Name)
		require.Equal(t, want.scope, found.Scope)
	}
	require.Equal(t, bearer.None, bearer.Tokens(nil).Find("one").Scope)
}

func TestParseSaysWhatIsWrongAndRepeatsNothing(t *testing.T) {
	t.Parallel()
	good := "good:read:" + hash("good")
	for entry, wrong := range map[string]string{
		"hunter2":                             "must be name:scope:sha256hex",
		"ci:write":                            "must be name:scope:sha256hex",
		"ci:write:" + hash("x") + ":hunter2":  "must be name:scope:sha256hex",
		":write:" + hash("x"):                 "must have a name",
		"  :write:" + hash("x"):               "must have a name",
		"é:write:" + hash("x"):                "must have a name",
		"a\tb:write:" + hash("x"):             "must have a name",
		strings.Repeat("n", 101) + ":read:00": "must have a name",
		"ci::" + hash("x"):                    "must have the scope read, write or admin",
		"ci:Write:" + hash("x"):               "must have the scope read, write or admin",
		"ci:none:" + hash("x"):                "must have the scope read, write or admin",
		"ci:hunter2:" + hash("x"):             "must have the scope read, write or admin",
		"ci:read:":                            "must have the SHA-256 of the secret",
		"ci:read:hunter2":                     "must have the SHA-256 of the secret",
		"ci:read:" + hash("x")[1:]:            "must have the SHA-256 of the secret",
		"ci:read:" + hash("x") + "00":         "must have the SHA-256 of the secret",
		"ci:read:" + hash("x")[1:] + "g":      "must have the SHA-256 of the secret",
		"good:write:" + hash("x"):             "has the name of another one",
		"other:write:" + hash("good"):         "has the hash of another one",
	} {
		_, err := bearer.Parse([]string{good, entry})
		require.ErrorContains(t, err, "entry 2 "+wrong, entry)
		require.NotContains(t, err.Error(), "hunter2")
		require.NotContains(t, err.Error(), hash("x")[1:])
	}
}
