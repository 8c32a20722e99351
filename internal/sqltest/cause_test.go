package sqltest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
)

// causes are all that the engine tells its triggers, and some that it never does.
var causes = []string{
	"claim", "start", "report", "patch", "progress", "propagate", "rerank", "submit", "link", "start_failed", "timeout", "stop",
	"cancel", "nonsense",
}

// forgeable are statements by role. {F} stands for a condition that is true, where a client can set the cause while the
// statement runs.
var forgeable = map[string][]string{
	"taskrunner_producer": {
		"insert into taskrunner.task (id, name, kind) select '<new>', 'new', 'k' where {F}",
		"insert into taskrunner.task (id, name, kind) values ('<new>', 'new', 'k') returning {F}",
		"insert into taskrunner.task (id, name, kind, status) select '<new>', 'new', 'k', 'Success' where {F}",      // TR001
		"insert into taskrunner.task (id, name, kind, timeout) select '<new>', 'new', 'k', 0 where {F}",             // TR006
		"insert into taskrunner.task (id, name, kind, max_attempts) select '<new>', 'new', 'k', 101 where {F}",      // TR006
		"insert into taskrunner.link select '<running>', '<pending>', true where {F}",                               // counted
		"insert into taskrunner.link values ('<running>', '<waiting>', false) returning {F}",                        // counted
		"insert into taskrunner.link select '<failed>', '<pending>', true where {F}",                                // fails it
		"insert into taskrunner.link values ('<failed>', '<waiting>', true) returning {F}",                          // fails it and below
		"insert into taskrunner.link select '<below>', '<pending>', true where {F}",                                 // TR003
		"insert into taskrunner.link values ('<late>', '<pending>', true) returning {F}",                            // ranks change
		"insert into taskrunner.link select '<pending>', '<running>', true where {F}",                               // TR001
		"insert into taskrunner.action (task_id, trigger, params) select '<late>', 'Start', '{W}' where {F}",        // host
		"insert into taskrunner.action (task_id, trigger, params) values ('<late>', 'Start', '{W}') returning {F}",  // host
		"insert into taskrunner.action (task_id, trigger, params) select '<failed>', 'End', '{W}' where {F}",        // TR001
		`insert into taskrunner.action (task_id, trigger, params) select '<late>', 'Start', '{"url": 1}' where {F}`, // TR007
		"with f as materialized (select {F} as f) update taskrunner.task t set priority = 5 from f where f.f and t.id = '<pending>'",
		"update taskrunner.task set priority = case when {F} then 5 end where id in ('<pending>', '<running>') returning {F}",
		"update taskrunner.task set timeout = case when {F} then 5 end where id = '<running>'",
		"update taskrunner.task set priority = case when {F} then 5 end where id = '<failed>'", // TR001
		"select {F}, status from taskrunner.cancel_task('<running>')",
		"select (taskrunner.cancel_task(id)).status from (select id from taskrunner.task where id in ('<pending>', '<running>') order by id offset 0) t where {F}",
		"select {F}, (taskrunner.cancel_tasks(array['<waiting>', '<claimed>']::uuid[])).status",
		"select {F}, (taskrunner.pause_task('<running>')).status",
		"select {F}, (taskrunner.pause_task('<waiting>')).status",
		"select {F}, (taskrunner.resume_task('<paused>')).status",
		"select {F}, (taskrunner.resume_task('<held>')).status",
		"select {F}, taskrunner.stop_batch('<batch>')",
		`select {F}, (taskrunner.submit_batch('[{"id": "n", "name": "new", "kind": "k", "on_start": {"kind": "Webhook", "params": {W}},
			"dependencies": [{"task_id": "<running>", "requires_success": true}]}]')).status`,
	},
	"taskrunner_worker": {
		"update taskrunner.task set status = case when {F} then 'Success' end::taskrunner.status_kind where id = '<running>'",
		"update taskrunner.task set status = 'Failure' where id = '<running>' returning {F}",
		"with f as materialized (select {F} as f) update taskrunner.task t set status = 'Failure' from f where f.f and t.id = '<claimed>'",
		"with u as (update taskrunner.task t set success = 1 where id = '<claimed>' returning {F}) update taskrunner.task t set status = 'Failure' where t.id = '<running>'",
		"update taskrunner.task set status = 'Claimed' where id = '<pending>' and {F}",
		"update taskrunner.task set status = 'Running' where id = '<claimed>' and {F}",
		"update taskrunner.task set status = 'Canceled' where id in ('<running>', '<pending>') and {F} returning {F}",
		"update taskrunner.task set status = 'Paused' where id = '<waiting>' returning {F}",
		"update taskrunner.task set status = 'Running' where id = '<paused>' returning {F}",
		"update taskrunner.task set status = 'Success' where id = '<pending>' and {F}",               // TR001
		"update taskrunner.task set status = 'Pending' where id = '<waiting>' and {F} returning {F}", // TR001
		"update taskrunner.task set status = 'Running' where id = '<failed>' and {F}",                // TR001
		"update taskrunner.task set failure_reason = 'x' where id = '<running>' and {F}",             // TR001
		"update taskrunner.task set success = success - 1 where id = '<running>' and {F}",            // TR001
		"update taskrunner.task set success = success + 1 where id in ('<running>', '<failed>') returning {F}",
		"update taskrunner.task set metadata = '{}', expected_count = case when {F} then 7 end where id = '<running>'",
		"select {F}, (taskrunner.finish_task('<running>', 'Failure')).status",
		"select {F}, (taskrunner.finish_tasks(array['<running>', '<claimed>']::uuid[], 'Success')).status",
		"select {F}, taskrunner.add_progress('<running>', 1, 2)",
	},
	"taskrunner_admin": {
		"update taskrunner.task set last_updated = '2020-01-01' where id = '<running>' and {F} returning {F}",
		"update taskrunner.task set run_at = '2100-01-01' where id = '<pending>' and {F} returning {F}",
		"delete from taskrunner.task where id = '<failed>' and {F} returning {F}",
		"delete from taskrunner.task where id = '<running>' and {F} returning {F}", // TR001
		"delete from taskrunner.batch where {F} returning {F}",                     // 23503
	},
}

// effect shows everything that the statements can change, without what differs from run to run.
const effect = `
	select 'task ' || t.name || ' ' || jsonb_build_array(t.status, t.paused_from, t.wait_finished, t.wait_success, t.attempt, t.success,
		t.failures, t.failure_reason, t.priority, t.timeout, t.metadata, t.expected_count, t.contacted, t.run_at,
		t.last_updated = now(), extract(year from t.last_updated) = 2020, t.started_at = now(), t.ended_at = now())::text
		|| ' queue ' || coalesce(jsonb_build_array(q.state, q.priority, q.run_at, q.host)::text, '') || ' active ' || (a.task_id is not null)
		|| coalesce(' due ' || (a.due_at < now() + interval '1 hour'), '') || ' ended ' || coalesce(e.status::text, '')
	from taskrunner.task t
	left join taskrunner_private.queued_task q on q.task_id = t.id
	left join taskrunner_private.active_task a on a.task_id = t.id
	left join taskrunner_private.ended_task e on e.task_id = t.id
	union all
	select 'delivery ' || t.name || ' ' || d.trigger || ' ' || coalesce(d.condition::text, '') || ' ' || d.number || ' ' || d.status
	from taskrunner_private.delivery d join taskrunner.task t on t.id = d.task_id
	union all
	select 'count ' || name || ' ' || n from (
		select 'link' as name, count(*) as n from taskrunner.link
		union all select 'action', count(*) from taskrunner.action
		union all select 'batch', count(*) from taskrunner.batch
		union all select 'queued', count(*) from taskrunner_private.queued_task
		union all select 'active', count(*) from taskrunner_private.active_task
		union all select 'ended', count(*) from taskrunner_private.ended_task
		union all select 'due', count(*) from taskrunner_private.due_delivery) c
	union all
	select 'broken ' || invariant || detail from taskrunner.check_invariants()
	union all
	select 'link ranks ' || count(*) from taskrunner.link l
	join taskrunner.task p on p.id = l.parent_id join taskrunner.task c on c.id = l.child_id where p.rank >= c.rank
	order by 1`

// TestForgedCauses sets every cause in every way around and inside every kind of statement. What the statement does must
// be what it does without that.
func TestForgedCauses(t *testing.T) {
	t.Parallel()
	for role, statements := range forgeable {
		t.Run(role, func(t *testing.T) {
			t.Parallel()
			f := newForger(t, role)
			errors := 0
			for _, statement := range statements {
				honest := f.effect("", statement, "true")
				if strings.HasPrefix(honest[0], "error ") {
					errors++
				} else {
					require.NotEqual(t, f.before, honest, "does nothing: %s", statement)
					require.NotContains(t, strings.Join(honest, "\n"), "broken", statement)
				}
				for _, cause := range causes {
					inside := fmt.Sprintf("set_config('taskrunner.cause', '%s', true) is not null", cause)
					for _, way := range []struct{ name, before, condition string }{
						{"session", fmt.Sprintf("set session taskrunner.cause = '%s'", cause), "true"},
						{"savepoint", fmt.Sprintf("savepoint a; set local taskrunner.cause = '%s'; savepoint b; release b", cause), "true"},
						{"statement", "", inside},
						{"own operators", "set local search_path = own, pg_catalog; set session taskrunner.cause = '" + cause + "'", "true"},
						{"savepoint and statement", fmt.Sprintf("savepoint a; set session taskrunner.cause = '%s'", cause), inside},
					} {
						require.Equal(t, honest, f.effect(way.before, statement, way.condition), "%s: cause %s by %s: %s", role, cause, way.name, statement)
					}
				}
			}
			require.Greater(t, errors, 0, "no statement of this role is refused")
		})
	}
}

// ownOperators makes what a client may have in a schema of his, in front of pg_catalog. Whoever looks for a cause with these does not
// name what he calls in full.
const ownOperators = `
	create schema own;
	grant usage on schema own to public;
	create function own.caught(a text, b text) returns boolean language plpgsql as $f$
	begin
		raise exception 'caught';
	end $f$;
	create operator own.= (leftarg = text, rightarg = text, function = own.caught);
	create operator own.<> (leftarg = text, rightarg = text, function = own.caught);
	create function own.current_setting(a text, b boolean) returns text language sql as $f$ select own.caught(a, a)::text $f$;
	create function own.has_schema_privilege(a text, b text) returns boolean language sql as $f$ select own.caught(a, b) $f$`

// forger runs statements as a client, on one and the same graph.
type forger struct {
	*session
	login  string
	before []string
	names  *strings.Replacer
}

func newForger(t *testing.T, role string) *forger {
	e := setup(t)
	e.batch("batch", "running", "claimed", "in batch")
	e.tasks("pending", "waiting", "below", "failed", "paused", "held", "child", "late")
	e.links("pending>waiting", "waiting>below", "running>child", "running?below")
	for _, task := range []string{"running", "claimed", "waiting", "below", "child", "pending", "paused"} {
		for _, trigger := range []string{"Start", "Cancel", "Success", "Failure"} {
			e.action(task, trigger, trigger)
		}
	}
	e.move("running", "Claimed", "Running")
	e.move("claimed", "Claimed")
	e.move("failed", "Claimed", "Failure")
	e.move("paused", "Claimed", "Running", "Paused")
	e.move("held", "Paused")

	e.exec(ownOperators)
	config, err := pgconn.ParseConfig(e.Login(t, role))
	require.NoError(t, err)
	f := &forger{session: e.session(role), login: config.User}
	f.before = f.run(effect)
	pairs := []string{"{W}", `{"url": "https://hooks.example.com/w", "verb": "Post"}`}
	for _, name := range []string{"running", "claimed", "pending", "waiting", "below", "failed", "paused", "held", "late", "batch", "new"} {
		pairs = append(pairs, "<"+name+">", id(name))
	}
	f.names = strings.NewReplacer(pairs...)
	return f
}

// effect runs a statement as the client, after another one, and shows what there is then; or the error's SQLSTATE and
// text. Everything is taken back.
func (f *forger) effect(before, statement, condition string) []string {
	f.e.t.Helper()
	f.script("begin; set local session authorization " + f.login + ";" + before)
	_, err := f.try(strings.ReplaceAll(f.names.Replace(statement), "{F}", condition))
	var all []string
	if err != nil {
		pgErr := requireCode(f.e.t, err, codeOf(err))
		all = []string{"error " + pgErr.Code + " " + pgErr.Message + " " + pgErr.Detail}
	} else {
		f.script("reset session authorization")
		all = f.run(effect)
	}
	f.script("rollback; reset taskrunner.cause")
	return all
}
