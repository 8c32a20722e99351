package sqltest

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Two or three sessions, one of them stopped in the middle of a transaction. Whether the others wait is read from
// pg_stat_activity. After each: no invariant broken, no deadlock broken up (setup).

const commit, rollback = "commit", "rollback"

func finishTask(task, status string) string {
	return "select (taskrunner.finish_task('" + id(task) + "', '" + status + "')).status"
}

func call(function, name string) string {
	return "select * from taskrunner." + function + "('" + id(name) + "')"
}

// pair gives two sessions.
func (e *engine) pair() (first, second *session) {
	return e.session("first"), e.session("second")
}

// requireEnds waits for an answer that must be a success.
func (e *engine) requireEnds(done <-chan answer) []string {
	e.t.Helper()
	a := ends(e.t, done)
	require.NoError(e.t, a.err)
	return a.lines
}

// requireFails waits for an answer that must be this SQLSTATE, and returns its DETAIL.
func (e *engine) requireFails(done <-chan answer, code string) string {
	e.t.Helper()
	return requireCode(e.t, ends(e.t, done).err, code).Detail
}

// repeated runs a statement again as long as it ends in 40001, as its clients do, and returns the last error.
func (s *session) repeated(sql string) error {
	for range 20 {
		_, err := s.try(sql)
		if codeOf(err) != "40001" {
			return err
		}
	}
	_, err := s.try(sql)
	return err
}

// Two parents of one child end at the same time, each by another way of saying so.
func TestCompleteAndComplete(t *testing.T) {
	t.Parallel()
	for name, ways := range map[string][2]string{
		"two updates":            {set("Success", "p"), set("Success", "q")},
		"function and update":    {finishTask("p", "Success"), set("Success", "q")},
		"update and function":    {set("Success", "p"), finishTask("q", "Success")},
		"two functions":          {finishTask("p", "Success"), finishTask("q", "Success")},
		"array and single":       {"select taskrunner.finish_tasks(array['" + id("p") + "']::uuid[], 'Success')", finishTask("q", "Success")},
		"report of many, update": {`select * from taskrunner_private.report_tasks('[{"task_id": "` + id("p") + `", "status": "Success"}]')`, set("Success", "q")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := setup(t)
			e.tasks("p", "q", "c", "other")
			e.links("p>c", "q>c", "p?other")
			e.move("p", "Claimed", "Running")
			e.move("q", "Claimed", "Running")
			first, second := e.pair()
			first.script("begin; " + ways[0])
			waits := second.begins(ways[1])
			first.run(commit)
			e.requireEnds(waits)
			e.requireStates("c: Pending 0/0", "other: Pending 0/0")
			require.ElementsMatch(t, []string{"c", "other"}, e.claim("r", 10))
			require.Empty(t, e.claim("r", 10))
		})
	}
}

// One parent fails the child, the other succeeds; in either order, and when the first one is taken back.
func TestFailAndComplete(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ first, second, end, want string }{
		"failure first":             {finishTask("p", "Failure"), finishTask("q", "Success"), commit, "Failure 2/2"},
		"success first":             {set("Success", "q"), set("Failure", "p"), commit, "Failure 1/1"},
		"failure taken back":        {finishTask("p", "Failure"), set("Success", "q"), rollback, "Waiting 1/1"},
		"success taken back":        {set("Success", "q"), finishTask("p", "Failure"), rollback, "Failure 2/2"},
		"both fail, second waits":   {finishTask("q", "Failure"), finishTask("p", "Failure"), commit, "Failure 2/2"},
		"both fail, first vanishes": {finishTask("q", "Failure"), finishTask("p", "Failure"), rollback, "Failure 2/2"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := setup(t)
			e.tasks("p", "q", "c", "below")
			e.links("p>c", "q>c", "c?below")
			e.move("p", "Claimed", "Running")
			e.move("q", "Claimed", "Running")
			first, second := e.pair()
			first.script("begin; " + tc.first)
			waits := second.begins(tc.second)
			first.run(tc.end)
			e.requireEnds(waits)
			e.requireStates("c: " + tc.want)
			if tc.want[0] == 'F' {
				e.requireStates("below: Pending 0/0")
			} else {
				e.requireStates("below: Waiting 1/0")
			}
		})
	}
}

func TestCompleteAndCancel(t *testing.T) {
	t.Parallel()
	e := setup(t)
	for _, tc := range []struct{ first, second, want, state string }{
		{finishTask("{t}", "Success"), call("cancel_task", "{t}"), "Success", "c: Pending 0/0"},
		{call("cancel_task", "{t}"), finishTask("{t}", "Success"), "Canceled", "c: Failure 1/1"},
		{set("Success", "{t}"), set("Canceled", "{t}"), "Success", "c: Pending 0/0"},
		{set("Canceled", "{t}"), set("Failure", "{t}"), "Canceled", "c: Failure 1/1"},
		{set("Failure", "{t}"), call("cancel_task", "{t}"), "Failure", "c: Failure 1/1"},
		{call("cancel_task", "{t}"), set("Success", "{t}"), "Canceled", "c: Failure 1/1"},
		{finishTask("{t}", "Success"), finishTask("{t}", "Failure"), "Success", "c: Pending 0/0"},
	} {
		e.exec("delete from taskrunner.task where status in ('Success', 'Failure', 'Canceled')")
		e.exec("update taskrunner.task set status = 'Canceled'")
		e.exec("delete from taskrunner.task")
		e.tasks("{t}", "c")
		e.links("{t}>c")
		e.move("{t}", "Claimed", "Running")
		first, second := e.pair()
		first.script("begin; " + tc.first)
		waits := second.begins(tc.second)
		first.run(commit)
		require.Equal(t, tc.want, e.requireFails(waits, "TR001"), "of two completions exactly one counts")
		e.requireStates("{t}: "+tc.want+" 0/0", tc.state)
	}
}

// A waiting task is canceled while a failure cascades through it.
func TestCancelInsideACascade(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ first, second, end, code, w, x string }{
		"cancel first":            {call("cancel_task", "w"), finishTask("p", "Failure"), commit, "", "Canceled 1/1", "Failure 1/1"},
		"update first":            {set("Canceled", "w"), set("Failure", "p"), commit, "", "Canceled 1/1", "Failure 1/1"},
		"cancel first, not done":  {call("cancel_task", "w"), set("Failure", "p"), rollback, "", "Failure 1/1", "Failure 1/1"},
		"cascade first":           {finishTask("p", "Failure"), call("cancel_task", "w"), commit, "TR001", "Failure 1/1", "Failure 1/1"},
		"cascade first, update":   {set("Failure", "p"), set("Canceled", "w"), commit, "TR001", "Failure 1/1", "Failure 1/1"},
		"cascade first, not done": {set("Failure", "p"), call("cancel_task", "w"), rollback, "", "Canceled 1/1", "Failure 1/1"},
		"cancel of the last":      {call("cancel_task", "x"), finishTask("p", "Failure"), commit, "", "Failure 1/1", "Canceled 1/1"},
		"pause first":             {call("pause_task", "w"), finishTask("p", "Failure"), commit, "", "Failure 1/1", "Failure 1/1"},
		"pause second":            {finishTask("p", "Failure"), call("pause_task", "w"), commit, "TR001", "Failure 1/1", "Failure 1/1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := setup(t)
			e.tasks("p", "w", "x", "y")
			e.links("p>w", "w>x", "x?y", "w?y")
			e.move("p", "Claimed", "Running")
			first, second := e.pair()
			first.script("begin; " + tc.first)
			waits := second.begins(tc.second)
			first.run(tc.end)
			if tc.code != "" {
				e.requireFails(waits, tc.code)
			} else {
				e.requireEnds(waits)
			}
			e.requireStates("w: "+tc.w, "x: "+tc.x, "y: Pending 0/0")
		})
	}
}

// A link is committed between two tasks that an end has found and waits for: what fails with it is found again.
func TestCascadeGrowsWhileItWaits(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]string{"function": finishTask("a", "Failure"), "update": set("Failure", "a")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := setup(t)
			e.tasks("a", "q", "b", "c", "d", "e")
			e.links("a>b", "a?c", "c>d", "d?e", "q?e")
			e.move("a", "Claimed", "Running")
			linker, ender := e.pair()
			canceler := e.session("canceler")
			linker.script("begin; " + insertLinks("b>c"))
			waits := ender.begins(end)
			canceler.script("begin; " + call("cancel_task", "d"))
			linker.run(commit)
			// Now d fails with a as well, and somebody holds it: waiting would be out of order.
			e.requireFails(waits, "40001")
			canceler.run(commit)
			ender.run(end)
			e.requireStates("a: Failure 0/0", "b: Failure 1/1", "c: Failure 2/1", "d: Canceled 1/1", "e: Waiting 1/0")
			e.move("q", "Canceled")
			e.requireStates("e: Pending 0/0")
		})
	}
}

// A parent ends while a link to it is being added.
func TestCompleteAndAddLink(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ first, second, end, want string }{
		"link first":                {insertLinks("p>c"), finishTask("p", "Success"), commit, "Pending 0/0"},
		"link first, update":        {insertLinks("p>c"), set("Success", "p"), commit, "Pending 0/0"},
		"link first, failure":       {insertLinks("p>c"), set("Failure", "p"), commit, "Failure 1/1"},
		"link first, not done":      {insertLinks("p>c"), finishTask("p", "Failure"), rollback, "Pending 0/0"},
		"optional link first":       {insertLinks("p?c"), finishTask("p", "Failure"), commit, "Pending 0/0"},
		"success first":             {finishTask("p", "Success"), insertLinks("p>c"), commit, "Pending 0/0"},
		"update first":              {set("Success", "p"), insertLinks("p>c"), commit, "Pending 0/0"},
		"failure first":             {set("Failure", "p"), insertLinks("p>c"), commit, "Failure 0/0"},
		"failure first, optional":   {finishTask("p", "Failure"), insertLinks("p?c"), commit, "Pending 0/0"},
		"failure first, not done":   {finishTask("p", "Failure"), insertLinks("p>c"), rollback, "Waiting 1/1"},
		"new child, failure first":  {finishTask("p", "Failure"), insertTasks("n") + "; " + insertLinks("p>n"), commit, "Pending 0/0"},
		"new child, success second": {insertTasks("n") + "; " + insertLinks("p>n", "p>c"), finishTask("p", "Success"), commit, "Pending 0/0"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := setup(t)
			e.tasks("p", "c")
			e.move("p", "Claimed", "Running")
			first, second := e.pair()
			first.script("begin; " + tc.first)
			waits := second.begins(tc.second)
			first.run(tc.end)
			e.requireEnds(waits)
			e.requireStates("c: " + tc.want)
		})
	}
}

// submit_batch with a dependency on a task that ends meanwhile.
func TestCompleteAndSubmit(t *testing.T) {
	t.Parallel()
	submit := `select (taskrunner.submit_batch('[{"id": "n", "name": "n", "kind": "k", "on_start": {"kind": "Webhook", "params": {"url": "http://x/", "verb": "Get"}},
		"dependencies": [{"task_id": "` + id("p") + `", "requires_success": true}]}]')).status`
	for name, tc := range map[string]struct{ first, second, end, want string }{
		"end first":    {finishTask("p", "Failure"), submit, commit, "Failure 0/0"},
		"not done":     {set("Failure", "p"), submit, rollback, "Waiting 1/1"},
		"submit first": {submit, set("Success", "p"), commit, "Pending 0/0"},
		"cascade":      {submit, finishTask("p", "Failure"), commit, "Failure 1/1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := setup(t)
			e.tasks("p")
			e.move("p", "Claimed", "Running")
			first, second := e.pair()
			first.script("begin; " + tc.first)
			waits := second.begins(tc.second)
			first.run(tc.end)
			e.requireEnds(waits)
			require.Equal(t, tc.want, e.line("select status || ' ' || wait_finished || '/' || wait_success from taskrunner.task where name = 'n'"))
		})
	}
}

// A child is deleted while somebody links it, and the other way round: the link stays only if the child does.
func TestLinkAndDeleteItsChild(t *testing.T) {
	t.Parallel()
	gone := "delete from taskrunner.task where id = '" + id("c") + "'"
	for name, tc := range map[string]struct{ first, second, end, then, code, links string }{
		"delete first":    {set("Canceled", "c") + "; " + gone, insertLinks("p?c"), commit, "", "23503", "0"},
		"not deleted":     {set("Canceled", "c") + "; " + gone, insertLinks("p?c"), rollback, "", "", "1"},
		"link first":      {insertLinks("p?c"), set("Canceled", "c"), commit, gone, "", "0"},
		"link that fails": {insertLinks("done>c"), set("Canceled", "c"), commit, gone, "TR001", "0"},
		"not linked":      {insertLinks("p?c"), set("Canceled", "c"), rollback, gone, "", "0"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := setup(t)
			e.tasks("p", "c", "done")
			e.move("done", "Canceled")
			first, second := e.pair()
			first.script("begin; " + tc.first)
			waits := second.begins(tc.second)
			first.run(tc.end)
			if tc.code != "" {
				e.requireFails(waits, tc.code)
			} else {
				e.requireEnds(waits)
			}
			if tc.then != "" {
				second.run(tc.then)
			}
			require.Equal(t, tc.links, e.line("select count(*) from taskrunner.link"))
		})
	}
	old := "select count(*) from taskrunner.task" // fixes what the transaction sees
	for _, isolation := range []string{"repeatable read", "serializable"} {
		t.Run(isolation, func(t *testing.T) {
			t.Parallel()
			e := setup(t)
			e.tasks("done", "other", "c")
			e.move("done", "Canceled")
			e.move("other", "Canceled")
			first, second := e.pair()
			first.script("begin isolation level " + isolation + "; " + old)
			second.run(insertLinks("done?c"))
			// The child has not ended for the one who does not see the link; for the parent there is the foreign key.
			_, err := first.try("delete from taskrunner.task where id = '" + id("c") + "'")
			requireCode(t, err, "TR001")
			first.script("rollback; begin isolation level " + isolation + "; " + old)
			second.run(insertLinks("other?c"))
			_, err = first.try("delete from taskrunner.task where id = '" + id("other") + "'")
			requireCode(t, err, "40001")
			first.script("rollback")
		})
	}
}

// Two sessions add links that together would close a cycle: one of them is refused, in whatever order.
func TestTwoLinksThatCloseACycle(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ first, second string }{
		"rising first":        {insertLinks("a>b"), insertLinks("b>a")},
		"falling first":       {insertLinks("b>a"), insertLinks("a>b")},
		"three tasks":         {insertLinks("a>b", "b>c"), insertLinks("c?a")},
		"three tasks, shared": {insertLinks("b>a", "c>b"), insertLinks("a?c")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := setup(t)
			e.tasks("a", "b", "c")
			first, second := e.pair()
			first.script("begin; " + tc.first)
			// Without the graph lock the second may not wait for rows, so it gives up, or it waits for the lock for a while.
			done := make(chan answer, 1)
			go func() {
				all, err := second.try(tc.second)
				done <- answer{all, err}
			}()
			a := ends(t, done)
			requireCode(t, a.err, "40001")
			first.run(commit)
			requireCode(t, second.repeated(tc.second), "TR003")
		})
	}
	t.Run("the first ends while the second waits", func(t *testing.T) {
		t.Parallel()
		e := setup(t)
		e.tasks("a", "b")
		first, second := e.pair()
		first.script("begin; " + insertLinks("a>b"))
		waits := second.begins(insertLinks("b>a"))
		first.run(commit)
		a := ends(t, waits)
		if codeOf(a.err) == "40001" { // it paused too long between two tries
			a.err = second.repeated(insertLinks("b>a"))
		}
		requireCode(t, a.err, "TR003")
	})
}

// A link that changes the order of ranks, against everything that locks by rank.
func TestReorderingLink(t *testing.T) {
	t.Parallel()
	const reorder = "late>c" // late ranks above c
	prepare := func(t *testing.T) *engine {
		e := setup(t)
		e.batch("b", "p", "c", "d", "r", "free")
		e.links("p>c", "c>d", "r?d")
		e.tasks("late")
		e.move("p", "Claimed", "Running")
		e.move("r", "Claimed", "Running")
		e.move("free", "Claimed", "Running")
		return e
	}
	for name, tc := range map[string]struct {
		second string
		states []string
	}{
		"stop_batch":    {call("stop_batch", "b"), []string{"c: Canceled 2/2", "d: Canceled 2/1", "late: Pending 0/0"}},
		"finish_task":   {finishTask("p", "Success"), []string{"c: Waiting 1/1"}},
		"failure":       {finishTask("p", "Failure"), []string{"c: Failure 2/2", "d: Failure 2/1"}},
		"cancel_task":   {call("cancel_task", "late"), []string{"c: Failure 2/2", "d: Failure 2/1"}},
		"add_progress":  {"select taskrunner.add_progress('" + id("c") + "', 1, 1)", []string{"c: Waiting 2/2"}},
		"update parent": {set("Canceled", "late"), []string{"c: Failure 2/2", "d: Failure 2/1"}},
		"pause child":   {call("pause_task", "c"), []string{"c: Paused 2/2 from Waiting"}},
	} {
		t.Run(name+" second", func(t *testing.T) {
			t.Parallel()
			e := prepare(t)
			first, second := e.pair()
			first.script("begin; " + insertLinks(reorder))
			waits := second.begins(tc.second)
			first.run(commit)
			e.requireEnds(waits)
			e.requireStates(tc.states...)
		})
	}
	for name, tc := range map[string]struct {
		first string
		want  string
	}{
		"stop_batch":  {call("stop_batch", "b"), "TR001"},
		"finish_task": {finishTask("p", "Success"), ""},
		"update":      {set("Success", "p"), ""},
		"failure":     {set("Failure", "p"), "TR001"},
	} {
		t.Run(name+" first", func(t *testing.T) {
			t.Parallel()
			e := prepare(t)
			first, second := e.pair()
			first.script("begin; " + tc.first)
			waits := second.begins(insertLinks(reorder))
			first.run(commit)
			err := ends(t, waits).err
			if codeOf(err) == "40001" {
				err = second.repeated(insertLinks(reorder))
			}
			require.Equal(t, tc.want, codeOf(err))
			if tc.want == "" {
				e.requireStates("c: Waiting 1/1")
			}
		})
	}
	t.Run("direct update whose child is being moved", func(t *testing.T) {
		t.Parallel()
		e := prepare(t)
		first, second := e.pair()
		first.script("begin; " + insertLinks(reorder))
		// r's child d is being moved, and the graph lock is not to be had: it may not wait.
		_, err := second.try(set("Success", "r"))
		requireCode(t, err, "40001")
		second.run(set("Success", "free")) // nobody in its way
		second.run("select taskrunner.add_progress('" + id("r") + "', 1, 1)")
		first.run(commit)
		second.run(set("Success", "r"))
		e.requireStates("d: Waiting 1/1", "c: Waiting 2/2", "free: Success 0/0")
	})
	t.Run("somebody keeps a task below", func(t *testing.T) {
		t.Parallel()
		e := prepare(t)
		holder, linker := e.pair()
		holder.script("begin; update taskrunner.task set priority = 3 where id = '" + id("d") + "'")
		done := make(chan answer, 1)
		go func() {
			all, err := linker.try(insertLinks(reorder))
			done <- answer{all, err}
		}()
		// The link cannot be had, and it must not keep the others from their work meanwhile.
		e.session("worker").run(finishTask("free", "Success"))
		a := ends(t, done)
		requireCode(t, a.err, "40001")
		holder.run(commit)
		linker.run(insertLinks(reorder))
		e.requireStates("c: Waiting 2/2")
	})
}

func TestAddActionAndComplete(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		first, second, end, code string
		deliveries               []string
	}{
		"action first":                   {insertAction("t", "Success", "x"), set("Success", "t"), commit, "", []string{"end:success x Pending"}},
		"action first, function":         {insertAction("t", "Success", "x"), finishTask("t", "Success"), commit, "", []string{"end:success x Pending"}},
		"action first, not done":         {insertAction("t", "Success", "x"), finishTask("t", "Success"), rollback, "", []string{}},
		"end first":                      {finishTask("t", "Success"), insertAction("t", "Success", "x"), commit, "TR001", []string{}},
		"end first, not done":            {set("Success", "t"), insertAction("t", "Success", "x"), rollback, "", []string{}},
		"cancel action first, canceled":  {insertAction("t", "Cancel", "x"), call("cancel_task", "t"), commit, "", []string{"cancel x Pending"}},
		"canceled first, cancel action":  {call("cancel_task", "t"), insertAction("t", "Cancel", "x"), commit, "TR001", []string{}},
		"failed first, on_failure added": {set("Failure", "t"), insertAction("t", "Failure", "x"), commit, "TR001", []string{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := setup(t)
			e.tasks("t")
			e.move("t", "Claimed", "Running")
			first, second := e.pair()
			first.script("begin; " + tc.first)
			waits := second.begins(tc.second)
			first.run(tc.end)
			if tc.code != "" {
				e.requireFails(waits, tc.code)
			} else {
				e.requireEnds(waits)
			}
			require.Equal(t, tc.deliveries, e.deliveries("t"))
		})
	}
}

// lock_timeout is for all locks of a step together: one that is always about to come does not make it start anew.
func TestLockTimeoutOfAStep(t *testing.T) {
	t.Parallel()
	e := setup(t)
	const n = 20
	var names []string
	var holders []*session
	items := "["
	for i := range n {
		name := fmt.Sprint("t", i)
		names = append(names, name)
		items += map[bool]string{true: ",", false: ""}[i > 0] + `{"task_id": "` + id(name) + `", "new_success": 1}`
		holders = append(holders, e.session(name))
	}
	items += "]"
	e.tasks(names...)
	for i, holder := range holders {
		holder.script("begin; select from taskrunner.task where id = '" + id(names[i]) + "' for update")
	}
	caller := e.session("caller")
	caller.run("set lock_timeout = '2s'")
	waits := caller.begins("select * from taskrunner_private.report_tasks($1)", items)
	for _, holder := range holders {
		time.Sleep(200 * time.Millisecond)
		holder.run(rollback)
	}
	e.requireFails(waits, "55P03")

	caller.run("select * from taskrunner_private.report_tasks($1)", items)
	require.Equal(t, []string{"2s"}, caller.run("show lock_timeout"))
	require.Equal(t, "20", e.line("select sum(success) from taskrunner.task"))
}

// Progress of one task is written without a look at it first: whatever changed while it waited counts.
func TestLoneProgressWaits(t *testing.T) {
	t.Parallel()
	full := "select taskrunner.add_progress('" + id("t") + "', 9223372036854775800, 0)"
	for name, tc := range map[string]struct{ first, end, code, success string }{
		"other progress":    {"select taskrunner.add_progress('" + id("t") + "', 2, 0)", commit, "", "12"},
		"its full":          {full, commit, "TR006", "9223372036854775800"},
		"full, rolled back": {full, rollback, "", "10"},
		"its end":           {finishTask("t", "Failure"), commit, "", "10"},
		"its removal":       {finishTask("t", "Failure") + "; delete from taskrunner.task where id = '" + id("t") + "'", commit, "TR002", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := setup(t)
			e.tasks("t")
			e.move("t", "Claimed", "Running")
			first, second := e.pair()
			first.script("begin; " + tc.first)
			waits := second.begins("select taskrunner.add_progress('" + id("t") + "', 10, 0, 1)")
			first.run(tc.end)
			if tc.code == "" {
				e.requireEnds(waits)
			} else {
				e.requireFails(waits, tc.code)
			}
			require.Equal(t, tc.success, e.line("select coalesce(min(success)::text, '') from taskrunner.task"))
			require.Equal(t, []string{""}, second.run("select current_setting('taskrunner.cause', true)"))
		})
	}
}

// Progress of many waits for nobody: it leaves out what somebody else holds, and says so.
func TestProgressOfManyLeavesOut(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.tasks("a", "held", "b", "full", "new")
	e.move("a", "Claimed", "Running")
	e.move("held", "Claimed", "Running")
	e.exec("select taskrunner.add_progress($1, 9223372036854775807, 0)", id("full"))
	first, second := e.pair()
	first.script("begin; " + finishTask("held", "Success"))
	require.ElementsMatch(t, []string{"2|full|overflow|Pending", "2|held|busy|Running", "2|new|ahead|Pending", "2||unknown|"},
		second.run(`select p.written, coalesce(t.name, ''), o.outcome, o.current_status
			from taskrunner_private.progress_tasks(array['`+strings.Join([]string{id("held"), id("a"), id("nobody"), id("b"), id("full"), id("new")}, `', '`)+`']::uuid[],
				'{0,1,0,0,1,2}', '{1,2,3,4,5,6}', '{0,0,0,1,0,0}') p
			cross join unnest(p.task_ids, p.outcomes, p.current_statuses) o (task_id, outcome, current_status)
			left join taskrunner.task t on t.id = o.task_id`))
	first.run(commit)
	require.Equal(t, []string{"a|2|0", "b|4|1", "full|9223372036854775807|0", "held|0|0", "new|0|0"},
		e.lines("select name, success, failures from taskrunner.task order by name"))
}

// A stop waits for many tasks that others change meanwhile. PostgreSQL evaluates the query that locks them again for each:
// were its cost that of the whole array, this would take many minutes.
func TestStopWhileEveryTaskChanges(t *testing.T) {
	t.Parallel()
	const tasks = 20_000
	e := setup(t)
	batch := id("many")
	e.exec("insert into taskrunner.batch (id) values ('" + batch + "')")
	e.exec("insert into taskrunner.task (batch_id, name, kind) select $1, 'n' || n, 'k' from generate_series(1, $2) n", batch, tasks)
	first, second := e.pair()
	first.script("begin; update taskrunner.task set last_updated = now()")
	second.run("set statement_timeout = '2min'")
	waits := second.begins("select canceled_pending from taskrunner.stop_batch('" + batch + "')")
	first.run(commit)
	require.Equal(t, []string{strconv.Itoa(tasks)}, e.requireEnds(waits))
}

// A report may have begun before the start that it waited for. By now() of both the task would end before it started.
func TestEndIsNotBeforeStart(t *testing.T) {
	t.Parallel()
	e := setup(t)
	for way, end := range map[string]string{
		"report": finishTask("report", "Success"),
		"update": set("Success", "update"),
		"cancel": call("cancel_task", "cancel"),
		"stop":   call("stop_batch", "the batch of stop"),
		"drain":  drain,
	} {
		e.batchSaying("true", "the batch of "+way, way, way+" child")
		e.move(way, "Claimed")
		first, second := e.pair()
		first.run("begin")
		first.run("select now()")
		second.run(set("Running", way))
		if way == "drain" {
			e.links("drain?drain child")
			e.move("drain child", "Canceled")
		}
		first.run(end)
		first.run(commit)
		require.Equal(t, "t|t", e.line(`select ended_at >= started_at,
			(select n.ended_at = t.ended_at from taskrunner_private.ended_task n where n.task_id = t.id) from taskrunner.task t where id = $1`, id(way)), way)
	}
}
