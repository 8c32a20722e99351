package modeltest

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/taskrunner/taskrunner/internal/task"
)

// source makes choices: 0 <= intn < n, and 0 is the simplest.
type source interface {
	intn(n int) int
}

type randSource struct{ r *rand.Rand }

func (s randSource) intn(n int) int { return s.r.IntN(n) }

type simplest struct{}

func (simplest) intn(int) int { return 0 }

// seeded returns the source of one operation. An operation that draws everything from a seed of its own stays nearly the
// same when others before it are left out, which is what rapid tries to find a smaller example; and 0 is the simplest.
func seeded(seed uint64) source {
	if seed == 0 {
		return simplest{}
	}
	return randSource{rand.New(rand.NewPCG(seed, 0))}
}

// scattered draws 0 <= n < most, with small numbers no likelier than others.
func scattered(t *rapid.T, most int, what string) int {
	const golden = 2654435769 // 2^32 divided by the golden ratio: a multiplicative hash
	return int(uint32(rapid.Uint16().Draw(t, what)) * golden >> 8 % uint32(most))
}

// drawer draws operations.
type drawer struct {
	source
	k *known
	// alone: nobody else is at work. Then tasks can be added to a batch that exists (a stop that runs at the same time
	// need not see them) and deleted.
	alone bool
	// ordered: only operations that never end in 40P01. Of an UPDATE of one queued task the contract does not promise it.
	ordered bool
	weights []int  // of the kinds
	entries int    // most entries of a request
	room    int    // most live tasks
	flat    bool   // few links and no run_at, so that many tasks are ready at once
	as      string // the login of all operations, "" for any
}

// kinds are the operations with their weights.
var kinds = []struct {
	name   string
	weight int
	draw   func(*drawer) op
}{
	{"submit", 2, (*drawer).submit},
	{"insert graph", 3, (*drawer).insertGraph},
	{"link", 8, (*drawer).newLinks},
	{"add action", 4, (*drawer).newAction},
	{"claim", 16, (*drawer).claimTasks},
	{"claim by SQL", 8, (*drawer).claimBySQL},
	{"start", 9, (*drawer).startTasks},
	{"fail start", 6, (*drawer).failStarts},
	{"finish_task", 8, (*drawer).finish},
	{"finish_tasks", 4, (*drawer).finishMany},
	{"report", 4, (*drawer).reports},
	{"add_progress", 3, (*drawer).progress},
	{"update one", 8, (*drawer).updateOne},
	{"update many", 4, (*drawer).updateMany},
	{"cancel_task", 3, func(d *drawer) op { return d.one("cancel") }},
	{"pause_task", 6, func(d *drawer) op { return d.one("pause") }},
	{"resume_task", 6, func(d *drawer) op { return d.one("resume") }},
	{"cancel_tasks", 2, (*drawer).cancelMany},
	{"stop_batch", 1, (*drawer).stop},
	{"priority", 3, (*drawer).prioritize},
	{"run_at", 2, (*drawer).setRunAt},
	{"rules", 5, (*drawer).setRules},
	{"batch rules", 3, (*drawer).batchRules},
	{"metadata", 5, func(d *drawer) op { return d.setData("metadata") }},
	{"expected_count", 3, func(d *drawer) op { return d.setData("expected_count") }},
	{register, 8, chore(register)},
	{wake, 10, chore(wake)},
	{recheck, 4, chore(recheck)},
	{prune, 2, chore(prune)},
	{again, 3, chore(again)},
	{drop, 1, chore(drop)},
	{"start all", 4, (*drawer).startAll},
	{"time passes", 5, (*drawer).age},
	{"sweep_active", 4, (*drawer).sweep},
	{"release", 2, func(*drawer) op { return &release{base: base{"service"}} }},
	{"drain dead ends", 4, func(*drawer) op { return &drain{base: base{"service"}} }},
	{"dead-end default", 1, (*drawer).deadEndDefault},
	{"replica", 4, (*drawer).live},
	{"sweep_replicas", 2, func(*drawer) op { return &sweepReplicas{base: base{"service"}} }},
	{"lease deliveries", 3, (*drawer).claimDeliveries},
	{"settle deliveries", 4, (*drawer).settle},
	{"leases run out", 1, func(*drawer) op { return &expireLeases{base: base{"owner"}} }},
	{"delete", 1, (*drawer).remove},
	{"transaction", 3, (*drawer).several},
}

// plainWeights are the weights of the kinds as they stand there.
func plainWeights() []int {
	weights := make([]int, len(kinds))
	for i, k := range kinds {
		weights[i] = k.weight
	}
	return weights
}

// swarm draws weights of which some are much larger and some are 0: a run in which everything happens equally often
// seldom has much of what collides (Groce and others, Swarm Testing, 2012).
func swarm(r *rand.Rand) []int {
	weights := plainWeights()
	for i := range weights {
		switch n := r.IntN(100); {
		case n < 25:
			weights[i] *= 8
		case n < 45 && i > 1: // but something has to create tasks
			weights[i] = 0
		}
	}
	return weights
}

// crowd are weights of a run in which many want the same slots.
func crowd(r *rand.Rand) []int {
	weights := swarm(r)
	for i, k := range kinds {
		switch k.name {
		case "submit", "start", register, wake, again, "claim", "claim by SQL", "update one", "update many", "finish_tasks", "report", "release":
			weights[i] = max(weights[i], 3*k.weight)
		case "rules", "batch rules", "metadata", "expected_count", "priority", recheck, prune, "pause_task", "resume_task", "transaction":
		default:
			weights[i] = min(weights[i], 1)
		}
	}
	return weights
}

func sum(list []int) int {
	total := 0
	for _, n := range list {
		total += n
	}
	return total
}

// next draws an operation, its kind by a number below the sum of the weights. If that has nothing to work on, others are
// tried; nil means that none had.
func (d *drawer) next(kind int) (string, op) {
	d.k.mu.Lock()
	defer d.k.mu.Unlock()
	const tries = 20
	for range tries {
		for i, k := range kinds {
			if kind -= d.weights[i]; kind >= 0 {
				continue
			}
			if o := k.draw(d); o != nil {
				return k.name, o
			}
			break
		}
		kind = d.intn(sum(d.weights))
	}
	return "", nil
}

func (d *drawer) chance(percent int) bool { return d.intn(100) >= 100-percent }

func pick[T any](d *drawer, list []T) T { return list[d.intn(len(list))] }

// pickBy draws from a list whose elements have names: it takes the one whose name has the smallest hash, so that the
// choice stays the same when others come or go.
func pickBy[T any](d *drawer, list []T, name func(T) string) T {
	salt := d.intn(1 << 30)
	hash := func(x T) uint64 {
		h := fnv.New64a()
		fmt.Fprint(h, salt, name(x))
		return h.Sum64()
	}
	return slices.MinFunc(list, func(a, b T) int { return cmp.Compare(hash(a), hash(b)) })
}

// newID makes a UUID of version 4 that nothing has yet.
func (d *drawer) newID() uuid.UUID {
	var id uuid.UUID
	for i := range id {
		id[i] = byte(d.intn(256))
	}
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	for d.k.names[id.String()] {
		id[15]++
	}
	d.k.names[id.String()] = true
	return id
}

// newName makes a name that nothing has yet.
func (d *drawer) newName(prefix string) string {
	name := fmt.Sprintf("%s%04x", prefix, d.intn(1<<16))
	for d.k.names[name] {
		name += "x"
	}
	d.k.names[name] = true
	return name
}

func (d *drawer) newTask() ref { return ref{d.newID(), d.newName("t")} }

func (d *drawer) by(logins ...string) base {
	if d.as != "" {
		return base{d.as}
	}
	return base{pick(d, logins)}
}

// target draws a task, mostly one that was last seen in one of these states.
func (d *drawer) target(states ...status) (*seen, bool) {
	if len(d.k.tasks) == 0 {
		return nil, false
	}
	fitting := slices.DeleteFunc(slices.Clone(d.k.tasks), func(s *seen) bool { return !s.in(states...) })
	if len(fitting) == 0 || d.chance(12) {
		fitting = d.k.tasks
	}
	return pickBy(d, fitting, func(s *seen) string { return s.name }), true
}

// targets draws several different tasks.
func (d *drawer) targets(most int, states ...status) []*seen {
	var list []*seen
	for range 1 + d.intn(most) {
		if s, ok := d.target(states...); ok && !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	return list
}

func refs(list []*seen) []ref {
	r := make([]ref, len(list))
	for i, s := range list {
		r[i] = s.ref
	}
	return r
}

var priorities = []int{0, 0, 0, 5, -1}

func (d *drawer) claimTasks() op {
	o := &claimTasks{base: base{"service"}, replica: pick(d, d.k.replicas), limit: 1 + d.intn(5), rescan: true}
	if d.chance(30) && len(d.k.tasks) > 0 {
		for _, p := range []int{5, 0, -1} {
			if d.chance(60) {
				o.marks = append(o.marks, mark{p, pick(d, d.k.tasks).seq})
			}
		}
		o.rescan = d.chance(60)
	}
	return o
}

// held draws claims of one replica, each task once.
func (d *drawer) held(most int, oneReplica bool) []held {
	var list []held
	for range 1 + d.intn(most) {
		fitting := slices.DeleteFunc(slices.Clone(d.k.claims), func(h held) bool {
			s := d.k.byID[h.task.id]
			return s == nil || s.status != task.Claimed && s.from != task.Claimed
		})
		if len(fitting) == 0 || d.chance(15) {
			fitting = d.k.claims
		}
		if len(fitting) == 0 {
			return nil
		}
		h := pickBy(d, fitting, func(h held) string { return h.task.name })
		again := slices.ContainsFunc(list, func(x held) bool { return x.task.id == h.task.id })
		if !again && (!oneReplica || len(list) == 0 || list[0].replica == h.replica) {
			list = append(list, h)
		}
	}
	return list
}

func (d *drawer) startTasks() op {
	if claims := d.held(3, false); claims != nil {
		o := &startTasks{base: base{"service"}, claims: claims, offers: make([]string, len(claims))}
		for i, h := range claims {
			if d.chance(50) { // a repeated call may be answered with the same, or by another one that is at work
				o.offers[i] = fmt.Sprintf("stop-%s-%d", h.task.name, d.intn(2))
			}
		}
		return o
	}
	return nil
}

func (d *drawer) failStarts() op {
	claims := d.held(2, true)
	if claims == nil {
		return nil
	}
	return &failStarts{
		base: base{"service"}, replica: claims[0].replica, claims: claims, permanent: d.chance(25),
		later: d.chance(40),
	}
}

func (d *drawer) result() status {
	if d.chance(40) {
		return task.Failure
	}
	return task.Success
}

func (d *drawer) reason() string {
	if d.chance(50) {
		return d.newName("a")
	}
	return ""
}

func (d *drawer) finish() op {
	s, ok := d.target(task.Claimed, task.Running, task.Paused)
	if !ok {
		return nil
	}
	o := &finish{base: d.by("worker", "admin", "owner"), task: s.ref, to: d.result(), reason: d.reason(), attempt: d.intn(2)}
	if d.chance(5) {
		o.attempt = pick(d, []int{2, -1})
	}
	return o
}

func (d *drawer) finishMany() op {
	list := d.targets(4, task.Claimed, task.Running, task.Paused)
	if list == nil {
		return nil
	}
	return &finishMany{base: d.by("worker", "admin", "owner"), tasks: refs(list), to: d.result()}
}

func (d *drawer) reports() op {
	o := &reports{base: base{"service"}}
	for _, s := range d.targets(5, task.Claimed, task.Running, task.Paused, task.Pending) {
		x := item{task: s.ref, newSuccess: d.intn(3), priority: pick(d, priorities), expected: unknownCount, fenced: d.chance(50)}
		if d.chance(25) {
			x.data = &metadata{object: true, p: 1 + d.intn(len(values)-1), q: d.intn(len(values))}
		}
		if d.chance(25) {
			x.expected = int64(d.intn(6))
		}
		if d.chance(60) {
			x.to, x.reason = d.result(), d.reason()
		}
		o.items = append(o.items, x)
	}
	if o.items == nil {
		return nil
	}
	return o
}

func (d *drawer) progress() op {
	s, ok := d.target(task.Running, task.Claimed, task.Success)
	if !ok {
		return nil
	}
	return &progress{base: d.by("worker", "admin"), task: s.ref, success: d.intn(3), failures: d.intn(2)}
}

// change draws a change of status, mostly one that is legal from the state last seen.
func (d *drawer) change(s *seen) change {
	c := change{task: s.ref}
	likely := map[status][]status{
		task.Waiting: {task.Canceled, task.Paused},
		task.Pending: {task.Claimed, task.Claimed, task.Paused, task.Canceled},
		task.Claimed: {task.Running, task.Running, task.Success, task.Failure, task.Paused, task.Canceled},
		task.Running: {task.Success, task.Success, task.Failure, task.Paused, task.Canceled},
		task.Paused:  {task.Waiting, task.Pending, task.Claimed, task.Running, task.Success, task.Failure, task.Canceled},
	}[s.status]
	if s.from != "" && d.chance(50) {
		likely = []status{s.from}
	}
	if likely == nil || d.chance(10) {
		likely = task.Statuses
	}
	c.to = pick(d, likely)
	if c.to.Terminal() {
		c.reason = d.reason()
	}
	return c
}

func (d *drawer) updateOne() op {
	s, ok := d.target(task.Pending, task.Claimed, task.Running, task.Paused)
	if !ok {
		return nil
	}
	return &update{base: d.by("worker", "admin", "owner"), changes: []change{d.change(s)}}
}

func (d *drawer) updateMany() op {
	if d.ordered {
		return nil
	}
	o := &update{base: d.by("worker", "admin")}
	for _, s := range d.targets(5, task.Pending, task.Claimed, task.Running) {
		o.changes = append(o.changes, d.change(s))
	}
	if o.changes == nil {
		return nil
	}
	return o
}

func (d *drawer) one(what string) op {
	states := []status{task.Waiting, task.Pending, task.Claimed, task.Running}
	if what == "resume" {
		states = []status{task.Paused}
	}
	s, ok := d.target(states...)
	if !ok {
		return nil
	}
	return &one{base: d.by("producer", "admin", "service"), what: what, task: s.ref}
}

func (d *drawer) cancelMany() op {
	list := d.targets(3, task.Waiting, task.Pending, task.Claimed, task.Running, task.Paused)
	if list == nil {
		return nil
	}
	return &cancelMany{base: d.by("producer", "admin"), tasks: refs(list)}
}

func (d *drawer) stop() op {
	if len(d.k.batches) == 0 || !d.chance(60) {
		return nil
	}
	batch := pickBy(d, d.k.batches, uuid.UUID.String)
	if d.chance(5) {
		batch = d.newID()
	}
	return &stop{base: d.by("producer", "admin", "service"), batch: batch}
}

func (d *drawer) prioritize() op {
	s, ok := d.target(task.Pending, task.Waiting, task.Running)
	if !ok {
		return nil
	}
	return &prioritize{base: d.by("producer", "admin"), task: s.ref, priority: pick(d, priorities)}
}

func (d *drawer) setRunAt() op {
	s, ok := d.target(task.Pending, task.Waiting)
	if !ok {
		return nil
	}
	return &setRunAt{base: d.by("admin"), task: s.ref, to: pick(d, []moment{ahead, past, never})}
}

func (d *drawer) age() op {
	what := pick(d, []string{dueMoment, lastSign, claimMoment, runMoment})
	states := []status{task.Claimed, task.Running, task.Paused}
	if what == runMoment {
		states = []status{task.Pending, task.Waiting}
	}
	s, ok := d.target(states...)
	if !ok {
		return nil
	}
	return &age{base: base{"owner"}, task: s.ref, what: what}
}

func (d *drawer) sweep() op {
	return &sweep{base: base{"service"}, claimTimeout: pick(d, []int{noClaim, oldClaims, oldClaims, everyClaim})}
}

func (d *drawer) live() op {
	o := &live{base: base{"service"}, replica: pick(d, d.k.replicas), what: pick(d, []string{ticks, ticks, dies, leaves})}
	if o.what == dies {
		o.login = "owner"
	}
	return o
}

func (d *drawer) claimDeliveries() op {
	return &claimDeliveries{base: base{"service"}, replica: pick(d, d.k.replicas), limit: 1 + d.intn(6)}
}

func (d *drawer) settle() op {
	if len(d.k.leases) == 0 {
		return nil
	}
	o := &settle{
		base: base{"service"}, outcome: pick(d, []string{"delivered", "failed", "failed", "given_up"}),
		later: d.chance(30),
	}
	for range 1 + d.intn(3) {
		l := pickBy(d, d.k.leases, func(l lease) string { return d.k.byID[l.task].name + l.key[36:] })
		if !slices.ContainsFunc(o.leases, func(x lease) bool { return x.delivery == l.delivery }) {
			o.leases = append(o.leases, l)
		}
	}
	return o
}

func (d *drawer) remove() op {
	s, ok := d.target(task.Success, task.Failure, task.Canceled)
	if !ok || !d.alone {
		return nil
	}
	return &remove{base: base{"admin"}, task: s.ref}
}

// several draws a transaction of two or three operations, each perhaps under a savepoint.
func (d *drawer) several() op {
	if d.ordered {
		return nil
	}
	d.as = "admin"
	defer func() { d.as = "" }()
	draws := []func(*drawer) op{
		(*drawer).newLinks, (*drawer).newLinks, (*drawer).newAction, (*drawer).finish, (*drawer).finishMany, (*drawer).updateOne,
		(*drawer).updateMany, (*drawer).prioritize, (*drawer).setRunAt, (*drawer).progress, (*drawer).cancelMany, (*drawer).stop,
		(*drawer).setRules, func(d *drawer) op { return d.setData("metadata") },
		(*drawer).submit, func(d *drawer) op { return d.one("pause") }, func(d *drawer) op { return d.one("resume") },
		func(d *drawer) op { return d.one("cancel") },
	}
	o := &several{base: base{"admin"}}
	for range 2 + d.intn(2) {
		x := pick(d, draws)(d)
		if x == nil {
			continue
		}
		how := plainly
		if d.alone && d.chance(40) {
			how = pick(d, []int{underSavepoint, undone})
		}
		o.steps = append(o.steps, step{op: x, how: how})
	}
	if o.steps == nil {
		return nil
	}
	return o
}

// uuidOrNil draws a batch for new tasks: none, one that exists, or a new one.
func (d *drawer) batchForInsert() (batch uuid.UUID, isNew bool) {
	switch {
	case d.chance(30):
		return uuid.Nil, false
	case d.alone && len(d.k.batches) > 0 && d.chance(40):
		return pickBy(d, d.k.batches, uuid.UUID.String), false
	}
	return d.newID(), true
}
