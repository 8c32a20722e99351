package worker

import (
	"maps"
	"slices"

	"github.com/taskrunner/taskrunner/internal/task"
)

// maxMarks bounds what a claim sends. A priority without a mark is read from its start, so forgetting one is safe.
const maxMarks = 16

// marks are how far this replica has consumed the queue, per priority.
type marks struct {
	seqs map[int32]int64 // by priority
	used map[int32]int   // by priority: the last claim that moved the mark
	turn int
}

// list returns the marks from the highest priority downwards.
func (m *marks) list() []task.Mark {
	var list []task.Mark
	for _, priority := range slices.Backward(slices.Sorted(maps.Keys(m.seqs))) {
		list = append(list, task.Mark{Priority: priority, Seq: m.seqs[priority]})
	}
	return list
}

// covers reports whether the claim comes from behind the marks.
func (m *marks) covers(c task.Claim) bool {
	seq, ok := m.seqs[c.Priority]
	return ok && c.Seq <= seq
}

// advance moves the marks to behind the claims, which come in the queue's order.
func (m *marks) advance(claims []task.Claim) {
	if m.seqs == nil {
		m.seqs, m.used = map[int32]int64{}, map[int32]int{}
	}
	m.turn++
	for _, c := range claims {
		if !m.covers(c) {
			m.seqs[c.Priority] = c.Seq
		}
		m.used[c.Priority] = m.turn
	}
	for len(m.seqs) > maxMarks {
		m.forget(slices.MinFunc(slices.Collect(maps.Keys(m.used)), func(a, b int32) int { return m.used[a] - m.used[b] }))
	}
}

// cut notes that reading from the start ended, for want of slots, at this claim: what stands between it and the marks is
// not consumed after all.
func (m *marks) cut(last task.Claim) {
	for priority := range m.seqs {
		if priority < last.Priority {
			m.forget(priority)
		}
	}
	if m.covers(last) {
		m.seqs[last.Priority] = last.Seq
	}
}

func (m *marks) forget(priority int32) {
	delete(m.seqs, priority)
	delete(m.used, priority)
}
