package store

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/taskrunner/taskrunner/internal/db"
	"github.com/taskrunner/taskrunner/internal/task"
)

const (
	mostNeighbours = 200 // that are shown of a task, in each direction
	mostKinds      = 20  // of running tasks that are told apart
	shownMinutes   = 15
)

// Surroundings returns what the web page shows about a task beside the task. Errors: CodeUnknown, CodeUnavailable.
func (s *Store) Surroundings(ctx context.Context, id uuid.UUID) (task.Surroundings, error) {
	var parents, children []task.Neighbour
	var reasons []db.WhyRow
	err := s.do(ctx, call{op: "view task", reads: true, idempotent: true}, func(ctx context.Context, conn *pgxpool.Conn) error {
		batch := s.viewing()
		many(batch, &reasons, db.Why, id)
		many(batch, &parents, db.ViewParents, id, mostNeighbours+1)
		many(batch, &children, db.ViewChildren, id, mostNeighbours+1)
		return send(ctx, conn, batch)
	})
	if err != nil {
		return task.Surroundings{}, err
	}
	around := task.Surroundings{
		Why: []task.Reason{}, Parents: append([]task.Neighbour{}, parents[:min(len(parents), mostNeighbours)]...),
		Children:    append([]task.Neighbour{}, children[:min(len(children), mostNeighbours)]...),
		MoreParents: len(parents) > mostNeighbours, MoreChildren: len(children) > mostNeighbours,
	}
	for _, r := range reasons {
		around.Why = append(around.Why, task.Reason{Sentence: r.Reason, Detail: []byte(r.Detail)})
	}
	return around, nil
}

// Overview returns what goes on. ended are minutes that are known already: the last of them is counted again, since tasks may have
// ended in it that were not committed, and those before it are believed. Errors: CodeUnavailable.
func (s *Store) Overview(ctx context.Context, ended []task.MinuteCount) (task.Overview, error) {
	var gauges []db.ReadGaugesRow
	var parked []db.ViewParkedRow
	var replicas []task.LiveReplica
	var minutes []task.MinuteCount
	var now struct{ Now time.Time }
	since := time.Unix(0, 0)
	if n := len(ended); n > 1 {
		since, ended = ended[n-2].Minute, ended[:n-2] // the last one had not ended itself
	} else {
		ended = nil
	}
	err := s.do(ctx, call{op: "overview", reads: true, idempotent: true}, func(ctx context.Context, conn *pgxpool.Conn) error {
		batch := bounds{lock: lockWait, work: strconv.FormatInt(gaugesTimeout.Milliseconds(), 10), lookups: true}.begin()
		one(batch, &now, db.ViewNow)
		many(batch, &gauges, db.ReadGauges)
		many(batch, &parked, db.ViewParked)
		many(batch, &replicas, db.ViewReplicas)
		many(batch, &minutes, db.ViewEnded, since)
		return send(ctx, conn, batch)
	})
	if err != nil {
		return task.Overview{}, err
	}
	o := task.Overview{
		Tasks:         map[task.Status]int64{task.Waiting: 0, task.Pending: 0, task.Claimed: 0, task.Running: 0, task.Paused: 0},
		RunningByKind: []task.KindCount{}, Replicas: append([]task.LiveReplica{}, replicas...), Parked: []task.ParkedCount{},
	}
	for _, p := range parked {
		o.Parked = append(o.Parked, task.ParkedCount{Limit: p.Words, Rule: p.Rule, Count: p.Waiting})
	}
	for _, g := range gauges {
		readGauge(&o, g)
	}
	slices.SortStableFunc(o.Parked, func(a, b task.ParkedCount) int { return cmp.Compare(b.Count, a.Count) })
	o.RunningByKind = topKinds(o.RunningByKind)
	o.EndedPerMinute = lastMinutes(now.Now, ended, minutes)
	return o, nil
}

// readGauge adds a value of the metrics to what it is about.
func readGauge(o *task.Overview, g db.ReadGaugesRow) {
	n := int64(g.Value)
	switch g.Gauge {
	case "tasks_by_status":
		o.Tasks[task.Status(g.Label)] += n
	case "running_tasks_by_kind":
		kind := task.KindCount{Kind: &g.Label, Count: n}
		if g.Label == "" {
			kind.Kind = nil
		}
		o.RunningByKind = append(o.RunningByKind, kind)
	case "oldest_pending_age_seconds":
		o.OldestPendingAge = g.Value
	case "deliveries_oldest_due_age_seconds":
		o.Deliveries.OldestDueAge = g.Value
	case "deliveries_by_status":
		switch g.SecondLabel {
		case task.DeliveryPending:
			o.Deliveries.Pending += n
		case task.DeliverySending:
			o.Deliveries.Sending += n
		case task.DeliveryDead:
			if g.Label != "start" { // nobody can send a start again: its task has failed, and says so
				o.Deliveries.Failed += n
			}
		}
	case "tasks_parked": // those that a rule holds are listed by limit
		words := map[string]string{
			"run_at": "They are not to start yet: a run_at, or a pause before another try.",
			"host":   "Their webhook host is at its share of the calls, or its circuit is open.",
		}[g.Label]
		if words != "" && n > 0 {
			o.Parked = append(o.Parked, task.ParkedCount{Limit: words, Rule: []byte("null"), Count: n})
		}
	}
}

// topKinds are the kinds with most tasks, and all others as one.
func topKinds(kinds []task.KindCount) []task.KindCount {
	slices.SortFunc(kinds, func(a, b task.KindCount) int {
		if (a.Kind == nil) != (b.Kind == nil) {
			if a.Kind == nil {
				return 1
			}
			return -1
		}
		if a.Kind == nil {
			return 0
		}
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(*a.Kind, *b.Kind))
	})
	if len(kinds) <= mostKinds {
		return kinds
	}
	others := task.KindCount{}
	for _, k := range kinds[mostKinds-1:] {
		others.Count += k.Count
	}
	return append(kinds[:mostKinds-1], others)
}

// lastMinutes are the last minutes up to now, those in which nothing ended included.
func lastMinutes(now time.Time, known, counted []task.MinuteCount) []task.MinuteCount {
	counts := map[int64]int64{}
	for _, m := range slices.Concat(known, counted) {
		counts[m.Minute.Unix()] = m.Count
	}
	list := make([]task.MinuteCount, shownMinutes)
	for i := range list {
		minute := now.UTC().Truncate(time.Minute).Add(time.Duration(i-shownMinutes+1) * time.Minute)
		list[i] = task.MinuteCount{Minute: minute, Count: counts[minute.Unix()]}
	}
	return list
}
