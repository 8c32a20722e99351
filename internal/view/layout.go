package view

import (
	"sync"

	"github.com/google/uuid"

	"github.com/taskrunner/taskrunner/internal/task"
)

// Places say where tasks are drawn: centres, in units in which a task takes 160 by 40, gaps aside.
type Places struct {
	Layer         []int32
	X, Y          []float32
	Width, Height float32
}

const (
	// keptCells bounds what is kept of places: so many tasks and links in all.
	keptCells = 500_000
	// soonCells is what is placed so fast that nobody has to wait for his turn.
	soonCells = 4000
)

// Layouts places tasks and remembers where. It is safe for concurrent use.
type Layouts struct {
	mu    sync.Mutex
	kept  map[placed]Places
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
func NewLayouts() *Layouts { return &Layouts{kept: map[placed]Places{}} }

// Of returns the places of a graph's tasks.
func (l *Layouts) Of(g task.ViewGraph) Places {
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
	p := place(len(g.Tasks), g.Links)
	l.keep(key, p)
	return p
}

func (l *Layouts) find(key placed) (Places, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p, ok := l.kept[key]
	return p, ok
}

// keep remembers places, and forgets the oldest for them.
func (l *Layouts) keep(key placed, p Places) {
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

// place puts each task one layer right of its last parent, and under the task before it in the layer.
func place(tasks int, links [][2]int32) Places {
	p := Places{Layer: make([]int32, tasks), X: make([]float32, tasks), Y: make([]float32, tasks)}
	children, parents := make([][]int32, tasks), make([]int, tasks)
	for _, l := range links {
		children[l[0]] = append(children[l[0]], l[1])
		parents[l[1]]++
	}
	var ready []int32
	for i := range tasks {
		if parents[i] == 0 {
			ready = append(ready, int32(i))
		}
	}
	for len(ready) > 0 {
		t := ready[0]
		ready = ready[1:]
		for _, child := range children[t] {
			p.Layer[child] = max(p.Layer[child], p.Layer[t]+1)
			if parents[child]--; parents[child] == 0 {
				ready = append(ready, child)
			}
		}
	}
	rows := map[int32]int{}
	for i, layer := range p.Layer {
		p.X[i], p.Y[i] = 80+float32(layer)*240, 20+float32(rows[layer])*60
		rows[layer]++
		p.Width, p.Height = max(p.Width, p.X[i]+80), max(p.Height, p.Y[i]+20)
	}
	return p
}
