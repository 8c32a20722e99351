package modeltest

import (
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/taskrunner/taskrunner/internal/task"
)

type status = task.Status

// event is what fires actions: a trigger and, of End, its condition ("" otherwise).
type event struct{ trigger, condition string }

var (
	onStart   = event{"Start", ""}
	onSuccess = event{"End", "Success"}
	onFailure = event{"End", "Failure"}
	onCancel  = event{"Cancel", ""}
)

// action is a webhook of a task. Its label, the path of its URL, tells it from all others.
type action struct {
	label    string
	on       event
	position int
	attempt  int // of a cancel action that came with an answer of on_start; 0: it is the task's own
}

// key names a delivery of a task: the n-th action of an event of an attempt.
type key struct {
	on      event
	number  int
	attempt int
}

// suffix is what the idempotency key has behind the task's id (contract 8.2).
func (k key) suffix() string {
	s := map[event]string{onStart: ":start", onSuccess: ":end:success", onFailure: ":end:failure", onCancel: ":cancel"}[k.on]
	if k.number > 1 {
		s += ":" + strconv.Itoa(k.number)
	}
	if k.attempt > 1 {
		s += ":a" + strconv.Itoa(k.attempt)
	}
	return s
}

type delivery struct {
	label  string // of the action
	status string
	tries  int
	later  bool      // its next try lies ahead
	lease  uuid.UUID // the replica that sends it; Nil: nobody
	until  time.Time // names the lease
}

// moment is where run_at lies. Tests put it an hour away, so it does not pass by itself.
type moment string

const (
	never moment = ""
	past  moment = "past"
	ahead moment = "ahead"
)

// claim is who holds an active task.
type claim struct {
	replica uuid.UUID // Nil: claimed by SQL
	at      string    // claimed_at as the database printed it; identifies the claim
	old     bool      // moved back by a day
	due     bool      // the sweep has to look at it
}

// node is a task.
type node struct {
	id    uuid.UUID
	name  string
	batch uuid.UUID // Nil: none
	seq   int64     // insertion order

	status       status
	pausedFrom   status
	waitFinished int
	waitSuccess  int
	attempt      int
	maxAttempts  int
	contacted    bool
	started      bool
	reason       string      // "": null
	reasons      []uuid.UUID // the reason may name any of these parents
	priority     int
	spec
	success    int64
	failures   int64
	runAt      moment
	barrier    bool // the walk of dead ends stops here
	quiet      bool // it ended without having its parents noted
	held       bool // queued as scheduled
	silent     bool // no sign of life for longer than its timeout
	claim      claim
	actions    []action // in insertion order
	timedOut   []int    // attempts
	deliveries map[key]delivery

	// What the present operation did.
	created, touched, startedNow, endedNow bool
}

// first is the delivery of the first action of an event in the present attempt.
func (n *node) first(on event) key { return key{on, 1, n.attempt} }

// active: Claimed, Running or paused from one of these.
func (n *node) active() bool {
	s := n.effective()
	return s == task.Claimed || s == task.Running
}

// waiting: follows its parents.
func (n *node) waiting() bool { return n.effective() == task.Waiting }

// effective is the state, or the one paused from.
func (n *node) effective() status {
	if n.status == task.Paused {
		return n.pausedFrom
	}
	return n.status
}

func (n *node) failed() bool { return n.status == task.Failure || n.status == task.Canceled }

func (n *node) hasStart() bool {
	return slices.ContainsFunc(n.actions, func(a action) bool { return a.on == onStart })
}

// ready: the claim may take it, if no rule holds it.
func (n *node) ready() bool { return n.status == task.Pending && !n.held }

// reportable: a result is accepted (contract 4.4).
func (n *node) reportable() bool {
	switch n.status {
	case task.Claimed, task.Running:
		return true
	case task.Pending, task.Paused:
		return n.contacted
	}
	return false
}

// resumesTo is the state that resume leads to (contract 6.5).
func (n *node) resumesTo() status {
	switch {
	case n.active():
		return n.pausedFrom
	case n.waitFinished > 0:
		return task.Waiting
	}
	return task.Pending
}

type replica struct {
	known bool // has its row
	dead  bool // its heartbeat is old
}

type edge struct{ parent, child uuid.UUID }

// model is all that the contract says about a database.
type model struct {
	tasks    map[uuid.UUID]*node
	links    map[edge]bool // value: requires success
	children map[uuid.UUID][]uuid.UUID
	parents  map[uuid.UUID][]uuid.UUID
	batches  map[uuid.UUID]bool
	deadEnds deadEnds
	counted  map[shape]bool // shapes that are counted
	replicas map[uuid.UUID]replica
	lastSeq  int64
	users    map[string]string // login of each role

	startTries    int // per task
	deliveryTries int
	// exact: nobody else is at work, so skip locked skips nothing and whatever can be done is done.
	exact bool
}

func newModel(users map[string]string, startTries, deliveryTries int) *model {
	return &model{
		tasks: map[uuid.UUID]*node{}, links: map[edge]bool{}, children: map[uuid.UUID][]uuid.UUID{},
		parents: map[uuid.UUID][]uuid.UUID{}, batches: map[uuid.UUID]bool{}, counted: map[shape]bool{}, replicas: map[uuid.UUID]replica{},
		deadEnds: deadEnds{says: map[uuid.UUID]bool{}, checks: map[uuid.UUID]int{}},
		users:    users, startTries: startTries, deliveryTries: deliveryTries,
	}
}

// clone copies everything that operations change.
func (m *model) clone() *model {
	c := *m
	c.tasks = make(map[uuid.UUID]*node, len(m.tasks))
	for id, n := range m.tasks {
		copied := *n
		copied.deliveries = maps.Clone(n.deliveries)
		copied.actions, copied.timedOut = slices.Clip(n.actions), slices.Clip(n.timedOut)
		c.tasks[id] = &copied
	}
	c.links = maps.Clone(m.links)
	c.children = cloneLists(m.children)
	c.parents = cloneLists(m.parents)
	c.batches = maps.Clone(m.batches)
	c.counted = maps.Clone(m.counted)
	c.replicas = maps.Clone(m.replicas)
	c.deadEnds.says = maps.Clone(m.deadEnds.says)
	c.deadEnds.checks = maps.Clone(m.deadEnds.checks)
	return &c
}

func cloneLists(lists map[uuid.UUID][]uuid.UUID) map[uuid.UUID][]uuid.UUID {
	c := make(map[uuid.UUID][]uuid.UUID, len(lists))
	for id, list := range lists {
		c[id] = slices.Clip(list)
	}
	return c
}

// begin starts a transaction.
func (m *model) begin() {
	m.deadEnds.noted = nil
	for _, n := range m.tasks {
		n.created, n.touched, n.startedNow, n.endedNow = false, false, false, false
	}
}

// sorted lists the tasks that fit, in insertion order.
func (m *model) sorted(fits func(*node) bool) []*node {
	var list []*node
	for _, n := range m.tasks {
		if fits(n) {
			list = append(list, n)
		}
	}
	slices.SortFunc(list, bySeq)
	return list
}

func bySeq(a, b *node) int { return int(a.seq - b.seq) }

// create adds a Pending task. seq 0 means that nobody knows it: the operation was refused.
func (m *model) create(id uuid.UUID, name string, batch uuid.UUID, priority int, s spec, seq int64) *node {
	if seq == 0 {
		seq = m.lastSeq + 1
	}
	m.lastSeq = max(m.lastSeq, seq)
	n := &node{
		id: id, name: name, batch: batch, seq: seq, status: task.Pending, priority: priority, spec: s,
		attempt: 1, maxAttempts: 1, deliveries: map[key]delivery{}, created: true, touched: true,
	}
	m.tasks[id] = n
	return n
}

// remove deletes an ended task with all that hangs on it.
func (m *model) remove(id uuid.UUID) {
	for _, c := range m.children[id] {
		delete(m.links, edge{id, c})
		m.parents[c] = without(m.parents[c], id)
	}
	for _, p := range m.parents[id] {
		delete(m.links, edge{p, id})
		m.children[p] = without(m.children[p], id)
	}
	delete(m.children, id)
	delete(m.parents, id)
	delete(m.tasks, id)
}

func without(list []uuid.UUID, id uuid.UUID) []uuid.UUID {
	return slices.DeleteFunc(slices.Clone(list), func(x uuid.UUID) bool { return x == id })
}
