package worker

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/task"
	"github.com/taskrunner/taskrunner/internal/webhook"
)

// calls are calls of one host that are open.
type calls struct {
	h       *hosts
	release chan webhook.Result
}

// open begins n calls of a host.
func open(h *hosts, name string, n int) calls {
	c := calls{h, make(chan webhook.Result)}
	for range n {
		began := time.Now()
		x := h.begin(name, began)
		go h.call(x, began, func() webhook.Result { return <-c.release })
	}
	synctest.Wait()
	return c
}

// end ends n of them.
func (c calls) end(n int, class webhook.Class) {
	for range n {
		r := webhook.Result{Class: class}
		if class != webhook.Delivered {
			r.Error = "connection refused"
		}
		c.release <- r
		synctest.Wait()
	}
}

// room is what a plan has for a host.
func (p plan) room(name string) int {
	if i := slices.Index(p.rooms.Hosts, name); i >= 0 {
		return int(p.rooms.Rooms[i])
	}
	if p.rooms.Other != nil {
		return int(*p.rooms.Other)
	}
	return p.limit
}

// quick makes a host known as one that answers soon.
func quick(h *hosts, names ...string) {
	for _, name := range names {
		open(h, name, 1).end(1, webhook.Delivered)
	}
}

func TestAHostLeavesSlotsToOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHosts(16, false, nil)
		p := h.plan(time.Now(), 100, false)
		require.Equal(t, 15, p.limit)
		require.Equal(t, 2, p.room("new"), "it has never answered: an eighth")
		require.True(t, p.rooms.Look)

		quick(h, "a")
		p = h.plan(time.Now(), 100, false)
		require.Equal(t, 15, p.room("a"), "all but a sixteenth, at least one")
		require.Equal(t, 2, p.room("b"))
		a := open(h, "a", 15)
		p = h.plan(time.Now(), 100, false)
		require.Equal(t, 0, p.room("a"))
		require.Equal(t, 1, p.room("b"), "what a leaves")
		time.Sleep(slowCall)
		require.Equal(t, -1, h.plan(time.Now(), 100, false).room("a"), "its calls wait")
		a.end(10, webhook.Delivered)
		require.Equal(t, 3, h.plan(time.Now(), 100, false).room("a"), "half of the slots of a host that is slow")
		a.end(5, webhook.Delivered)
	})
}

func TestManyThatHangLeaveRoomForAnother(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const slots = 64
		h := newHosts(slots, false, nil)
		var hanging []calls
		var taken []int
		for i := range 7 {
			name := fmt.Sprint("host", i)
			n := 0
			for p := h.plan(time.Now(), slots, false); p.room(name) > 0; p = h.plan(time.Now(), slots, false) {
				hanging = append(hanging, open(h, name, 1))
				n++
			}
			taken = append(taken, n)
		}
		require.Equal(t, []int{8, 7, 6, 5, 4, 4, 3}, taken)
		for _, c := range hanging {
			c.end(1, webhook.Delivered)
		}
	})
}

// However many hosts there are that are not quick, they leave a place to those that are.
func TestHostsWithoutNumberLeaveRoomForQuickOnes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHosts(32, false, nil)
		quick(h, "quick")
		var hanging []calls
		for p := h.plan(time.Now(), 32, false); p.room("new") > 0; p = h.plan(time.Now(), 32, false) {
			hanging = append(hanging, open(h, fmt.Sprint("host", len(hanging)), 1))
		}
		require.Len(t, hanging, 30)
		p := h.plan(time.Now(), 32, false)
		require.Equal(t, 0, p.room("new"))
		require.Equal(t, -1, p.room("host0"))
		require.Equal(t, 1, p.room("quick"))
		require.Equal(t, 1, p.limit)
		require.True(t, p.rooms.Look)
		one := open(h, "quick", 1)
		require.Zero(t, h.plan(time.Now(), 32, false).room("quick"), "the last place is for another that is quick")
		one.end(1, webhook.Transient)
		require.Equal(t, 1, h.plan(time.Now(), 32, false).room("new"), "and nobody is: nothing is kept back")
		for _, c := range hanging {
			c.end(1, webhook.Delivered)
		}
	})
}

// A claim knows no more quick hosts than it can look up.
func TestQuickHostsOfAClaimAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHosts(10, false, nil)
		for i := range 3 * maxQuick {
			time.Sleep(time.Millisecond)
			quick(h, fmt.Sprint("host", i))
		}
		time.Sleep(slowCall)
		require.LessOrEqual(t, len(h.plan(time.Now(), 10, false).rooms.Hosts), maxQuick)
		slow := open(h, "slow", 2)
		time.Sleep(slowCall)
		p := h.plan(time.Now(), 10, false)
		require.Len(t, p.rooms.Hosts, maxQuick+1)
		require.Contains(t, p.rooms.Hosts, "slow")
		require.Contains(t, p.rooms.Hosts, fmt.Sprint("host", 3*maxQuick-1), "those that were called last")
		require.NotContains(t, p.rooms.Hosts, "host0")
		slow.end(2, webhook.Delivered)
	})
}

// A look that has not come to its end goes on soon, but not all the time.
func TestLooksGoOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHosts(10, false, nil)
		quick(h, "a")
		p := h.plan(time.Now(), 10, false)
		began := time.Now()
		time.Sleep(5 * time.Millisecond)
		require.Equal(t, 20*time.Millisecond, time.Until(h.claimed(began, time.Now(), p, task.Left{Passed: "m"}, false)))
		require.Zero(t, h.claimed(began, time.Now(), p, task.Left{}, false))

		// Hosts that are not known are gone through now and then while those that are have enough.
		slow := open(h, "slow", 1)
		time.Sleep(slowCall)
		quick(h, "a")
		p = h.plan(time.Now(), 10, false)
		require.NotNil(t, p.rooms.After)
		require.Zero(t, h.claimed(time.Now(), time.Now(), p, task.Left{Passed: "m"}, true).Sub(time.Now()))
		p = h.plan(time.Now(), 10, false)
		require.True(t, p.rooms.Look)
		require.Nil(t, p.rooms.After)
		require.Zero(t, h.claimed(time.Now(), time.Now(), p, task.Left{Held: true}, true))
		time.Sleep(walkEvery)
		p = h.plan(time.Now(), 10, false)
		require.Equal(t, "m", *p.rooms.After, "it goes on where the last one stopped")
		h.claimed(time.Now(), time.Now(), p, task.Left{}, true)
		p = h.plan(time.Now(), 10, false)
		require.Nil(t, p.rooms.After)
		require.Equal(t, time.Now(), h.claimed(time.Now(), time.Now(), p, task.Left{Held: true}, false), "they have not enough: at once")
		require.NotNil(t, h.plan(time.Now(), 10, false).rooms.After)
		slow.end(1, webhook.Delivered)
	})
}

// Beside a host in trouble, claims go past its calls as long as they find enough so.
func TestClaimsGoPastAHostInTrouble(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHosts(10, true, nil)
		plans := func(full bool) plan { return h.plan(time.Now(), 10, full) }
		slow := open(h, "slow", 1)
		time.Sleep(slowCall)
		quick(h, "a")
		p := plans(false)
		require.True(t, p.rooms.Look, "first it looks by host")
		h.claimed(time.Now(), time.Now(), p, task.Left{Held: true}, true)
		p = plans(false)
		require.True(t, p.past)
		require.False(t, p.rooms.Look)
		require.Equal(t, -1, p.room("slow"))
		h.claimed(time.Now(), time.Now(), p, task.Left{Held: true}, true)
		require.True(t, plans(false).past)
		require.True(t, plans(true).rooms.Look, "what stands behind the marks is found by host")
		time.Sleep(walkEvery)
		p = plans(false)
		require.True(t, p.rooms.Look, "and now and then")
		h.claimed(time.Now(), time.Now(), p, task.Left{Held: true}, true)

		p = plans(false)
		require.Equal(t, time.Now(), h.claimed(time.Now(), time.Now(), p, task.Left{Held: true}, false), "not enough: at once")
		p = plans(false)
		require.True(t, p.rooms.Look)
		h.claimed(time.Now(), time.Now(), p, task.Left{Held: true}, true)
		require.True(t, plans(false).rooms.Look, "too many calls of hosts without room stand there")
		time.Sleep(lookEvery)
		h.claimed(time.Now(), time.Now(), plans(false), task.Left{Held: true}, true)
		require.True(t, plans(false).past)
		slow.end(1, webhook.Delivered)
		quick(h, "slow")
		require.False(t, plans(false).past, "nobody is in trouble")
	})
}

// While others are busy, a host that is slow may have no more than its equal share.
func TestASlowHostBesideBusyOnes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHosts(100, false, nil)
		slow := open(h, "slow", 1)
		time.Sleep(slowCall)
		slow.end(1, webhook.Delivered)
		require.Equal(t, 50, h.plan(time.Now(), 100, false).room("slow"))
		quick(h, "a", "b", "c", "d")
		require.Equal(t, 20, h.plan(time.Now(), 100, false).room("slow"))
		require.Equal(t, 12, h.plan(time.Now(), 100, false).room("new"))
		slow = open(h, "slow", 20)
		require.Equal(t, -1, h.plan(time.Now(), 100, false).room("slow"))
		require.Equal(t, 75, h.plan(time.Now(), 100, false).room("a"), "nearly all of what is left")
		time.Sleep(slowCall)
		require.Equal(t, 30, h.plan(time.Now(), 100, false).room("slow"), "nobody else needs them now")
		slow.end(20, webhook.Delivered)
	})
}

func TestOneSlotIsForWhoeverComes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHosts(1, false, nil)
		p := h.plan(time.Now(), 1, false)
		require.Equal(t, 1, p.limit)
		require.Nil(t, p.rooms.Other, "a claim of one is within the room of every host")
		c := open(h, "a", 1)
		require.Zero(t, h.plan(time.Now(), 1, false).limit)
		c.end(1, webhook.Delivered)
	})
}

// Looking for the calls of others has its price: where all is well, it is done now and then.
func TestOthersAreLookedForNowAndThen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHosts(10, false, nil)
		quick(h, "a")
		p := h.plan(time.Now(), 10, false)
		require.True(t, p.rooms.Look)
		h.claimed(time.Now(), time.Now(), p, task.Left{Held: true, Passed: "m"}, false)
		a := open(h, "a", 8)
		p = h.plan(time.Now(), 2, false)
		require.Equal(t, 1, p.limit)
		require.False(t, p.rooms.Look)
		last := open(h, "a", 1)
		p = h.plan(time.Now(), 1, false)
		require.Zero(t, p.limit)
		require.Equal(t, lookEvery, time.Until(p.again))
		time.Sleep(lookEvery)
		p = h.plan(time.Now(), 1, false)
		require.Equal(t, 1, p.limit)
		require.True(t, p.rooms.Look)
		require.Equal(t, "m", *p.rooms.After, "it goes on where the last one stopped")
		time.Sleep(slowCall)
		h.claimed(time.Now(), time.Now(), p, task.Left{}, false)
		p = h.plan(time.Now(), 1, false)
		require.True(t, p.rooms.Look, "a hangs")
		require.Empty(t, *p.rooms.After)
		h.claimed(time.Now().Add(-3*cheapLook), time.Now(), p, task.Left{}, false)
		p = h.plan(time.Now(), 1, false)
		require.False(t, p.rooms.Look, "the last one took long")
		time.Sleep(2 * cheapLook)
		require.True(t, h.plan(time.Now(), 1, false).rooms.Look)
		a.end(8, webhook.Delivered)
		last.end(1, webhook.Delivered)
	})
}

func TestCircuit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var changes []string
		h := newHosts(10, false, func(to string, open int) { changes = append(changes, fmt.Sprint(to, " ", open)) })
		quick(h, "a")
		fail := func() { open(h, "a", 1).end(1, webhook.Transient) }
		for range circuitFailures - 1 {
			fail()
		}
		quick(h, "a") // one that works begins the count anew, as one that the receiver refuses for good
		for range circuitFailures - 1 {
			fail()
		}
		open(h, "a", 1).end(1, webhook.Permanent)
		for range circuitFailures - 1 {
			fail()
		}
		require.Empty(t, changes)
		require.Equal(t, 5, h.plan(time.Now(), 10, false).room("a"))
		late := open(h, "a", 2)
		fail()
		require.Equal(t, []string{"open 1"}, changes)
		p := h.plan(time.Now(), 10, false)
		require.Equal(t, -1, p.room("a"))
		require.Equal(t, firstOpen, time.Until(p.again))
		until := time.Now().Add(firstOpen)
		require.Equal(t, []task.HeldHost{{Host: "a", OpensAt: &until, Error: "connection refused"}}, h.held(time.Now()))
		late.end(2, webhook.Transient)
		require.Len(t, changes, 1, "calls that were open say nothing new")
		fail() // claimed before the circuit opened: it is made, and says nothing new either
		require.Len(t, changes, 1)

		// One call finds out, and each time that it fails the pause doubles.
		pauses := []time.Duration{}
		for range 7 {
			pause := time.Until(h.plan(time.Now(), 10, false).again)
			pauses = append(pauses, pause)
			time.Sleep(pause)
			require.Equal(t, 1, h.plan(time.Now(), 10, false).room("a"))
			one := open(h, "a", 1)
			require.Equal(t, -1, h.plan(time.Now(), 10, false).room("a"), "while it is open there is no other")
			one.end(1, webhook.Transient)
			require.Equal(t, -1, h.plan(time.Now(), 10, false).room("a"))
		}
		require.Equal(t, []time.Duration{1e9, 2e9, 4e9, 8e9, 16e9, 30e9, 30e9}, pauses)
		require.Equal(t, []string{"half_open 1", "open 1"}, changes[len(changes)-2:])

		time.Sleep(longestOpen)
		quick(h, "a")
		require.Equal(t, []string{"half_open 1", "closed 0"}, changes[len(changes)-2:])
		require.Equal(t, 9, h.plan(time.Now(), 10, false).room("a"))
		require.Empty(t, h.held(time.Now()))
		for range circuitFailures {
			fail()
		}
		require.Equal(t, firstOpen, time.Until(h.plan(time.Now(), 10, false).again), "pauses begin anew")
	})
}

func TestHostsAreForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		circuits := -1
		h := newHosts(10, false, func(_ string, open int) { circuits = open })
		c := open(h, "busy", 1)
		for range circuitFailures {
			open(h, "dead", 1).end(1, webhook.Transient)
		}
		require.Equal(t, 1, circuits)
		for i := range maxHosts + 10 {
			time.Sleep(time.Millisecond)
			quick(h, fmt.Sprint("host", i))
		}
		h.plan(time.Now(), 10, false)
		require.Len(t, h.byName, maxHosts)
		require.NotNil(t, h.byName["busy"], "its call is open")
		require.Nil(t, h.byName["dead"], "the longest idle ones")
		require.Zero(t, circuits, "it counts as new")
		time.Sleep(forgetAfter)
		h.plan(time.Now(), 10, false)
		require.Len(t, h.byName, 1)
		c.end(1, webhook.Delivered)
	})
}

func TestWhoIsAway(t *testing.T) {
	t.Parallel()
	result := func(class webhook.Class, code int32) webhook.Result {
		r := webhook.Result{Class: class}
		if code != 0 {
			r.StatusCode = &code
		}
		return r
	}
	require.True(t, isAway(result(webhook.Transient, 0)), "no answer")
	require.False(t, isAway(result(webhook.Permanent, 0)), "there was no call")
	require.False(t, isAway(webhook.Result{Class: webhook.Transient, Unsent: true}), "neither")
	for _, code := range []int32{502, 503, 504} {
		require.True(t, isAway(result(webhook.Transient, code)), code)
	}
	for _, code := range []int32{408, 429, 500, 501, 599} {
		require.False(t, isAway(result(webhook.Transient, code)), code)
	}
	require.False(t, isAway(result(webhook.Delivered, 200)))
	require.False(t, isAway(result(webhook.Permanent, 404)))
}
