package taskview

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/task"
)

func TestRows(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	at := func(seconds float64) *time.Time {
		x := now.Add(time.Duration(seconds * float64(time.Second)))
		return &x
	}
	expected := int64(10)
	reason := func(s string) *string { return &s }
	ids := make([]uuid.UUID, 6)
	for i := range ids {
		ids[i] = uuid.New()
	}
	g := task.Graph{
		Tasks: []task.Basic{
			{ID: ids[0], Name: "done", Status: task.Success, StartedAt: at(-5), EndedAt: at(-2), Success: 9, Failures: 1, ExpectedCount: &expected},
			{ID: ids[1], Name: "runs", Status: task.Running, StartedAt: at(-1.5), Success: 4, ExpectedCount: &expected},
			{ID: ids[2], Name: "again", Status: task.Pending},
			{ID: ids[3], Name: "waits", Status: task.Waiting},
			{ID: ids[4], Name: "bad", Status: task.Failure, EndedAt: at(-1)},
			{ID: ids[5], Name: "ready", Status: task.Pending},
		},
		Links: []task.Link{
			{ParentID: ids[2], ChildID: ids[3]}, {ParentID: ids[1], ChildID: ids[3]}, {ParentID: ids[0], ChildID: ids[3]},
		},
	}
	details := map[uuid.UUID]task.Task{
		ids[2]: {Status: task.Pending, RunAt: at(0.75)},
		ids[4]: {Status: task.Failure, FailureReason: reason("Required parent task " + ids[0].String() + " failed")},
		ids[5]: {Status: task.Pending, RunAt: at(-0.1)},
	}
	require.Equal(t, []Row{
		{Name: "done", Status: task.Success, Done: 10, Failed: 1, Total: 10, Took: 3 * time.Second},
		{Name: "runs", Status: task.Running, Done: 4, Total: 10, Took: 1500 * time.Millisecond},
		{Name: "again", Status: task.Pending, Backoff: true, Note: "on_start refused, next try in 0.8 s"},
		{Name: "waits", Status: task.Waiting, Note: "for again, runs"},
		{Name: "bad", Status: task.Failure, Note: "Required parent task done failed"},
		{Name: "ready", Status: task.Pending},
	}, Rows(g, details, now))

	// What was looked at before the state changed says nothing about the present one.
	g.Tasks[2].Status = task.Claimed
	require.Equal(t, Row{Name: "again", Status: task.Claimed}, Rows(g, details, now)[2])
}

func TestTally(t *testing.T) {
	t.Parallel()
	require.Equal(t, "1 Success, 1 Failure, 1 Running, 1 Claimed, 1 Pending, 1 Waiting", Tally(sample))
}

func TestWentWrong(t *testing.T) {
	t.Parallel()
	ids := make([]uuid.UUID, 6)
	for i := range ids {
		ids[i] = uuid.New()
	}
	g := task.Graph{
		Tasks: []task.Basic{
			{ID: ids[0], Status: task.Success}, {ID: ids[1], Status: task.Failure}, {ID: ids[2], Status: task.Failure},
			{ID: ids[3], Status: task.Canceled}, {ID: ids[4], Status: task.Failure}, {ID: ids[5], Status: task.Running},
		},
		Links: []task.Link{
			{ParentID: ids[0], ChildID: ids[1], RequiresSuccess: true}, {ParentID: ids[3], ChildID: ids[2], RequiresSuccess: true},
			{ParentID: ids[2], ChildID: ids[4]}, {ParentID: ids[0], ChildID: ids[2], RequiresSuccess: true},
		},
	}
	var got []uuid.UUID
	for _, bad := range WentWrong(g) {
		got = append(got, bad.ID)
	}
	require.Equal(t, []uuid.UUID{ids[1], ids[3], ids[4], ids[2]}, got)
}
