package modeltest

import (
	"fmt"
	"slices"

	"github.com/taskrunner/taskrunner/internal/task"
)

// matcher is one of a dedupe_strategy (contract 7.5).
type matcher struct {
	shape
	status status
}

func (x matcher) String() string {
	return fmt.Sprintf(`{"kind": %q, "status": %q, "fields": %s}`, x.kind, x.status, x.list())
}

// hits: a task is one that the matcher asks for.
func (x matcher) hits(n *node) bool {
	return n.kind == x.kind && (n.status == x.status || x.status == task.Running && n.active())
}

// dedupe says for each entry whether it is left out: then it stands for a task that exists, or for an earlier entry.
func (m *model) dedupe(entries []entry) []func(tasks []ref) ref {
	same := make([]func([]ref) ref, len(entries))
	for i, e := range entries {
		for _, x := range e.strategy {
			if x.fields&^e.data.fields() != 0 {
				continue
			}
			for j := i - 1; j >= 0 && same[i] == nil; j-- {
				earlier, is := entries[j], task.Pending
				if len(earlier.needs) > 0 {
					is = task.Waiting
				}
				if same[j] == nil && earlier.kind == x.kind && is == x.status && e.data.agrees(earlier.data, x.fields) {
					same[i] = func(tasks []ref) ref { return tasks[j] }
				}
			}
			matches := m.sorted(func(n *node) bool { return x.hits(n) && e.data.agrees(n.data, x.fields) })
			if same[i] == nil && len(matches) > 0 {
				newest := matches[len(matches)-1]
				same[i] = func([]ref) ref { return ref{newest.id, newest.name} }
			}
			if same[i] != nil {
				break
			}
		}
	}
	return same
}

// strategies draws strategies of entries. Only when nobody else is at work: a match may end meanwhile.
func (d *drawer) strategies(entries []entry) {
	if !d.alone || !d.chance(35) {
		return
	}
	for i := range entries {
		for range d.intn(3) {
			x := matcher{shape: shape{kind: d.kind(), fields: d.intn(4) & entries[i].data.fields()}, status: pick(d, task.Statuses)}
			if d.chance(50) {
				x.status = pick(d, []status{task.Pending, task.Waiting, task.Running})
			}
			if d.chance(5) {
				x.fields = fieldP | fieldQ
			}
			entries[i].strategy = append(entries[i].strategy, x)
		}
	}
}

// leavesOut: there is a strategy in the request.
func leavesOut(entries []entry) bool {
	return slices.ContainsFunc(entries, func(e entry) bool { return e.strategy != nil })
}
