package sqltest

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// Claims look tasks up one by one, although statistics say that no task is Pending, so that one look at all of them would do: they
// were taken while nothing waited, and many have come since.
func TestClaimsBesideEndedTasks(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.exec(`begin;
		set local session_replication_role = replica;
		insert into taskrunner.task (name, kind, status, started_at, ended_at) select 'ended', 'k', 'Success', now(), now() from generate_series(1, 30000);
		insert into taskrunner_private.ended_task (task_id, seq, created_at, ended_at, status, kind)
			select id, seq, created_at, ended_at, status, kind from taskrunner.task;
		commit`)
	e.withoutAutovacuum()
	e.exec("vacuum analyze taskrunner.task")
	e.counted("k", []string{})
	e.exec(`with created as (
			insert into taskrunner.task (name, kind, rules) select 'ready', 'k', case when n % 4 = 0 then
				'[{"type": "Concurency", "max_concurency": 1000, "matcher": {"status": "Running", "kind": "k", "fields": []}}]'::jsonb else '[]' end
			from generate_series(1, 8000) n returning id, seq)
		insert into taskrunner.action (task_id, trigger, params)
			select id, 'Start', jsonb_build_object('url', 'http://host-' || seq % 5 || '.example.com/start', 'verb', 'Post') from created;
		analyze taskrunner_private.queued_task`)
	e.alive("r")

	s := e.session("claim")
	for _, c := range []struct{ name, arguments, claimed string }{
		{"from the start", "'{}', '{}', true", "16"},
		{"behind a mark", "'{0}', '{0}', true", "16"},
		{"by host", "'{0}', '{0}', true, '{host-1.example.com,host-2.example.com}', '{0,5}', 3, true, ''", "14"},
	} {
		for range 7 { // five plans for the very values come first, then one for all
			s.script("begin")
			claimed, tooMuch := s.reading(most, fmt.Sprintf(
				"select count(*) from taskrunner_private.claim_tasks('%s', 16, 30, %s)", id("r"), c.arguments))
			s.script("commit")
			require.Equal(t, []string{c.claimed}, claimed, c.name)
			require.Empty(t, tooMuch, c.name)
		}
	}
}
