package openapitest

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Every operation has examples of all that it takes and gives, and they are what their schemas say.
func TestExamples(t *testing.T) {
	t.Parallel()
	ids := map[string]bool{}
	for _, o := range Load(t).Operations {
		require.NotEmpty(t, o.ID, o.Path)
		require.False(t, ids[o.ID], o.ID)
		ids[o.ID] = true
		for _, p := range o.Parameters {
			if p.Name == "cursor" {
				continue // nobody can make one up
			}
			require.NotNil(t, p.example, "%s: %s", o.ID, p.Name)
			require.NoError(t, p.check(p.Example()), "%s: %s", o.ID, p.Name)
		}
		if o.Body != nil {
			checkExamples(t, o.ID, o.Body)
		}
		for status, r := range o.Responses {
			where := fmt.Sprint(o.ID, " ", status)
			for name, h := range r.headers {
				require.NotNil(t, h.example, "%s: %s", where, name)
				require.NoError(t, checkText(h.schema, fmt.Sprint(h.example)), "%s: %s", where, name)
			}
			for _, c := range r.content {
				checkExamples(t, where, c)
			}
		}
	}
}

func checkExamples(t *testing.T, where string, c *Content) {
	t.Helper()
	require.NotEmpty(t, c.Examples, where)
	if c.schema == nil {
		return // no text: the example is elsewhere
	}
	for name, example := range c.Examples {
		require.NoError(t, c.schema.Validate(example), "%s: example %s", where, name)
	}
}

// witness is a test that is told of failures.
type witness struct {
	testing.TB
	failures []string
}

func (w *witness) Errorf(format string, args ...any) {
	w.failures = append(w.failures, fmt.Sprintf(format, args...))
}

const batch = `{"batch_id": "01994f3c-7a10-7a01-8a52-90b1c7e3d5f4", "batch_name": null, "batch_metadata": [1], "dead_end_cancel": null,
	"created_at": "2026-11-27T22:00:00Z", "total_tasks": 1, "total_success": 0, "total_failures": 0, "total_expected": null,
	"status_counts": {"waiting": 1, "pending": 0, "claimed": 0, "running": 0, "success": 0, "failure": 0, "paused": 0, "canceled": 0}}`

// What the document does not describe fails a test, whatever it is.
func TestHandler(t *testing.T) {
	t.Parallel()
	const path = "/batch/01994f3c-7a10-7a01-8a52-90b1c7e3d5f4"
	task := "/task/01994f3c-7a10-7b52-9c1d-2f1a6b0e4d21"
	const progress = `{"id": "01994f3c-7a10-7b52-9c1d-2f1a6b0e4d21", "new_success": 1, "new_failures": 0}`
	change := func(old, new string) string {
		require.Contains(t, batch, old)
		return strings.Replace(batch, old, new, 1)
	}
	for name, c := range map[string]struct {
		method, path, sent string
		status             int
		header, body       string
		wrong              string // "": nothing
	}{
		"good":                 {"GET", path, "", 200, "", batch, ""},
		"head":                 {"HEAD", path, "", 200, "", "", ""},
		"described status":     {"GET", path, "", 404, "", `{"error": "x", "status": 404, "request_id": "r"}`, ""},
		"other status":         {"GET", path, "", 409, "", `{"error": "x", "status": 409, "request_id": "r"}`, "status"},
		"other header":         {"GET", path, "", 200, "X-Other: 1", batch, "X-Other"},
		"missing header":       {"GET", path, "", 503, "", `{"error": "x", "status": 503, "request_id": "r"}`, "Retry-After is missing"},
		"bad header":           {"GET", path, "", 503, "Retry-After: soon", `{"error": "x", "status": 503, "request_id": "r"}`, "Retry-After"},
		"header twice":         {"GET", path, "", 200, "X-Request-Id: 2", batch, "X-Request-Id"},
		"header":               {"GET", path, "", 503, "Retry-After: 2", `{"error": "x", "status": 503, "request_id": "r"}`, ""},
		"other type":           {"GET", path, "", 200, "Content-Type: text/json", batch, "text/json"},
		"no body":              {"GET", path, "", 200, "", "", "EOF"},
		"no JSON":              {"GET", path, "", 200, "", "{", "EOF"},
		"other field":          {"GET", path, "", 200, "", change(`"batch_name"`, `"x": 1, "batch_name"`), "'x'"},
		"missing field":        {"GET", path, "", 200, "", change(`"total_tasks": 1,`, ``), "total_tasks"},
		"null":                 {"GET", path, "", 200, "", change(`"total_tasks": 1`, `"total_tasks": null`), "total_tasks"},
		"type":                 {"GET", path, "", 200, "", change(`"waiting": 1`, `"waiting": "1"`), "waiting"},
		"range":                {"GET", path, "", 200, "", change(`"waiting": 1`, `"waiting": 9223372036854775808`), "waiting"},
		"format":               {"GET", path, "", 200, "", change(`27T22`, `31T22`), "created_at"},
		"spelling":             {"GET", path, "", 200, "", change(`:00Z`, `:00+00:00`), "created_at"},
		"big id":               {"GET", path, "", 200, "", change(`7a01`, `7A01`), "batch_id"},
		"unknown path":         {"GET", "/x", "", 404, "", `{"error": "x", "status": 404, "request_id": "r"}`, ""},
		"unknown path found":   {"GET", "/x", "", 200, "", batch, "must be 404"},
		"unclean path":         {"GET", "/x/.." + path, "", 200, "", batch, "must be 404"},
		"unknown method":       {"PUT", path, "", 405, "Allow: GET", `{"error": "x", "status": 405, "request_id": "r"}`, ""},
		"unknown method found": {"PUT", path, "", 404, "", `{"error": "x", "status": 404, "request_id": "r"}`, "must be 405"},
		"escaped":              {"GET", strings.Replace(path, "-", "%2D", 1), "", 200, "", batch, ""},
		"literal first":        {"PATCH", "/task/pause/01994f3c-7a10-7b52-9c1d-2f1a6b0e4d21", "", 404, "", `{"error": "x", "status": 404, "request_id": "r"}`, ""},
		"request":              {"PUT", task, `{"new_success": 1}`, 202, "", progress, ""},
		"bad request":          {"PUT", task, `{"new_success": 0}`, 202, "", progress, "accepted"},
		"refused request":      {"PUT", task, `{"new_success": 0}`, 400, "", `{"error": "x", "status": 400, "request_id": "r"}`, ""},
		"query":                {"PUT", task + "?attempt=1", `{"new_success": 1}`, 202, "", progress, ""},
		"bad query":            {"PUT", task + "?attempt=x", `{"new_success": 1}`, 202, "", progress, "attempt"},
		"client gone":          {"GET", path, "", 499, "", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := &witness{TB: t}
			h := Load(t).Handler(w, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				_, err := r.Body.Read(make([]byte, 1000))
				require.Condition(t, func() bool { return err == nil || err.Error() == "EOF" })
				rw.Header().Set("Content-Type", "application/json")
				rw.Header().Set("X-Request-Id", "r")
				for line := range strings.SplitSeq(c.header, "\n") {
					if name, value, ok := strings.Cut(line, ": "); ok && name == "Content-Type" {
						rw.Header().Set(name, value)
					} else if ok {
						rw.Header().Add(name, value)
					}
				}
				rw.WriteHeader(c.status)
				_, _ = rw.Write([]byte(c.body))
			}), nil)
			h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(c.method, c.path, strings.NewReader(c.sent)))
			if c.wrong == "" {
				require.Empty(t, w.failures)
				return
			}
			require.Len(t, w.failures, 1)
			require.Contains(t, w.failures[0], c.wrong)
		})
	}
}
