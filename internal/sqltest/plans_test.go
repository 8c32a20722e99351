package sqltest

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/testdb"
)

// What the engine does again and again must cost as much beside a million ended tasks as beside none. Time says little on a
// busy machine, and the plan of a statement inside a function is hard to get at, so the tests count what the statements
// read: PostgreSQL knows the rows read by scans of a table, and the entries read of an index, by this session.

const (
	// history is the number of ended tasks; a tenth of them have links, actions and deliveries.
	history = 1_000_000
	// idle is the number of tasks each that wait, run and are scheduled, none of them due.
	idle = 20_000
	// most is how much a statement that works on a dozen tasks may read of one table or index.
	most = 1_000
)

// idPattern makes the id of the n-th row of the history: ids rise, as real ones do, so that loading is quick.
const idPattern = "('00000000-0000-7000-8000-' || lpad(to_hex(%s), 12, '0'))::uuid"

// loadHistory fills the tables without their triggers.
func (e *engine) loadHistory() {
	e.t.Helper()
	n := func(expression string) string { return fmt.Sprintf(idPattern, expression) }
	e.exec(fmt.Sprintf(`
		begin;
		set local session_replication_role = replica;
		insert into taskrunner.batch (id) select %[3]s from generate_series(0, %[1]d / 1000) n;
		insert into taskrunner.task (id, batch_id, created_at, last_updated, started_at, ended_at, status, contacted, name, kind)
		select %[3]s, %[4]s, now() - interval '1 day', now() - interval '1 hour', now() - interval '2 hours', now() - interval '1 hour', 'Success', true, 'n', 'k'
		from generate_series(1, %[1]d) n;
		insert into taskrunner_private.ended_task (task_id, seq, created_at, ended_at, status, kind)
		select id, seq, created_at, ended_at, status, kind from taskrunner.task where name = 'n';
		insert into taskrunner.action (id, task_id, trigger, params)
		select %[3]s, %[3]s, 'End', '{"url": "https://hooks.example.com/x", "verb": "Post"}' from generate_series(1, %[1]d, 10) n;
		insert into taskrunner.link select %[3]s, %[5]s, true from generate_series(1, %[1]d, 10) n;
		insert into taskrunner_private.delivery (id, task_id, action_id, created_at, finished_at, number, task_attempt, tries, max_tries, trigger, condition, status)
		select id, task_id, id, now(), now(), 1, 1, 1, 10, 'End', 'Success', 'Delivered' from taskrunner.action where id = task_id;

		insert into taskrunner.task (id, created_at, last_updated, started_at, run_at, status, wait_finished, contacted, name, kind)
		select %[3]s, now() - interval '2 hours', now(), case when n %% 3 = 0 then now() end, case when n %% 3 = 1 then now() + interval '1 day' end,
			(array['Running', 'Pending', 'Waiting'])[n %% 3 + 1]::taskrunner.status_kind, (n %% 3 = 2)::integer, n %% 3 = 0, 'idle', 'k'
		from generate_series(%[1]d + 1, %[1]d + 3 * %[2]d) n;
		insert into taskrunner_private.queued_task (task_id, seq, created_at, run_at, priority, state, kind)
		select id, seq, created_at, run_at, priority, case status when 'Waiting' then 'waiting' else 'scheduled' end::taskrunner_private.queue_state, kind
		from taskrunner.task where status in ('Waiting', 'Pending') and name = 'idle';
		insert into taskrunner_private.active_task (task_id, seq, created_at, claimed_at, due_at, kind)
		select id, seq, created_at, now(), now() + interval '1 day', kind from taskrunner.task where status = 'Running' and name = 'idle';
		update taskrunner_private.delivery set status = 'Pending', finished_at = null
		where id in (select id from taskrunner.action where id = task_id order by id limit %[2]d);
		insert into taskrunner_private.due_delivery (delivery_id, next_try_at) select id, now() + interval '1 day'
		from taskrunner_private.delivery where status = 'Pending' and id = task_id;
		update taskrunner_private.delivery set status = 'Failed'
		where id in (select id from taskrunner.action where id = task_id order by id desc limit %[2]d);
		insert into taskrunner_private.troubled_delivery select created_at, id from taskrunner_private.delivery where status = 'Failed' and id = task_id;
		commit`, history, idle, n("n"), n("n / 1000"), n("n + 1")))
}

// reads counts what this session has read of each table and index. Numbers of earlier transactions can be among them.
const reads = `
	select 'table ' || relid::regclass || '|' || pg_stat_get_xact_tuples_returned(relid) from pg_stat_user_tables
	union all
	select 'index ' || indexrelid::regclass || '|' || pg_stat_get_xact_tuples_returned(indexrelid) from pg_stat_user_indexes`

// reads gives what the session has read of each table and index.
func (s *session) reads() map[string]int {
	s.e.t.Helper()
	counts := map[string]int{}
	for _, line := range s.run(reads) {
		name, count, _ := strings.Cut(line, "|")
		n, err := strconv.Atoi(count)
		require.NoError(s.e.t, err)
		counts[name] = n
	}
	return counts
}

// reading runs a statement and says of which tables and indexes it read more than a limit.
func (s *session) reading(limit int, sql string) (rows, tooMuch []string) {
	s.e.t.Helper()
	before := s.reads()
	rows = s.run(sql)
	for name, n := range s.reads() {
		if n -= before[name]; n > limit {
			tooMuch = append(tooMuch, fmt.Sprintf("%s: %d", name, n))
		}
	}
	slices.Sort(tooMuch)
	return rows, tooMuch
}

// A round is a handful of tasks in every state, made new for each.
type round struct {
	e *engine
	n int
}

// name of a task of this round.
func (r *round) name(s string) string { return fmt.Sprintf("%s %d", s, r.n) }

// makeRound makes the work of one round.
func (e *engine) makeRound(n int) *round {
	e.t.Helper()
	r := &round{e, n}
	var all []string
	for _, group := range []string{"ready", "due", "parent", "child", "grandchild", "other", "held", "scheduled", "claimed", "ending", "doomed", "stale"} {
		for i := range 5 {
			all = append(all, r.name(fmt.Sprint(group, i)))
		}
	}
	e.batch(r.name("batch"), all...)
	var links []string
	for i := range 5 {
		child := r.name(fmt.Sprint("child", i))
		links = append(links, r.name(fmt.Sprint("parent", i))+">"+child, r.name(fmt.Sprint("due", i))+">"+child,
			child+">"+r.name(fmt.Sprint("grandchild", i)))
	}
	e.links(links...)
	for _, task := range all {
		e.exec(insertAction(task, "Start", "s") + "; " + insertAction(task, "Success", "s") + "; " + insertAction(task, "Failure", "f"))
	}
	like := func(group string) string { return "name like '" + group + "_ " + fmt.Sprint(n) + "'" }
	e.exec("update taskrunner.task set status = 'Claimed' where " + like("parent") + " or " + like("due") + " or " + like("ending") + " or " + like("doomed") +
		";update taskrunner.task set status = 'Running' where status = 'Claimed' and batch_id = '" + id(r.name("batch")) + "'" +
		";update taskrunner.task set last_updated = now() - interval '1 hour' where " + like("due") +
		";update taskrunner.task set run_at = now() + interval '1 hour' where " + like("scheduled") +
		";update taskrunner_private.queued_task set run_at = now() - interval '1 second' where task_id in (select id from taskrunner.task where " + like("scheduled") + ")" +
		";update taskrunner.task set status = 'Success' where " + like("ending") +
		";update taskrunner.task set status = 'Failure' where id = '" + id(r.name("doomed0")) + "'" +
		";update taskrunner.task set status = 'Claimed' where " + like("claimed") + " or " + like("stale") +
		";update taskrunner.task set status = 'Paused' where " + like("held") +
		`;update taskrunner.task set metadata = '{"projectId": 7}' where ` + like("held"))
	e.exec(`insert into taskrunner_private.replica (id, name, version, heartbeat_at) values ($1, 'dead', 'x', now() - interval '1 hour');
		update taskrunner_private.active_task set replica_id = $1 where task_id in (select id from taskrunner.task where `+like("stale")+`)`, id(r.name("dead")))
	return r
}

// statements are what is measured, in this order; each does some work, as the second column proves.
func (r *round) statements() []struct{ name, sql string } {
	one := func(group string) string { return id(r.name(group)) }
	many := func(group string) string {
		var all []string
		for i := range 5 {
			all = append(all, one(fmt.Sprint(group, i)))
		}
		return "array['" + strings.Join(all, "', '") + "']::uuid[]"
	}
	replica := id(r.name("replica"))
	starts := func(group string) string {
		return `select count(*) from taskrunner_private.start_tasks((select jsonb_agg(jsonb_build_object('task_id', id, 'attempt', 1, 'at', now(),
			'latency_ms', 1, 'cancel_action', '{"kind": "Webhook", "params": {"url": "https://hooks.example.com/stop", "verb": "Post"}}'::jsonb))
			from taskrunner.task where id = any(` + many(group) + `)))`
	}
	return []struct{ name, sql string }{
		{"tick", "select cardinality(due_chores) from taskrunner_private.tick('" + replica + "', 'r', 'x', 10, true)"},
		{"claim of few", "select count(*) from taskrunner_private.claim_tasks('" + replica + "', 2, 30, '{}', '{}', true)"},
		{"claim behind marks", "select count(*) from taskrunner_private.claim_tasks('" + replica + "', 3, 30, '{0}', '{0}', true)"},
		{"starts", starts("claimed")},
		{"claims not heard of", `select given_back from taskrunner_private.give_back_claims('` + replica + `', array(
			select task_id from taskrunner_private.active_task where replica_id = '` + replica + `' order by task_id offset 1))`},
		{"failed starts", `select count(*) from taskrunner_private.fail_starts('` + replica + `', (select jsonb_agg(jsonb_build_object('task_id', task_id, 'attempt', 1,
			'claimed_at', claimed_at, 'at', now(), 'latency_ms', 1, 'error', 'x')) from taskrunner_private.active_task where replica_id = '` + replica + `'), 1000)`},
		{"sweep of timeouts", "select timed_out from taskrunner_private.sweep_active(100, 30)"},
		{"sweep of replicas", "select requeued from taskrunner_private.sweep_replicas(100, 5)"},
		{"release", "select taskrunner_private.release_scheduled(100)"},
		{"due deliveries", "select count(*) from taskrunner_private.claim_deliveries('" + replica + "', 10, 100, '-infinity', true)"},
		{"due deliveries behind a mark", "select count(*) from taskrunner_private.claim_deliveries('" + replica + "', 10, 100, now() - interval '2 hours', true)"},
		{"deliveries not heard of", `select taskrunner_private.give_back_deliveries('` + replica + `', array(
			select delivery_id from taskrunner_private.due_delivery
			where next_try_at <= now() and leased_by = '` + replica + `' order by delivery_id offset 1))`},
		{"settled deliveries", `select count(*) from taskrunner_private.settle_deliveries((select jsonb_agg(jsonb_build_object('delivery_id', delivery_id, 'number', 1, 'leased_until', leased_until,
			'outcome', case when random() < 0.5 then 'delivered' else 'failed' end, 'at', now(), 'latency_ms', 1)) from taskrunner_private.due_delivery
			where next_try_at <= now() and leased_by = '` + replica + `'), 10, 3, 100)`},
		{"progress", "select taskrunner.add_progress('" + one("parent0") + "', 1, 1) is not null"},
		{"report", "select status from taskrunner.finish_task('" + one("parent0") + "', 'Failure')"},
		{"reports", "select count(*) from taskrunner.finish_tasks(array['" + one("parent1") + "', '" + one("parent2") + "']::uuid[], 'Success')"},
		{"update", set("Failure", r.name("parent3")) + " returning 1"},
		{"cancel", "select status from taskrunner.cancel_task('" + one("parent4") + "')"},
		{"cancels", "select count(*) from taskrunner.cancel_tasks(" + many("doomed") + ")"},
		{"starts of what is canceled", starts("doomed")},
		{"pause", "select status from taskrunner.pause_task('" + one("other0") + "')"},
		{"resume", "select status from taskrunner.resume_task('" + one("held0") + "')"},
		{"link", insertLinks(r.name("other1")+">"+r.name("other2")) + " returning 1"},
		{"link that changes ranks", insertLinks(r.name("other4")+">"+r.name("other3")) + " returning 1"},
		{"action", insertAction(r.name("other1"), "Cancel", "x") + " returning 1"},
		{"submit", strings.ReplaceAll(exampleSubmit, ";", "")},
		{"replay", "select taskrunner_private.replay_delivery(id) is not null from taskrunner_private.delivery where task_id = '" + one("ending1") + "'"},
		{"replay of many", "select 1 + looked_at from taskrunner_private.replay_deliveries('Failed', null, null, null, 'nowhere', null, null, null, null, 100)"},
		{"stop", "select canceled_pending from taskrunner.stop_batch('" + one("batch") + "')"},
		{"delete", "delete from taskrunner.task where id = '" + one("ending0") + "' returning 1"},
	}
}

// statement is what is measured, and how much it may read of one table or index.
type statement struct {
	name, sql string
	most      int
}

// lists are pages of GET /task and GET /batches. What is ready or active is sorted each time, and where a filter finds
// little, so many rows are tried before an index is asked.
func (r *round) lists() []statement {
	const (
		sorted = 3 * idle
		tried  = 35_000
	)
	tasks := func(arguments string) string {
		return "select count(*) from taskrunner_private.list_tasks(" + arguments + ", 51)"
	}
	batches := func(arguments string) string {
		return "select count(*) from taskrunner_private.list_batches(" + arguments + ", 51)"
	}
	deliveries := func(arguments string) string {
		return "select 1 + cardinality(taskrunner_private.list_deliveries(" + arguments + ", 51))"
	}
	batch := "'" + id(r.name("batch")) + "'"
	return []statement{
		{"tasks", tasks("null, null, null, null, null, null, null, null, 0"), most},
		{"tasks behind a cursor", tasks("null, null, null, null, null, null, now(), 0, 0"), most},
		{"tasks by part of their name", tasks("null, null, 'n', null, null, null, null, null, 0"), most},
		{"waiting tasks", tasks("'Waiting', null, null, null, null, null, null, null, 0"), most},
		{"waiting tasks behind a cursor", tasks("'Waiting', null, null, null, null, null, now() + interval '1 second', 0, 0"), most},
		{"ended tasks", tasks("'Success', null, null, null, null, null, null, null, 0"), most},
		{"ended tasks behind a cursor", tasks("'Success', null, null, null, null, null, now(), 0, 0"), most},
		{"ended tasks by part of their kind", tasks("'Success', null, null, 'k', 60, null, null, null, 0"), most},
		{"failed tasks", tasks("'Failure', null, null, null, null, null, null, null, 0"), most},
		{"pending tasks", tasks("'Pending', null, null, null, null, null, null, null, 0"), sorted},
		{"paused tasks", tasks("'Paused', null, null, null, null, null, null, null, 0"), sorted},
		{"running tasks", tasks("'Running', null, null, null, null, null, null, null, 0"), sorted},
		{"tasks of a batch", tasks("null, " + batch + ", null, null, null, null, null, null, 0"), most},
		{"running tasks of a batch", tasks("'Running', " + batch + ", null, null, null, null, null, null, 0"), most},
		{"tasks by metadata that is rare", tasks(`null, null, null, null, null, '{"projectId": 7}', null, null, 0`), tried},
		{"deliveries", deliveries("null, null, null, null, null, null, null, null, null, 0"), most},
		{"deliveries behind a cursor", deliveries("null, 'End', null, null, null, null, null, now(), '" + uuid.Nil.String() + "', 0"), most},
		{"failed deliveries", deliveries("'Failed', 'End', null, null, null, null, null, null, null, 0"), most},
		{"pending deliveries", deliveries("'Pending', null, null, null, null, null, null, null, null, 0"), 2 * sorted},
		{"deliveries of a task", deliveries("null, null, '" + id(r.name("ending0")) + "', null, null, null, null, null, null, 0"), most},
		{"deliveries of a batch", deliveries("null, null, null, " + batch + ", null, null, null, null, null, 0"), most},
		{"a task", "execute FullTask('" + id(r.name("parent0")) + "')", most},
		{"a batch", "execute Batch(" + batch + ")", most},
		{"links of a batch", "execute BatchLinks(" + batch + ")", most},
		{"graph of a batch", "execute BasicTasks(" + batch + ")", most},
		{"batches", batches("null, null, null, null, null, null, null, 0"), 60_000}, // all tasks of each are summed up
		{"batches of an interval", batches("null, null, null, now() - interval '1 hour', null, null, null, 0"), 5 * most},
		{"batches with failures", batches("'Failure', null, null, null, null, null, null, 0"), most},
		{"batches with what is running", batches("'Running', 'claimed', null, null, null, null, null, 0"), 2 * sorted},
	}
}

// retention comes last, because it removes. A whole batch is gone through once before its first task goes; what would be removed is
// counted from the living.
func retention() []statement {
	return []statement{
		{"preview of retention", "select 1 + tasks from taskrunner_private.prune_preview(30)", 6 * idle},
		{"retention of whole batches", "select 1 + tasks from taskrunner_private.prune(0, 20)", 5 * most},
		{"retention of single tasks", `select 1 + tasks from taskrunner_private.prune(0, 20, '{"ended_at": "-infinity", "ended_seq": 0}')`, most},
	}
}

// sqlcQuery gives the text of a query of one parameter in the folder queries.
func sqlcQuery(t *testing.T, file, name string) string {
	t.Helper()
	raw, err := os.ReadFile("../../queries/" + file + ".sql")
	require.NoError(t, err)
	_, text, found := strings.Cut(string(raw), "-- name: "+name+" :")
	require.True(t, found, name)
	_, query, _ := strings.Cut(text, "\n")
	query, _, _ = strings.Cut(query, ";\n")
	return regexp.MustCompile(`sqlc\.arg\(\w+\)`).ReplaceAllString(query, "$$1")
}

// measure runs the statements, each in a transaction of its own, and says which read too much.
func (s *session) measure(r *round) []string {
	s.e.t.Helper()
	var all []statement
	for _, one := range r.statements() {
		if one.name == "sweep of timeouts" { // there are tasks in every status now
			all = append(all, r.lists()...)
		}
		all = append(all, statement{one.name, one.sql, most})
	}
	var tooMuch []string
	for _, statement := range append(all, retention()...) {
		s.script("begin")
		rows, read := s.reading(statement.most, statement.sql)
		s.script("commit")
		require.NotEmpty(s.e.t, rows, statement.name)
		require.NotEqual(s.e.t, "0", rows[0], "%s has nothing to do", statement.name)
		if read != nil {
			tooMuch = append(tooMuch, statement.name+": "+strings.Join(read, ", "))
		}
	}
	return tooMuch
}

func TestPlans(t *testing.T) {
	t.Parallel()
	e := &engine{DB: testdb.New(t), t: t} // the history is made up, so the invariants are not asked for
	t.Cleanup(func() { e.AssertNoDeadlocks(t) })
	// Nothing throws plans away behind our back.
	e.withoutAutovacuum()
	const warmUps = 7 // five plans for the very values come first, then one for all
	// Parallel workers count for themselves, where nobody sees it.
	measured := func(name string) *session {
		s := e.session(name)
		s.run("set max_parallel_workers_per_gather = 0")
		for _, query := range []string{"FullTask", "Batch", "BatchLinks", "BasicTasks"} {
			s.script("prepare " + query + "(uuid) as " + sqlcQuery(t, "inspect", query))
		}
		return s
	}
	early := measured("plans made while the tables were empty")
	for n := range warmUps {
		early.measure(e.makeRound(n))
	}
	e.loadHistory()
	// The count sees what there is to see: a scan of a table, and one of an index.
	early.script("begin; set local enable_indexscan = off; set local enable_bitmapscan = off")
	_, seen := early.reading(history/2, "select count(*) from taskrunner.task where name <> 'n'")
	require.Len(t, seen, 1)
	early.script("rollback; begin; set local enable_seqscan = off; set local enable_bitmapscan = off")
	_, seen = early.reading(history/2, "select count(*) from taskrunner_private.ended_task where task_id > '00000000-0000-0000-0000-000000000000' and kind = 'x'")
	require.Len(t, seen, 1)
	early.script("rollback")

	for i, name := range []string{"early", "late", "analyzed"} {
		s := early
		switch name {
		case "late":
			s = measured("plans made without statistics")
		case "analyzed":
			e.exec("analyze")
			s = measured("plans made with statistics")
		}
		if tooMuch := s.measure(e.makeRound(warmUps + i)); len(tooMuch) > 0 {
			t.Errorf("%s: reads too much:\n  %s", s.name, strings.Join(tooMuch, "\n  "))
		}
	}
	require.Equal(t, "t", e.line("select count(*) < $1 from taskrunner.task where name = 'n'", history-20), "retention had something to do")
}
