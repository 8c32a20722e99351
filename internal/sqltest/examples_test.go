package sqltest

import (
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
)

// The examples of the contract's section 13.5, by people who have one role each.

const exampleDiamond = `
BEGIN;
INSERT INTO taskrunner.batch (id, name) VALUES ('00000000-0000-4000-8000-0000000000b1', 'nightly');
INSERT INTO taskrunner.task (id, batch_id, name, kind, metadata) VALUES
  ('00000000-0000-4000-8000-000000000001', '00000000-0000-4000-8000-0000000000b1', 'extract', 'etl', '{"projectId": 7}'),
  ('00000000-0000-4000-8000-000000000002', '00000000-0000-4000-8000-0000000000b1', 'load',    'etl', '{"projectId": 7}'),
  ('00000000-0000-4000-8000-000000000003', '00000000-0000-4000-8000-0000000000b1', 'report',  'etl', '{"projectId": 7}');
INSERT INTO taskrunner.action (task_id, trigger, params)
  SELECT id, 'Start', jsonb_build_object('url', 'https://jobs.example.com/' || name, 'verb', 'Post')
  FROM taskrunner.task WHERE batch_id = '00000000-0000-4000-8000-0000000000b1';
INSERT INTO taskrunner.link (parent_id, child_id, requires_success) VALUES
  ('00000000-0000-4000-8000-000000000001', '00000000-0000-4000-8000-000000000002', true),
  ('00000000-0000-4000-8000-000000000001', '00000000-0000-4000-8000-000000000003', false),
  ('00000000-0000-4000-8000-000000000002', '00000000-0000-4000-8000-000000000003', true);
`

// exampleSubmit is the second example.
const exampleSubmit = `
SELECT * FROM taskrunner.submit_batch('{"name": "nightly", "dead_end_cancel": true, "tasks": [
  {"id": "b", "name": "load", "kind": "etl", "retry": {"max_attempts": 3},
   "on_start": {"kind": "Webhook", "params": {"url": "https://jobs.example.com/load", "verb": "Post"}},
   "dependencies": [{"id": "a", "requires_success": true}]},
  {"id": "a", "name": "extract", "kind": "etl",
   "on_start": {"kind": "Webhook", "params": {"url": "https://jobs.example.com/extract", "verb": "Post"}}}]}');`

const exampleStates = "SELECT name || ' ' || status || ' ' || wait_finished || '/' || wait_success FROM taskrunner.task ORDER BY seq"

// script runs statements as psql does, all in one go.
func (s *session) script(sql string) {
	s.e.t.Helper()
	_, err := s.PgConn().Exec(s.e.t.Context(), sql).ReadAll()
	require.NoError(s.e.t, err, "%s: %s", s.name, sql)
}

func TestExampleByInsert(t *testing.T) {
	t.Parallel()
	e := setup(t)
	producer := e.sessionAs("producer", e.Login(t, "taskrunner_producer"))
	worker := e.sessionAs("worker", e.Login(t, "taskrunner_worker"))
	admin := e.sessionAs("admin", e.Login(t, "taskrunner_admin"))

	producer.script(exampleDiamond)
	require.Empty(t, worker.run(exampleStates), "nothing is visible to workers before COMMIT")
	require.Empty(t, e.claim("replica", 10))
	producer.script("COMMIT")
	require.Equal(t, []string{"extract Pending 0/0", "load Waiting 1/1", "report Waiting 2/1"}, worker.run(exampleStates))
	e.action2("00000000-0000-4000-8000-000000000001", "extracted")

	// Only extract can be claimed.
	require.Equal(t, []string{"extract"}, e.claim("replica", 10))
	require.Empty(t, e.claim("replica", 10))
	worker.run("UPDATE taskrunner.task SET status = 'Running' WHERE name = 'extract' AND status = 'Claimed'")

	tag, err := worker.Exec(t.Context(), "UPDATE taskrunner.task SET status = 'Success' WHERE name = 'extract' AND status = 'Running'")
	require.NoError(t, err)
	require.EqualValues(t, 1, tag.RowsAffected())
	require.Equal(t, []string{"extract Success 0/0", "load Pending 0/0", "report Waiting 1/1"}, admin.run(exampleStates))
	require.Equal(t, []string{"End|Success|00000000-0000-4000-8000-000000000001:end:success|Pending"},
		admin.run("SELECT trigger, condition, idempotency_key, status FROM taskrunner.delivery"), "on_success deliveries are queued")

	require.Equal(t, []string{"00000000-0000-4000-8000-000000000002|Paused"},
		producer.run("SELECT id, status FROM taskrunner.pause_task('00000000-0000-4000-8000-000000000002')"))
	require.Empty(t, e.claim("replica", 10), "a paused task is never started")
	require.Equal(t, []string{"00000000-0000-4000-8000-000000000002|Pending"},
		producer.run("SELECT id, status FROM taskrunner.resume_task('00000000-0000-4000-8000-000000000002')"))

	tag, err = admin.Exec(t.Context(), "UPDATE taskrunner.task SET status = 'Canceled' WHERE kind = 'etl' AND status IN ('Waiting', 'Pending')")
	require.NoError(t, err)
	require.EqualValues(t, 2, tag.RowsAffected())
	require.Equal(t, []string{"load|Canceled|Canceled", "report|Canceled|Canceled"},
		admin.run("SELECT name, status, failure_reason FROM taskrunner.task WHERE name <> 'extract' ORDER BY seq"))

	_, err = worker.try("UPDATE taskrunner.task SET status = 'Running' WHERE id = '00000000-0000-4000-8000-000000000003'")
	pgErr := requireCode(t, err, "TR001")
	require.Equal(t, "task 00000000-0000-4000-8000-000000000003: illegal transition Canceled -> Running", pgErr.Message)
	require.Equal(t, "Canceled", pgErr.Detail)
}

// action2 adds an on_success action to a task by its id.
func (e *engine) action2(taskID, path string) {
	e.t.Helper()
	e.exec(strings.Replace(insertAction("", "Success", path), id(""), taskID, 1))
}

func TestExampleBySubmitBatch(t *testing.T) {
	t.Parallel()
	e := setup(t)
	producer := e.sessionAs("producer", e.Login(t, "taskrunner_producer"))
	rows := producer.run(exampleSubmit)
	require.Len(t, rows, 2)
	load, extract := strings.Split(rows[0], "|"), strings.Split(rows[1], "|")
	require.Equal(t, []string{"b", "Waiting", "f"}, []string{load[0], load[3], load[4]})
	require.Equal(t, []string{"a", "Pending", "f"}, []string{extract[0], extract[3], extract[4]})
	require.Equal(t, load[2], extract[2], "one batch")

	require.Equal(t, []string{"load Waiting 1/1", "extract Pending 0/0"}, producer.run(exampleStates), "array order is insertion order")
	require.Equal(t, []string{"nightly|t|null"}, producer.run("SELECT name, dead_end_cancel, metadata FROM taskrunner.batch WHERE id = $1", load[2]))
	require.Equal(t, []string{extract[1] + "|" + load[1] + "|t"}, producer.run("SELECT * FROM taskrunner.link"))
	require.Equal(t, []string{"extract"}, e.claim("replica", 10))
}

// The examples by roles that lack the right.
func TestExamplesWithoutTheRight(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.tasks("a")
	for role, statements := range map[string][]string{
		"": {"select * from taskrunner.task"},
		"taskrunner_reader": {
			insertTasks("b"), set("Canceled", "a"), exampleSubmit, "select taskrunner.cancel_task('" + id("a") + "')",
			"select taskrunner.pause_task('" + id("a") + "')", "select * from taskrunner.action",
		},
		"taskrunner_worker": {
			insertTasks("b"), exampleSubmit, "select taskrunner.cancel_task('" + id("a") + "')",
			"select * from taskrunner.action", "delete from taskrunner.task", "update taskrunner.task set priority = 1",
		},
		"taskrunner_producer": {
			set("Canceled", "a"), "select taskrunner.finish_task('" + id("a") + "', 'Success')",
			"select * from taskrunner.action", "delete from taskrunner.task",
		},
		"taskrunner_admin": {
			"update taskrunner.task set wait_finished = 0", "update taskrunner.task set rank = 1", "delete from taskrunner.link",
			"update taskrunner.batch set name = 'x'", "select * from taskrunner_private.queued_task",
		},
		"taskrunner_service": {
			insertTasks("b"), set("Canceled", "a"), "delete from taskrunner.task", "select * from taskrunner_private.secret",
			"update taskrunner_private.queued_task set priority = 1", "select * from taskrunner.check_invariants()",
		},
	} {
		s := e.sessionAs(role, e.Login(t, role))
		for _, statement := range statements {
			_, err := s.try(statement)
			var pgErr *pgconn.PgError
			require.ErrorAs(t, err, &pgErr, "%s: %s", role, statement)
			require.Equal(t, "42501", pgErr.Code, "%s: %s: %s", role, statement, pgErr.Message)
		}
	}
	e.requireStates("a: Pending 0/0")
}

// A large graph by SQL takes as long as one over HTTP: its local ids are looked up by hash. In pairs of all entries this would
// take minutes.
func TestLargeGraphBySubmitBatch(t *testing.T) {
	t.Parallel()
	const tasks = 20_000
	e := setup(t)
	s := e.session("producer")
	s.run("set statement_timeout = '1min'")
	require.Equal(t, []string{strconv.Itoa(tasks)}, s.run(`select count(*) from taskrunner.submit_batch((
		select jsonb_agg(jsonb_build_object('id', n::text, 'name', 'n', 'kind', 'k',
			'on_start', '{"kind": "Webhook", "params": {"url": "https://jobs.example.com/", "verb": "Post"}}'::jsonb,
			'dependencies', case when n > 1 then jsonb_build_array(jsonb_build_object('id', (n / 2)::text, 'requires_success', true)) end))
		from generate_series(1, $1::integer) n))`, tasks))
}
