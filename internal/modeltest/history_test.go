package modeltest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"
)

// record is an operation of a concurrent run.
type record struct {
	worker int
	kind   string
	op     op
	code   string // SQLSTATE of a refusal
	seen   observation
	// Places in the order of commits. A refused operation ran after everything up to from had ended, and before
	// everything after to began.
	from, to int64
}

func (r *record) String() string {
	if r.code != "" {
		return fmt.Sprintf("(%d..%d) worker %d: %v: %s", r.from, r.to, r.worker, r.op, r.code)
	}
	return fmt.Sprintf("[%d] worker %d: %v", r.seen.Seq, r.worker, r.op)
}

// history collects what the workers of a round did.
type history struct {
	mu       sync.Mutex
	done     []*record
	refused  []*record
	running  map[int]int64 // by worker: all that got a higher number may not have ended when its operation began
	greatest int64         // number of an operation known to have committed
}

func newHistory() *history { return &history{running: map[int]int64{}} }

// begin returns a number up to which everything has ended.
func (h *history) begin(worker int) int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	low := h.greatest
	for _, from := range h.running {
		low = min(low, from)
	}
	h.running[worker] = h.greatest
	return low
}

// end takes note of an operation; r is nil when it left no trace.
func (h *history) end(worker int, r *record) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.running, worker)
	switch {
	case r == nil:
	case r.code != "":
		h.refused = append(h.refused, r)
	default:
		h.done = append(h.done, r)
		h.greatest = max(h.greatest, r.seen.Seq)
	}
}

// replay applies the history to the model in the order of commits. It returns the faults of the first operation that did
// something else than the model, or of the refusals that were never right.
func (h *history) replay(m *model) []string {
	slices.SortFunc(h.done, func(a, b *record) int { return int(a.seen.Seq - b.seen.Seq) })
	open := slices.Clone(h.refused)
	last := int64(0)
	// Refusals that were right now, between last and next, are explained.
	explain := func(next int64) {
		open = slices.DeleteFunc(open, func(r *record) bool {
			if r.from >= next || r.to < last {
				return false
			}
			on := m.clone()
			on.begin()
			v, err := r.op.apply(on, observation{})
			return err == nil && v.fits(r.code)
		})
	}
	for _, r := range h.done {
		explain(r.seen.Seq)
		before := m.clone()
		m.begin()
		v, err := r.op.apply(m, r.seen)
		var faults []string
		switch {
		case err != nil:
			faults = []string{err.Error()}
		case !v.fits(""):
			faults = []string{fmt.Sprintf("it went through, the contract refuses it with %q", v)}
		default:
			faults = append(m.differChanged(before, r.seen), m.differNotes(r.seen)...)
		}
		if faults != nil {
			changed := make([]string, len(r.seen.Tasks))
			for i, t := range r.seen.Tasks {
				changed[i] = t.Name + ":" + string(t.Status)
			}
			faults = append(faults, "it changed "+strings.Join(changed, " "), "before:", before.graph())
			return append([]string{r.String()}, faults...)
		}
		last = r.seen.Seq
	}
	explain(last + 1<<62)
	faults := make([]string, len(open))
	for i, r := range open {
		faults[i] = "refused without reason: " + r.String()
	}
	return faults
}

// log prints the operations, for people who look for a fault.
func (h *history) log() string {
	all := append(slices.Clone(h.done), h.refused...)
	slices.SortStableFunc(all, func(a, b *record) int { return int(max(a.seen.Seq, a.to) - max(b.seen.Seq, b.to)) })
	lines := make([]string, len(all))
	for i, r := range all {
		lines[i] = r.String()
	}
	return strings.Join(lines, "\n")
}

// ask runs a query that returns one value, again if its connection is killed.
func ask[T any](c *client, sql string, args ...any) (value T, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		var conn *pgx.Conn
		if conn, err = c.conn(ctx, "service"); err != nil {
			return value, err
		}
		err = conn.QueryRow(ctx, sql, args...).Scan(&value)
		if err == nil || ctx.Err() != nil || !conn.IsClosed() {
			return value, err
		}
	}
}

// position takes a number in the order of commits.
func (c *client) position() (int64, error) {
	return ask[int64](c, "select nextval('audit.commit_seq')")
}

// committed tells what became of a transaction whose commit was cut off. Its process may still be at it.
func (c *client) committed(xid string) (bool, error) {
	for {
		state, err := ask[string](c, "select coalesce(pg_xact_status($1::text::xid8), 'forgotten')", xid)
		switch {
		case err != nil:
			return false, fmt.Errorf("pg_xact_status: %w", err)
		case state == "forgotten":
			return false, fmt.Errorf("transaction %s is forgotten", xid)
		case state != "in progress":
			return state == "committed", nil
		}
	}
}
