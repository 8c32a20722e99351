package modeltest

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/taskrunner/taskrunner/internal/task"
)

// What age moves into the past.
const (
	dueMoment   = "due_at"
	lastSign    = "last_updated"
	claimMoment = "claimed_at"
	runMoment   = "run_at"
)

// age lets time pass for one task. It writes past all triggers, as the owner.
type age struct {
	base
	task ref
	what string
	hit  bool
	at   string // the new claimed_at
}

func (o *age) run(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, "set local session_replication_role = replica")
	if err == nil {
		_, err = tx.Exec(ctx, "select from taskrunner.task where id = $1 for no key update", o.task.id)
	}
	if err != nil {
		return err
	}
	if o.what == runMoment {
		tag, err := tx.Exec(ctx, "update taskrunner.task set run_at = now() - interval '1 second' where id = $1 and run_at > now()", o.task.id)
		if err != nil {
			return err
		}
		o.hit = tag.RowsAffected() > 0
		_, err = tx.Exec(ctx, "update taskrunner_private.queued_task set run_at = now() - interval '1 second' where task_id = $1 and run_at > now()", o.task.id)
		return err
	}
	moved := map[bool]string{true: "1 day", false: "0"}[o.what == claimMoment]
	err = tx.QueryRow(ctx, `
		update taskrunner_private.active_task
		set due_at = now() - interval '1 second', claimed_at = claimed_at - $2::text::interval
		where task_id = $1 returning claimed_at::text`, o.task.id, moved).Scan(&o.at)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	o.hit = true
	if err == nil && o.what == lastSign {
		_, err = tx.Exec(ctx, "update taskrunner.task set last_updated = now() - interval '2 days' where id = $1", o.task.id)
	}
	return err
}

func (o *age) apply(m *model, _ observation) (verdict, error) {
	n := m.tasks[o.task.id]
	hit := n != nil && (o.what == runMoment && n.runAt == ahead || o.what != runMoment && n.active())
	if hit != o.hit {
		return nil, fmt.Errorf("%s of %s moved: %v, want %v", o.what, o.task, o.hit, hit)
	}
	if !hit {
		return nil, nil
	}
	switch o.what {
	case runMoment:
		n.runAt = past // its queue row still says scheduled
		return nil, nil
	case lastSign:
		n.silent = true
	case claimMoment:
		n.claim.at, n.claim.old = o.at, true
	}
	n.claim.due = true
	return nil, nil
}

func (o *age) String() string { return fmt.Sprintf("%s of %s passes", o.what, o.task) }

// Claim timeouts of sweeps, in seconds.
const (
	everyClaim = 0
	oldClaims  = 3600
	noClaim    = 30 * 86400
)

// sweep is the chore of timeouts and stale claims (contract 5.3, rows 8 and 13).
type sweep struct {
	base
	claimTimeout       int
	timedOut, requeued int
}

func (o *sweep) run(ctx context.Context, tx pgx.Tx) error {
	return tx.QueryRow(ctx, "select timed_out, requeued from taskrunner_private.sweep_active(1000, $1)", o.claimTimeout).
		Scan(&o.timedOut, &o.requeued)
}

func (o *sweep) stale(n *node) bool {
	return n.effective() == task.Claimed && n.claim.due && (o.claimTimeout == everyClaim || o.claimTimeout == oldClaims && n.claim.old)
}

func (o *sweep) apply(m *model, seen observation) (verdict, error) {
	stale := m.sorted(o.stale)
	silent := m.sorted(func(n *node) bool { return n.status == task.Running && n.claim.due && n.silent })
	if !m.exact {
		// Those that somebody held were left out.
		stale = slices.DeleteFunc(stale, func(n *node) bool { return !leftClaim(n, seen) })
		silent = slices.DeleteFunc(silent, func(n *node) bool {
			r, ok := seen.task(n.id)
			return !ok || !r.Ended && r.Attempt == n.attempt
		})
	}
	if len(stale) != o.requeued || len(silent) != o.timedOut {
		return nil, fmt.Errorf("timed out %d, requeued %d, want %d and %d", o.timedOut, o.requeued, len(silent), len(stale))
	}
	m.staleClaims(stale)
	var ended []*node
	for _, n := range silent {
		if m.timeout(n); n.status.Terminal() {
			ended = append(ended, n)
		}
	}
	m.propagate(ended)
	for _, n := range m.tasks {
		n.claim.due = n.claim.due && !m.exact
	}
	return nil, nil
}

// leftClaim: the transaction took the task out of its claim.
func leftClaim(n *node, seen observation) bool {
	r, ok := seen.task(n.id)
	return ok && !r.Active
}

// staleClaims: of a replica, the call may have been made; of SQL, there was none.
func (m *model) staleClaims(stale []*node) {
	tries := make([]lost, len(stale))
	for i, n := range stale {
		tries[i] = lost{n: n}
		if n.claim.replica != uuid.Nil {
			tries[i].cause = "stale claim"
		}
	}
	m.startsFailed(tries)
}

func (o *sweep) String() string {
	return fmt.Sprintf("sweep of active tasks, claim timeout %d: timed out %d, requeued %d", o.claimTimeout, o.timedOut, o.requeued)
}

// release is the chore of tasks whose run_at has come.
type release struct {
	base
	released int
}

func (o *release) run(ctx context.Context, tx pgx.Tx) error {
	return tx.QueryRow(ctx, "select taskrunner_private.release_scheduled(1000)").Scan(&o.released)
}

func (o *release) apply(m *model, seen observation) (verdict, error) {
	due := m.sorted(func(n *node) bool { return n.held && n.runAt == past })
	if !m.exact {
		due = slices.DeleteFunc(due, func(n *node) bool { return !slices.Contains(seen.Released, n.id) })
	}
	for _, n := range due {
		n.held = false
	}
	// And some that a claim has put off.
	if len(due) > o.released || len(seen.Released) != o.released {
		return nil, fmt.Errorf("released %d, want %d", o.released, len(due))
	}
	return nil, nil
}

func (o *release) String() string { return fmt.Sprintf("release of scheduled tasks: %d", o.released) }

// What happens to a replica.
const (
	ticks  = "ticks"
	dies   = "dies"
	leaves = "leaves"
)

// live is an event in the life of a replica.
type live struct {
	base
	replica uuid.UUID
	what    string
	hit     bool
	freed   []leasedKey // leases that it gave back
}

type leasedKey struct {
	task uuid.UUID
	key  key
}

func (o *live) run(ctx context.Context, tx pgx.Tx) error {
	switch o.what {
	case ticks:
		_, err := tx.Exec(ctx, "select * from taskrunner_private.tick($1, 'model', 'test', 10, false)", o.replica)
		return err
	case dies:
		tag, err := tx.Exec(ctx, "update taskrunner_private.replica set heartbeat_at = now() - interval '1 day' where id = $1", o.replica)
		o.hit = tag.RowsAffected() > 0
		return err
	}
	if _, err := tx.Exec(ctx, "select taskrunner_private.leave($1)", o.replica); err != nil {
		return err
	}
	rows, err := tx.Query(ctx, `
		select d.task_id, d.trigger::text, coalesce(d.condition::text, ''), d.number, d.task_attempt
		from taskrunner_private.due_delivery q
		join taskrunner_private.delivery d on d.id = q.delivery_id
		where q.xmin = pg_current_xact_id()::xid and q.leased_by is null`)
	if err != nil {
		return err
	}
	var l leasedKey
	_, err = pgx.ForEachRow(rows, []any{&l.task, &l.key.on.trigger, &l.key.on.condition, &l.key.number, &l.key.attempt}, func() error {
		o.freed = append(o.freed, l)
		return nil
	})
	return err
}

func (o *live) apply(m *model, _ observation) (verdict, error) {
	r := m.replicas[o.replica]
	switch o.what {
	case ticks:
		m.replicas[o.replica] = replica{known: true}
		return nil, nil
	case dies:
		if m.exact && r.known != o.hit {
			return nil, fmt.Errorf("replica has a row: %v, want %v", o.hit, r.known)
		}
	case leaves:
		// Leases that it takes at this very moment it does not see.
		left := 0
		for id, n := range m.tasks {
			for k, d := range n.deliveries {
				if d.lease != o.replica {
					continue
				}
				if slices.Contains(o.freed, leasedKey{id, k}) {
					d.lease = uuid.Nil
					n.deliveries[k] = d
				} else {
					left++
				}
			}
		}
		if m.exact && left > 0 {
			return nil, fmt.Errorf("it left with %d leases", left)
		}
	}
	r.dead = true
	m.replicas[o.replica] = r
	return nil, nil
}

func (o *live) String() string { return fmt.Sprintf("replica %s %s", short(o.replica), o.what) }

// sweepReplicas is the chore of dead replicas (contract 5.3, row 8).
type sweepReplicas struct {
	base
	replicas, requeued int
}

func (o *sweepReplicas) run(ctx context.Context, tx pgx.Tx) error {
	return tx.QueryRow(ctx, "select replicas, requeued from taskrunner_private.sweep_replicas(1000, 3600)").Scan(&o.replicas, &o.requeued)
}

func (o *sweepReplicas) apply(m *model, seen observation) (verdict, error) {
	stale := m.sorted(func(n *node) bool {
		r := m.replicas[n.claim.replica]
		return n.effective() == task.Claimed && n.claim.replica != uuid.Nil && r.dead && (r.known || !m.exact)
	})
	if !m.exact {
		stale = slices.DeleteFunc(stale, func(n *node) bool { return !leftClaim(n, seen) })
	}
	if len(stale) != o.requeued {
		return nil, fmt.Errorf("requeued %d, want %d", o.requeued, len(stale))
	}
	m.staleClaims(stale)
	if !m.exact {
		return nil, nil
	}
	gone := 0
	for id, r := range m.replicas {
		if r.known && r.dead {
			gone++
			m.replicas[id] = replica{dead: true}
		}
	}
	if gone != o.replicas {
		return nil, fmt.Errorf("swept %d replicas, want %d", o.replicas, gone)
	}
	return nil, nil
}

func (o *sweepReplicas) String() string {
	return fmt.Sprintf("sweep of replicas: requeued %d", o.requeued)
}
