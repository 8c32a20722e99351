package sqltest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// age makes all that is there as many days older.
func (e *engine) age(days int) {
	e.t.Helper()
	e.exec(strings.ReplaceAll(`
		begin;
		set local session_replication_role = replica;
		update taskrunner.batch set created_at = created_at - $days;
		update taskrunner.task set created_at = created_at - $days, ended_at = ended_at - $days;
		update taskrunner_private.queued_task set created_at = created_at - $days;
		update taskrunner_private.active_task set created_at = created_at - $days;
		update taskrunner_private.ended_task set created_at = created_at - $days, ended_at = ended_at - $days;
		commit`, "$days", fmt.Sprintf("interval '%d days'", days)))
}

// prune is a run of retention. It gives what each chunk removed: "tasks|batches|deliveries|attempts".
func (e *engine) prune(days, limit int) (removed []string) {
	e.t.Helper()
	var from any
	for range 10_000 {
		line := e.line("select tasks, batches, deliveries, attempts, next from taskrunner_private.prune($1, $2, $3::jsonb)", days, limit, from)
		counts, next := line[:nthIndex(line, "|", 4)], line[nthIndex(line, "|", 4)+1:]
		removed = append(removed, counts)
		if next == "" {
			return removed
		}
		from = next
	}
	require.FailNow(e.t, "retention comes to no end")
	return nil
}

// nthIndex is where the n-th occurrence of a text begins.
func nthIndex(s, what string, n int) int {
	at := -1
	for range n {
		at += 1 + strings.Index(s[at+1:], what)
	}
	return at
}

// sum adds such counts up.
func sum(t testing.TB, counts []string) string {
	t.Helper()
	var total [4]int
	for _, line := range counts {
		var n [4]int
		_, err := fmt.Sscanf(line, "%d|%d|%d|%d", &n[0], &n[1], &n[2], &n[3])
		require.NoError(t, err)
		for i := range n {
			total[i] += n[i]
		}
	}
	return fmt.Sprintf("%d|%d|%d|%d", total[0], total[1], total[2], total[3])
}

// finished takes tasks to an end.
func (e *engine) finished(status string, names ...string) {
	e.t.Helper()
	for _, name := range names {
		if status == "Canceled" {
			e.move(name, "Canceled")
			continue
		}
		e.move(name, "Claimed", status)
	}
}

// tried has a try of all due deliveries of a task settled.
func (e *engine) tried(task, outcome string) {
	e.t.Helper()
	e.exec(`update taskrunner_private.due_delivery set leased_by = $2, leased_until = now() + interval '1 minute'
			where delivery_id in (select id from taskrunner_private.delivery where task_id = $1);
		select from taskrunner_private.settle_deliveries((
			select jsonb_agg(jsonb_build_object('delivery_id', d.id, 'number', d.tries + 1, 'leased_until', q.leased_until, 'outcome', $3::text, 'at', now(), 'latency_ms', 1))
			from taskrunner_private.delivery d join taskrunner_private.due_delivery q on q.delivery_id = d.id
			where d.task_id = $1), 1, 1, 1)`, id(task), id("replica"), outcome)
}

// What is removed and what stays, for each state and each relation: all cases in one database, which is pruned once.
func TestPruneRemovesWhatNobodyNeeds(t *testing.T) {
	t.Parallel()
	type made struct{ stays, goes []string }
	cases := []struct {
		name string
		make func(e *engine, name func(string) string)
		made
	}{
		{"waiting", func(e *engine, n func(string) string) {
			e.tasks(n("parent"), n("child"))
			e.links(n("parent") + ">" + n("child"))
		}, made{stays: []string{"parent", "child"}}},
		{"pending, claimed, running, paused", func(e *engine, n func(string) string) {
			e.tasks(n("pending"), n("claimed"), n("running"), n("paused"))
			e.move(n("claimed"), "Claimed")
			e.move(n("running"), "Claimed", "Running")
			e.move(n("paused"), "Paused")
		}, made{stays: []string{"pending", "claimed", "running", "paused"}}},
		{"ended", func(e *engine, n func(string) string) {
			e.tasks(n("success"), n("failure"), n("canceled"))
			e.finished("Success", n("success"))
			e.finished("Failure", n("failure"))
			e.finished("Canceled", n("canceled"))
		}, made{goes: []string{"success", "failure", "canceled"}}},
		{"ended yesterday", func(e *engine, n func(string) string) {
			e.tasks(n("a"))
		}, made{stays: []string{"a"}}},
		{"parents of what lives", func(e *engine, n func(string) string) {
			e.tasks(n("required"), n("optional"), n("pending"), n("above"), n("waiting"), n("other"))
			e.links(n("required")+">"+n("pending"), n("optional")+"?"+n("pending"), n("above")+">"+n("required"),
				n("optional")+"?"+n("waiting"), n("other")+"?"+n("waiting"))
			e.finished("Success", n("above"), n("required"), n("optional"))
		}, made{stays: []string{"required", "optional", "pending", "waiting", "other"}, goes: []string{"above"}}},
		{"parent of what ended yesterday", func(e *engine, n func(string) string) {
			e.tasks(n("a"), n("b"))
			e.links(n("a") + ">" + n("b"))
			e.finished("Success", n("a"))
		}, made{stays: []string{"b"}, goes: []string{"a"}}},
		{"child of what lives", func(e *engine, n func(string) string) {
			e.tasks(n("failed"), n("running"), n("child"), n("grandchild"))
			e.links(n("failed")+">"+n("child"), n("running")+">"+n("child"), n("child")+">"+n("grandchild"))
			e.finished("Failure", n("failed"))
			e.move(n("running"), "Claimed", "Running")
		}, made{stays: []string{"running", "child"}, goes: []string{"failed", "grandchild"}}},
		{"graph that has ended", func(e *engine, n func(string) string) {
			e.batch(n("batch"), n("a"), n("b"), n("c"))
			e.links(n("a")+">"+n("b"), n("a")+"?"+n("c"), n("b")+">"+n("c"))
			e.finished("Success", n("a"), n("b"))
			e.finished("Failure", n("c"))
		}, made{goes: []string{"a", "b", "c", "batch"}}},
		{"batch of which one lives", func(e *engine, n func(string) string) {
			e.batch(n("batch"), n("a"), n("b"))
			e.finished("Success", n("a"))
		}, made{stays: []string{"b", "batch"}, goes: []string{"a"}}},
		{"batch of which one ended yesterday", func(e *engine, n func(string) string) {
			e.batch(n("batch"), n("a"), n("b"))
			e.finished("Success", n("b"))
		}, made{stays: []string{"a", "batch"}, goes: []string{"b"}}},
		{"batch without tasks", func(e *engine, n func(string) string) {
			e.batch(n("batch"), n("a"))
			e.finished("Success", n("a"))
			e.exec("delete from taskrunner.task where id = $1", id(n("a")))
		}, made{stays: []string{"batch"}}},
		{"child in another batch", func(e *engine, n func(string) string) {
			e.batch(n("batch"), n("a"), n("b"))
			e.finished("Success", n("a"), n("b"))
			e.batch(n("later"), n("c"))
			e.links(n("a") + ">" + n("c"))
		}, made{stays: []string{"a", "batch", "c", "later"}, goes: []string{"b"}}},
		{"delivery that is due", func(e *engine, n func(string) string) {
			e.batch(n("batch"), n("a"), n("b"))
			e.action(n("a"), "Success", "x")
			e.finished("Success", n("a"), n("b"))
		}, made{stays: []string{"a", "batch"}, goes: []string{"b"}}},
		{"delivery that is being sent", func(e *engine, n func(string) string) {
			e.tasks(n("a"))
			e.action(n("a"), "Success", "x")
			e.finished("Success", n("a"))
			e.exec(`update taskrunner_private.due_delivery set leased_by = $2, leased_until = now() + interval '1 hour'
				where delivery_id in (select id from taskrunner_private.delivery where task_id = $1)`, id(n("a")), id("replica"))
		}, made{stays: []string{"a"}}},
		{"delivery that is tried again", func(e *engine, n func(string) string) {
			e.tasks(n("a"))
			e.action(n("a"), "Success", "x")
			e.finished("Success", n("a"))
			e.tried(n("a"), "failed")
		}, made{stays: []string{"a"}}},
		{"one of two deliveries", func(e *engine, n func(string) string) {
			e.tasks(n("a"))
			e.action(n("a"), "Success", "x")
			e.finished("Success", n("a"))
			e.tried(n("a"), "delivered")
			e.exec(`insert into taskrunner_private.delivery (task_id, action_id, number, task_attempt, max_tries, trigger, condition)
				select task_id, action_id, 2, 1, 10, 'End', 'Success' from taskrunner_private.delivery where task_id = $1;
				insert into taskrunner_private.due_delivery (delivery_id, next_try_at)
				select id, now() + interval '1 day' from taskrunner_private.delivery where task_id = $1 and status = 'Pending'`, id(n("a")))
		}, made{stays: []string{"a"}}},
		{"delivery that is replayed", func(e *engine, n func(string) string) {
			e.tasks(n("a"))
			e.action(n("a"), "Success", "x")
			e.finished("Success", n("a"))
			e.tried(n("a"), "given_up")
			e.exec("select taskrunner_private.replay_delivery(id) from taskrunner_private.delivery where task_id = $1", id(n("a")))
		}, made{stays: []string{"a"}}},
		{"deliveries that are over", func(e *engine, n func(string) string) {
			e.batch(n("batch"), n("delivered"), n("failed"), n("canceled"))
			for _, task := range []string{"delivered", "failed"} {
				e.action(n(task), "Start", "s")
				e.action(n(task), "Success", "x")
			}
			e.action(n("canceled"), "Cancel", "c")
			for _, task := range []string{"delivered", "failed", "canceled"} {
				e.move(n(task), "Claimed")
				e.exec(`select from taskrunner_private.start_tasks(jsonb_build_array(jsonb_build_object('task_id', $1, 'attempt', 1, 'at', now(), 'latency_ms', 1)))`, id(n(task)))
			}
			e.move(n("delivered"), "Success")
			e.move(n("failed"), "Success")
			e.move(n("canceled"), "Canceled")
			e.tried(n("delivered"), "failed")
			e.tried(n("delivered"), "delivered")
			e.tried(n("failed"), "given_up")
			e.tried(n("canceled"), "delivered")
		}, made{goes: []string{"delivered", "failed", "canceled", "batch"}}},
	}
	e := setup(t)
	naming := func(c string) func(string) string { return func(task string) string { return c + ": " + task } }
	var stay, go_ []string
	for _, c := range cases {
		n := naming(c.name)
		c.make(e, n)
		for _, name := range c.stays {
			stay = append(stay, n(name))
		}
		for _, name := range c.goes {
			go_ = append(go_, n(name))
		}
	}
	e.age(40)
	for _, name := range []string{"ended yesterday: a", "parent of what ended yesterday: b", "batch of which one ended yesterday: a"} {
		e.finished("Success", name)
	}
	names := "select name from taskrunner.task union all select name from taskrunner.batch"
	before := e.lines(names)
	slices.Sort(before)
	all := append(slices.Clone(stay), go_...)
	slices.Sort(all)
	require.Equal(t, all, slices.DeleteFunc(before, func(name string) bool { return !slices.Contains(all, name) }), "the cases name what they make")

	preview := e.line("select * from taskrunner_private.prune_preview(30)")
	require.Equal(t, before, slices.Sorted(slices.Values(slices.DeleteFunc(e.lines(names), func(name string) bool { return !slices.Contains(all, name) }))))
	require.Equal(t, "0|0|0|0", e.line("select * from taskrunner_private.prune_preview(60)"))
	require.Equal(t, "0|0|0|0", sum(t, e.prune(60, 1000)))
	require.Equal(t, preview, sum(t, e.prune(30, 1000)))
	left := e.lines(names)
	for _, name := range stay {
		require.Contains(t, left, name)
	}
	for _, name := range go_ {
		require.NotContains(t, left, name)
	}
	require.Equal(t, "0", e.line(`select count(*) from taskrunner_private.delivery d where not exists (select from taskrunner.action a where a.id = d.action_id)`))
	require.Equal(t, "0|0|0|0", sum(t, e.prune(30, 1000)), "nothing is left to do")

	// 0 days: whatever has ended. What lives, and what waits for a delivery, keeps what it is linked with.
	preview = e.line("select * from taskrunner_private.prune_preview(0)")
	require.Equal(t, preview, sum(t, e.prune(0, 1000)))
	left = e.lines(names)
	require.NotContains(t, left, "ended yesterday: a")
	require.NotContains(t, left, "batch of which one ended yesterday: batch")
	for _, name := range stay {
		if !strings.Contains(name, "yesterday") {
			require.Contains(t, left, name)
		}
	}
}

// A chunk is bounded, a batch that is larger than a chunk takes several, and whole batches go first.
func TestPruneInChunks(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.tasks("s0", "s1", "s2", "s3", "s4")
	e.finished("Success", "s0", "s1", "s2", "s3", "s4")
	e.batch("part", "p0", "p1", "p2")
	e.finished("Success", "p0", "p1")
	e.batch("large", "l0", "l1", "l2", "l3", "l4", "l5", "l6")
	e.finished("Success", "l6", "l5", "l4", "l3", "l2", "l1", "l0")
	e.batch("small", "b0")
	e.finished("Success", "b0")
	e.age(2)

	left := "select coalesce(string_agg(name, ' ' order by name), '') from taskrunner.task"
	var from any
	next := func() {
		from = e.line("select next from taskrunner_private.prune(1, 3, $1::jsonb)", from)
	}
	next()
	require.Equal(t, "b0 l3 l4 l5 l6 p0 p1 p2 s0 s1 s2 s3 s4", e.line(left))
	next()
	require.Equal(t, "b0 l6 p0 p1 p2 s0 s1 s2 s3 s4", e.line(left))
	require.Equal(t, "part large small", e.line("select string_agg(name, ' ' order by seq) from taskrunner.batch"))
	next()
	require.Equal(t, "p0 p1 p2 s0 s1 s2 s3 s4", e.line(left))
	require.Equal(t, "part", e.line("select string_agg(name, ' ' order by seq) from taskrunner.batch"))
	next()
	require.Equal(t, "p0 p1 p2 s3 s4", e.line(left))
	next()
	require.Equal(t, "p1 p2", e.line(left))
	next()
	require.Equal(t, "p2", e.line(left))
	require.Empty(t, from)
}

// Very many that ended in the same moment are gone through once, and so are many small batches.
func TestPruneOfManyWithTheSameEnd(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.exec(`insert into taskrunner.batch (id) select gen_random_uuid() from generate_series(1, 250);
		insert into taskrunner.task (name, kind, batch_id) select 'of batch', 'k', id from taskrunner.batch;
		insert into taskrunner.task (name, kind) select 'single', 'k' from generate_series(1, 1000);
		update taskrunner.task set status = 'Canceled'`)
	// Some of them stay, and stand in nobody's way.
	e.exec(`insert into taskrunner.task (name, kind) values ('live', 'k');
		insert into taskrunner.link (parent_id, child_id)
		select p.id, c.id from (select id from taskrunner.task where name = 'single' limit 300) p, taskrunner.task c where c.name = 'live'`)
	require.Equal(t, "950|250|0|0", e.line("select * from taskrunner_private.prune_preview(0)"))
	chunks := e.prune(0, 100)
	require.Equal(t, "950|250|0|0", sum(t, chunks))
	require.LessOrEqual(t, len(chunks), 3+11) // 250 batches, 1,000 tasks, and one more chunk for each to see the end
	for _, chunk := range chunks {
		tasks, _, _ := strings.Cut(chunk, "|")
		require.LessOrEqual(t, len(tasks), 3)
		require.NotContains(t, []string{"101", "200"}, tasks)
	}
}

// Tasks with many links are fewer in a chunk, and one with very many is alone in its.
func TestPruneOfManyLinks(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.exec(`insert into taskrunner.batch (id, name) values ($1, 'dense');
		insert into taskrunner.task (batch_id, name, kind) select $1, 'parent', 'k' from generate_series(1, 30);
		insert into taskrunner.task (batch_id, name, kind) select $1, 'child', 'k' from generate_series(1, 30);
		insert into taskrunner.task (name, kind) values ('hub', 'k');
		insert into taskrunner.task (name, kind) select 'spoke', 'k' from generate_series(1, 200);
		insert into taskrunner.link (parent_id, child_id) select p.id, c.id from taskrunner.task p, taskrunner.task c
		where (p.name, c.name) in (('parent', 'child'), ('hub', 'spoke'));
		update taskrunner.task set status = 'Canceled'`, id("dense"))
	chunks := e.prune(0, 10)
	require.Equal(t, "261|1|0|0", sum(t, chunks))
	require.Equal(t, "3|0|0|0", chunks[0])
	require.Contains(t, chunks, "1|0|0|0") // the hub
	require.Less(t, len(chunks), 60)
	require.Equal(t, "0", e.line("select count(*) from taskrunner.link"))
}

func TestPruneRefusesNonsense(t *testing.T) {
	t.Parallel()
	e := setup(t)
	for _, arguments := range []string{"-1", "null", "36501", "1, 0", "1, 10001", "1, null"} {
		e.fails("TR007", "select * from taskrunner_private.prune("+arguments+")")
	}
	e.fails("TR007", "select * from taskrunner_private.prune_preview(-1)")
	require.Equal(t, "0|0|0|0", sum(t, e.prune(36500, 10000)))
}

// One of all replicas has the turn, and an interval that was shortened counts at once.
func TestTurnsOfRetention(t *testing.T) {
	t.Parallel()
	e := setup(t)
	begin := func(secs int) string {
		return e.line("select ceil(taskrunner_private.begin_prune($1))", secs)
	}
	require.Equal(t, "0", begin(3600))
	require.Equal(t, "3600", begin(3600))
	require.Equal(t, "3600", begin(7200))
	require.Equal(t, "0", begin(60))
	require.Equal(t, "60", begin(60))
	e.exec("update taskrunner_private.chore set next_at = now() where name = 'prune'")
	require.Equal(t, "0", begin(60))
}
