package modeltest

import (
	"cmp"
	"slices"

	"github.com/google/uuid"

	"github.com/taskrunner/taskrunner/internal/task"
)

type link struct {
	parent, child ref
	required      bool
}

// touch is a sign of life: last_updated = now.
func (n *node) touch() {
	n.touched, n.silent = true, false
}

// become changes the state, and in the same row what hangs on it.
func (m *model) become(n *node, to status) {
	n.pausedFrom = ""
	if to == task.Paused {
		n.pausedFrom = n.status
	}
	n.status = to
	if d, ok := n.deliveries[n.first(onStart)]; ok && d.status == "Pending" && to != task.Pending && to != task.Claimed {
		d.status = "Canceled" // no further try of on_start (contract 8.6)
		n.deliveries[n.first(onStart)] = d
	}
	n.requeue()
}

// requeue brings the task's place in the queue up to date.
func (n *node) requeue() {
	if !n.active() {
		n.claim = claim{}
	}
	n.held = n.status == task.Pending && n.runAt == ahead
}

// end is the end of one task; propagate has to follow.
func (m *model) end(n *node, to status, reason string) {
	contacted := n.contacted
	m.become(n, to)
	n.reason, n.reasons, n.endedNow = reason, nil, true
	switch to {
	case task.Success:
		n.fire(onSuccess)
	case task.Failure:
		n.fire(onFailure)
	case task.Canceled:
		if contacted {
			n.fire(onCancel)
		}
	}
}

// fire owes a delivery for each action of the event that has none, in the order of the contract's section 1.4. Those
// that were fired before keep their numbers.
func (n *node) fire(on event) {
	next := 1
	var fired []string
	for ; ; next++ {
		d, ok := n.deliveries[key{on, next, n.attempt}]
		if !ok {
			break
		}
		fired = append(fired, d.label)
	}
	actions := slices.Clone(n.actions)
	slices.SortStableFunc(actions, func(a, b action) int {
		return cmp.Or(cmp.Compare(min(a.attempt, 1), min(b.attempt, 1)), cmp.Compare(a.position, b.position))
	})
	for _, a := range actions {
		if a.on == on && (a.attempt == 0 || a.attempt == n.attempt) && !slices.Contains(fired, a.label) {
			n.deliveries[key{on, next, n.attempt}] = delivery{label: a.label, status: "Pending"}
			next++
		}
	}
}

// propagate is contract 6.1: these tasks ended in one step. What is above them may be a dead end.
func (m *model) propagate(ended []*node) {
	m.noteParents(m.spread(ended))
}

// spread does it without a thought of dead ends, and returns all that ended.
func (m *model) spread(ended []*node) []*node {
	var failed []*node
	for _, n := range ended {
		if n.failed() {
			failed = append(failed, n)
		}
	}
	// Rule 3: what fails, and because of whom.
	because := map[uuid.UUID]*node{}
	for i := 0; i < len(failed); i++ {
		for _, id := range m.children[failed[i].id] {
			c := m.tasks[id]
			if !m.links[edge{failed[i].id, id}] || !c.waiting() {
				continue
			}
			first, again := because[id]
			if !again {
				failed = append(failed, c)
			}
			if !again || failed[i].seq < first.seq {
				because[id] = failed[i]
			}
		}
	}
	for id, parent := range because {
		c := m.tasks[id]
		m.end(c, task.Failure, requiredParentFailed(parent.id))
		ended = append(ended, c)
	}
	// Rules 4 and 5.
	for _, p := range ended {
		for _, id := range m.children[p.id] {
			c := m.tasks[id]
			if !c.waiting() {
				continue
			}
			c.waitFinished--
			if m.links[edge{p.id, id}] {
				c.waitSuccess--
			}
			if c.status == task.Waiting && c.waitFinished == 0 {
				m.become(c, task.Pending)
			}
		}
	}
	return ended
}

func requiredParentFailed(parent uuid.UUID) string {
	return "Required parent task " + parent.String() + " failed"
}

// insertLinks is one INSERT of links between tasks that exist (contract 13.1).
func (m *model) insertLinks(links []link) verdict {
	seen := map[edge]bool{}
	var refused verdict
	for _, l := range links {
		e := edge{l.parent.id, l.child.id}
		if _, ok := m.links[e]; ok || seen[e] {
			return verdict{codeUnique}
		}
		seen[e] = true
		if m.tasks[e.parent] == nil || m.tasks[e.child] == nil {
			refused = verdict{codeForeignKey}
		}
	}
	if refused != nil {
		return refused
	}
	for _, l := range links {
		m.addEdge(l)
	}
	for _, l := range links {
		if m.reaches(l.child.id, l.parent.id) {
			refused = refused.or(codeCycle)
		}
		c := m.tasks[l.child.id]
		if s := c.effective(); s != task.Waiting && s != task.Pending || c.contacted || c.attempt > 1 {
			refused = refused.or(codeIllegal)
		}
	}
	if refused != nil {
		return refused
	}

	for _, l := range links {
		p, c := m.tasks[l.parent.id], m.tasks[l.child.id]
		if p.status.Terminal() {
			continue
		}
		c.waitFinished++
		if l.required {
			c.waitSuccess++
		}
		switch c.status {
		case task.Pending:
			m.become(c, task.Waiting)
		case task.Paused:
			c.pausedFrom = task.Waiting
		}
	}
	because := map[uuid.UUID][]uuid.UUID{}
	for _, l := range links {
		if l.required && m.tasks[l.parent.id].failed() {
			because[l.child.id] = append(because[l.child.id], l.parent.id)
		}
	}
	var ended []*node
	for id, parents := range because {
		c := m.tasks[id]
		m.end(c, task.Failure, "")
		c.reasons = parents
		ended = append(ended, c)
	}
	m.propagate(ended)
	return nil
}

func (m *model) addEdge(l link) {
	p, c := l.parent.id, l.child.id
	m.links[edge{p, c}] = l.required
	m.children[p] = append(m.children[p], c)
	m.parents[c] = append(m.parents[c], p)
}

// reaches: there is a way from one task down to the other; from each task to itself, too.
func (m *model) reaches(from, to uuid.UUID) bool {
	seen := map[uuid.UUID]bool{from: true}
	for stack := []uuid.UUID{from}; len(stack) > 0; {
		id := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if id == to {
			return true
		}
		for _, c := range m.children[id] {
			if !seen[c] {
				seen[c] = true
				stack = append(stack, c)
			}
		}
	}
	return false
}

// recordStart notes a settled try of on_start in an attempt. What was delivered stays so.
func (m *model) recordStart(n *node, attempt int, outcome string) {
	k := key{onStart, 1, attempt}
	d := n.deliveries[k]
	for _, a := range n.actions {
		if a.on == onStart {
			d.label = a.label
		}
	}
	d.tries++
	if d.status != "Delivered" {
		d.status = outcome
	}
	n.deliveries[k] = d
}

// register notes the cancel action that an answer of on_start brought, once per attempt. It is owed at once when that attempt has
// been canceled or has timed out (contract 8.7).
func (n *node) register(attempt int, label string) {
	a := action{label: label, on: onCancel, attempt: attempt}
	if slices.Contains(n.actions, a) {
		return
	}
	n.actions = append(n.actions, a)
	if slices.Contains(n.timedOut, attempt) || n.status == task.Canceled && n.attempt == attempt {
		k := key{onCancel, 1, attempt}
		for n.deliveries[k].status != "" {
			k.number++
		}
		n.deliveries[k] = delivery{label: label, status: "Pending"}
	}
}

// timeout is row 13, or 14 because of it; propagate has to follow an end.
func (m *model) timeout(n *node) {
	n.timedOut = append(n.timedOut, n.attempt)
	if n.attempt < n.maxAttempts {
		n.fire(onCancel)
		m.retry(n, "Timeout")
		return
	}
	m.end(n, task.Failure, "Timeout")
	n.fire(onCancel)
}

// started is Claimed -> Running (contract 5.3, rows 7 and 21).
func (m *model) started(n *node) {
	switch {
	case n.status == task.Claimed:
		n.touch()
		m.become(n, task.Running)
	case n.status == task.Paused && n.pausedFrom == task.Claimed:
		n.pausedFrom = task.Running
	default:
		return
	}
	n.started, n.startedNow = true, true
}

// pause holds a task: no timestamps, no propagation (contract 6.5).
func (m *model) pause(n *node) {
	m.become(n, task.Paused)
	n.claim.due = n.pausedFrom == task.Claimed // a paused claim can go stale, a paused run does not time out
}

// resume lets it go on; a run gets a full timeout, a claim keeps its age.
func (m *model) resume(n *node) {
	m.become(n, n.resumesTo())
	if n.active() {
		n.touch()
		n.claim.due = n.claim.due || n.status == task.Claimed
	}
}

// report is an accepted result (contract 5.3, rows 10 and 11).
func (m *model) report(n *node, to status, reason string) {
	n.touch()
	m.end(n, to, reason)
}

// result is a report by way of a function: a Failure with attempts left is a retry.
func (m *model) result(n *node, to status, reason string) {
	if to == task.Failure && n.attempt < n.maxAttempts {
		m.retry(n, reason)
		return
	}
	m.report(n, to, reason)
}

// retry is row 14 or 15. Tasks of this test wait for nothing between two attempts.
func (m *model) retry(n *node, reason string) {
	if n.status == task.Paused {
		n.pausedFrom = task.Pending
		n.requeue()
	} else {
		m.become(n, task.Pending)
	}
	if d, ok := n.deliveries[n.first(onStart)]; ok && d.status == "Pending" {
		d.status = "Canceled"
		n.deliveries[n.first(onStart)] = d
	}
	n.touch()
	n.attempt++
	n.reason, n.reasons = reason, nil
	n.contacted, n.started, n.success, n.failures, n.runAt, n.held = false, false, 0, 0, past, false
}

// cancel is row 16 or 18.
func (m *model) cancel(n *node, reason string) {
	n.touch()
	m.end(n, task.Canceled, reason)
}

// lost is a try of on_start that failed or whose outcome nobody knows.
type lost struct {
	n         *node
	cause     string // "": no call was made
	permanent bool
	later     bool // the next try waits
}

// startsFailed is contract 5.3, rows 8, 9, 12 and 21, for tasks that are Claimed or paused from it.
func (m *model) startsFailed(tries []lost) {
	var ended []*node
	for _, try := range tries {
		n := try.n
		last := n.deliveries[n.first(onStart)].tries+1 >= m.startTries
		switch {
		case n.status == task.Paused:
			if try.cause != "" {
				m.recordStart(n, n.attempt, "Canceled")
			}
			n.pausedFrom = task.Pending
			n.requeue()
		case try.cause != "" && (try.permanent || last):
			m.recordStart(n, n.attempt, "Failed")
			if n.attempt < n.maxAttempts {
				m.retry(n, "on_start webhook failed: "+try.cause)
				break
			}
			n.touch()
			m.end(n, task.Failure, "on_start webhook failed: "+try.cause)
			ended = append(ended, n)
		default:
			if try.cause != "" {
				m.recordStart(n, n.attempt, "Pending")
			}
			if try.later {
				n.runAt = ahead
			}
			n.touch()
			m.become(n, task.Pending)
		}
	}
	m.propagate(ended)
}
