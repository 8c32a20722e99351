package sqltest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// Workers that claim and settle, people who replay one or many, and somebody who removes tasks, all at once. Whatever
// they do to each other: no deadlock, no broken invariant (setup), and none of them gets an error that he could not expect.
func TestReplayUnderLoad(t *testing.T) {
	t.Parallel()
	e := setup(t)
	const tasks, rounds = 12, 60
	e.exec("update taskrunner_private.server_setting set webhook_max_attempts = 2")
	for n := range tasks {
		task := fmt.Sprint("t", n)
		e.tasks(task)
		for action := range 4 {
			e.action(task, "Success", fmt.Sprintf("%s-%d", task, action))
		}
		e.move(task, "Claimed", "Success")
	}
	all := e.lines("select id from taskrunner.delivery order by id")
	// What a worker does, in a transaction each: it leases, calls, and settles.
	work := func(i int) func(s *session) error {
		return func(s *session) error {
			leased, err := s.try(fmt.Sprintf(`select coalesce(jsonb_agg(jsonb_build_object('delivery_id', c.delivery_id, 'number', c.number, 'leased_until', c.leased_until,
					'at', now(), 'latency_ms', 1, 'error', 'HTTP 500',
					'outcome', (array['delivered', 'failed', 'given_up'])[1 + floor(random() * 3)::integer])), '[]')
				from taskrunner_private.claim_deliveries('%s', 7, 100, '-infinity', true) c`, id(fmt.Sprint("replica", i))))
			if err != nil {
				return err
			}
			_, err = s.try("select status from taskrunner_private.settle_deliveries($1::jsonb, 0, 1, 0)", leased[0])
			return err
		}
	}
	call := func(next func() string, allowed ...string) func(s *session) error {
		return func(s *session) error {
			_, err := s.try(next())
			if slices.Contains(allowed, codeOf(err)) {
				return nil
			}
			return err
		}
	}
	one := call(func() string {
		return "select taskrunner_private.replay_delivery('" + all[rand.IntN(len(all))] + "')"
	}, "TR001", "TR002")
	var group sync.WaitGroup
	for i, step := range []func(s *session) error{
		work(0), work(1), one, one,
		call(func() string { return replayMany("Failed", 20) }),
		call(func() string { return replayMany("Delivered", 20, "host = 'hooks.example.com'", "to = now()") }),
		call(func() string {
			return "delete from taskrunner.task where id = '" + id(fmt.Sprint("t", 3+rand.IntN(tasks*4))) + "'" // the first three stay, so that something replayed is left to be seen
		}),
	} {
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
	require.NotEqual(t, "0", e.line("select count(*) from taskrunner_private.delivery where tries_before > 0"), "nothing was replayed")
}
