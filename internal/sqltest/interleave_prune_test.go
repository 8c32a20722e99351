package sqltest

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Somebody holds what retention would remove: that stays, the rest goes, and nobody waits.
func TestPruneLeavesWhatIsHeld(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, held, left string }{
		{"a new link to an ended parent", insertLinks("old>new"), "new,old"},
		{"progress of an ended task", "select taskrunner.add_progress('" + id("old") + "', 1, 0)", "new,old"},
		{"a replay", "select taskrunner_private.replay_delivery(id) from taskrunner_private.delivery where task_id = '" + id("old") + "'", "new,old"},
		{"a removal by hand", "delete from taskrunner.task where id = '" + id("old") + "'", "new,old"},
		{"a new task of the batch", "insert into taskrunner.task (name, kind, batch_id) values ('more', 'k', '" + id("batch") + "')", "new"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e := setup(t)
			e.tasks("new")
			e.batch("batch", "old")
			e.action("old", "Success", "x")
			e.finished("Success", "old")
			e.tried("old", "given_up")
			holder := e.session("holder")
			holder.script("begin")
			holder.run(c.held)
			e.prune(0, 1000)
			require.Equal(t, c.left, e.line("select string_agg(name, ',' order by name) from taskrunner.task"))
			require.Equal(t, "batch", e.line("select name from taskrunner.batch"))
			holder.script("rollback")
			e.prune(0, 1000)
			require.Equal(t, "new", e.line("select string_agg(name, ',' order by name) from taskrunner.task"))
		})
	}
}

// Somebody comes for what retention is just removing: he waits for the chunk, and then finds it gone.
func TestWhoComesDuringPrune(t *testing.T) {
	t.Parallel()
	const matcher = `"dedupe_strategy": [{"kind": "k", "status": "Success", "fields": []}]`
	submit := func(tasks string) string {
		return "select task_ids from taskrunner_private.submit('" + id("later") + "', '" + tasks + "')"
	}
	for _, c := range []struct{ name, call, code, again string }{
		{"a request that depends on it", submit(`[{"id": "a", "name": "a", "kind": "k", "on_start": {"kind": "Webhook", "params": {"url": "https://hooks.example.com/a", "verb": "Post"}},
			"dependencies": [{"task_id": "` + id("old") + `", "requires_success": true}]}]`), "40001", "TR002"},
		{"a request with an entry that matches it", submit(`[{"id": "a", "name": "a", "kind": "k", ` + matcher + `, "on_start": {"kind": "Webhook", "params": {"url": "https://hooks.example.com/a", "verb": "Post"}}},
			{"id": "b", "name": "b", "kind": "l", "dependencies": [{"id": "a", "requires_success": true}], "on_start": {"kind": "Webhook", "params": {"url": "https://hooks.example.com/a", "verb": "Post"}}}]`), "40001", ""},
		{"a link", insertLinks("old>new"), "23503", "23503"},
		{"an action", insertAction("old", "Success", "y"), "23503", "23503"},
		{"a report", "select taskrunner.finish_task('" + id("old") + "', 'Success')", "TR002", "TR002"},
		{"progress", "select taskrunner.add_progress('" + id("old") + "', 1, 0)", "TR002", "TR002"},
		{"a cancel", "select taskrunner.cancel_task('" + id("old") + "')", "TR002", "TR002"},
		{"a replay", "select taskrunner_private.replay_delivery('" + id("delivery") + "')", "TR002", "TR002"},
		{"a removal by hand", "delete from taskrunner.task where id = '" + id("old") + "'", "", ""},
		{"a task for its batch", "insert into taskrunner.task (name, kind, batch_id) values ('more', 'k', '" + id("batch") + "')", "23503", "23503"},
		{"another run", "select tasks from taskrunner_private.prune(0)", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e := setup(t)
			e.tasks("new")
			e.batch("batch", "old")
			e.action("old", "Success", "x")
			e.finished("Success", "old")
			e.tried("old", "given_up")
			e.exec(`begin; set local session_replication_role = replica;
				update taskrunner_private.troubled_delivery set delivery_id = $1; update taskrunner_private.delivery set id = $1; commit`, id("delivery"))
			pruner, other := e.session("pruner"), e.session("other")
			pruner.script("begin")
			require.Equal(t, []string{"1|1|1|1"}, pruner.run("select tasks, batches, deliveries, attempts from taskrunner_private.prune(0)"))
			done := other.begins(c.call)
			pruner.script("commit")
			require.Equal(t, c.code, codeOf(ends(t, done).err))
			_, err := other.try(c.call)
			require.Equal(t, c.again, codeOf(err))
		})
	}
}

// A stop of a batch, and reports that fail children, go their way beside a chunk that removes what they are linked with: what they
// end was linked with nothing that is being removed, because living tasks keep their neighbours.
func TestPruneAmongTheLiving(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.batch("batch", "old", "parent", "child", "grandchild")
	e.links("old>parent", "parent>child", "child>grandchild")
	e.finished("Success", "old")
	e.tasks("gone")
	e.finished("Success", "gone")
	pruner := e.session("pruner")
	pruner.script("begin")
	require.Equal(t, []string{"0|0"}, pruner.run("select tasks, batches from taskrunner_private.prune(0)"))
	require.Equal(t, []string{"1|0"}, pruner.run(`select tasks, batches from taskrunner_private.prune(0, 1000, '{"ended_at": "-infinity", "ended_seq": 0}')`))
	e.move("parent", "Claimed")
	e.exec("select taskrunner.finish_task($1, 'Failure')", id("parent"))
	require.Equal(t, "0|0|0|0|0|4", e.line("select canceled_waiting, canceled_pending, canceled_claimed, canceled_running, canceled_paused, already_terminal from taskrunner.stop_batch($1)", id("batch")))
	pruner.script("commit")
	require.Equal(t, "4|1|0|0", sum(t, e.prune(0, 1000)))
}

// A DELETE by hand that has one end of a link, and wants the other: retention, which wants the link, gives way before that is a deadlock.
func TestPruneGivesWay(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.tasks("a", "b")
	e.links("a>b")
	e.finished("Success", "a", "b")
	human, pruner := e.session("human"), e.session("pruner")
	human.script("begin")
	human.run("delete from taskrunner.task where id = $1", id("a"))
	_, err := pruner.try(`select * from taskrunner_private.prune(0, 1000, '{"ended_at": "-infinity", "ended_seq": 0}')`)
	requireCode(t, err, "55P03")
	human.run("delete from taskrunner.task where id = $1", id("b"))
	human.script("commit")
	require.Equal(t, []string{"0"}, pruner.run("select current_setting('lock_timeout')"))
}
