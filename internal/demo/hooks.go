package demo

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/taskrunner/taskrunner/internal/screen"
)

// Hooks counts the webhooks that the receiver was called with, by batch, and writes them to the screen: while the demo
// runs those of its batch only, because tasks of earlier runs have the same names, and later all of them. It is the
// receiver's Observer.
type Hooks struct {
	screen *screen.Screen

	mu     sync.Mutex
	counts map[hookOf]int
	phase  phase
	batch  uuid.UUID // of the demo, from showBatch on
	early  []Event   // what came before the batch was known
	limit  limit     // of the lines about trouble
}

type hookOf struct{ batch, kind string }

// phase says which webhooks are written.
type phase int

const (
	keep      phase = iota // none, they are kept until the batch is known
	showBatch              // those of the batch
	showAll
)

// troubleEvery is the time between lines about trouble, at least. Each report of each task may have it.
const troubleEvery = 5 * time.Second

// NewHooks returns hooks that write to the screen.
func NewHooks(s *screen.Screen) *Hooks {
	return &Hooks{screen: s, counts: map[hookOf]int{}, limit: limit{every: troubleEvery}}
}

// Webhook counts a webhook, and writes it.
func (h *Hooks) Webhook(e Event) {
	h.mu.Lock()
	h.counts[hookOf{e.BatchID, e.Kind}]++
	if h.phase == keep {
		h.early = append(h.early, e)
	}
	now, batch := h.phase, h.batch
	h.mu.Unlock() // a screen that draws asks for the counts
	h.show(e, now, batch)
}

// Trouble writes what went wrong, but not too often.
func (h *Hooks) Trouble(step, what string) {
	now := time.Now()
	h.mu.Lock()
	untold, ok := h.limit.pass(now)
	h.mu.Unlock()
	if !ok {
		return
	}
	line := fmt.Sprintf("%s  %-18s %s", now.Format(time.TimeOnly), step, what)
	if untold > 0 {
		line += fmt.Sprintf(" (and %d more since the last such line)", untold)
	}
	h.screen.Println(line)
}

// begin says which batch is the demo's.
func (h *Hooks) begin(batch uuid.UUID) {
	h.mu.Lock()
	early := h.early
	h.phase, h.batch, h.early = showBatch, batch, nil
	h.mu.Unlock()
	for _, e := range early {
		h.show(e, showBatch, batch)
	}
}

// ShowAll writes all webhooks from now on.
func (h *Hooks) ShowAll() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.phase, h.early = showAll, nil
}

// show writes a webhook if it is to be seen in the phase.
func (h *Hooks) show(e Event, now phase, batch uuid.UUID) {
	line := fmt.Sprintf("%-18s %s answered %d", e.Step, e.Kind, e.Status)
	switch {
	case now == showAll:
		if before(e.BatchID, batch) {
			line += " (earlier batch)"
		}
		h.screen.Println(e.At.Format(time.TimeOnly) + "  " + line)
	case now == showBatch && e.BatchID == batch.String() && !h.screen.Live() &&
		e.Status != http.StatusAccepted: // a start that is accepted shows by itself
		h.screen.Println("         " + line)
	}
}

// before reports whether a batch is older than another. Ids of batches begin with the time (UUID version 7); others say
// nothing about their age.
func before(batch string, other uuid.UUID) bool {
	const withTime = 7
	id, err := uuid.Parse(batch)
	return err == nil && id.Version() == withTime && other.Version() == withTime && id.String() < other.String()
}

// count returns how often the event was called for tasks of the batch.
func (h *Hooks) count(batch uuid.UUID, kind string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.counts[hookOf{batch.String(), kind}]
}

// ends counts the hooks that tell the end of a task.
func (h *Hooks) ends(batch uuid.UUID) int {
	return h.count(batch, onSuccess) + h.count(batch, onFailure) + h.count(batch, onCancel)
}

// summary writes the counts of a batch.
func (h *Hooks) summary(batch uuid.UUID) string {
	var parts []string
	for _, kind := range []string{onStart, onSuccess, onFailure, onCancel} {
		parts = append(parts, fmt.Sprintf("%d %s", h.count(batch, kind), kind))
	}
	return strings.Join(parts, ", ")
}

// limit lets something pass once in a time.
type limit struct {
	every  time.Duration
	last   time.Time
	untold int
}

// pass reports whether it may pass now, and if so how many could not since the last that did.
func (l *limit) pass(now time.Time) (untold int, ok bool) {
	if !l.last.IsZero() && now.Sub(l.last) < l.every {
		l.untold++
		return 0, false
	}
	untold = l.untold
	l.last, l.untold = now, 0
	return untold, true
}
