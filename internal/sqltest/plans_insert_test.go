package sqltest

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// Tasks and their actions in one statement cost the same for each, however many have ended, and although statistics call the queue empty.
func TestInsertBesideEndedTasks(t *testing.T) {
	t.Parallel()
	e := setup(t)
	const tasks = 15_000 // squared they take minutes
	e.exec(`begin;
		set local session_replication_role = replica;
		insert into taskrunner.task (name, kind, status, started_at, ended_at) select 'ended', 'k', 'Success', now(), now() from generate_series(1, 50000);
		insert into taskrunner_private.ended_task (task_id, seq, created_at, ended_at, status, kind)
			select id, seq, created_at, ended_at, status, kind from taskrunner.task;
		insert into taskrunner_private.queued_task (task_id, seq, created_at, priority, state, kind)
			select id, seq, created_at, priority, 'ready', kind from taskrunner.task;
		delete from taskrunner_private.queued_task;
		commit`)
	for _, table := range e.lines("select oid::regclass from pg_class where relnamespace::regnamespace::text ~ '^taskrunner' and relkind = 'r'") {
		e.exec("alter table " + table + " set (autovacuum_enabled = off)")
		e.exec("vacuum analyze " + table)
	}
	s := e.session("insert")
	for _, rules := range []string{"[]", `[{"type": "Concurency", "max_concurency": 1, "matcher": {"status": "Running", "kind": "k", "fields": ["key"]}}]`} {
		_, tooMuch := s.reading(4*tasks, fmt.Sprintf(`with created as (
				insert into taskrunner.task (name, kind, metadata, rules) select 'ready', 'k', '{"key": 1}', '%s' from generate_series(1, %d) returning id)
			insert into taskrunner.action (task_id, trigger, params)
				select id, 'Start', '{"url": "http://example.com/start", "verb": "Post"}' from created`, rules, tasks))
		require.Empty(t, tooMuch)
	}
	require.Equal(t, []string{fmt.Sprint(2 * tasks)}, e.lines("select count(*) from taskrunner_private.queued_task where host = 'example.com'"))
}
