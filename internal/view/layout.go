package view

import (
	"sync"

	"github.com/google/uuid"

	"github.com/taskrunner/taskrunner/internal/layout"
	"github.com/taskrunner/taskrunner/internal/task"
)

const (
	// keptCells bounds what is kept of places: so many tasks and links in all.
	keptCells = 500_000
	// soonCells is what is placed so fast that nobody has to wait for his turn.
	soonCells = 4000
)

// Layouts places tasks and remembers where. It is safe for concurrent use.
type Layouts struct {
	mu    sync.Mutex
	kept  map[placed]layout.Result
	order []placed // the oldest first
	cells int
	turn  sync.Mutex // of large graphs: one at a time, so that they leave the other processors alone
}

// placed is a graph that has been placed.
type placed struct {
	batch    uuid.UUID
	revision task.ViewRevision
	cells    int
}

// NewLayouts returns one that remembers nothing.
func NewLayouts() *Layouts { return &Layouts{kept: map[placed]layout.Result{}} }

// Of returns the places of a graph's tasks.
func (l *Layouts) Of(g task.ViewGraph) layout.Result {
	key := placed{batch: g.BatchID, revision: g.Revision, cells: len(g.Tasks) + len(g.Links)}
	if p, ok := l.find(key); ok {
		return p
	}
	if key.cells > soonCells {
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
	if _, ok := l.kept[key]; ok || key.cells > keptCells {
		return
	}
	l.kept[key], l.order, l.cells = p, append(l.order, key), l.cells+key.cells
	for l.cells > keptCells {
		oldest := l.order[0]
		l.order, l.cells = l.order[1:], l.cells-oldest.cells
		delete(l.kept, oldest)
	}
}
