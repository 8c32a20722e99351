package api_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/task"
)

// The answer shows what was created, in the order of the request; a repeat with the same key shows the same.
func TestDedupeOverHTTP(t *testing.T) {
	t.Parallel()
	b := setup(t)
	once := func(name string, parents ...string) object {
		e := entry(name, parents...)
		e["kind"], e["metadata"] = "once", object{"n": 1}
		e["dedupe_strategy"] = []object{{"kind": "once", "status": "Pending", "fields": []string{"n"}}}
		return e
	}
	body := text(t, []object{entry("z", "b"), once("a"), once("b")})
	first := b.keyed(t, "POST", "/task", body, "first")
	require.Equal(t, http.StatusCreated, first.Status, first.Body)
	require.Equal(t, []string{"z", "a"}, names(t, first), "b is a")
	again := b.keyed(t, "POST", "/task", body, "first")
	requireReplay(t, first, again)
	require.Equal(t, []string{"z", "a"}, names(t, again))

	nothing := b.keyed(t, "POST", "/task", text(t, []object{once("c")}), "second")
	require.Equal(t, http.StatusNoContent, nothing.Status, nothing.Body)
	require.Empty(t, nothing.Body)
	requireReplay(t, nothing, b.keyed(t, "POST", "/task", text(t, []object{once("c")}), "second"))
	require.Equal(t, http.StatusNotFound, b.keyed(t, "GET", "/batch/"+nothing.Header.Get("X-Batch-ID"), "").Status)
	require.Equal(t, 2, count(t, b, "taskrunner.task"))
	require.Equal(t, 1, count(t, b, "taskrunner.batch"))

	cycle := b.keyed(t, "POST", "/task", text(t, []object{
		{"id": "w", "name": "w", "kind": "w", "on_start": entry("w")["on_start"], "dependencies": []object{{"id": "v", "requires_success": true}}},
		{"id": "v", "name": "v", "kind": "v", "on_start": entry("v")["on_start"], "dedupe_strategy": []object{{"kind": "w", "status": "Waiting", "fields": []string{}}}},
	}))
	require.Equal(t, http.StatusBadRequest, cycle.Status)
	require.Contains(t, cycle.Body, "dependencies: dependency cycle: w -> w")
}

// names are the tasks of an answer, by what entry called them.
func names(t *testing.T, a answer) (list []string) {
	t.Helper()
	var tasks []task.Task
	require.NoError(t, json.Unmarshal([]byte(a.Body), &tasks), a.Body)
	for _, created := range tasks {
		list = append(list, strings.TrimPrefix(created.Name, "task "))
	}
	return list
}
