package sqltest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// offering is what tries adds to an answer that brings a cancel action with this path.
func offering(path string) string {
	return fmt.Sprintf(`{"cancel_action": {"kind": "Webhook", "params": {"url": "https://hooks.example.com/%s", "verb": "Delete"}}}`, path)
}

// answers settles tries of on_start as delivered, and returns what is refused of their answers.
func (e *engine) answers(tries string) []string {
	e.t.Helper()
	return e.lines("select refused from taskrunner_private.start_tasks($1::jsonb) where refused is not null", tries)
}

// cancels are the deliveries of cancel actions, as deliveries gives them.
func (e *engine) cancels(task string) []string {
	e.t.Helper()
	found := []string{}
	for _, d := range e.deliveries(task) {
		if strings.HasPrefix(d, "cancel") {
			found = append(found, d)
		}
	}
	return found
}

// What becomes of the cancel action that the answer of on_start brings: "t" has one of its own and two attempts; meanwhile is
// what happens while the call is open, later what happens after the answer.
func TestCancelActionsOfAnswers(t *testing.T) {
	t.Parallel()
	cancel := func(e *engine) { e.exec(call("cancel_task", "t")) }
	report := func(status string) func(e *engine) {
		return func(e *engine) {
			e.exec("select taskrunner.finish_task($1, $2::text::taskrunner.status_kind)", id("t"), status)
		}
	}
	last := func(e *engine) {
		e.exec("begin; set local session_replication_role = replica; update taskrunner.task set max_attempts = 1; commit")
	}
	// The claim goes stale, and the repeated call is answered first, without a cancel action.
	repeated := func(e *engine) {
		e.goneStale("t")
		e.line(sweepActive)
		e.makeReady("t")
		e.running("t")
	}
	for _, tc := range []struct {
		name      string
		meanwhile func(e *engine)
		state     string   // after the answer
		at        []string // what is owed then
		later     func(e *engine)
		after     []string // what is owed in the end
	}{
		{"canceled later", nil, "Running 0/0", []string{}, cancel, []string{"cancel own Pending", "cancel:2 offered Pending"}},
		{"canceled meanwhile", cancel, "Canceled 0/0", []string{"cancel own Pending", "cancel:2 offered Pending"}, nil, nil},
		{"its batch stopped meanwhile", func(e *engine) {
			e.exec("select taskrunner.stop_batch($1)", id("b"))
		}, "Canceled 0/0", []string{"cancel own Pending", "cancel:2 offered Pending"}, nil, nil},
		{"canceled by update", func(e *engine) { e.move("t", "Canceled") }, "Canceled 0/0",
			[]string{"cancel own Pending", "cancel:2 offered Pending"}, nil, nil},
		{"paused meanwhile, canceled later", func(e *engine) { e.move("t", "Paused") }, "Paused 0/0 from Running", []string{}, cancel,
			[]string{"cancel own Pending", "cancel:2 offered Pending"}},
		{"paused and canceled meanwhile", func(e *engine) { e.move("t", "Paused"); cancel(e) }, "Canceled 0/0",
			[]string{"cancel own Pending", "cancel:2 offered Pending"}, nil, nil},
		{"timed out later", nil, "Running 0/0", []string{}, func(e *engine) { e.timedOut("t") },
			[]string{"cancel own Pending", "cancel:2 offered Pending"}},
		{"success meanwhile", report("Success"), "Success 0/0", []string{}, nil, nil},
		{"failure meanwhile, last attempt", func(e *engine) { last(e); report("Failure")(e) }, "Failure 0/0", []string{}, nil, nil},
		{"failure meanwhile, canceled in the next attempt", report("Failure"), "Pending 0/0", []string{}, func(e *engine) {
			e.makeReady("t")
			e.running("t")
			cancel(e)
		}, []string{"cancel:a2 own Pending"}},
		{"failure later, canceled in the next attempt", nil, "Running 0/0", []string{}, func(e *engine) {
			report("Failure")(e)
			e.makeReady("t")
			e.running("t")
			cancel(e)
		}, []string{"cancel:a2 own Pending"}},
		{"on_start failed for good meanwhile", func(e *engine) {
			last(e)
			e.goneStale("t")
			e.line(sweepActive)
			e.again("t", "r")
			e.failedStart("r", "t", `, "permanent": true`)
		}, "Failure 0/0", []string{}, nil, nil},
		{"stale meanwhile", func(e *engine) { e.goneStale("t"); e.line(sweepActive) }, "Pending 0/0", []string{}, func(e *engine) {
			e.makeReady("t")
			require.Equal(e.t, []string{"t"}, e.claim("r", 1)) // goes on without a call
			cancel(e)
		}, []string{"cancel own Pending", "cancel:2 offered Pending"}},
		{"timed out meanwhile, attempts left", func(e *engine) { repeated(e); e.timedOut("t") }, "Pending 0/0",
			[]string{"cancel own Pending", "cancel:2 offered Pending"}, func(e *engine) {
				e.makeReady("t")
				e.running("t")
				cancel(e)
			}, []string{"cancel own Pending", "cancel:2 offered Pending", "cancel:a2 own Pending"}},
		{"timed out meanwhile, last attempt", func(e *engine) { last(e); repeated(e); e.timedOut("t") }, "Failure 0/0",
			[]string{"cancel own Pending", "cancel:2 offered Pending"}, nil, nil},
		{"timed out twice meanwhile", func(e *engine) {
			repeated(e)
			e.timedOut("t")
			e.makeReady("t")
			e.running("t")
			e.timedOut("t")
		}, "Failure 0/0", []string{"cancel own Pending", "cancel:2 offered Pending", "cancel:a2 own Pending"}, nil, nil},
		{"timed out, then success meanwhile", func(e *engine) {
			repeated(e)
			e.timedOut("t")
			e.makeReady("t")
			e.running("t")
			report("Success")(e)
		}, "Success 0/0", []string{"cancel own Pending", "cancel:2 offered Pending"}, nil, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			e := setup(t)
			e.exec("insert into taskrunner.batch (id) values ($1)", id("b"))
			e.retryingIn("b", "t", 2)
			e.action("t", "Cancel", "own")
			require.Equal(t, []string{"t"}, e.claim("r", 1))
			late := e.tries("t", offering("offered"))
			if tc.meanwhile != nil {
				tc.meanwhile(e)
			}
			require.Empty(t, e.answers(late))
			e.requireStates("t: " + tc.state)
			require.Equal(t, tc.at, e.cancels("t"))
			require.Equal(t, "1", e.line("select attempt from taskrunner.action where params ->> 'url' like '%offered'"))
			require.Empty(t, e.answers(late), "the same answer again")
			require.Equal(t, tc.at, e.cancels("t"))
			require.Equal(t, "1", e.line("select count(*) from taskrunner.action where params ->> 'url' like '%offered'"))
			if tc.later != nil {
				tc.later(e)
				require.Equal(t, tc.after, e.cancels("t"))
			}
			require.Equal(t, "0", e.line(`select count(*) from taskrunner_private.due_delivery
				where next_try_at > clock_timestamp() or host <> 'hooks.example.com'`))
		})
	}
}

// A stale claim repeats the call with the same key: two that are at work may answer, each with its own cancel action, before and
// after the cancel.
func TestTwoAnswersToOneStart(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.claimed("t", "r")
	first := e.tries("t", offering("first"))
	e.goneStale("t")
	e.line(sweepActive)
	e.again("t", "r")
	require.Empty(t, e.answers(e.tries("t", offering("second"))))
	require.Empty(t, e.answers(first))
	e.exec(call("cancel_task", "t"))
	require.Equal(t, []string{"cancel second Pending", "cancel:2 first Pending"}, e.cancels("t"))
	require.Empty(t, e.answers(strings.Replace(first, "/first", "/third", 1)))
	require.Equal(t, []string{"cancel second Pending", "cancel:2 first Pending", "cancel:3 third Pending"}, e.cancels("t"))
	// It is a delivery as any other: leased, tried, replayed.
	require.Equal(t, []string{"second 1", "first 1", "third 1"}, e.leases("r", 5, 100))
	require.Equal(t, []string{"Failed"}, e.settle("third", 1, "given_up", ""))
	e.exec(e.replay("third"))
	require.Equal(t, []string{"third 2"}, e.leases("r", 5, 100))
	require.Equal(t, []string{"Delivered"}, e.settle("third", 2, "delivered", ""))
}

// Invalid cancel actions are named and dropped; their tasks start, and so do the others of the group.
func TestInvalidCancelActions(t *testing.T) {
	t.Parallel()
	e := setup(t)
	cases := []struct{ name, action, fault string }{
		{"kind", `{"kind": "webhook", "params": {"url": "https://a/b", "verb": "Get"}}`, "kind: must be Webhook"},
		{"params", `{"kind": "Webhook", "params": []}`, "params: must be an object"},
		{"url", `{"kind": "Webhook", "params": {"url": "ftp://hush/", "verb": "Get"}}`, "params: url must be an absolute http or https URL"},
		{"several", `{"kind": "Webhook", "params": {"verb": "HUSH", "headers": 1}}`,
			"params: url is required; params: verb must be one of Get, Post, Delete, Put, Patch; params: headers must be an object of strings"},
		{"reserved", `{"kind": "Webhook", "params": {"url": "https://a/b", "verb": "Get", "headers": {"Webhook-Signature": "hush"}}}`,
			`params: headers: "Webhook-Signature" is set by Task Runner`},
		{"header", `{"kind": "Webhook", "params": {"url": "https://a/b", "verb": "Get", "headers": {"Authorization": "hush\nhush"}}}`,
			`params: headers: "Authorization" has a control character`},
		{"good", `{"kind": "Webhook", "params": {"url": "https://a/good", "verb": "Get", "body": {"a": [1, null]}, "headers": {"A": "b"}, "more": 1}}`, ""},
	}
	var tries []string
	for _, tc := range cases {
		e.claimed(tc.name, "r")
		tries = append(tries, strings.Trim(e.tries(tc.name, `{"cancel_action": `+tc.action+"}"), "[]"))
	}
	e.claimed("none", "r")
	tries = append(tries, strings.Trim(e.tries("none", "{}"), "[]"))
	refused := map[string]string{}
	for _, line := range e.lines(`select t.name, s.status, s.refused from taskrunner_private.start_tasks($1::jsonb) s
		join taskrunner.task t on t.id = s.task_id`, "["+strings.Join(tries, ", ")+"]") {
		parts := strings.SplitN(line, "|", 3)
		require.Equal(t, "Running", parts[1])
		refused[parts[0]] = parts[2]
	}
	require.Empty(t, refused["none"])
	for _, tc := range cases {
		require.Equal(t, tc.fault, refused[tc.name])
	}
	require.Equal(t, []string{`good|Cancel|1|{"url": "https://a/good", "body": {"a": [1, null]}, "more": 1, "verb": "Get", "headers": {"A": "b"}}`},
		e.lines("select t.name, a.trigger, a.attempt, a.params from taskrunner.action a join taskrunner.task t on t.id = a.task_id where a.attempt is not null"))
	// Nobody but the engine registers one, and no attempt that is still to come has any.
	e.fails("TR001", "insert into taskrunner.action (task_id, trigger, attempt, params) values ($1, 'Cancel', 1, '{\"url\": \"https://a/b\", \"verb\": \"Get\"}')", id("none"))
	require.Empty(t, e.answers(strings.Replace(e.tries("none", offering("early")), `"attempt": 1`, `"attempt": 2`, 1)))
	require.Equal(t, "0", e.line("select count(*) from taskrunner.action where params ->> 'url' like '%early'"))
}

// Whoever cancels while the answer is being written waits for it, and finds its action; the other way round the answer does.
func TestCancelBesideAnAnswer(t *testing.T) {
	t.Parallel()
	e := setup(t)
	for _, answerFirst := range []bool{true, false} {
		name := fmt.Sprint("t", answerFirst)
		e.claimed(name, "r")
		tries := e.tries(name, offering(name))
		answer := "select * from taskrunner_private.start_tasks('" + tries + "')"
		one, other := answer, call("cancel_task", name)
		if !answerFirst {
			one, other = other, one
		}
		first, second := e.pair()
		first.run("begin")
		first.run(one)
		done := second.begins(other)
		first.run("commit")
		e.requireEnds(done)
		require.Equal(t, []string{"cancel " + name + " Pending"}, e.cancels(name))
	}
}
