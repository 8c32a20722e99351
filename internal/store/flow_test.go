package store_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/store"
	"github.com/taskrunner/taskrunner/internal/task"
)

func TestSubmit(t *testing.T) {
	t.Parallel()
	b := setup(t)
	batchID := uuid.New()
	tasks, err := b.Submit(t.Context(), batchID, []byte(`{"name": "nightly", "tasks": [
		{"id": "b", "name": "load", "kind": "etl", "metadata": {"n": 1}, "priority": 5, "timeout": 7, "expected_count": 9,
		 "on_start": {"kind": "Webhook", "params": {"url": "https://jobs.example.com/b?token=hush", "verb": "Post",
		   "headers": {"Authorization": "Bearer hush", "X-A": "b"}, "extra": true}},
		 "on_cancel": [{"kind": "Webhook", "params": {"url": "https://c", "verb": "Delete"}}],
		 "on_success": [{"kind": "Webhook", "params": {"url": "https://s1", "verb": "Get"}},
		   {"kind": "Webhook", "params": {"url": "https://s2", "verb": "Get"}}],
		 "on_failure": [{"kind": "Webhook", "params": {"url": "https://f", "verb": "Put", "body": {"x": [1]}}}],
		 "dependencies": [{"id": "a", "requires_success": true}]},
		{"id": "a", "name": "extract", "kind": "etl", "on_start": {"kind": "Webhook", "params": {"url": "https://a", "verb": "Get"}}}
	]}`))
	require.NoError(t, err)
	require.Len(t, tasks, 2)
	load := tasks[0]
	require.Equal(t, []string{"load", "extract"}, []string{load.Name, tasks[1].Name}, "request order")
	require.Equal(t, task.Waiting, load.Status)
	require.Equal(t, task.Pending, tasks[1].Status)
	require.Equal(t, "nightly", *load.BatchName)
	require.Equal(t, batchID, *load.BatchID)
	require.Equal(t, time.UTC, load.CreatedAt.Location())
	require.JSONEq(t, "null", string(tasks[1].Metadata))
	require.JSONEq(t, "[]", string(tasks[1].Rules))
	raw, err := json.Marshal(load.Actions)
	require.NoError(t, err)
	require.JSONEq(t, `[
		{"kind": "Webhook", "trigger": "Start", "params": {"url": "https://jobs.example.com/b?token=***", "verb": "Post",
		  "headers": {"Authorization": "***", "X-A": "b"}, "extra": true}},
		{"kind": "Webhook", "trigger": "End", "params": {"url": "https://f", "verb": "Put", "body": {"x": [1]}}},
		{"kind": "Webhook", "trigger": "End", "params": {"url": "https://s1", "verb": "Get"}},
		{"kind": "Webhook", "trigger": "End", "params": {"url": "https://s2", "verb": "Get"}},
		{"kind": "Webhook", "trigger": "Cancel", "params": {"url": "https://c", "verb": "Delete"}}]`, string(raw))

	again, err := b.Task(t.Context(), load.ID)
	require.NoError(t, err)
	require.Equal(t, load, again)
	b.db.AssertInvariants(t)
}

func TestSubmitNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := uuid.New()
	tasks, err := b.Submit(t.Context(), id, []byte(`[]`))
	require.NoError(t, err)
	require.Empty(t, tasks)
	_, err = b.Batch(t.Context(), id)
	requireCode(t, task.CodeUnknown, err)
}

func TestSubmitInvalid(t *testing.T) {
	t.Parallel()
	b := setup(t)
	submit := func(body string) *task.Error {
		_, err := b.Submit(t.Context(), uuid.New(), []byte(body))
		require.Error(t, err)
		var e *task.Error
		require.ErrorAs(t, err, &e)
		return e
	}
	e := submit(`[{"id": "a"}, 7]`)
	require.Equal(t, task.CodeInvalid, e.Code)
	require.Equal(t, "Validation failed", e.Message)
	require.Contains(t, e.Details, "tasks[0].name: is required")
	require.Contains(t, e.Details, "tasks[1]: must be an object")

	require.Equal(t, task.CodeTooMany, submit("["+strings.Repeat("0,", 100_000)+"0]").Code)

	unknown := entry("a")
	unknown["dependencies"] = []any{map[string]any{"task_id": uuid.New(), "requires_success": false}}
	raw, err := json.Marshal([]any{unknown})
	require.NoError(t, err)
	e = submit(string(raw))
	require.Equal(t, task.CodeInvalid, e.Code)
	require.Contains(t, e.Details[0], "tasks[0].dependencies[0].task_id: ")

	// What the API's scanner keeps away is no internal error either.
	require.Equal(t, task.CodeInvalid, submit(`["\u0000"]`).Code)
	require.Equal(t, task.CodeInvalid, submit(`[`).Code)

	var n int
	b.scan(t, &n, "select count(*) from taskrunner.batch")
	require.Zero(t, n)
}

func TestLifeOfATask(t *testing.T) {
	t.Parallel()
	for _, prepared := range []bool{true, false} {
		t.Run(fmt.Sprint("prepared=", prepared), func(t *testing.T) {
			t.Parallel()
			b := setup(t, func(o *store.Options) { o.PreparedStatements = prepared })
			parent := entry("a")
			parent["on_success"] = []any{webhookAction("done")}
			tasks := b.submit(t, parent, entry("b", "a"))
			require.Empty(t, b.transitions(), "creation is no change of status")

			claims := b.claim(t)
			require.Len(t, claims, 1)
			c := claims[0]
			require.Equal(t, tasks[0].ID, c.TaskID)
			require.Equal(t, tasks[0].BatchID, c.BatchID)
			require.Equal(t, tasks[0].ID.String()+":start", c.IdempotencyKey)
			require.Equal(t, &task.Webhook{URL: "https://jobs.example.com/a", Verb: "Post"}, c.Webhook)
			require.Equal(t, []string{"Pending Claimed etl 1"}, b.transitions())

			_, startErr := b.StartTasks(t.Context(), []task.StartTry{{Claim: c, Try: okTry()}})
			require.NoError(t, startErr)
			require.Equal(t, []string{"Claimed Running etl 1"}, b.transitions())

			require.NoError(t, b.AddProgress(t.Context(), task.Progress{TaskID: c.TaskID, NewSuccess: 2, NewFailures: 1}))
			got, err := b.Report(t.Context(), task.Report{TaskID: c.TaskID, Attempt: ptr(int32(1)), Status: ptr(task.Success),
				NewSuccess: ptr(int64(3)), Metadata: json.RawMessage(`{"x": "<&>"}`), ExpectedCount: ptr(int64(6)),
				Priority: ptr(int32(4)), FailureReason: ptr("all well")})
			require.NoError(t, err)
			require.Equal(t, task.Success, got.Status)
			require.EqualValues(t, 5, got.Success)
			require.EqualValues(t, 1, got.Failures)
			require.EqualValues(t, 6, *got.ExpectedCount)
			require.EqualValues(t, 4, got.Priority)
			require.Equal(t, "all well", *got.FailureReason)
			require.JSONEq(t, `{"x": "<&>"}`, string(got.Metadata))
			require.NotNil(t, got.EndedAt)
			require.ElementsMatch(t, []string{"Running Success etl 1", "Waiting Pending etl 1"}, b.transitions())

			deliveries, _, err := b.ClaimDeliveries(t.Context(), b.replica, 10, time.Minute, time.Time{}, true, task.Rooms{})
			require.NoError(t, err)
			require.Len(t, deliveries, 1)
			d := deliveries[0]
			require.Equal(t, "https://jobs.example.com/done", d.Webhook.URL)
			require.Equal(t, "End", d.Trigger)
			require.Equal(t, c.TaskID.String()+":end:success", d.IdempotencyKey)
			require.EqualValues(t, 1, d.Number)
			require.NoError(t, b.SettleDeliveries(t.Context(), []task.DeliveryTry{
				{Delivery: d, Outcome: task.DeliveryDelivered, Try: okTry()},
			}, task.Backoff{Base: time.Second, Factor: 3, Max: time.Hour}))
			var status string
			b.scan(t, &status, "select status from taskrunner.delivery where id = $1", d.ID)
			require.Equal(t, "Delivered", status)

			child, err := b.Cancel(t.Context(), tasks[1].ID)
			require.NoError(t, err)
			require.Equal(t, task.Canceled, child.Status)
			require.Equal(t, "Canceled", *child.FailureReason)
			require.Equal(t, []string{"Pending Canceled etl 1"}, b.transitions())
			b.db.AssertInvariants(t)
		})
	}
}

func TestReportRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.submit(t, entry("a"))[0].ID
	report := func(r task.Report) *task.Error {
		_, err := b.Report(t.Context(), r)
		var e *task.Error
		require.ErrorAs(t, err, &e)
		return e
	}
	require.Equal(t, task.CodeUnknown, report(task.Report{TaskID: uuid.New()}).Code)

	e := report(task.Report{TaskID: id, Status: ptr(task.Success)})
	require.Equal(t, task.CodeState, e.Code)
	require.Equal(t, task.Pending, e.Status)

	b.start(t)
	require.Equal(t, task.CodeAhead, report(task.Report{TaskID: id, Attempt: ptr(int32(2))}).Code)
	_, err := b.Report(t.Context(), task.Report{TaskID: id, NewSuccess: ptr(int64(math.MaxInt64))})
	require.NoError(t, err)
	e = report(task.Report{TaskID: id, NewSuccess: ptr(int64(1))})
	require.Equal(t, task.CodeOverflow, e.Code)
	require.Equal(t, task.Running, e.Status)
	requireCode(t, task.CodeOverflow, b.AddProgress(t.Context(), task.Progress{TaskID: id, NewSuccess: 1}))
	requireCode(t, task.CodeAhead, b.AddProgress(t.Context(), task.Progress{TaskID: id, Attempt: ptr(int32(2)), NewFailures: 1}))
	requireCode(t, task.CodeUnknown, b.AddProgress(t.Context(), task.Progress{TaskID: uuid.New(), NewFailures: 1}))

	_, err = b.Cancel(t.Context(), id)
	require.NoError(t, err)
	_, err = b.Cancel(t.Context(), id)
	require.Equal(t, task.Canceled, requireCode(t, task.CodeState, err).Status)
	_, err = b.Cancel(t.Context(), uuid.New())
	requireCode(t, task.CodeUnknown, err)
	require.NoError(t, b.AddProgress(t.Context(), task.Progress{TaskID: id, NewFailures: 1}), "counters of an ended task")
}

// Of many completions exactly one is accepted, whatever it says.
func TestConcurrentReports(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.submit(t, entry("a"))[0].ID
	b.start(t)
	b.transitions()
	const n = 16
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			status := []task.Status{task.Success, task.Failure}[i%2]
			_, errs[i] = b.Report(context.Background(), task.Report{TaskID: id, Status: &status, NewSuccess: ptr(int64(1))})
		})
	}
	wg.Wait()
	accepted := 0
	for _, err := range errs {
		if err == nil {
			accepted++
			continue
		}
		requireCode(t, task.CodeState, err)
	}
	require.Equal(t, 1, accepted)
	require.Len(t, b.transitions(), 1)
	got, err := b.Task(t.Context(), id)
	require.NoError(t, err)
	require.EqualValues(t, 1, got.Success)
	b.db.AssertInvariants(t)
	b.db.AssertNoDeadlocks(t)
}

func TestFailStarts(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tasks := b.submit(t, entry("a"), entry("b"))
	claims := b.claim(t)
	require.Len(t, claims, 2)
	b.transitions()
	tries := []task.StartTry{
		{Claim: claims[0], Try: task.Try{At: time.Now(), Error: "connection refused"}},
		{Claim: claims[1], Permanent: true, Try: task.Try{At: time.Now(), Error: "HTTP 404\x00", StatusCode: ptr(int32(404)), Response: "no\x00\xff"}},
	}
	require.NoError(t, b.FailStarts(t.Context(), b.replica, tries, time.Minute))
	require.ElementsMatch(t, []string{"Claimed Pending etl 1", "Claimed Failure etl 1"}, b.transitions())
	got, err := b.Task(t.Context(), tasks[0].ID)
	require.NoError(t, err)
	require.Equal(t, task.Pending, got.Status)
	require.True(t, got.RunAt.After(time.Now().Add(30*time.Second)))
	got, err = b.Task(t.Context(), tasks[1].ID)
	require.NoError(t, err)
	require.Equal(t, "on_start webhook failed: HTTP 404\uFFFD", *got.FailureReason)

	// The claim is gone, so it says nothing any more.
	require.NoError(t, b.FailStarts(t.Context(), b.replica, tries, time.Minute))
	require.Empty(t, b.transitions())

	b.exec(t, "update taskrunner.task set run_at = now() - interval '1 s' where id = $1", tasks[0].ID)
	b.exec(t, "update taskrunner_private.queued_task set state = 'scheduled', run_at = now() - interval '1 s'")
	released, err := b.ReleaseScheduled(t.Context(), 10)
	require.NoError(t, err)
	require.Equal(t, 1, released)
	_, startErr := b.StartTasks(t.Context(), nil)
	require.NoError(t, startErr)
	require.NoError(t, b.FailStarts(t.Context(), b.replica, nil, time.Second))
	require.NoError(t, b.SettleDeliveries(t.Context(), nil, task.Backoff{}))
}

// Marks are handed over from the highest priority downwards, in whatever order they come.
func TestClaimWithMarks(t *testing.T) {
	t.Parallel()
	b := setup(t)
	low, high, highest := entry("low"), entry("high"), entry("highest")
	high["priority"], highest["priority"] = 5, 9
	b.submit(t, low, high, highest)
	marks := []task.Mark{{Priority: 0, Seq: math.MaxInt64}, {Priority: 5, Seq: math.MaxInt64}}
	claims, _, err := b.ClaimTasks(t.Context(), b.replica, 10, time.Minute, marks, false, task.Rooms{})
	require.NoError(t, err)
	require.Len(t, claims, 1)
	require.EqualValues(t, 9, claims[0].Priority)
	claims, _, err = b.ClaimTasks(t.Context(), b.replica, 10, time.Minute, marks, true, task.Rooms{})
	require.NoError(t, err)
	require.Len(t, claims, 2)
	require.EqualValues(t, 5, claims[0].Priority)
}

func TestSweeps(t *testing.T) {
	t.Parallel()
	b := setup(t)
	slow := entry("slow")
	slow["timeout"] = 1
	tasks := b.submit(t, slow, entry("other"))
	_, err := b.Pulse(t.Context(), task.Pulse{Replica: b.replica, Name: "r", Version: "v"})
	require.NoError(t, err)
	claims := b.claim(t)
	_, startErr := b.StartTasks(t.Context(), []task.StartTry{{Claim: claims[0], Try: okTry()}})
	require.NoError(t, startErr)
	b.transitions()

	n, err := b.SweepActive(t.Context(), 10, time.Minute)
	require.NoError(t, err)
	require.Zero(t, n)
	b.exec(t, "update taskrunner_private.active_task set due_at = now() - interval '1 s' where task_id = $1", tasks[0].ID)
	b.exec(t, "update taskrunner.task set last_updated = now() - interval '1 hour' where id = $1", tasks[0].ID)
	n, err = b.SweepActive(t.Context(), 10, time.Minute)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.Equal(t, []string{"Running Failure etl 1"}, b.transitions())

	n, err = b.SweepReplicas(t.Context(), 10, 5*time.Second)
	require.NoError(t, err)
	require.Zero(t, n)
	require.NoError(t, b.Leave(t.Context(), b.replica))
	n, err = b.SweepReplicas(t.Context(), 10, 5*time.Second)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.Equal(t, []string{"Claimed Pending etl 1"}, b.transitions())
	b.db.AssertInvariants(t)
}

func TestPulse(t *testing.T) {
	t.Parallel()
	b := setup(t)
	agenda, err := b.Pulse(t.Context(), task.Pulse{Replica: b.replica, Name: "host\x00", Version: "v1", FreeSlots: 3, IdleChores: true})
	require.NoError(t, err)
	require.Equal(t, task.Agenda{DueChores: []string{}}, agenda)

	b.submit(t, entry("a"), entry("b"))
	agenda, err = b.Pulse(t.Context(), task.Pulse{Replica: b.replica})
	require.NoError(t, err)
	require.True(t, agenda.Ready)
	require.Nil(t, agenda.NextDueAt)

	b.start(t)
	agenda, err = b.Pulse(t.Context(), task.Pulse{Replica: b.replica})
	require.NoError(t, err)
	require.False(t, agenda.Ready)
	require.NotNil(t, agenda.NextDueAt)
	b.exec(t, "update taskrunner_private.active_task set due_at = now() - interval '1 s'")
	agenda, err = b.Pulse(t.Context(), task.Pulse{Replica: b.replica})
	require.NoError(t, err)
	require.Equal(t, []string{"sweep_active"}, agenda.DueChores)
}

func TestSettings(t *testing.T) {
	t.Parallel()
	b := setup(t)
	key, err := b.HandleKey(t.Context())
	require.NoError(t, err)
	require.Len(t, key, 32)
	wanted := store.Settings{DeadEndCancel: true, WebhookMaxAttempts: 4, StartMaxAttempts: 2}
	before, err := b.SaveSettings(t.Context(), wanted)
	require.NoError(t, err)
	require.Equal(t, store.Settings{WebhookMaxAttempts: 10, StartMaxAttempts: 3}, before)
	before, err = b.SaveSettings(t.Context(), wanted)
	require.NoError(t, err)
	require.Equal(t, wanted, before)
}

func TestCheckInvariants(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, err := b.CheckInvariants(t.Context())
	require.ErrorContains(t, err, "42501", "only an admin may")

	b.submit(t, entry("a"))
	b.dsn = b.db.Login(t, "taskrunner_admin")
	admin := b.open(t, store.Options{MaxConns: 1, AcquireTimeout: 20 * time.Second})
	broken, err := admin.CheckInvariants(t.Context())
	require.NoError(t, err)
	require.Empty(t, broken)
	b.exec(t, "delete from taskrunner_private.queued_task")
	broken, err = admin.CheckInvariants(t.Context())
	require.NoError(t, err)
	require.Len(t, broken, 1)
	require.Equal(t, "a queued task has its row in queued_task", broken[0].Invariant)
	require.Contains(t, broken[0].Detail, "task_id")
}
