package api_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/task"
)

// odd are values that some field may not expect.
func odd() []string {
	long := strings.Repeat("x", 100_000)
	return []string{
		`null`, `true`, `false`, `0`, `-1`, `1.5`, `60.0`, `6e1`, `1e3`, `-0`, `-0.0`, `1e999`, `1e-1000`, `9223372036854775807`,
		`9223372036854775808`, `-9223372036854775809`, `2147483648`, strings.Repeat("9", 1000), `""`, `" "`, `"\u3000"`, `"x"`, `"null"`,
		`"Webhook"`, `"\u0001"`, `"\u007f\u0085"`, `"'"`, `"\\"`, `"\""`, `"%s$1"`, `"\ud83d\ude00"`, `"\uffff"`, `"` + long + `"`, `[]`, `{}`, `[null]`,
		`[[]]`, `[{}]`, `["x"]`, `[1]`, `{"": ""}`, `{"x": {"y": []}}`, `{"id": "a"}`, `[{"id": "a"}]`, `[{"id": "a", "requires_success": true}]`,
		`[{"task_id": "x", "requires_success": true}]`, `[{"task_id": "00000000-0000-0000-0000-000000000000", "requires_success": false}]`,
		`[{"task_id": "{00000000-0000-0000-0000-000000000000}", "requires_success": true}]`,
		`[{"task_id": "URN:UUID:00000000000000000000000000000000", "requires_success": null}]`,
		`{"kind": "Webhook"}`, `{"kind": "Webhook", "params": []}`, `[{"kind": "Webhook", "params": {"url": "https://a", "verb": "Get"}}]`,
		`{"kind": "Webhook", "params": {"url": "https://a b", "verb": "Get"}}`, `{"kind": "Webhook", "params": {"url": "https://a", "verb": "get"}}`,
		`{"kind": "Webhook", "params": {"url": "https://` + long + `", "verb": "Get"}}`,
		`{"kind": "Webhook", "params": {"url": "HTTPS://\u00e9:%%@[::1]:99999/?&=token#", "verb": "Get", "headers": null, "body": null}}`,
		`{"kind": "Webhook", "params": {"url": "https://a", "verb": "Get", "headers": {"": "x", "A": null, "Host": "x", "B": "\n"}}}`,
		`{"kind": "Webhook", "params": {"url": "https://a", "verb": "Get", "headers": {"A": "\u00e9\t"}, "URL": 1, "Verb": []}}`,
		`"2026-01-01T00:00:00Z"`, `"infinity"`, `"Success"`, `"Failure"`, `"Paused"`,
		strings.Repeat("[", 990) + strings.Repeat("]", 990), strings.Repeat(`{"a":`, 990) + "1" + strings.Repeat("}", 990),
		"[" + strings.Repeat("1e999,", 60) + "1]", "[" + strings.Repeat("1e999,", 2000) + "1]", `{` + strings.Repeat(`"k":1,`, 1000) + `"k":1}`,
	}
}

// Whatever stands in a field: no answer is a 5xx, and what was created can be read.
func TestNoFieldGivesAnInternalError(t *testing.T) {
	t.Parallel()
	b := setup(t)
	fields := []string{"id", "name", "kind", "timeout", "metadata", "dedupe_strategy", "rules", "on_start", "dependencies", "expected_count",
		"on_failure", "on_success", "on_cancel", "dead_end_barrier", "priority", "retry", "run_at", "", "x"}
	good := map[string]json.RawMessage{"id": json.RawMessage(`"a"`), "name": json.RawMessage(`"n"`), "kind": json.RawMessage(`"k"`),
		"on_start": json.RawMessage(`{"kind": "Webhook", "params": {"url": "https://a", "verb": "Get"}}`)}
	created := 0
	post := func(body []byte) {
		a := b.do(t, "POST", "/task", string(body))
		require.Less(t, a.Status, 500, "%.300s: %s", body, a.Body)
		if a.Status != http.StatusCreated {
			return
		}
		created++
		var tasks []task.Task
		require.NoError(t, json.Unmarshal([]byte(a.Body), &tasks))
		for _, path := range []string{"/task/" + tasks[0].ID.String(), "/batch/" + tasks[0].BatchID.String(), "/dag/" + tasks[0].BatchID.String()} {
			b.ok(t, http.StatusOK, "GET", path, nil, nil)
		}
	}
	for _, value := range odd() {
		for _, field := range fields {
			entry := map[string]json.RawMessage{}
			for k, v := range good {
				entry[k] = v
			}
			entry[field] = json.RawMessage(value)
			body, err := json.Marshal([]any{entry})
			require.NoError(t, err)
			post(body)
		}
		for _, field := range []string{"name", "metadata", "dead_end_cancel", "tasks", "x"} {
			body, err := json.Marshal(map[string]any{"tasks": []any{good}, field: json.RawMessage(value)})
			require.NoError(t, err)
			post(body)
		}
		post([]byte(value))
		post([]byte("[" + value + "]"))
	}
	require.Greater(t, created, 100)
	require.NotContains(t, b.log.String(), "request failed")
	b.db.AssertInvariants(t)
}

func TestNoReportGivesAnInternalError(t *testing.T) {
	t.Parallel()
	b := setup(t)
	path := "/task/" + b.running(t).String()
	for _, value := range odd() {
		for _, field := range []string{"failure_reason", "new_success", "new_failures", "metadata", "expected_count", "priority", "status", "x"} {
			for method, rest := range map[string]string{"PATCH": "", "PUT": `"new_failures": 1, `} {
				a := b.do(t, method, path, fmt.Sprintf(`{%s%q: %s}`, rest, field, value))
				require.Less(t, a.Status, 500, "%s: %.300s: %s", field, value, a.Body)
				if a.Status == http.StatusOK && strings.Contains(a.Body, `"ended_at":"`) {
					path = "/task/" + b.running(t).String()
				}
			}
		}
		b.ok(t, http.StatusOK, "GET", path, nil, nil)
		for _, method := range []string{"PATCH", "PUT"} {
			require.Less(t, b.do(t, method, path, value).Status, 500)
		}
	}
	b.db.AssertInvariants(t)
}

// Bytes of a good request are replaced at random, by a fixed seed.
func TestNoBytesGiveAnInternalError(t *testing.T) {
	t.Parallel()
	b := setup(t)
	path := "/task/" + b.running(t).String()
	random := rand.New(rand.NewPCG(1, 2))
	post := `[{"id": "a", "name": "n\u00e9", "kind": "k", "timeout": 60, "metadata": {"a": [1.5e3, null]}, "on_start": {"kind": "Webhook",
		"params": {"url": "https://a:1/x?token=y", "verb": "Post", "headers": {"A-B": "c"}}}, "dependencies": [{"id": "b", "requires_success": false}]},
		{"id": "b", "name": "\ud83d\ude00", "kind": "k", "on_start": {"kind": "Webhook", "params": {"url": "http://b", "verb": "Get"}}}]`
	patch := `{"new_success": 1, "new_failures": 0, "metadata": {"x": "\u00e9"}, "expected_count": 12, "priority": -5, "failure_reason": "x"}`
	const alphabet = "\"\\{}[]:,0123456789-+.eEutrfnabd \x00\x1f\x7f\xff\xc3\xa9/%*'"
	mutate := func(s string) string {
		raw := []byte(s)
		for range 1 + random.IntN(3) {
			raw[random.IntN(len(raw))] = alphabet[random.IntN(len(alphabet))]
		}
		return string(raw)
	}
	for range 400 {
		for _, r := range [][3]string{{"POST", "/task", post}, {"PATCH", path, patch}, {"PUT", path, patch}} {
			body := mutate(r[2])
			a := b.do(t, r[0], r[1], body)
			require.Less(t, a.Status, 500, "%s: %s", body, a.Body)
		}
	}
	require.NotContains(t, b.log.String(), "request failed")
	b.db.AssertInvariants(t)
}

// What PostgreSQL would fail on without a code of its own: large values with numbers written out.
func TestLargeValues(t *testing.T) {
	t.Parallel()
	b := setup(t)
	large := func(size int) object {
		e := entry("a")
		e["on_start"] = object{"kind": "Webhook", "params": object{"url": "https://a", "verb": "Put", "body": strings.Repeat("x", size)}}
		return e
	}
	tasks := b.submit(t, large(1<<20-100))
	b.ok(t, http.StatusOK, "GET", "/task/"+tasks[0].ID.String(), nil, nil)
	f := b.fails(t, http.StatusBadRequest, "POST", "/task", []object{large(maxBody / 2)})
	require.Equal(t, []string{"tasks[0].on_start.params: must be at most 1048576 bytes"}, f.Details)

	f = b.fails(t, http.StatusBadRequest, "POST", "/task", `[{"id": "a", "name": "n", "kind": "k", "metadata": [`+strings.Repeat("1e900,", maxBody/1000)+`1]}]`)
	require.Contains(t, f.Details, "tasks[0].metadata: must be at most 65536 bytes")

	many := "[" + strings.Repeat(`{"id":"a"},`, 5000) + `{"id":"a"}]`
	f = b.fails(t, http.StatusBadRequest, "POST", "/task", many)
	require.Len(t, f.Details, 101)
	require.Equal(t, "and more than 9900 more", f.Details[100])
	b.ok(t, http.StatusOK, "PATCH", "/task/"+tasks[0].ID.String(), `{"failure_reason": "`+strings.Repeat("y", maxBody/2)+`"}`, nil)
	require.NoError(t, uuid.Validate(f.BatchID.String()))
}
