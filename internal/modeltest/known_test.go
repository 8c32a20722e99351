package modeltest

import (
	"slices"
	"sync"

	"github.com/google/uuid"
)

// known is what the callers of the engine know: tasks as they last saw them, claims and leases they got, perhaps long
// ago. Operations are drawn from it.
type known struct {
	mu       sync.Mutex
	tasks    []*seen
	byID     map[uuid.UUID]*seen
	batches  []uuid.UUID
	replicas []uuid.UUID
	claims   []held
	leases   []lease
	names    map[string]bool // taken
}

// seen is a task as it was last seen.
type seen struct {
	ref
	status   status // "": deleted
	from     status // paused from
	seq      int64
	priority int
	kind     string
	data     metadata
	batch    uuid.UUID
}

func newKnown() *known {
	k := &known{byID: map[uuid.UUID]*seen{}, names: map[string]bool{}}
	for i := range 3 {
		k.replicas = append(k.replicas, uuid.UUID{6: 0x40, 8: 0x80, 15: byte(i + 1)})
	}
	return k
}

// learn takes note of what an operation did.
func (k *known) learn(o op, changed observation) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, r := range changed.Tasks {
		s := k.byID[r.ID]
		if s == nil {
			s = &seen{ref: ref{r.ID, r.Name}, seq: r.Seq}
			k.byID[r.ID] = s
			k.tasks = append(k.tasks, s)
		}
		s.status, s.from, s.priority, s.kind, s.batch = r.Status, r.PausedFrom, r.Priority, r.Kind, r.Batch
		if data, err := decodeMetadata(r.Metadata); err == nil {
			s.data = data
		}
		if r.Batch != uuid.Nil && !slices.Contains(k.batches, r.Batch) {
			k.batches = append(k.batches, r.Batch)
		}
	}
	switch o := o.(type) {
	case *startAll:
		for _, c := range o.calls {
			k.hold(c)
		}
	case *claimTasks:
		k.hold(o)
	case *claimDeliveries:
		k.leases = append(k.leases, o.leases...)
	case *remove:
		if s := k.byID[o.task.id]; s != nil {
			s.status = ""
		}
	}
	const most = 40
	k.claims = k.claims[max(0, len(k.claims)-most):]
	k.leases = k.leases[max(0, len(k.leases)-most):]
}

// hold takes note of claims whose on_start is to be called.
func (k *known) hold(o *claimTasks) {
	for i, h := range o.claims {
		if o.called[i] {
			k.claims = append(k.claims, h)
		}
	}
}

// live counts the tasks that have not ended.
func (k *known) live() int {
	n := 0
	for _, s := range k.tasks {
		if s.status != "" && !s.status.Terminal() {
			n++
		}
	}
	return n
}

// in tells whether a task was last seen in one of these states.
func (s *seen) in(states ...status) bool { return slices.Contains(states, s.status) }
