package store_test

import (
	"encoding/json"
	"math"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/task"
)

func TestBatch(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := uuid.New()
	first := entry("a")
	first["expected_count"] = 5
	body, err := json.Marshal(map[string]any{"name": "n", "metadata": map[string]any{"m": 1}, "dead_end_cancel": false,
		"tasks": []any{first, entry("b", "a")}})
	require.NoError(t, err)
	tasks, err := b.Submit(t.Context(), id, body)
	require.NoError(t, err)
	got, err := b.Batch(t.Context(), id)
	require.NoError(t, err)
	require.WithinDuration(t, time.Now(), got.CreatedAt, time.Minute)
	require.Equal(t, task.Batch{
		BatchID: id, BatchName: ptr("n"), BatchMetadata: json.RawMessage(`{"m": 1}`), DeadEndCancel: ptr(false),
		CreatedAt: got.CreatedAt, TotalTasks: 2, StatusCounts: task.StatusCounts{Waiting: 1, Pending: 1},
	}, got)

	b.exec(t, "update taskrunner.task set expected_count = 9223372036854775807, success = 9223372036854775807, failures = 3 where batch_id = $1", id)
	_, err = b.Cancel(t.Context(), tasks[0].ID)
	require.NoError(t, err)
	got, err = b.Batch(t.Context(), id)
	require.NoError(t, err)
	require.EqualValues(t, math.MaxInt64, got.TotalSuccess, "capped")
	require.EqualValues(t, 6, got.TotalFailures)
	require.EqualValues(t, math.MaxInt64, *got.TotalExpected)
	require.Equal(t, task.StatusCounts{Canceled: 1, Failure: 1}, got.StatusCounts)

	b.exec(t, "insert into taskrunner.batch (id) values ('00000000-0000-0000-0000-000000000000')")
	got, err = b.Batch(t.Context(), uuid.Nil)
	require.NoError(t, err)
	require.Zero(t, got.TotalTasks)
	require.EqualValues(t, 0, *got.TotalExpected)
	require.Nil(t, got.DeadEndCancel)
	_, err = b.Batch(t.Context(), uuid.New())
	requireCode(t, task.CodeUnknown, err)
}

func TestGraph(t *testing.T) {
	t.Parallel()
	b := setup(t)
	parents := b.submit(t, entry("p"))
	child := entry("c")
	child["dependencies"] = []any{map[string]any{"task_id": parents[0].ID, "requires_success": false},
		map[string]any{"id": "b", "requires_success": true}}
	tasks := b.submit(t, child, entry("b"), entry("a"))
	grandchild := entry("g")
	grandchild["dependencies"] = []any{map[string]any{"task_id": tasks[0].ID, "requires_success": true}}
	others := b.submit(t, grandchild)
	b.exec(t, "insert into taskrunner.task (id, name, kind) values ('00000000-0000-0000-0000-00000000000a', 'free', 'k')")
	b.exec(t, "insert into taskrunner.link (parent_id, child_id) values ('00000000-0000-0000-0000-00000000000a', $1)", tasks[2].ID)

	g, err := b.Graph(t.Context(), *tasks[0].BatchID)
	require.NoError(t, err)
	require.Len(t, g.Tasks, 3)
	require.Equal(t, []string{"c", "b", "a"}, []string{g.Tasks[0].Name, g.Tasks[1].Name, g.Tasks[2].Name})
	require.Equal(t, task.Basic{ID: tasks[0].ID, Name: "c", Kind: "etl", Status: task.Waiting, CreatedAt: tasks[0].CreatedAt,
		BatchID: tasks[0].BatchID}, g.Tasks[0])
	require.Equal(t, []task.Link{{ParentID: tasks[1].ID, ChildID: tasks[0].ID, RequiresSuccess: true}}, g.Links)
	require.ElementsMatch(t, []task.Link{
		{ParentID: parents[0].ID, ChildID: tasks[0].ID},
		{ParentID: tasks[0].ID, ChildID: others[0].ID, RequiresSuccess: true},
		{ParentID: uuid.MustParse("00000000-0000-0000-0000-00000000000a"), ChildID: tasks[2].ID},
	}, g.ExternalLinks)

	_, err = b.Graph(t.Context(), uuid.New())
	requireCode(t, task.CodeUnknown, err)
	b.exec(t, "insert into taskrunner.batch (id) values ('00000000-0000-0000-0000-000000000000')")
	g, err = b.Graph(t.Context(), uuid.Nil)
	require.NoError(t, err)
	require.Equal(t, task.Graph{Tasks: []task.Basic{}, Links: []task.Link{}, ExternalLinks: []task.Link{}}, g)
}

// Actions have one order, however they came in; a task may have none.
func TestActionOrder(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := uuid.New()
	b.exec(t, "insert into taskrunner.task (id, name, kind) values ($1, 'n', 'k')", id)
	got, err := b.Task(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, []task.Action{}, got.Actions)
	require.Nil(t, got.BatchID)
	require.Nil(t, got.BatchName)

	// A registered cancel action has an attempt, which only the engine may set; those of other attempts are over.
	b.exec(t, `set session_replication_role = replica;
		insert into taskrunner.action (task_id, trigger, condition, position, attempt, params)
		select '`+id.String()+`', trigger::taskrunner.trigger_kind, condition::taskrunner.trigger_condition, position, attempt,
			jsonb_build_object('url', 'https://' || name, 'verb', 'Get')
		from (values ('registered', 'Cancel', 'Success', 0, 1), ('over', 'Cancel', 'Success', 0, 2), ('c2', 'Cancel', 'Success', 1, null),
			('s1', 'End', 'Success', 0, null), ('f2', 'End', 'Failure', 1, null), ('c1', 'Cancel', 'Success', 1 - 1, null),
			('f1', 'End', 'Failure', 0, null), ('f3', 'End', 'Failure', 1, null), ('start', 'Start', 'Success', 0, null)
		) a (name, trigger, condition, position, attempt);
		reset session_replication_role`)
	got, err = b.Task(t.Context(), id)
	require.NoError(t, err)
	var names []string
	for _, a := range got.Actions {
		var params struct{ URL string }
		require.NoError(t, json.Unmarshal(a.Params, &params))
		names = append(names, params.URL[len("https://"):]+" "+a.Trigger)
	}
	require.Equal(t, []string{"start Start", "f1 End", "f2 End", "f3 End", "s1 End", "c1 Cancel", "c2 Cancel", "registered Cancel"}, names)
}

// An admin may set moments that RFC 3339 cannot write; they are shown as the nearest one that it can.
func TestMomentsBeyondTheCalendar(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.submit(t, entry("a"))[0].ID
	for value, want := range map[string]string{
		"infinity":                      "9999-12-31T23:59:59.999999Z",
		"-infinity":                     "0001-01-01T00:00:00Z",
		"20000-01-01 00:00Z":            "9999-12-31T23:59:59.999999Z",
		"4000-01-01 00:00:00Z BC":       "0001-01-01T00:00:00Z",
		"2026-05-06 09:08:07.123456+02": "2026-05-06T07:08:07.123456Z",
	} {
		b.exec(t, "update taskrunner.task set last_updated = $1::text::timestamptz, run_at = $1::text::timestamptz where id = $2", value, id)
		got, err := b.Task(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, want, got.LastUpdated.Format(time.RFC3339Nano), value)
		require.Equal(t, want, got.RunAt.Format(time.RFC3339Nano), value)
		_, err = json.Marshal(got)
		require.NoError(t, err)
	}
	_, err := b.Pulse(t.Context(), task.Pulse{Replica: b.replica})
	require.NoError(t, err)
	b.exec(t, "update taskrunner.task set run_at = 'infinity' where id = $1", id)
	agenda, err := b.Pulse(t.Context(), task.Pulse{Replica: b.replica})
	require.NoError(t, err)
	require.Nil(t, agenda.NextDueAt)
}
