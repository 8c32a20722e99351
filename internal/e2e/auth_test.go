package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/task"
)

// as makes a request with a bearer token.
func (r *replica) as(t *testing.T, secret, method, path string, body any) (status int, answer string) {
	t.Helper()
	raw, err := json.Marshal(body)
	require.NoError(t, err)
	req, err := http.NewRequestWithContext(t.Context(), method, r.url+path, bytes.NewReader(raw))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+secret)
	resp, err := client.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(text)
}

// With tokens configured, who creates tasks needs one, and who works on them has the handle.
func TestTokens(t *testing.T) {
	t.Parallel()
	var flags []string
	for scope, secret := range map[string]string{"read": "r", "write": "w"} {
		flags = append(flags, fmt.Sprintf("%s:%s:%x", scope, scope, sha256.Sum256([]byte(secret))))
	}
	r := startReplica(t, newDB(t), "--auth-tokens="+strings.Join(flags, ","))
	hooks := succeeding(t)
	graph := []entry{{"id": "a", "name": "a", "kind": "k", "on_start": hooks.hook("/start"), "on_success": []any{hooks.hook("/done")}}}
	require.Equal(t, http.StatusUnauthorized, do(t, http.MethodPost, r.url+"/task", graph, nil))
	status, _ := r.as(t, "r", http.MethodPost, "/task", graph)
	require.Equal(t, http.StatusForbidden, status)
	status, answer := r.as(t, "w", http.MethodPost, "/task", graph)
	require.Equal(t, http.StatusCreated, status)
	var tasks []task.Task
	require.NoError(t, json.Unmarshal([]byte(answer), &tasks))

	handle := hooks.awaitCalls(t, "/start", 1)[0].handle
	hooks.awaitCalls(t, "/done", 1)
	var got task.Task
	require.Equal(t, http.StatusOK, do(t, http.MethodGet, handle, nil, &got))
	require.Equal(t, tasks[0].ID, got.ID)
	require.Equal(t, task.Success, got.Status)
	require.Equal(t, http.StatusUnauthorized, do(t, http.MethodDelete, handle, nil, nil))
	require.Equal(t, http.StatusUnauthorized, do(t, http.MethodGet, r.url+"/metrics", nil, nil))
	require.Equal(t, http.StatusOK, do(t, http.MethodGet, r.url+"/health", nil, nil))

	_, metrics := r.as(t, "r", http.MethodGet, "/metrics", nil)
	for _, line := range []string{
		`auth_failures_total{code="401"} 3`, `auth_failures_total{code="403"} 1`, `requests_in_flight 0`,
		`requests_shed_total{reason="in_flight"} 0`, `circuit_breaker_state_transitions_total{to_state="open"} 0`,
	} {
		require.Contains(t, metrics, line+"\n")
	}
}
