package modeltest

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Dead ends (contract 6.3): the transaction that ends a task notes its parents, a drain examines them.

const deadEndReason = "All child tasks already terminated"

// deadEnds is what the model knows of them.
type deadEnds struct {
	byDefault bool
	says      map[uuid.UUID]bool // of batches that say something
	checks    map[uuid.UUID]int  // notes in the database
	noted     []uuid.UUID        // what the present operation had to note
}

func (m *model) newBatch(batch uuid.UUID, says *bool) {
	m.batches[batch] = true
	if says != nil {
		m.deadEnds.says[batch] = *says
	}
}

// wantsDeadEnds: the candidate's batch decides, or the default.
func (m *model) wantsDeadEnds(n *node) bool {
	if says, ok := m.deadEnds.says[n.batch]; ok {
		return says
	}
	return m.deadEnds.byDefault
}

// noteParents notes the parents of tasks that have ended.
func (m *model) noteParents(ended []*node) {
	for _, n := range ended {
		for _, p := range m.parents[n.id] {
			if !m.tasks[p].status.Terminal() && m.wantsDeadEnds(m.tasks[p]) {
				m.deadEnds.noted = append(m.deadEnds.noted, p)
			}
		}
	}
}

// isDeadEnd: it has not ended, and has children, all of which have.
func (m *model) isDeadEnd(n *node) bool {
	children := m.children[n.id]
	return !n.status.Terminal() && len(children) > 0 &&
		!slices.ContainsFunc(children, func(c uuid.UUID) bool { return !m.tasks[c].status.Terminal() })
}

// differNotes compares what a transaction has noted with what it had to note, and counts along. More may be noted: parents
// that somebody else ended at the same time, and, by a drain, tasks that somebody held.
func (m *model) differNotes(o observation) []string {
	var faults []string
	for _, id := range m.deadEnds.noted {
		if !slices.Contains(o.Noted, id) {
			faults = append(faults, fmt.Sprintf("no check of %s is noted", m.tasks[id].name))
		}
	}
	for _, id := range o.Noted {
		m.deadEnds.checks[id]++
		if n := m.tasks[id]; n == nil || !m.wantsDeadEnds(n) || m.exact && !slices.Contains(m.deadEnds.noted, id) {
			faults = append(faults, fmt.Sprintf("a check of %s is noted", id))
		}
	}
	for _, id := range o.Taken {
		m.deadEnds.checks[id]--
	}
	return faults
}

// drain is the chore of dead ends.
type drain struct {
	base
	canceled int
}

func (o *drain) run(ctx context.Context, tx pgx.Tx) error {
	return tx.QueryRow(ctx, "select canceled from taskrunner_private.drain_dead_ends(1000)").Scan(&o.canceled)
}

func (o *drain) apply(m *model, seen observation) (verdict, error) {
	// What it canceled, each when its children had ended; what is below comes first.
	left := slices.DeleteFunc(slices.Clone(seen.Taken), func(id uuid.UUID) bool {
		r, _ := seen.task(id)
		return m.tasks[id] == nil || m.tasks[id].status.Terminal() || r.Reason != deadEndReason
	})
	canceled := 0
	for again := true; again; {
		again = false
		for _, id := range left {
			if n := m.tasks[id]; m.isDeadEnd(n) {
				m.cancel(n, deadEndReason)
				n.fire(onFailure)
				if n.quiet = n.barrier; !n.quiet {
					m.noteParents([]*node{n})
				}
				canceled++
				again = true
			}
		}
	}
	if canceled != o.canceled {
		return nil, fmt.Errorf("%d tasks canceled, of which %d were dead ends", o.canceled, canceled)
	}
	// What it dropped is none, unless somebody has noted it again, or a child that it saw alive has ended since, quietly or
	// when the default was another one.
	checks := map[uuid.UUID]int{}
	for _, id := range seen.Noted {
		checks[id]++
	}
	for id := range m.deadEnds.checks {
		checks[id] += m.deadEnds.checks[id]
	}
	for _, id := range seen.Taken {
		checks[id]--
	}
	for _, id := range seen.Taken {
		n := m.tasks[id]
		if n == nil || !m.isDeadEnd(n) || !m.wantsDeadEnds(n) || checks[id] > 0 {
			continue
		}
		if !slices.ContainsFunc(m.children[id], func(c uuid.UUID) bool { return m.tasks[c].quiet }) {
			return nil, fmt.Errorf("%s is a dead end, and its check is dropped", n.name)
		}
	}
	for id, n := range checks {
		// Of checks that it has made itself those of living parents are for the next one.
		if m.exact && n > 0 && !slices.Contains(m.deadEnds.noted, id) {
			return nil, fmt.Errorf("a check of %s was left", id)
		}
	}
	return nil, nil
}

func (o *drain) String() string { return fmt.Sprintf("drain of dead ends: %d", o.canceled) }

// deadEndDefault is the setting of a server that starts.
type deadEndDefault struct {
	base
	on bool
}

func (o *deadEndDefault) run(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, "select from taskrunner_private.save_settings($1, $2, $3)", o.on, deliveryTries, startTries)
	return err
}

func (o *deadEndDefault) apply(m *model, _ observation) (verdict, error) {
	m.deadEnds.byDefault = o.on
	return nil, nil
}

func (o *deadEndDefault) String() string {
	return "DEAD_END_CANCEL_ENABLED=" + strconv.FormatBool(o.on)
}

// deadEndDefault is for when nobody else is at work: what ends at the same time may see either.
func (d *drawer) deadEndDefault() op {
	if !d.alone {
		return nil
	}
	return &deadEndDefault{base: base{"service"}, on: d.chance(60)}
}

// says draws dead_end_cancel of a batch.
func (d *drawer) says() *bool {
	if d.chance(50) {
		return nil
	}
	says := d.chance(70)
	return &says
}

func saying(says *bool) string {
	if says == nil {
		return ""
	}
	return fmt.Sprintf(" (dead_end_cancel %v)", *says)
}
