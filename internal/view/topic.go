package view

import (
	"context"
	"errors"
	"math/bits"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/taskrunner/taskrunner/internal/task"
)

const (
	// pollPause is how long nobody looks at a batch of which nothing is heard. While nothing changes it grows to longestPoll.
	pollPause   = time.Second
	longestPoll = 3 * time.Second
	// share is how many times as long as a look took nobody looks again.
	share = 10
	// linksPause is how old the number of links may be.
	linksPause = 5 * time.Second
)

// snapshot is what was seen of a batch. Nobody changes it.
type snapshot struct {
	task.ViewStates
	once sync.Once
	full []byte
}

// json is the event of all tasks. Clients that begin at the same time share it.
func (s *snapshot) json() []byte {
	s.once.Do(func() { s.full = StatesJSON(s.ViewStates, nil) })
	return s.full
}

// topic is a batch at which somebody looks.
type topic struct {
	hub      *Hub
	batch    uuid.UUID
	ctx      context.Context
	stop     context.CancelFunc
	notified chan struct{} // a batch has changed, maybe this one
	asked    chan struct{} // somebody has come

	// Of its goroutine alone.
	unchanged int // looks that showed nothing new
	linksAt   time.Time

	// The mutex of the hub guards these.
	clients map[*Client]struct{}
	now     *snapshot // nil: not seen yet
}

func newTopic(h *Hub, batch uuid.UUID) *topic {
	t := &topic{hub: h, batch: batch, notified: make(chan struct{}, 1), asked: make(chan struct{}, 1), clients: map[*Client]struct{}{}}
	t.ctx, t.stop = context.WithCancel(h.ctx)
	return t
}

// run looks at the batch when something is heard of it, when somebody comes, and now and then anyway.
func (t *topic) run() {
	defer t.stop()
	defer t.unwatch()
	next := time.Now() // when it may be looked again at the earliest
	poll := time.NewTimer(0)
	defer poll.Stop()
	for {
		look := true
		select {
		case <-t.ctx.Done():
			return
		case <-t.asked:
		case <-poll.C:
		case <-t.notified:
			look = false
		}
		if !t.sleep(time.Until(next)) {
			return
		}
		next = time.Now().Add(t.hub.leastPause())
		// Watching begins before the look: what changes after the look is notified.
		unchanged, err := t.hub.store.WatchBatch(t.ctx, t.hub.replica, t.batch)
		if err == nil && unchanged && !look {
			continue // another batch has changed
		}
		took, ok := t.look()
		if !ok {
			return
		}
		pause := max(pollPause+time.Duration(t.unchanged)*pollPause/10, share*took)
		poll.Reset(min(pause, max(longestPoll, share*took)))
		if earliest := time.Now().Add(share * took); earliest.After(next) {
			next = earliest
		}
	}
}

func (t *topic) sleep(d time.Duration) bool {
	if d <= 0 {
		return t.ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-t.ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// look reads the batch and tells its clients what has changed. It reports how long that took, and false if nothing will change any
// more for them.
func (t *topic) look() (took time.Duration, more bool) {
	select {
	case <-t.ctx.Done():
		return 0, false
	case t.hub.reading <- struct{}{}:
	}
	began := time.Now()
	states, err := t.read()
	took = time.Since(began)
	<-t.hub.reading
	h := t.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	var known *task.Error
	switch {
	case t.ctx.Err() != nil:
		return took, false
	case err == nil:
		t.publish(&snapshot{ViewStates: states})
		return took, true
	case errors.As(err, &known) && known.Code == task.CodeUnknown && t.now != nil:
		t.end(endGone)
		return took, false
	case known != nil && known.Code == task.CodeTooLarge && t.now != nil:
		t.end(endTooLarge)
		return took, false
	}
	// Whoever has not begun is told. The others wait until it works again.
	h.log.Debug("a batch that is looked at cannot be read", "batch_id", t.batch, "error", err)
	for c := range t.clients {
		c.fail(err)
	}
	return took, true
}

// read reads the states. Links are counted now and then, when tasks came or went, and when somebody begins.
func (t *topic) read() (task.ViewStates, error) {
	links := time.Since(t.linksAt) > linksPause
	for {
		states, err := t.hub.store.ViewStates(t.ctx, t.batch, t.hub.mostTasks, links)
		if err != nil {
			return states, err
		}
		switch before := t.seen(); {
		case links:
			t.linksAt = time.Now()
			return states, nil
		case before.Revision.Tasks == states.Revision.Tasks:
			states.Revision.Links = before.Revision.Links
			return states, nil
		}
		links = true
	}
}

// seen is what was seen last. Only the goroutine of the topic changes it.
func (t *topic) seen() *snapshot {
	t.hub.mu.Lock()
	defer t.hub.mu.Unlock()
	return t.now
}

// publish tells the clients what is new. The mutex is held.
func (t *topic) publish(s *snapshot) {
	before := t.now
	t.now = s
	if before == nil || before.Revision != s.Revision {
		t.unchanged = 0
		for c := range t.clients {
			c.replace(s)
		}
		return
	}
	changed, any := make([]uint64, (len(s.States)+63)/64), false
	for i := range s.States {
		if s.States[i] != before.States[i] {
			changed[i/64] |= 1 << (i % 64)
			any = true
		}
	}
	if t.unchanged++; any {
		t.unchanged = 0
	}
	for c := range t.clients {
		c.change(s, changed, any)
	}
}

// end ends the streams of all clients. The mutex is held.
func (t *topic) end(why ending) {
	if t.hub.watched[t.batch] == t {
		delete(t.hub.watched, t.batch)
	}
	for c := range t.clients {
		c.finish(why)
	}
	t.stop()
}

// unwatch is the last thing that a topic does.
func (t *topic) unwatch() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.ctx), unwatchTimeout)
	defer cancel()
	if err := t.hub.store.UnwatchBatch(ctx, t.hub.replica, t.batch); err != nil {
		t.hub.log.Debug("a batch is still watched, until that expires", "batch_id", t.batch, "error", err)
	}
}

// indices are the places of the bits that are set.
func indices(set []uint64) []int32 {
	list := []int32{}
	for w, word := range set {
		for ; word != 0; word &= word - 1 {
			list = append(list, int32(w*64+bits.TrailingZeros64(word)))
		}
	}
	return list
}
