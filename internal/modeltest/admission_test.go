package modeltest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Rules (contract 7.1, 7.2): which tasks count, and when a task may start.

// The values that metadata has for a field: as they are written, and a number that equal ones have in common.
var values = []struct {
	text string
	same int
}{{"", 0}, {"1", 1}, {"1.0", 1}, {`"1"`, 2}, {"null", 3}, {"2", 4}}

// metadata is null, or an object with values for p and q (0: without the field).
type metadata struct {
	object bool
	p, q   int
}

// Sets of fields.
const (
	fieldP = 1 << iota
	fieldQ
)

func (d metadata) String() string {
	if !d.object {
		return "null"
	}
	var list []string
	if d.p > 0 {
		list = append(list, `"p": `+values[d.p].text)
	}
	if d.q > 0 {
		list = append(list, `"q": `+values[d.q].text)
	}
	return "{" + strings.Join(list, ", ") + "}"
}

func (d metadata) fields() (set int) {
	if d.p > 0 {
		set |= fieldP
	}
	if d.q > 0 {
		set |= fieldQ
	}
	return set
}

// equal: as jsonb.
func (d metadata) equal(other metadata) bool {
	return d.object == other.object && values[d.p].same == values[other.p].same && values[d.q].same == values[other.q].same
}

// agrees: both have the fields of the set, with equal values.
func (d metadata) agrees(other metadata, set int) bool {
	return (set&fieldP == 0 || d.p > 0 && values[d.p].same == values[other.p].same) &&
		(set&fieldQ == 0 || d.q > 0 && values[d.q].same == values[other.q].same)
}

type rule struct {
	capacity bool
	maximum  int64
	shape
}

// shape is what a matcher asks for.
type shape struct {
	kind   string
	fields int // a set
}

func (s shape) list() string {
	return map[int]string{0: `[]`, fieldP: `["p"]`, fieldQ: `["q"]`, fieldP | fieldQ: `["p", "q"]`}[s.fields]
}

func (r rule) String() string {
	kind, maximum := "Concurency", "max_concurency"
	if r.capacity {
		kind, maximum = "Capacity", "max_capacity"
	}
	return fmt.Sprintf(`{"type": %q, "matcher": {"kind": %q, "fields": %s, "status": "Running"}, %q: %d}`, kind, r.kind, r.list(), maximum, r.maximum)
}

// rulesText is how PostgreSQL prints rules.
func rulesText(rules []rule) string { return "[" + strings.Join(texts(rules), ", ") + "]" }

func texts[T fmt.Stringer](list []T) []string {
	words := make([]string, len(list))
	for i, x := range list {
		words[i] = x.String()
	}
	return words
}

// unknownCount stands for no expected_count.
const unknownCount = -1

// spec is what rules look at. Its slices are never changed.
type spec struct {
	kind     string
	data     metadata
	rules    []rule
	expected int64
}

func (s spec) String() string {
	return fmt.Sprintf("{%s %v %v expects %d}", s.kind, s.data, s.rules, s.expected)
}

// fits: the metadata has the fields that the rules name.
func fits(rules []rule, data metadata) bool {
	return !slices.ContainsFunc(rules, func(r rule) bool { return r.fields&^data.fields() != 0 })
}

// valid as a new task.
func (s spec) valid() bool {
	sized := s.expected != unknownCount || !slices.ContainsFunc(s.rules, func(r rule) bool { return r.capacity })
	return sized && fits(s.rules, s.data)
}

func workLeft(expected, success, failures int64) int64 {
	return max(max(expected, 0)-success-failures, 0)
}

// use is how much of a rule of a task is used by others.
func (m *model) use(n *node, r rule) (current int64) {
	for _, other := range m.tasks {
		if other == n || !other.active() || other.kind != r.kind || !n.data.agrees(other.data, r.fields) {
			continue
		}
		if r.capacity {
			current += workLeft(other.expected, other.success, other.failures)
		} else {
			current++
		}
	}
	return current
}

// mayStart: no rule holds it.
func (m *model) mayStart(n *node) bool {
	return !slices.ContainsFunc(n.rules, func(r rule) bool {
		return r.capacity && n.expected == unknownCount || m.use(n, r) >= r.maximum
	})
}

// blockedBy is what GET /task/{id} shows (contract 7.4), in short. What a rule names for the first time is not counted yet.
func (m *model) blockedBy(n *node) string {
	if n.status != "Pending" {
		return ""
	}
	var list []string
	for _, r := range n.rules {
		current := int64(0)
		if m.counted[r.shape] {
			current = m.use(n, r)
		}
		switch {
		case r.capacity && n.expected == unknownCount:
			list = append(list, fmt.Sprintf("%v: expected_count missing, %d", r, current))
		case current >= r.maximum:
			list = append(list, fmt.Sprintf("%v: limit reached, %d", r, current))
		}
	}
	return strings.Join(list, "; ")
}

// uncounted: a rule names a shape that is not counted yet, so the task has to wait for a chore.
func (m *model) uncounted(n *node) bool {
	return slices.ContainsFunc(n.rules, func(r rule) bool { return !m.counted[r.shape] })
}

// setRules gives a task that has not ended other rules.
func (n *node) setRules(rules []rule) {
	if !slices.Equal(n.rules, rules) {
		n.rules = rules
		n.requeue()
	}
}

// setData gives a task that has not ended other metadata and another expected_count, and tells whether that is a change.
func (n *node) setData(data metadata, expected int64) bool {
	changed := !n.data.equal(data) || n.expected != expected
	n.data, n.expected = data, expected
	if changed && len(n.rules) > 0 {
		n.requeue()
	}
	return changed
}

// byTurn is the order in which a claim decides.
func byTurn(a, b *node) int {
	return cmp.Or(cmp.Compare(b.priority, a.priority), cmp.Compare(a.seq, b.seq))
}
