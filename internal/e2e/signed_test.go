package e2e

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"
)

// Every call of a replica with secrets is signed, so that receivers which know the old one or the new one believe it, whatever
// its body.
func TestSignedCalls(t *testing.T) {
	t.Parallel()
	secrets := []string{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_" + strings.Repeat("A", 43) + "="}
	db := newDB(t)
	r := startReplica(t, db, "--webhook-signing-secrets="+strings.Join(secrets, ","))
	var mu sync.Mutex
	believed := map[string]bool{}
	var verifiers []*standardwebhooks.Webhook
	for _, secret := range secrets {
		v, err := standardwebhooks.NewWebhook(secret)
		require.NoError(t, err)
		verifiers = append(verifiers, v)
	}
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		for _, v := range verifiers {
			if err == nil {
				err = v.Verify(body, req.Header)
			}
		}
		if err != nil || req.Header.Get("webhook-id") != req.Header.Get("Idempotency-Key") {
			t.Errorf("%s: %v", req.URL.Path, err)
		}
		mu.Lock()
		defer mu.Unlock()
		believed[req.URL.Path] = true
	}))
	t.Cleanup(s.Close)
	hook := func(path string, body any) map[string]any {
		return map[string]any{"kind": "Webhook", "params": map[string]any{"url": s.URL + path, "verb": "Post", "body": body}}
	}
	created := r.submit(t, entry{"id": "a", "name": "a", "kind": "k", "timeout": 3600, "on_start": hook("/start", map[string]any{"a": "ü"}),
		"on_cancel": []any{hook("/cancel", nil)}})["a"]
	r.await(t, created.ID, "Running")
	require.Equal(t, http.StatusOK, do(t, http.MethodDelete, r.url+"/task/"+created.ID.String(), nil, nil))
	r.awaitDelivery(t, created.ID, "Cancel", "Delivered")
	mu.Lock()
	defer mu.Unlock()
	require.Equal(t, map[string]bool{"/start": true, "/cancel": true}, believed)
}
