package modeltest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"
)

// How many work at once.
const leastWorkers, mostWorkers = 4, 8

// TestConcurrent runs random operations on many connections at once and replays what happened on the model (doc.go).
func TestConcurrent(t *testing.T) {
	total := budget(t) / 2
	seed := rand.Uint64()
	if text := os.Getenv("MODEL_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("MODEL_SEED=%q is no number", text)
		}
	}
	t.Logf("MODEL_SEED=%d", seed)
	// Operations of which the contract says that they never end in 40P01.
	t.Run("ordered", func(t *testing.T) {
		c := newConcurrent(t, seed, true)
		c.runFor(t, total*6/10)
		c.w.db.AssertNoDeadlocks(t)
	})
	// With transactions of several statements and direct UPDATEs of many tasks among them, which may.
	t.Run("any", func(t *testing.T) {
		c := newConcurrent(t, seed, false)
		c.runFor(t, total*4/10)
		// A killed process may have been the one that was to report a deadlock.
		seen, counted := c.counts.total("deadlock"), int(c.w.db.Deadlocks(t))
		if counted < seen || counted > seen+int(c.kills.Load()) {
			t.Errorf("PostgreSQL counted %d deadlocks, clients saw %d (and %d were killed)", counted, seen, c.kills.Load())
		}
	})
}

// concurrent is a series of rounds, each with a database made empty.
type concurrent struct {
	w       *world
	clients []*client // kept from round to round: a new connection is slow at first
	ordered bool
	random  *rand.Rand
	counts  *stats
	judged  int // starts of tasks with rules
	kills   atomic.Int64
}

func newConcurrent(t *testing.T, seed uint64, ordered bool) *concurrent {
	stream := uint64(0)
	if ordered {
		stream = 1
	}
	c := &concurrent{w: newWorld(t), ordered: ordered, random: rand.New(rand.NewPCG(seed, stream)), counts: newStats()}
	for range mostWorkers {
		client := c.w.newClient()
		c.clients = append(c.clients, client)
		t.Cleanup(client.close)
	}
	return c
}

func (c *concurrent) runFor(t *testing.T, budget time.Duration) {
	deadline := time.Now().Add(budget)
	for time.Now().Before(deadline) && !t.Failed() {
		c.round(t)
	}
	t.Logf("%v  %d starts with rules judged, %d connections killed", c.counts, c.judged, c.kills.Load())
	never := map[string]bool{"delete": true, "dead-end default": true, "start all": true}
	if c.ordered {
		never["update many"], never["transaction"] = true, true
	}
	c.counts.checkCoverage(t, func(kind string) bool { return !never[kind] })
}

// round makes a graph, lets the workers loose on it, and replays.
func (c *concurrent) round(t *testing.T) {
	c.w.reset(t)
	c.counts.graphs++
	k, h := newKnown(), newHistory()
	m := newModel(c.w.users, startTries, deliveryTries)
	m.deadEnds.byDefault = c.random.IntN(2) == 0
	c.w.deadEnds(t, m.deadEnds.byDefault)

	sizes := []struct{ entries, room, graphs int }{{4, 8, 1}, {8, 25, 2}, {12, 60, 4}, {40, 150, 5}}
	size := sizes[c.random.IntN(len(sizes))]
	weights, flat := swarm(c.random), c.random.IntN(5) < 2
	if flat {
		weights = crowd(c.random)
	}
	workers := make([]*worker, leastWorkers+c.random.IntN(mostWorkers-leastWorkers+1))
	for i := range workers {
		workers[i] = &worker{
			id: i, client: c.clients[i], k: k, h: h, counts: c.counts, left: 25 + c.random.IntN(30),
			drawer: &drawer{
				source: randSource{rand.New(rand.NewPCG(c.random.Uint64(), uint64(i)))}, k: k, ordered: c.ordered,
				weights: weights, entries: size.entries, room: size.room, flat: flat,
			},
		}
	}
	first := workers[0]
	for range size.graphs {
		if err := first.do("submit", first.drawer.submit()); err != nil {
			t.Fatal(err)
		}
	}

	if flat || c.random.IntN(2) == 0 {
		// Most of the shapes are counted from the start.
		for range 6 {
			if err := first.do(register, chore(register)(first.drawer)); err != nil {
				t.Fatal(err)
			}
		}
	}

	err := c.unleash(t, workers)
	if err == nil {
		c.verify(t, m, k, h)
		return
	}
	t.Errorf("%v\n%s", err, h.log())
}

// unleash runs the workers to their end, and kills connections now and then.
func (c *concurrent) unleash(t *testing.T, workers []*worker) error {
	done := make(chan struct{})
	var killer sync.WaitGroup
	killer.Go(func() { c.kill(t, workers, done, rand.New(rand.NewPCG(c.random.Uint64(), 0))) })
	var g errgroup.Group
	for _, w := range workers {
		g.Go(w.run)
	}
	err := g.Wait()
	close(done)
	killer.Wait()
	return err
}

// kill ends the process behind a random worker's operation, two or three times a second.
func (c *concurrent) kill(t *testing.T, workers []*worker, done <-chan struct{}, random *rand.Rand) {
	ctx, cancel := context.WithTimeout(context.Background(), patience*10)
	defer cancel()
	conn, err := pgx.Connect(ctx, c.w.db.DSN)
	if err != nil {
		t.Errorf("kill: %v", err)
		return
	}
	defer conn.Close(ctx)
	for {
		select {
		case <-done:
			return
		case <-time.After(time.Duration(random.IntN(800)) * time.Millisecond):
		}
		pid := workers[random.IntN(len(workers))].client.backend()
		if pid == 0 {
			continue
		}
		// The process may have ended since, or serve the next operation: that is as good.
		if _, err := conn.Exec(ctx, "select pg_terminate_backend($1)", int32(pid)); err != nil {
			t.Errorf("kill: %v", err)
			return
		}
		c.kills.Add(1)
	}
}

// verify replays the history, compares the whole database, and lets all tasks come to an end.
func (c *concurrent) verify(t *testing.T, m *model, k *known, h *history) {
	fail := func(what string, details []string) {
		t.Fatalf("%s:\n  %s\nthe model:\n%s\noperations in the order of their commits:\n%s",
			what, strings.Join(details, "\n  "), m.graph(), h.log())
	}
	if faults := h.replay(m); len(faults) > 0 {
		fail("no order of the operations explains what happened", faults)
	}
	m.countedAre(c.w.counted(t))
	if faults := m.differAll(c.w.all(t), look{queue: true, leases: true, rules: true}); faults != nil {
		fail("in the end database and model differ", faults)
	}
	if broken := c.w.invariants(t); len(broken) > 0 {
		fail("invariants are broken", broken)
	}
	started, judged := h.judge(c.w.activities(t))
	if len(started) > 0 {
		fail("a limit was exceeded", started)
	}
	c.judged += judged
	m.exact = true
	last := c.w.newClient() // connections of the workers may have been killed behind their last operation
	defer last.close()
	err := finishAll(m, k, func(o op) {
		got, err := last.do(o, false, 0)
		if err != nil || got.code != "" || got.lost || got.open {
			fail(fmt.Sprintf("at the end: %v: %s", o, got.code), []string{fmt.Sprint(err)})
		}
		before := m.clone()
		m.begin()
		v, err := o.apply(m, got.seen)
		if err != nil || !v.fits("") {
			fail(fmt.Sprintf("at the end: %v: %q", o, v), []string{fmt.Sprint(err)})
		}
		if faults := append(m.differChanged(before, got.seen), m.differNotes(got.seen)...); faults != nil {
			fail(fmt.Sprintf("at the end: %v", o), faults)
		}
	})
	if err != nil {
		fail("not all tasks come to an end", []string{err.Error()})
	}
	if broken := c.w.invariants(t); len(broken) > 0 {
		fail("invariants are broken", broken)
	}
}

// worker is one of the callers at work at once.
type worker struct {
	id     int
	client *client
	drawer *drawer
	k      *known
	h      *history
	counts *stats
	left   int // operations to do
}

func (w *worker) run() error {
	for ; w.left > 0; w.left-- {
		kind, o := w.drawer.next(w.drawer.intn(sum(w.drawer.weights)))
		if o == nil {
			continue
		}
		if err := w.do(kind, o); err != nil {
			return fmt.Errorf("worker %d: %v: %w", w.id, o, err)
		}
	}
	return nil
}

// do runs an operation and takes note of it.
func (w *worker) do(kind string, o op) error {
	r := &record{worker: w.id, kind: kind, op: o, from: w.h.begin(w.id)}
	// Now and then it keeps its locks for a moment, so that others meet them.
	hold := time.Duration(0)
	if w.drawer.chance(25) || w.drawer.flat && w.drawer.chance(50) {
		hold = time.Duration(w.drawer.intn(25)) * time.Millisecond
	}
	got, err := w.client.do(o, false, hold)
	if err != nil {
		return err
	}
	if got.open {
		ok, err := w.client.committed(got.seen.Xid)
		if err != nil {
			return err
		}
		w.counts.add(kind, map[bool]string{true: "killed after the commit", false: "killed in the commit"}[ok])
		got.lost = !ok
	}
	switch {
	case got.lost:
		w.counts.add(kind, "killed")
		r = nil
	case got.code == codeDeadlock:
		w.counts.add(kind, "deadlock")
		if w.drawer.ordered {
			return fmt.Errorf("SQLSTATE %s, which it must never end in: %s", got.code, got.text)
		}
		r = nil
	case got.code == codeRepeat, got.code == codeFirst:
		w.counts.add(kind, "to be repeated")
		r = nil
	case got.code != "":
		w.counts.add(kind, "refused")
		r.code = got.code
		if r.to, err = w.client.position(); err != nil {
			return err
		}
	default:
		w.counts.add(kind, "done")
		r.seen = got.seen
		w.k.learn(o, got.seen)
	}
	w.h.end(w.id, r)
	return nil
}
