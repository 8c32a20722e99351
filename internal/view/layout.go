package view

import (
	"sync"

	"github.com/google/uuid"

	"github.com/taskrunner/taskrunner/internal/layout"
	"github.com/taskrunner/taskrunner/internal/task"
)

const (
	// mostKept bounds what is kept of places: those of so many tasks in all.
	mostKept = 500_000
	// soonPlaced tasks and links are placed so fast that nobody has to wait for his turn.
	soonPlaced = 4000
)

// Layouts places tasks and remembers where. It is safe for concurrent use.
type Layouts struct {
	mu    sync.Mutex
	kept  map[placed]layout.Result
	order []placed   // the oldest first
	tasks int        // of all that is kept
	turn  sync.Mutex // of large graphs: one at a time, so that they leave the other processors alone
}

// placed is a graph that has been placed.
type placed struct {
	batch    uuid.UUID
	revision task.ViewRevision
	tasks    int
}

// NewLayouts returns one that remembers nothing.
func NewLayouts() *Layouts { return &Layouts{kept: map[placed]layout.Result{}} }

// Of returns the places of a graph's tasks.
func (l *Layouts) Of(g task.ViewGraph) layout.Result {
	key := placed{batch: g.BatchID, revision: g.Revision, tasks: len(g.Tasks)}
	if p, ok := l.find(key); ok {
		return p
	}
	if len(g.Tasks)+len(g.Links) > soonPlaced {
		l.turn.Lock()
		defer l.turn.Unlock()
		if p, ok := l.find(key); ok { // whoever had his turn before may have asked for the same
			return p
		}
	}
	p := layout.Layered(len(g.Tasks), g.Links)
	l.keep(key, p)
	return p
}

func (l *Layouts) find(key placed) (layout.Result, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p, ok := l.kept[key]
	return p, ok
}

// keep remembers places, and forgets the oldest for them.
func (l *Layouts) keep(key placed, p layout.Result) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.kept[key]; ok {
		return
	}
	l.kept[key], l.order, l.tasks = p, append(l.order, key), l.tasks+key.tasks
	for l.tasks > mostKept {
		oldest := l.order[0]
		l.order, l.tasks = l.order[1:], l.tasks-oldest.tasks
		delete(l.kept, oldest)
	}
}
