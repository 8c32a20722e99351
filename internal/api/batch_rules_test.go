package api_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/task"
)

func TestBatchRules(t *testing.T) {
	t.Parallel()
	b := setup(t)
	other := entry("other")
	other["kind"] = "etl "
	tasks := b.submit(t, entry("a"), entry("b", "a"), entry("c"), entry("d"), other)
	batch := tasks[0].BatchID.String()
	b.submit(t, entry("elsewhere"))
	b.exec(t, "update taskrunner.task set status = 'Canceled' where id = $1", tasks[2].ID)
	b.exec(t, "update taskrunner.task set status = 'Claimed' where id = $1", tasks[3].ID)
	var before, after task.Task
	b.ok(t, http.StatusOK, "GET", "/task/"+tasks[0].ID.String(), nil, &before)
	for kind, count := range map[string]int{"etl": 3, "etl ": 1, "ETL": 0, "none": 0} {
		a := b.ok(t, http.StatusOK, "PATCH", "/batch/"+batch+"/rules", object{"kind": kind, "rules": []int{}, "unknown": 1}, nil)
		require.JSONEq(t, fmt.Sprintf(`{"batch_id": %q, "kind": %q, "updated_count": %d}`, batch, kind, count), a.Body)
	}
	b.ok(t, http.StatusOK, "GET", "/task/"+tasks[0].ID.String(), nil, &after)
	require.Equal(t, before, after, "last_updated is not touched")
	b.fails(t, http.StatusNotFound, "PATCH", "/batch/"+uuid.NewString()+"/rules", `{"kind": "etl", "rules": []}`)
	f := b.fails(t, http.StatusBadRequest, "PATCH", "/batch/x/rules", `{"kind": "etl", "rules": []}`)
	require.Equal(t, []string{"batch_id: must be a UUID"}, f.Details)
	b.db.AssertInvariants(t)
}

// Everything that is wrong is said at once, whether or not there is such a batch.
func TestBatchRulesInvalid(t *testing.T) {
	t.Parallel()
	b := setup(t)
	good := `{"type": "Concurency", "max_concurency": 2, "matcher": {"status": "Running", "kind": "etl", "fields": ["projectId"]}}`
	batch := b.submit(t, entry("a"))[0].BatchID.String()
	for body, details := range map[string][]string{
		`[]`:                               {"body: must be an object"},
		`null`:                             {"body: must be an object"},
		`{}`:                               {"kind: is required", "rules: is required"},
		`{"kind": null, "rules": null}`:    {"kind: is required", "rules: is required"},
		`{"kind": " \t", "rules": []}`:     {"kind: must not be blank"},
		`{"kind": "", "rules": {}}`:        {"kind: must not be blank", "rules: must be an array"},
		`{"kind": 1, "rules": "[]"}`:       {"kind: must be a string", "rules: must be an array"},
		`{"Kind": "etl", "Rules": []}`:     {"kind: is required", "rules: is required"},
		`{"kind": "a\u0000", "rules": []}`: {"kind: must not contain U+0000"},
		`{"kind": "etl", "rules": [1, ` + good + `, {"type": "Capacity", "max_capacity": 0}, {"type": "Concurrency", "max_concurency": 1, "max_concurrency": 1,
			"matcher": {"status": "Pending", "kind": " ", "fields": [1]}}]}`: {
			"rules[0]: must be an object", "rules[2].max_capacity: must be at least 1", "rules[2].matcher: is required",
			"rules[3].max_concurency: only one of max_concurency and max_concurrency is allowed", "rules[3].matcher.kind: must not be blank",
			"rules[3].matcher.status: must be Running", "rules[3].matcher.fields: must be an array of strings"},
	} {
		for _, id := range []string{batch, uuid.NewString()} {
			f := b.fails(t, http.StatusBadRequest, "PATCH", "/batch/"+id+"/rules", body)
			require.Equal(t, "Validation failed", f.Error)
			require.Equal(t, details, f.Details, body)
		}
	}
	b.fails(t, http.StatusBadRequest, "PATCH", "/batch/"+batch+"/rules", `{"kind"`)
	b.fails(t, http.StatusUnsupportedMediaType, "PATCH", "/batch/"+batch+"/rules", nil)
}
