package api_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/task"
)

func TestShowBatch(t *testing.T) {
	t.Parallel()
	b := setup(t)
	a := b.ok(t, http.StatusCreated, "POST", "/task", object{"name": "n", "metadata": object{"m": nil}, "tasks": []object{entry("a"), entry("b", "a")}}, nil)
	id := a.Header.Get("X-Batch-ID")
	var got task.Batch
	a = b.ok(t, http.StatusOK, "GET", "/batch/"+id, nil, &got)
	require.JSONEq(t, fmt.Sprintf(`{"batch_id": %q, "batch_name": "n", "batch_metadata": {"m": null}, "dead_end_cancel": null, "created_at": %q,
		"total_tasks": 2, "total_success": 0, "total_failures": 0, "total_expected": null, "status_counts": {"waiting": 1, "pending": 1,
		"claimed": 0, "running": 0, "success": 0, "failure": 0, "paused": 0, "canceled": 0}}`,
		id, got.CreatedAt.Format("2006-01-02T15:04:05.999999Z07:00")), a.Body)
	f := b.fails(t, http.StatusNotFound, "GET", "/batch/"+uuid.NewString(), nil)
	require.Contains(t, f.Error, "unknown batch")
	require.Empty(t, f.CurrentStatus)
}

func TestShowGraph(t *testing.T) {
	t.Parallel()
	b := setup(t)
	outside := b.submit(t, entry("p"))[0]
	child := entry("b", "a")
	child["dependencies"] = append(child["dependencies"].([]object), object{"task_id": outside.ID, "requires_success": false})
	tasks := b.submit(t, child, entry("a"))
	a := b.ok(t, http.StatusOK, "GET", "/dag/"+tasks[0].BatchID.String(), nil, nil)
	basic := func(t task.Task) string {
		return fmt.Sprintf(`{"id": %q, "name": %q, "kind": "etl", "status": %q, "created_at": %q, "started_at": null, "success": 0, "failures": 0,
			"expected_count": null, "ended_at": null, "batch_id": %q, "dead_end_barrier": false, "priority": 0}`,
			t.ID, t.Name, t.Status, t.CreatedAt.Format("2006-01-02T15:04:05.999999Z07:00"), t.BatchID)
	}
	require.JSONEq(t, fmt.Sprintf(`{"tasks": [%s, %s],
		"links": [{"parent_id": %q, "child_id": %q, "requires_success": true}],
		"external_links": [{"parent_id": %q, "child_id": %q, "requires_success": false}]}`,
		basic(tasks[0]), basic(tasks[1]), tasks[1].ID, tasks[0].ID, outside.ID, tasks[0].ID), a.Body)
	a = b.ok(t, http.StatusOK, "GET", "/dag/"+outside.BatchID.String(), nil, nil)
	require.Contains(t, a.Body, `"links":[]`)
	b.fails(t, http.StatusNotFound, "GET", "/dag/"+uuid.NewString(), nil)
}

func TestUnknownTask(t *testing.T) {
	t.Parallel()
	b := setup(t)
	f := b.fails(t, http.StatusNotFound, "GET", "/task/"+uuid.NewString(), nil)
	require.Contains(t, f.Error, "unknown task")
}
