package e2e

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/task"
)

// Over HTTP: lint fails on its own, deploy with it, and unit, which runs, works for nobody any more.
func TestDeadEnd(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	r := startReplica(t, db)
	hooks := newReceiver(t, nil)
	create := func(deadEnds any) (unit, lint task.Task) {
		var tasks []task.Task
		require.Equal(t, http.StatusCreated, do(t, http.MethodPost, r.url+"/task", map[string]any{"dead_end_cancel": deadEnds, "tasks": []entry{
			{"id": "unit", "name": "unit", "kind": "k", "on_start": hooks.hook("/start"), "on_failure": []any{hooks.hook("/failed")}, "on_cancel": []any{hooks.hook("/canceled")}},
			{"id": "lint", "name": "lint", "kind": "k", "on_start": hooks.hook("/start")},
			{"id": "deploy", "name": "deploy", "kind": "k", "on_start": hooks.hook("/start"), "dependencies": needs("unit", "lint")},
		}}, &tasks))
		r.await(t, tasks[0].ID, task.Running)
		r.await(t, tasks[1].ID, task.Running)
		return tasks[0], tasks[1]
	}
	unit, lint := create(true)
	var batch task.Batch
	require.Equal(t, http.StatusOK, do(t, http.MethodGet, r.url+"/batch/"+unit.BatchID.String(), nil, &batch))
	require.Equal(t, true, *batch.DeadEndCancel)
	require.Equal(t, http.StatusOK, do(t, http.MethodDelete, r.url+"/task/"+lint.ID.String(), nil, nil))
	got := r.await(t, unit.ID, task.Canceled)
	require.Equal(t, "All child tasks already terminated", *got.FailureReason)
	hooks.awaitCalls(t, "/canceled", 1)
	hooks.awaitCalls(t, "/failed", 1)

	off, lint := create(nil)
	require.Equal(t, http.StatusOK, do(t, http.MethodDelete, r.url+"/task/"+lint.ID.String(), nil, nil))
	require.Equal(t, task.Running, r.task(t, off.ID).Status)
	var noted int
	require.NoError(t, db.Pool.QueryRow(t.Context(), "select count(*) from taskrunner_private.dead_end_check").Scan(&noted))
	require.Zero(t, noted, "off by default")
}

// The replica that ended a task dies of kill -9 before anybody has looked above it: another one does.
func TestKillBeforeDeadEndsAreExamined(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	victim := startProcess(t, db, "--worker-enabled=0", "--dead-end-cancel-enabled=1") // so nobody drains
	hooks := newReceiver(t, nil)
	tasks := victim.submit(t,
		entry{"id": "top", "name": "top", "kind": "k", "on_start": hooks.hook("/start")},
		entry{"id": "middle", "name": "middle", "kind": "k", "on_start": hooks.hook("/start"), "dependencies": needs("top")},
		entry{"id": "low", "name": "low", "kind": "k", "on_start": hooks.hook("/start"), "dependencies": needs("middle")})
	require.Equal(t, http.StatusOK, do(t, http.MethodDelete, victim.url+"/task/"+tasks["low"].ID.String(), nil, nil))
	require.NoError(t, victim.cmd.Process.Kill())
	<-victim.exited

	survivor := startReplica(t, db, "--dead-end-cancel-enabled=1")
	survivor.await(t, tasks["middle"].ID, task.Canceled)
	survivor.await(t, tasks["top"].ID, task.Canceled)
}
