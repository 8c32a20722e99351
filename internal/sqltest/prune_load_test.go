package sqltest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// Two runs of retention that remove whatever has ended, and all who may come for it: requests that depend on old tasks or are left out
// because of them, links, reports, progress, stops, replays, settled deliveries, dead ends, removals by hand. No deadlock, no broken
// invariant (setup), and no error that could not be expected.
func TestPruneUnderLoad(t *testing.T) {
	t.Parallel()
	e := setup(t)
	const rounds, names = 60, 24
	e.exec("update taskrunner_private.server_setting set dead_end_cancel = true, webhook_max_attempts = 2")
	action := func(kind string) string {
		return `{"kind": "Webhook", "params": {"url": "https://hooks.example.com/` + kind + `", "verb": "Post"}}`
	}
	// Some graphs to begin with: two chains that meet.
	graph := func(extra string) string {
		return "select cardinality(task_ids) from taskrunner_private.submit(gen_random_uuid(), '[" +
			`{"id": "a", "name": "a", "kind": "k", "on_start": ` + action("s") + `, "on_success": [` + action("x") + `]` + extra + `},` +
			`{"id": "b", "name": "b", "kind": "k", "on_start": ` + action("s") + `, "on_failure": [` + action("f") + `], "dependencies": [{"id": "a", "requires_success": true}]},` +
			`{"id": "c", "name": "c", "kind": "l", "on_start": ` + action("s") + `, "on_cancel": [` + action("c") + `], "dependencies": [{"id": "a", "requires_success": false}]},` +
			`{"id": "d", "name": "d", "kind": "l", "on_start": ` + action("s") + `, "dependencies": [{"id": "b", "requires_success": true}, {"id": "c", "requires_success": false}]}` +
			"]')"
	}
	for range names {
		e.exec(graph(""))
	}
	// One of the tasks, batches or deliveries that are there, or were a moment ago.
	var mu sync.Mutex
	seen := map[string][]string{}
	some := func(s *session, sql string) (string, error) {
		found, err := s.try(sql + " order by random() limit 20")
		mu.Lock()
		defer mu.Unlock()
		seen[sql] = append(seen[sql], found...)
		if n := len(seen[sql]); n > 200 {
			seen[sql] = seen[sql][n-200:]
		}
		if err != nil || len(seen[sql]) == 0 {
			return "00000000-0000-0000-0000-000000000000", err
		}
		return seen[sql][rand.IntN(len(seen[sql]))], nil
	}
	const anyTask, endedTask, liveTask = "select id from taskrunner.task", "select task_id from taskrunner_private.ended_task",
		"select id from taskrunner.task where status in ('Pending', 'Waiting') and not contacted"
	call := func(of, sql string, allowed ...string) func(s *session) error {
		return func(s *session) error {
			id, err := some(s, of)
			if err != nil {
				return err
			}
			_, err = s.try(fmt.Sprintf(sql, id))
			if slices.Contains(allowed, codeOf(err)) {
				return nil
			}
			return err
		}
	}
	replica := id("replica")
	prune := func(limit int) func(s *session) error {
		var from any
		return func(s *session) error {
			rows, err := s.try("select next from taskrunner_private.prune(0, $1, $2::jsonb)", limit, from)
			if codeOf(err) == "55P03" {
				return nil
			} else if err != nil {
				return err
			}
			if from = nil; rows[0] != "" {
				from = rows[0]
			}
			return nil
		}
	}
	steps := []func(s *session) error{
		prune(7), prune(40),
		call(endedTask, graph(`, "dependencies": [{"task_id": "%s", "requires_success": false}]`), "40001", "TR002"),
		call(endedTask, graph(`, "metadata": {"of": "%s"}, "dedupe_strategy": [{"kind": "k", "status": "Success", "fields": []}, {"kind": "k", "status": "Canceled", "fields": []}]`), "40001"),
		call(endedTask, "insert into taskrunner.link (parent_id, child_id) select '%s', id from taskrunner.task where status = 'Waiting' limit 1", "23503", "23505", "TR001", "TR003", "40001"),
		call(anyTask, "update taskrunner.task set status = 'Claimed' where id = '%[1]s' and status = 'Pending'; select taskrunner.finish_task('%[1]s', (array['Success', 'Failure'])[1 + floor(random() * 2)::integer]::taskrunner.status_kind)", "TR001", "TR002", "40001"),
		call(anyTask, "select taskrunner.add_progress('%s', 1, 1)", "TR002"),
		call(liveTask, "select taskrunner.cancel_task('%s')", "TR001", "TR002", "40001"),
		call("select id from taskrunner.batch", "select * from taskrunner.stop_batch('%s')", "TR002", "40001"),
		call("select id from taskrunner.delivery where trigger <> 'Start'", "select taskrunner_private.replay_delivery('%s')", "TR001", "TR002"),
		func(s *session) error {
			_, err := s.try("select count(*) from taskrunner_private.drain_dead_ends(50)")
			return err
		},
		func(s *session) error {
			leased, err := s.try(`select coalesce(jsonb_agg(jsonb_build_object('delivery_id', c.delivery_id, 'number', c.number, 'leased_until', c.leased_until,
					'at', now(), 'latency_ms', 1, 'outcome', (array['delivered', 'delivered', 'failed', 'given_up'])[1 + floor(random() * 4)::integer])), '[]')
				from taskrunner_private.claim_deliveries($1, 20, 100, '-infinity', true) c`, replica)
			if err != nil {
				return err
			}
			_, err = s.try("select status from taskrunner_private.settle_deliveries($1::jsonb, 0, 1, 0)", leased[0])
			return err
		},
		call(endedTask, "delete from taskrunner.task where id = '%s'"),
	}
	var group sync.WaitGroup
	for i, step := range steps {
		s := e.session(fmt.Sprint("client ", i))
		group.Go(func() {
			for range rounds {
				if err := step(s); err != nil {
					t.Errorf("%s: %v", s.name, err)
				}
			}
		})
	}
	group.Wait()
	require.NotEqual(t, "0", e.line("select count(*) from taskrunner.task"))
	e.exec("select taskrunner.stop_batch(id) from taskrunner.batch; delete from taskrunner_private.dead_end_check")
	e.exec("select taskrunner_private.settle_deliveries(jsonb_agg(jsonb_build_object('delivery_id', id, 'number', tries + 1, 'outcome', 'delivered', 'at', now(), 'latency_ms', 1)), 1, 1, 1) from taskrunner_private.delivery where status = 'Pending'")
	e.prune(0, 100)
	require.Equal(t, "0", e.line("select (select count(*) from taskrunner.task) + (select count(*) from taskrunner.link) + (select count(*) from taskrunner.action) + (select count(*) from taskrunner_private.delivery)"))
}
