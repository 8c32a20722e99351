package sqltest

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// requireDetails requires that the error lists its faults as a JSON array of texts, the first about this field.
func requireDetails(t *testing.T, detail, field string) {
	t.Helper()
	var details []string
	require.NoError(t, json.Unmarshal([]byte(detail), &details), "DETAIL is the list: %s", detail)
	require.NotEmpty(t, details)
	require.True(t, strings.HasPrefix(details[0], field), "%s: %s", field, details[0])
}

// nested is an SQL literal of a JSON value inside so many arrays.
func nested(depth int) string {
	return "'" + strings.Repeat("[", depth) + "1" + strings.Repeat("]", depth) + "'"
}

// What a client cannot put into a new row, by SQLSTATE.
func TestInsertGuards(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.exec("insert into taskrunner.batch (id) values ($1)", id("b"))
	e.tasks("t")
	task := func(column, value string) string {
		columns := map[string]string{"id": "'" + id("new") + "'", "name": "'n'", "kind": "'k'", column: value}
		var names, values []string
		for _, name := range []string{"id", "name", "kind", column} {
			if v, ok := columns[name]; ok {
				names, values = append(names, name), append(values, v)
				delete(columns, name)
			}
		}
		return fmt.Sprintf("insert into taskrunner.task (%s) values (%s)", strings.Join(names, ", "), strings.Join(values, ", "))
	}
	batch := func(column, value string) string {
		return fmt.Sprintf("insert into taskrunner.batch (%s) values (%s)", column, value)
	}
	action := func(params string) string {
		return fmt.Sprintf("insert into taskrunner.action (task_id, trigger, params) values ('%s', 'Start', '%s')", id("t"), params)
	}
	header := func(name, value string) string {
		text, err := json.Marshal(map[string]any{"url": "http://x/", "verb": "Get", "headers": map[string]string{name: value}})
		require.NoError(t, err)
		return strings.ReplaceAll(string(text), "'", "''")
	}
	long := func(n int) string { return "repeat('ä', " + fmt.Sprint(n) + ")" }
	json64 := func(n int) string { return fmt.Sprintf("to_jsonb(repeat('x', %d))", n) }

	for _, tc := range []struct{ code, field, sql string }{
		// Columns that the engine writes.
		{"TR001", "", task("status", "'Claimed'")},
		{"TR001", "", task("status", "'Running'")},
		{"TR001", "", task("status", "'Success'")},
		{"TR001", "", task("status", "'Failure'")},
		{"TR001", "", task("status", "'Paused'")},
		{"TR001", "", task("status", "'Canceled'")},
		{"TR001", "", task("created_at", "'2020-01-01'")},
		{"TR001", "", task("last_updated", "'2020-01-01'")},
		{"TR001", "", task("started_at", "now()")},
		{"TR001", "", task("ended_at", "now()")},
		{"TR001", "", task("success", "1")},
		{"TR001", "", task("failures", "1")},
		{"TR001", "", task("wait_finished", "1")},
		{"TR001", "", task("wait_success", "1")},
		{"TR001", "", task("attempt", "2")},
		{"TR001", "", task("paused_from", "'Running'")},
		{"TR001", "", task("failure_reason", "'x'")},
		{"TR001", "", task("contacted", "true")},
		{"428C9", "", task("seq", "1")},
		{"TR001", "", batch("created_at", "'2020-01-01'")},
		{"428C9", "", batch("seq", "1")},
		{"TR001", "", "insert into taskrunner.action (task_id, trigger, params, attempt) values ('" + id("t") + `', 'Cancel', '{"url": "http://x/", "verb": "Get"}', 1)`},
		// Rules.
		{"TR004", "rules", task("rules", "'{}'")},
		{"TR004", "rules", task("rules", "'null'")},
		{"TR004", "rules", task("rules", "null")},
		// Limits.
		{"TR006", "name", task("name", long(256))},
		{"TR006", "kind", task("kind", long(101))},
		{"TR006", "timeout", task("timeout", "0")},
		{"TR006", "timeout", task("timeout", "86401")},
		{"TR006", "priority", task("priority", "1001")},
		{"TR006", "priority", task("priority", "-1001")},
		{"TR006", "expected_count", task("expected_count", "-1")},
		{"TR006", "metadata", task("metadata", json64(131_071))}, // and two quotes
		{"TR006", "max_attempts", task("max_attempts", "0")},
		{"TR006", "max_attempts", task("max_attempts", "101")},
		{"TR006", "max_attempts", task("max_attempts", "null")},
		{"TR006", "retry_initial_delay_secs", task("retry_initial_delay_secs", "-1")},
		{"TR006", "retry_initial_delay_secs", task("retry_initial_delay_secs", "86401")},
		{"TR006", "retry_initial_delay_secs", task("retry_initial_delay_secs", "'NaN'")},
		{"TR006", "retry_multiplier", task("retry_multiplier", "0.5")},
		{"TR006", "retry_multiplier", task("retry_multiplier", "101")},
		{"TR006", "retry_multiplier", task("retry_multiplier", "'NaN'")},
		{"TR006", "retry_max_delay_secs", task("retry_max_delay_secs", "4")},
		{"TR006", "retry_max_delay_secs", task("retry_max_delay_secs", "86401")},
		{"TR006", "retry_max_delay_secs", task("retry_max_delay_secs", "'Infinity'")},
		{"TR006", "name", batch("name", long(256))},
		{"TR006", "metadata", batch("metadata", json64(131_071))},
		{"TR006", "params: headers", action(header("X-Long", strings.Repeat("x", 8193)))},
		{"TR006", "params: headers", action(header("X-"+strings.Repeat("y", 256), "v"))},
		{"TR006", "metadata", task("metadata", nested(1001))},
		{"TR006", "metadata", batch("metadata", nested(1001))},
		{"TR006", "params", action(`{"url": "http://x/", "verb": "Get", "body": ` + strings.Trim(nested(1001), "'") + `}`)},
		// Everything else that is wrong.
		{"TR007", "name", task("name", "''")},
		{"TR007", "name", task("name", `E' \t\n\u00a0\u2003\u3000'`)},
		{"TR007", "name", task("name", "null")},
		{"TR007", "kind", task("kind", "' '")},
		{"TR007", "name", batch("name", "' '")},
		{"TR007", "params", action(`{"verb": "Get"}`)},
		{"TR007", "params", action(`{"url": "http://x/"}`)},
		{"TR007", "params", action(`{"url": null, "verb": "Get"}`)},
		{"TR007", "params", action(`{"url": 7, "verb": "Get"}`)},
		{"TR007", "params", action(`{"url": "x", "verb": "Get"}`)},
		{"TR007", "params", action(`{"url": "ftp://x/", "verb": "Get"}`)},
		{"TR007", "params", action(`{"url": "http://", "verb": "Get"}`)},
		{"TR007", "params", action(`{"url": "http://x/ y", "verb": "Get"}`)},
		{"TR007", "params", action(`{"url": "http://x/\ny", "verb": "Get"}`)},
		{"TR007", "params", action(`{"url": "http://x:65536/", "verb": "Get"}`)},
		{"TR007", "params", action(`{"url": "http://x:99999/", "verb": "Get"}`)},
		{"TR007", "params", action(`{"url": "http://x:8x/", "verb": "Get"}`)},
		{"TR007", "params", action(`{"url": "http://:80/", "verb": "Get"}`)},
		{"TR007", "params", action(`{"url": "http://u@/", "verb": "Get"}`)},
		{"TR007", "params", action(`{"url": "http://[::1%25eth0]/", "verb": "Get"}`)},
		{"TR007", "params", action(`{"url": "http://[::1]:65536/", "verb": "Get"}`)},
		{"TR007", "params", action(`{"url": "http://[x]/", "verb": "Get"}`)},
		{"TR007", "params", action(`{"url": "http://::1/", "verb": "Get"}`)},
		{"TR007", "params", action(`{"url": "http://x\\y/", "verb": "Get"}`)},
		{"TR007", "params", action(`{"url": "http://x\u0001/", "verb": "Get"}`)},
		{"TR007", "params", action(`{"url": "http://x/\u0001", "verb": "Get"}`)},
		{"TR007", "params", action(`{"url": "http://x/", "verb": "get"}`)},
		{"TR007", "params", action(`{"url": "http://x/", "verb": "Head"}`)},
		{"TR007", "params", action(`{"url": "http://x/", "verb": ["Get"]}`)},
		{"TR007", "params", action(`{"url": "http://x/", "verb": "Get", "headers": []}`)},
		{"TR007", "params", action(`{"url": "http://x/", "verb": "Get", "headers": {"A": 1}}`)},
		{"TR007", "params", action(header("A b", "x"))},
		{"TR007", "params", action(header("A:", "x"))},
		{"TR007", "params", action(header("", "x"))},
		{"TR007", "params", action(header("X", "a\r\nb"))},
		{"TR007", "params", action(header("X", "a\x7f"))},
		{"TR007", "params", action(header("IDEMPOTENCY-key", "x"))},
		{"TR007", "params", action(header("x-task-id", "x"))},
		{"TR007", "params", action(header("X-Task-Trigger", "x"))},
		{"TR007", "params", action(header("X-Task-Attempt", "x"))},
		{"TR007", "params", action(header("X-Batch-Id", "x"))},
		{"TR007", "params", action(header("User-Agent", "x"))},
		{"TR007", "params", action(header("Webhook-Id", "x"))},
		{"TR007", "params", action(header("webhook-timestamp", "x"))},
		{"TR007", "params", action(header("webhook-signature", "x"))},
		{"TR007", "params", action(header("Host", "x"))},
		{"TR007", "params", action(header("Content-Length", "1"))},
		{"TR007", "params", action(header("Transfer-Encoding", "x"))},
		{"TR007", "params", action(header("Connection", "x"))},
		{"TR007", "params", action(`[]`)},
		{"TR004", "rules[0].max_concurency", task("rules", `'[{"type": "Concurency", "max_concurency": 0, "matcher": {"status": "Running", "kind": "k", "fields": []}}]'`)},
		{"TR004", "rules[0].matcher.fields", task("rules", `'[{"type": "Concurency", "max_concurency": 1, "matcher": {"status": "Running", "kind": "k", "fields": ["x"]}}]'`)},
		{"TR004", "expected_count", task("rules", `'[{"type": "Capacity", "max_capacity": 1, "matcher": {"status": "Running", "kind": "k", "fields": []}}]'`)},
		// Standard codes where the contract has no other.
		{"23503", "", task("batch_id", "'"+id("no batch")+"'")},
		{"23505", "", task("id", "'"+id("t")+"'")},
	} {
		pgErr := e.fails(tc.code, tc.sql)
		if tc.field != "" {
			requireDetails(t, pgErr.Detail, tc.field)
		}
		if strings.HasPrefix(tc.sql, "insert into taskrunner.task") && tc.code[:2] == "TR" {
			require.Contains(t, pgErr.Message, "task "+id("new")+":", "messages name the task")
		}
	}
	e.requireStates("t: Pending 0/0")
	require.Equal(t, "1|1|0", e.line("select (select count(*) from taskrunner.task), (select count(*) from taskrunner.batch), (select count(*) from taskrunner.action)"))

	// At the limits everything passes.
	for _, sql := range []string{
		task("name", long(255)), task("kind", long(100)), task("timeout", "1"), task("timeout", "86400"), task("priority", "1000"),
		task("priority", "-1000"), task("expected_count", "0"), task("expected_count", "9223372036854775807"),
		task("metadata", json64(131_070)), task("status", "'Waiting'"), task("status", "'Pending'"), task("rules", "'[]'"),
		task("max_attempts", "100"), task("run_at", "now() + interval '1 hour'"), task("run_at", "'-infinity'"), task("run_at", "'infinity'"),
		task("retry_multiplier", "100"), task("retry_max_delay_secs", "5"), task("dead_end_barrier", "true"),
		task("batch_id", "'"+id("b")+"'"), batch("name", long(255)), batch("name", "null"), batch("dead_end_cancel", "false"), batch("dead_end_cancel", "true"),
		batch("metadata", json64(131_070)), action(header("Content-Type", "text/plain")), action(`{"url": "HTTP://x", "verb": "Put", "headers": null, "body": [1], "more": 1}`),
		action(`{"url": "http://x:65535/", "verb": "Get"}`), action(`{"url": "https://u:p@[::1]:8080/", "verb": "Get"}`),
	} {
		e.exec("begin; " + sql + "; rollback")
	}
	e.exec(task("status", "'Waiting'"))
	require.Equal(t, "Pending 0/0", e.state("new"), "Waiting makes no difference")
}

// What a client cannot change on a task, whatever its rights.
func TestProtectedColumns(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.exec("insert into taskrunner.batch (id) values ($1)", id("b"))
	e.tasks("running", "ended")
	e.move("running", "Claimed", "Running")
	e.move("ended", "Claimed", "Success")
	e.exec("update taskrunner.task set success = 5, failures = 5")
	for column, value := range map[string]string{
		"id": "'" + id("x") + "'", "rank": "0", "batch_id": "'" + id("b") + "'", "name": "'x'", "kind": "'x'", "created_at": "'2020-01-01'",
		"started_at": "'2020-01-01'", "ended_at": "'2020-01-01'", "attempt": "2", "max_attempts": "2", "retry_initial_delay_secs": "1",
		"retry_multiplier": "1", "retry_max_delay_secs": "100", "wait_finished": "1", "wait_success": "1", "paused_from": "'Waiting'",
		"contacted": "false", "dead_end_barrier": "true", "success": "success - 1", "failures": "0",
	} {
		for task, status := range map[string]string{"running": "Running", "ended": "Success"} {
			pgErr := e.fails("TR001", fmt.Sprintf("update taskrunner.task set %s = %s where id = '%s'", column, value, id(task)))
			require.Equal(t, status, pgErr.Detail, column)
			require.Contains(t, pgErr.Message, id(task))
		}
	}
	e.fails("428C9", "update taskrunner.task set seq = 1 where id = $1", id("running"))
	require.Equal(t, "Running", e.fails("TR001", "update taskrunner.task set failure_reason = 'x' where id = $1", id("running")).Detail)

	// An ended task: only its counters grow, and an admin may set last_updated.
	for column, value := range map[string]string{
		"metadata": "'{}'", "expected_count": "9", "priority": "9", "timeout": "9", "run_at": "now()", "failure_reason": "'x'",
	} {
		require.Equal(t, "Success", e.fails("TR001", fmt.Sprintf("update taskrunner.task set %s = %s where id = '%s'", column, value, id("ended"))).Detail, column)
	}
	before := e.row("ended")
	e.exec("update taskrunner.task set success = 6 where id = $1", id("ended"))
	require.Equal(t, []string{"last_updated", "success"}, changed(before, e.row("ended")))
	before = e.row("ended")
	e.exec("update taskrunner.task set last_updated = '2020-01-01' where id = $1", id("ended"))
	require.Equal(t, []string{"last_updated"}, changed(before, e.row("ended")))

	// Limits hold for changes too.
	for field, sql := range map[string]string{
		"timeout": "timeout = 0", "priority": "priority = 1001", "expected_count": "expected_count = -1", "metadata": "metadata = to_jsonb(repeat('x', 131071))",
	} {
		requireDetails(t, e.fails("TR006", "update taskrunner.task set "+sql+" where id = $1", id("running")).Detail, field)
	}
	requireDetails(t, e.fails("TR004", "update taskrunner.task set rules = '{}' where id = $1", id("running")).Detail, "rules")
	requireDetails(t, e.fails("TR004", "update taskrunner.task set rules = '[{}]' where id = $1", id("running")).Detail, "rules[0].type")
	for counter, sqlstate := range map[string]string{"success": "22003", "failures": "22003"} {
		e.fails(sqlstate, "update taskrunner.task set "+counter+" = "+counter+" + 9223372036854775807 where id = $1", id("running"))
	}

	// A change of what a task reports is a sign of life; of what it is to be, none.
	for sql, wants := range map[string][]string{
		"success = success + 1":  {"last_updated", "success"},
		"metadata = '{\"a\":1}'": {"last_updated", "metadata"},
		"timeout = 99":           {"timeout"},
		"name = name":            {},
	} {
		before = e.row("running")
		e.exec("update taskrunner.task set "+sql+" where id = $1", id("running"))
		require.Equal(t, wants, changed(before, e.row("running")), sql)
	}
}

// Only ended tasks and empty batches can be deleted, and what belongs to a task goes with it.
func TestDelete(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.batch("b", "p", "t", "c")
	e.links("p>t", "t?c")
	e.action("t", "Success", "x")
	admin := e.sessionAs("admin", e.Login(t, "taskrunner_admin"))
	for _, step := range []string{"", "Claimed", "Running", "Paused"} {
		if step != "" {
			e.move("p", step)
		}
		_, err := admin.try("delete from taskrunner.task where id = $1", id("p"))
		requireCode(t, err, "TR001")
	}
	e.move("p", "Success")
	e.move("t", "Claimed", "Success")
	require.Equal(t, []string{"end:success x Pending"}, e.deliveries("t"))
	_, err := admin.try("delete from taskrunner.batch where id = $1", id("b"))
	requireCode(t, err, "23503")
	for _, table := range []string{"link", "action"} {
		requireCode(t, e.tryExec("delete from taskrunner."+table), "TR001", table)
	}
	requireCode(t, e.tryExec("update taskrunner.link set requires_success = false"), "TR001")
	requireCode(t, e.tryExec("update taskrunner.link set parent_id = $1", id("c")), "TR001")
	requireCode(t, e.tryExec("update taskrunner.action set position = 7"), "TR001")

	admin.run("delete from taskrunner.task where id = $1", id("t"))
	require.Equal(t, "0|0|0|0|0", e.line(`select (select count(*) from taskrunner.link), (select count(*) from taskrunner.action),
		(select count(*) from taskrunner_private.delivery), (select count(*) from taskrunner_private.due_delivery),
		(select count(*) from taskrunner_private.ended_task where task_id = $1)`, id("t")))
	e.requireStates("c: Pending 0/0")
	e.move("c", "Canceled")
	admin.run("delete from taskrunner.task")
	admin.run("delete from taskrunner.batch")
	require.Equal(t, "0", e.line("select count(*) from taskrunner.batch"))
}

// tryExec runs a statement as superuser.
func (e *engine) tryExec(sql string, args ...any) error {
	e.t.Helper()
	_, err := lines(e.t.Context(), e.Pool, sql, args...)
	return err
}

// run_at is a time before which nobody starts a task.
func TestRunAt(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.tasks("t")
	admin := e.sessionAs("admin", e.Login(t, "taskrunner_admin"))
	admin.run("update taskrunner.task set run_at = now() + interval '1 hour'")
	require.Equal(t, "scheduled", e.line("select state from taskrunner_private.queued_task"))
	requireCode(t, e.tryExec(set("Claimed", "t")), "TR008")
	require.Empty(t, e.claim("r", 1))
	require.Equal(t, "0", e.line("select taskrunner_private.release_scheduled(10)"))

	// Pause and resume keep it; it outlives both.
	e.move("t", "Paused", "Pending")
	require.Equal(t, "scheduled", e.line("select state from taskrunner_private.queued_task"))

	admin.run("update taskrunner.task set run_at = now() - interval '1 second'")
	require.Equal(t, "ready", e.line("select state from taskrunner_private.queued_task"))
	e.exec("update taskrunner_private.queued_task set state = 'scheduled'") // as if its time had come by itself
	require.Equal(t, "1", e.line("select taskrunner_private.release_scheduled(10)"))
	require.Equal(t, []string{"t"}, e.claim("r", 1))
}

// Status changes and links to tasks that existed before need READ COMMITTED; nothing else does.
func TestIsolation(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.batch("b", "t", "old", "paused")
	e.move("t", "Claimed", "Running")
	e.move("paused", "Paused")
	for _, level := range []string{"repeatable read", "serializable"} {
		s := e.session(level)
		for _, sql := range []string{
			set("Success", "t"), set("Paused", "old"), set("Canceled", "old"), set("Claimed", "old"),
			"select taskrunner.finish_task('" + id("t") + "', 'Success')", "select taskrunner.cancel_task('" + id("t") + "')",
			"select taskrunner.pause_task('" + id("t") + "')", "select taskrunner.resume_task('" + id("paused") + "')",
			"select taskrunner.stop_batch('" + id("b") + "')",
			"select taskrunner_private.claim_tasks('" + id("r") + "', 1, 30, '{}', '{}', true)",
			"select taskrunner_private.start_tasks('[]')",
			insertTasks("new") + ";" + insertLinks("old>new"),
			insertLinks("old>t"),
		} {
			s.script("begin isolation level " + level)
			_, err := s.PgConn().Exec(t.Context(), sql).ReadAll()
			requireCode(t, err, "TR009", level, sql)
			s.script("rollback")
		}
		for _, sql := range []string{
			insertTasks("p", "c", "d") + ";" + insertLinks("p>c", "c>d"),
			"update taskrunner.task set priority = 3, metadata = '{}', success = success + 1",
			"select taskrunner.add_progress('" + id("t") + "', 1, 1)",
			exampleSubmit,
			insertAction("old", "Start", "x"),
		} {
			s.script("begin isolation level " + level + ";" + sql)
			require.Empty(t, s.run("select * from taskrunner.check_invariants()"))
			s.script("rollback")
		}
	}
	e.requireStates("t: Running 0/0", "old: Pending 0/0", "paused: Paused 0/0 from Pending")
}

// A timeout is judged by last_updated and timeout as they are, also when an admin sets them back.
func TestTimeout(t *testing.T) {
	t.Parallel()
	e := setup(t)
	for _, name := range []string{"lives", "set back", "shortened", "paused", "resumed"} {
		e.claimed(name, "r")
		e.started(name)
	}
	require.Equal(t, "0|0|0", e.line(sweepActive), "nothing is due")
	admin := e.sessionAs("admin", e.Login(t, "taskrunner_admin"))
	back := "update taskrunner.task set last_updated = now() - interval '50 seconds' where name = $1"
	admin.run(strings.Replace(back, "50", "61", 1), "set back")
	require.Equal(t, "1|0|1", e.line(sweepActive))
	e.requireStates("set back: Failure 0/0", "lives: Running 0/0")
	require.Equal(t, "Timeout", e.reason("set back"))

	admin.run(back, "shortened")
	require.Equal(t, "0", e.line("select timed_out from taskrunner_private.sweep_active(100, 30)"))
	admin.run("update taskrunner.task set timeout = 40 where name = 'shortened'")
	require.Equal(t, "1", e.line("select timed_out from taskrunner_private.sweep_active(100, 30)"))

	// A sign of life restarts it.
	admin.run(strings.Replace(back, "50", "61", 1), "lives")
	e.exec("select taskrunner.add_progress($1, 1, 0)", id("lives"))
	require.Equal(t, "0|0|1", e.line(sweepActive))
	require.Equal(t, "t", e.line("select due_at > now() + interval '55 seconds' from taskrunner_private.active_task where task_id = $1", id("lives")))

	// A paused task never times out; a resumed one has a full timeout before it.
	e.move("paused", "Paused")
	e.move("resumed", "Paused")
	admin.run(strings.Replace(back, "50", "6100", 1), "paused")
	admin.run(strings.Replace(back, "50", "6100", 1), "resumed")
	require.Equal(t, "0", e.line("select timed_out from taskrunner_private.sweep_active(100, 30)"))
	e.move("resumed", "Running")
	require.Equal(t, "0", e.line("select timed_out from taskrunner_private.sweep_active(100, 30)"))
	require.Equal(t, "t", e.line("select due_at > now() + interval '50 seconds' and due_at < now() + interval '61 seconds' from taskrunner_private.active_task where task_id = $1", id("resumed")))
	e.requireStates("paused: Paused 0/0 from Running", "resumed: Running 0/0", "lives: Running 0/0")
}

// What a URL shows: no password, however its user is named, and no value of a parameter whose name may say secret.
func TestURLsAreMasked(t *testing.T) {
	t.Parallel()
	e := setup(t)
	for url, want := range map[string]string{
		"http://u:p@h/x":                   "http://u:***@h/x",
		"http://bob@corp.example:p@h:80/x": "http://bob@corp.example:***@h:80/x",
		"http://u:p:q@r@h/":                "http://u:***@h/",
		"http://h:80/x@y":                  "http://h:80/x@y",
		"http://user@h:80/x":               "http://user@h:80/x",
		"http://h/?a=1&api_TOKEN=s&b=2":    "http://h/?a=1&api_TOKEN=***&b=2",
		"http://h/?a=1;token=s;b=2":        "http://h/?a=1;token=***",
		"http://h/?tok%65n=s&%41b=t":       "http://h/?tok%65n=***&%41b=***",
		"http://h/?cookie=s&cookies=t":     "http://h/?cookie=***&cookies=t",
	} {
		e.exec("insert into taskrunner.task (name, kind) values ($1, 'masked')", url)
		e.exec(`insert into taskrunner.action (task_id, trigger, params)
			select id, 'Start', jsonb_build_object('url', name, 'verb', 'Get') from taskrunner.task where name = $1`, url)
		require.Equal(t, want, e.line(`select a.params ->> 'url' from taskrunner.action_masked a
			join taskrunner.task t on t.id = a.task_id where t.name = $1`, url))
	}
}

// What is wrong with progress is told as PUT tells it, every fault.
func TestWrongProgress(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.tasks("a")
	const nothing = `["new_success: at least one of new_success and new_failures must be positive"]`
	for counters, detail := range map[string]string{
		"0, 0":       nothing,
		"null, 0":    nothing,
		"null, null": nothing,
		"-1, 0":      `["new_success: must be at least 0"]`,
		"-1, null":   `["new_success: must be at least 0"]`,
		"5, -1":      `["new_failures: must be at least 0"]`,
		"-1, -1":     `["new_success: must be at least 0", "new_failures: must be at least 0"]`,
	} {
		require.Equal(t, detail, e.fails("TR007", "select taskrunner.add_progress('"+id("a")+"', "+counters+")").Detail, counters)
	}
	e.exec("select taskrunner.add_progress($1, null, 1)", id("a"))
}
