package modeltest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// lease is a delivery that a replica has got for one try.
type lease struct {
	delivery uuid.UUID
	task     uuid.UUID
	number   int // of the try
	key      string
	until    time.Time // names it
}

func (l lease) String() string { return fmt.Sprintf("%s#%d", l.key[24:], l.number) }

// claimDeliveries leases due deliveries.
type claimDeliveries struct {
	base
	replica uuid.UUID
	limit   int
	leases  []lease
}

func (o *claimDeliveries) run(ctx context.Context, tx pgx.Tx) error {
	rows, err := tx.Query(ctx, `
		select delivery_id, task_id, number, idempotency_key, leased_until
		from taskrunner_private.claim_deliveries($1, $2, 3600, '-infinity', true)
		where delivery_id is not null`, o.replica, o.limit)
	if err != nil {
		return err
	}
	var l lease
	_, err = pgx.ForEachRow(rows, []any{&l.delivery, &l.task, &l.number, &l.key, &l.until}, func() error {
		o.leases = append(o.leases, l)
		return nil
	})
	return err
}

// find returns the delivery that a lease is about; nil when its task is gone.
func (m *model) find(l lease) (*node, key, error) {
	n := m.tasks[l.task]
	if n == nil {
		return nil, key{}, nil
	}
	for k := range n.deliveries {
		if n.id.String()+k.suffix() == l.key {
			return n, k, nil
		}
	}
	return nil, key{}, fmt.Errorf("no delivery has the key %s", l.key)
}

func (o *claimDeliveries) apply(m *model, _ observation) (verdict, error) {
	due := 0
	for _, n := range m.tasks {
		for k, d := range n.deliveries {
			if k.on != onStart && d.status == "Pending" && !d.later && d.lease == uuid.Nil {
				due++
			}
		}
	}
	if want := min(due, o.limit); m.exact && len(o.leases) != want {
		return nil, fmt.Errorf("leased %d, want %d", len(o.leases), want)
	}
	for _, l := range o.leases {
		n, k, err := m.find(l)
		if err != nil || n == nil {
			return nil, fmt.Errorf("leased %v of no task: %w", l, err)
		}
		d := n.deliveries[k]
		if k.on == onStart || d.status != "Pending" || d.later || d.lease != uuid.Nil || l.number != d.tries+1 {
			return nil, fmt.Errorf("leased %v, which is %+v", l, d)
		}
		d.lease, d.until = o.replica, l.until
		n.deliveries[k] = d
	}
	return nil, nil
}

func (o *claimDeliveries) String() string {
	return fmt.Sprintf("replica %s leases up to %d: %s", short(o.replica), o.limit, joined(o.leases))
}

// settle records tries of End and Cancel deliveries, perhaps after the lease ran out.
type settle struct {
	base
	leases  []lease
	outcome string // delivered, failed, given_up
	later   bool   // the backoff is an hour, not nothing
	settled []uuid.UUID
}

func (o *settle) run(ctx context.Context, tx pgx.Tx) (err error) {
	tries := make([]map[string]any, len(o.leases))
	for i, l := range o.leases {
		tries[i] = map[string]any{
			"delivery_id": l.delivery, "number": l.number, "leased_until": l.until, "outcome": o.outcome, "at": "2020-01-01T00:00:00Z", "latency_ms": 3,
		}
	}
	backoff := map[bool]int{true: 3600}[o.later]
	o.settled, err = queryIDs(ctx, tx, "select delivery_id from taskrunner_private.settle_deliveries($1::jsonb, $2, 2, 86400)", toJSON(tries), backoff)
	return err
}

func (o *settle) apply(m *model, _ observation) (verdict, error) {
	var want []uuid.UUID
	for _, l := range o.leases {
		n, k, err := m.find(l)
		if err != nil {
			return nil, err
		}
		if n == nil {
			continue
		}
		d := n.deliveries[k]
		// A success counts also late, even after the delivery was given up; a failure while its lease stands.
		late := o.outcome == "delivered" && (d.status == "Pending" || d.status == "Failed")
		if !late && (d.status != "Pending" || d.lease == uuid.Nil || !d.until.Equal(l.until)) {
			continue
		}
		want = append(want, l.delivery)
		d.tries++
		d.lease = uuid.Nil
		d.later = false
		switch {
		case o.outcome == "delivered":
			d.status = "Delivered"
		case o.outcome == "given_up" || d.tries >= m.deliveryTries:
			d.status = "Failed"
		default:
			d.later = o.later
		}
		n.deliveries[k] = d
	}
	return nil, sameIDs("settled", o.settled, want)
}

func (o *settle) String() string {
	return fmt.Sprintf("deliveries %s (later %v): %s", o.outcome, o.later, joined(o.leases))
}

// expireLeases lets leases run out, and changes their names with it.
type expireLeases struct {
	base
	expired []leasedKey
}

func (o *expireLeases) run(ctx context.Context, tx pgx.Tx) error {
	rows, err := tx.Query(ctx, `
		with free as (
			select q.delivery_id from taskrunner_private.due_delivery q where q.leased_until > clock_timestamp() for update skip locked
		)
		update taskrunner_private.due_delivery q set leased_until = clock_timestamp() - interval '1 second'
		from free, taskrunner_private.delivery d
		where q.delivery_id = free.delivery_id and d.id = q.delivery_id
		returning d.task_id, d.trigger::text, coalesce(d.condition::text, ''), d.number, d.task_attempt`)
	if err != nil {
		return err
	}
	var l leasedKey
	_, err = pgx.ForEachRow(rows, []any{&l.task, &l.key.on.trigger, &l.key.on.condition, &l.key.number, &l.key.attempt}, func() error {
		o.expired = append(o.expired, l)
		return nil
	})
	return err
}

func (o *expireLeases) apply(m *model, _ observation) (verdict, error) {
	for _, l := range o.expired {
		n := m.tasks[l.task]
		d, ok := n.deliveries[l.key]
		if !ok || d.lease == uuid.Nil {
			return nil, fmt.Errorf("a lease of %s%s ran out, which had none", n.name, l.key.suffix())
		}
		d.lease = uuid.Nil
		n.deliveries[l.key] = d
	}
	return nil, nil
}

func (o *expireLeases) String() string {
	names := make([]string, len(o.expired))
	for i, l := range o.expired {
		names[i] = short(l.task) + l.key.suffix()
	}
	slices.Sort(names)
	return "leases run out: " + strings.Join(names, " ")
}
