package modeltest

import (
	"slices"

	"github.com/taskrunner/taskrunner/internal/task"
)

// pair is an edge between positions of a new graph.
type pair struct{ parent, child int }

// shape draws a graph of n nodes: edges from lower to higher positions, now and then a cycle.
func (d *drawer) shape(n int) []pair {
	var edges []pair
	add := func(p, c int) {
		if !slices.Contains(edges, pair{p, c}) {
			edges = append(edges, pair{p, c})
		}
	}
	if d.flat && d.chance(85) {
		return nil
	}
	switch d.intn(6) {
	case 0: // deep
		for i := 1; i < n; i++ {
			add(i-1, i)
		}
	case 1: // wide: fan-out
		for i := 1; i < n; i++ {
			add(0, i)
		}
	case 2: // wide: fan-in
		for i := range n - 1 {
			add(i, n-1)
		}
	case 3: // diamonds
		for i := 0; i+3 < n; i += 3 {
			add(i, i+1)
			add(i, i+2)
			add(i+1, i+3)
			add(i+2, i+3)
		}
	case 4: // layers
		width := 1 + d.intn(3)
		for i := width; i < n; i++ {
			for j := (i/width - 1) * width; j < i/width*width; j++ {
				if d.chance(70) {
					add(j, i)
				}
			}
		}
	default: // anything
		for range d.intn(2 * n) {
			p, c := d.intn(n), d.intn(n)
			if p != c {
				add(min(p, c), max(p, c))
			}
		}
	}
	if n > 1 && d.chance(3) {
		p, c := d.intn(n), d.intn(n)
		if p != c {
			add(max(p, c), min(p, c))
		}
	}
	return edges
}

// order draws a permutation.
func (d *drawer) order(n int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = i
	}
	if d.chance(60) {
		for i := n - 1; i > 0; i-- {
			j := d.intn(i + 1)
			list[i], list[j] = list[j], list[i]
		}
	}
	return list
}

func (d *drawer) size() int {
	return min(1+d.intn(d.entries), d.room-d.k.live())
}

// hooks draws the actions of a task, ordered as in contract 1.4.
func (d *drawer) hooks(start bool) []action {
	var list []action
	if start {
		list = append(list, action{label: d.newName("a"), on: onStart})
	}
	for _, on := range []event{onFailure, onSuccess, onCancel} {
		for position := range d.intn(3) {
			list = append(list, action{label: d.newName("a"), on: on, position: position})
		}
	}
	return list
}

func (d *drawer) submit() op {
	n := d.size()
	if n <= 0 {
		return nil
	}
	o := &submit{base: d.by("producer", "service", "admin"), batch: d.newID(), object: d.chance(50)}
	if o.object {
		o.says = d.says()
	}
	place := d.order(n)
	o.entries = make([]entry, n)
	for i := range o.entries {
		o.entries[i] = entry{name: d.newTask().name, priority: pick(d, priorities), barrier: d.chance(15), attempts: pick(d, []int{1, 1, 2, 3}), runAt: pick(d, []moment{never, never, past, ahead}), spec: d.spec(), actions: d.hooks(true)}
	}
	d.strategies(o.entries)
	for _, e := range d.shape(n) {
		if e.parent > e.child && leavesOut(o.entries) {
			continue // a cycle only of entries that stay
		}
		c := &o.entries[place[e.child]]
		c.needs = append(c.needs, dependency{entry: place[e.parent], required: d.chance(60)})
	}
	for i := range o.entries {
		if d.flat {
			o.entries[i].runAt = never
			continue
		}
		for range d.intn(2) {
			if !d.chance(35) {
				continue
			}
			s, ok := d.target(task.Waiting, task.Pending, task.Claimed, task.Running, task.Paused)
			if ok && !slices.ContainsFunc(o.entries[i].needs, func(x dependency) bool { return x.task != nil && *x.task == s.ref }) {
				o.entries[i].needs = append(o.entries[i].needs, dependency{task: &s.ref, required: d.chance(60)})
			}
		}
	}
	return o
}

// insertGraph draws plain INSERTs of a batch, tasks, links and actions in one transaction.
func (d *drawer) insertGraph() op {
	n := min(d.size(), 5)
	if n <= 0 {
		return nil
	}
	by := d.by("producer", "admin")
	o := &several{base: by}
	add := func(x op) { o.steps = append(o.steps, step{op: x}) }
	batch, isNew := d.batchForInsert()
	if isNew {
		add(&newBatch{base: by, batch: batch, says: d.says()})
	}
	tasks := make([]ref, n)
	for i := range tasks {
		tasks[i] = d.newTask()
	}
	for list := range slices.Chunk(tasks, 1+d.intn(n)) {
		x := &newTasks{base: by, batch: batch, tasks: list, priority: pick(d, priorities), barrier: d.chance(15), spec: d.spec()}
		if d.chance(3) {
			x.rules = d.rules(metadata{object: true, p: 1, q: 1})
		}
		add(x)
	}
	actions := func() {
		for _, t := range tasks {
			for _, a := range d.hooks(d.chance(80)) {
				a.position = d.intn(2)
				add(&newAction{base: by, task: t, action: a})
			}
		}
	}
	links := d.linksOfGraph(tasks)
	before := d.chance(50)
	if before {
		actions()
	}
	if len(links) > 0 && d.alone && d.chance(40) {
		for _, l := range links {
			add(&newLinks{base: by, links: []link{l}})
		}
	} else if len(links) > 0 {
		add(&newLinks{base: by, links: links})
	}
	if !before {
		actions()
	}
	return o
}

// linksOfGraph draws links among new tasks, in any direction of their order of insertion, and with tasks that exist.
func (d *drawer) linksOfGraph(tasks []ref) []link {
	var links []link
	place := d.order(len(tasks))
	for _, e := range d.shape(len(tasks)) {
		links = append(links, link{tasks[place[e.parent]], tasks[place[e.child]], d.chance(60)})
	}
	for _, t := range tasks {
		if !d.chance(35) {
			continue
		}
		states := []status{task.Waiting, task.Pending, task.Claimed, task.Running, task.Paused}
		upwards := d.chance(25)
		if upwards {
			states = []status{task.Waiting, task.Pending}
		}
		s, ok := d.target(states...)
		if !ok {
			continue
		}
		l := link{s.ref, t, d.chance(60)}
		if upwards {
			l.parent, l.child = t, s.ref
		}
		links = append(links, l)
	}
	return links
}

func (d *drawer) newLinks() op {
	o := &newLinks{base: d.by("producer", "admin")}
	n := 1
	if !d.ordered {
		n += d.intn(3)
	}
	for range n {
		p, ok := d.target(task.Statuses...)
		c, _ := d.target(task.Waiting, task.Pending, task.Paused)
		if !ok || p == c && !d.chance(10) {
			continue
		}
		// Mostly rising: the other way closes a cycle or re-numbers.
		if p.seq > c.seq && d.chance(50) {
			p, c = c, p
		}
		o.links = append(o.links, link{p.ref, c.ref, d.chance(60)})
	}
	if o.links == nil {
		return nil
	}
	return o
}

func (d *drawer) newAction() op {
	s, ok := d.target(task.Waiting, task.Pending, task.Claimed, task.Running, task.Paused)
	if !ok {
		return nil
	}
	on := pick(d, []event{onStart, onSuccess, onFailure, onFailure, onCancel})
	return &newAction{
		base: d.by("producer", "admin"), task: s.ref,
		action: action{label: d.newName("a"), on: on, position: d.intn(3)},
	}
}
