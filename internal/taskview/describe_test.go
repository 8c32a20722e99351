package taskview

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/screen"
	"github.com/taskrunner/taskrunner/internal/task"
)

// utc keeps the zone of the machine out of the golden texts.
func TestMain(m *testing.M) {
	time.Local = time.UTC
	m.Run()
}

func ptr[T any](v T) *T { return &v }

var (
	parent = uuid.MustParse("00000000-0000-4000-8000-0000000000a1")
	child  = uuid.MustParse("00000000-0000-4000-8000-0000000000a2")
	batch  = uuid.MustParse("00000000-0000-4000-8000-0000000000b1")
	noon   = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
)

var full = task.Task{
	ID: child, Name: "load\x1b[2J", Kind: "etl", Status: task.Paused, Timeout: 600,
	Rules: json.RawMessage(`[{"type":"Concurency"}]`), Metadata: json.RawMessage(`{"a":"` + "\u202e" + `"}`),
	Actions: []task.Action{
		{Kind: "Webhook", Trigger: "Start", Params: json.RawMessage(`{"url":"http://x/load","verb":"Post"}`)},
		{Kind: "Webhook", Trigger: "End", Params: json.RawMessage(`[]`)},
	},
	CreatedAt: noon, LastUpdated: noon.Add(time.Second), StartedAt: ptr(noon.Add(time.Second)),
	WaitFinished: 2, WaitSuccess: 1, Success: 9, Failures: 1, ExpectedCount: ptr(int64(20)),
	FailureReason: ptr("on_start webhook failed: HTTP 500"), BatchID: &batch, BatchName: ptr("nightly"),
	DeadEndBarrier: true, Priority: 5, Attempt: 2, MaxAttempts: 3, RunAt: ptr(noon.Add(time.Minute)),
}

func TestDescribeTask(t *testing.T) {
	t.Parallel()
	require.Equal(t, `task  00000000-0000-4000-8000-0000000000a2  load\x1b[2J
  status            ‖ Paused
  reason            on_start webhook failed: HTTP 500
  kind              etl
  batch             00000000-0000-4000-8000-0000000000b1  nightly
  waits for         2 tasks to end, 1 of them in Success
  progress          9 succeeded, 1 failed, 20 expected
  created           2026-01-02 12:00:00 +00:00
  not before        2026-01-02 12:01:00 +00:00
  started           2026-01-02 12:00:01 +00:00
  took              4.0 s
  last sign         2026-01-02 12:00:01 +00:00
  timeout           600 s without a sign of life
  attempt           2 of 3
  priority          5
  dead-end barrier  yes
  rules             [{"type":"Concurency"}]
  metadata          {"a":"\u202e"}
  on start          POST http://x/load
  on end            []`, text(Task(full, nil, noon.Add(5*time.Second), screen.Style{Width: 200})))

	require.Equal(t, `task  00000000-0000-4000-8000-0000000000a1  extract
  status            + Success
  kind              etl
  created           2026-01-02 12:00:00 +00:00
  started           2026-01-02 12:00:00 +00:00
  ended             2026-01-02 12:00:02 +00:00
  took              2.0 s
  timeout           60 s without a sign of life`, text(Task(task.Task{
		ID: parent, Name: "extract", Kind: "etl", Status: task.Success, Timeout: 60, Rules: json.RawMessage("[]"), Metadata: json.RawMessage("null"),
		CreatedAt: noon, LastUpdated: noon, StartedAt: &noon, EndedAt: ptr(noon.Add(2 * time.Second)), Attempt: 1, MaxAttempts: 1,
	}, nil, noon.Add(time.Hour), screen.Style{Width: 200, ASCII: true})))

	held := Holds(json.RawMessage(`{"blocked_by": [
		{"rule": {"type": "Concurency", "max_concurency": 2, "matcher": {"status": "Running", "kind": "etl\u001b", "fields": []}},
			"current": 3, "reason": "limit reached"},
		{"rule": {"type": "Capacity", "max_capacity": 500, "matcher": {"status": "Running", "kind": "etl", "fields": []}},
			"current": 800, "reason": "limit reached"},
		{"rule": {"type": "Capacity", "max_capacity": 500, "matcher": {"status": "Running", "kind": "etl", "fields": []}},
			"current": 0, "reason": "expected_count missing"}]}`))
	require.Equal(t, `task  00000000-0000-4000-8000-0000000000a1  extract
  status            ○ Pending
  kind              etl
  held by           a rule about kind "etl\x1b": 3 of 2 at work
  held by           a rule about kind "etl": 800 left to do, less than 500 must be
  held by           a rule about kind "etl": expected_count missing
  created           2026-01-02 12:00:00 +00:00
  timeout           60 s without a sign of life`, text(Task(task.Task{
		ID: parent, Name: "extract", Kind: "etl", Status: task.Pending, Timeout: 60, Rules: json.RawMessage("[]"), Metadata: json.RawMessage("null"),
		CreatedAt: noon, LastUpdated: noon, Attempt: 1, MaxAttempts: 1,
	}, held, noon, screen.Style{Width: 200})))
	require.Empty(t, Holds(json.RawMessage(`{"blocked_by": null}`)))
}

func TestDescribeBatch(t *testing.T) {
	t.Parallel()
	require.Equal(t, `batch  00000000-0000-4000-8000-0000000000b1  nightly
  ████████████████████░░░░░░░░░░░░░░░░░░░░   50 %  4 of 8 ended
  tasks             8 tasks: 2 Success, 1 Failure, 1 Canceled, 1 Running, 1 Claimed, 1 Paused, 1 Waiting
  progress          9 succeeded, 1 failed
  created           2026-01-02 12:00:00 +00:00
  dead-end cancel   no
  metadata          {"run":9007199254740993}`, text(Batch(task.Batch{
		BatchID: batch, BatchName: ptr("nightly"), BatchMetadata: json.RawMessage(`{"run":9007199254740993}`), DeadEndCancel: ptr(false),
		CreatedAt: noon, TotalTasks: 8, TotalSuccess: 9, TotalFailures: 1,
		StatusCounts: task.StatusCounts{Success: 2, Failure: 1, Canceled: 1, Running: 1, Claimed: 1, Paused: 1, Waiting: 1},
	}, screen.Style{Width: 200})))

	require.Equal(t, `batch  00000000-0000-4000-8000-0000000000b1
                                            100 %  0 of 0 ended
  tasks             0 tasks
  created           2026-01-02 12:00:00 +00:00`, text(Batch(task.Batch{BatchID: batch, CreatedAt: noon, BatchMetadata: json.RawMessage("null")}, screen.Style{Width: 200})))
}

func TestLineOfATask(t *testing.T) {
	t.Parallel()
	s := screen.Style{Width: 200}
	require.Equal(t, child.String()+`  Paused    load\x1b[2J  on_start webhook failed: HTTP 500`, Line(full, nil, s))
	cascade := full
	cascade.Status, cascade.FailureReason = task.Failure, ptr("Required parent task "+parent.String()+" failed")
	require.Equal(t, child.String()+`  Failure   load\x1b[2J  Required parent task extract failed`, Line(cascade, map[uuid.UUID]string{parent: "extract"}, s))
	cascade.Status, cascade.FailureReason = task.Canceled, ptr("Canceled")
	require.Equal(t, child.String()+`  Canceled  load\x1b[2J`, Line(cascade, nil, s))
	require.Contains(t, Line(cascade, nil, screen.Style{Width: 200, Colour: true}), "\x1b[33mCanceled\x1b[0m")
}

func TestLists(t *testing.T) {
	t.Parallel()
	s := screen.Style{Width: 200}
	tasks := []task.Basic{
		{ID: child, Name: "load", Kind: "etl", Status: task.Running, CreatedAt: noon, StartedAt: &noon, Success: 9, Failures: 1, ExpectedCount: ptr(int64(20))},
		{ID: parent, Name: "a name of more than twenty columns", Kind: "k\x1b", Status: task.Canceled, CreatedAt: noon, Success: 7},
	}
	require.Equal(t, `TASK                                  STATUS       TOOK  PROGRESS  NAME                  KIND        CREATED
00000000-0000-4000-8000-0000000000a2  Running     2.0 s     10/20  load                  etl         2026-01-02 12:00:00 +00:00
00000000-0000-4000-8000-0000000000a1  Canceled                  7  a name of more than twenty columns  k\x1b       2026-01-02 12:00:00 +00:00`,
		text(append([]string{TasksHeading(s)}, Tasks(tasks, noon.Add(2*time.Second), s)...)))
	batches := []task.ListedBatch{
		{BatchID: batch, BatchName: ptr("nightly"), TotalTasks: 3, FirstCreatedAt: noon, StatusCounts: task.StatusCounts{Success: 1, Failure: 1, Waiting: 1}, Kinds: []string{"a", "b\a"}},
		{BatchID: parent, TotalTasks: 100_000, FirstCreatedAt: noon, StatusCounts: task.StatusCounts{Success: 100_000}},
	}
	require.Equal(t, `BATCH                                 ENDED   TASKS  NAME                  CREATED                     STATES
00000000-0000-4000-8000-0000000000b1   66 %       3  nightly               2026-01-02 12:00:00 +00:00  1 Success, 1 Failure, 1 Waiting; a, b\x07
00000000-0000-4000-8000-0000000000a1  100 %  100000                        2026-01-02 12:00:00 +00:00  100000 Success`,
		text(append([]string{BatchesHeading(s)}, Batches(batches, s)...)))
}

// text joins lines, which must do nothing to a terminal.
func text(lines []string) string { return strings.Join(lines, "\n") }

// Whatever a name, a kind, a reason or metadata holds, no line drives the terminal, and none is wider than it.
func TestNothingDrivesTheTerminal(t *testing.T) {
	t.Parallel()
	const evil = "\x1b]0;t\x07\r\n\u009b31m\u202e日本"
	bad := full
	bad.Name, bad.Kind, bad.Status, bad.FailureReason, bad.BatchName = evil, evil, evil, ptr(evil), ptr(evil)
	bad.Rules, bad.Metadata = json.RawMessage(`["`+evil+`"]`), json.RawMessage(`"`+evil+`"`)
	bad.Actions = []task.Action{{Trigger: evil, Params: json.RawMessage(`{"url":"\u001b[31m","verb":"\u0007"}`)}, {Trigger: evil, Params: json.RawMessage(evil)}}
	g := task.Graph{
		Tasks: []task.Basic{{ID: parent, Name: evil, Kind: evil, Status: evil}, {ID: child, Name: evil, Status: task.Waiting}, {ID: batch, Name: evil, Status: task.Failure}},
		Links: []task.Link{{ParentID: parent, ChildID: child}},
	}
	details := map[uuid.UUID]task.Task{batch: {Status: task.Failure, FailureReason: ptr(evil)}}
	for _, width := range []int{1, 20, 60, 100, 1000} {
		s := screen.Style{Width: width}
		lines := Task(bad, nil, noon, s)
		lines = append(lines, Batch(task.Batch{BatchName: ptr(evil), BatchMetadata: json.RawMessage(evil)}, s)...)
		lines = append(lines, Line(bad, map[uuid.UUID]string{}, s))
		lines = append(lines, Table(Rows(g, details, noon), s)...)
		lines = append(lines, TasksHeading(s), BatchesHeading(s))
		lines = append(lines, Tasks(g.Tasks, noon, s)...)
		lines = append(lines, Batches([]task.ListedBatch{{BatchName: ptr(evil), Kinds: []string{evil}}}, s)...)
		for _, line := range lines {
			require.Equal(t, line, screen.Clean(line))
			require.LessOrEqual(t, screen.Width(line), width, "%q", line)
		}
	}
}
