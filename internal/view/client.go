package view

import "encoding/json"

// Event is something to tell a client.
type Event struct {
	Name string
	Data []byte // JSON
}

// ending is why a stream ends.
type ending uint8

const (
	goesOn      ending = iota
	endGone            // the batch is removed
	endTooLarge        // it has grown too large to be drawn
	endClosed          // the hub is closed
)

// Client is somebody who looks at a batch. One goroutine takes what there is to tell.
type Client struct {
	topic *topic
	ready chan struct{}
	begun chan struct{} // closed with the first states, or when there are none

	// The mutex of the hub guards these.
	began   bool
	failed  error
	weight  int
	closed  bool
	graph   bool     // the structure has changed
	full    bool     // all states are to be told
	changed []uint64 // else those of the tasks whose bit is set; nil: none
	ending  ending
}

// Ready is signaled when there is something to take.
func (c *Client) Ready() <-chan struct{} { return c.ready }

// Take returns what there is to tell now, and false if nothing will follow.
func (c *Client) Take() (events []Event, more bool) {
	h := c.topic.hub
	h.mu.Lock()
	now, graph, full, changed, end := c.topic.now, c.graph, c.full, c.changed, c.ending
	c.graph, c.changed = false, nil
	if !graph {
		c.full = false // else the states of all follow with the next look: now he is busy with loading the graph
	}
	h.mu.Unlock()

	switch end {
	case endGone:
		return []Event{{Name: "gone", Data: []byte("{}")}}, false
	case endClosed:
		return nil, false
	}
	if graph || end == endTooLarge {
		revision := now.Revision.String()
		if end == endTooLarge {
			revision = "too large" // whoever loads the graph again is told so
		}
		data, _ := json.Marshal(map[string]string{"revision": revision}) // cannot fail
		return []Event{{Name: "graph", Data: data}}, end == goesOn
	}
	switch {
	case full:
		events = append(events, Event{Name: "states", Data: now.json()})
	case changed != nil:
		events = append(events, Event{Name: "states", Data: StatesJSON(now.ViewStates, indices(changed))})
	}
	return events, true
}

// Close ends it.
func (c *Client) Close() {
	t, h := c.topic, c.topic.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	if c.closed {
		return
	}
	c.closed = true
	delete(t.clients, c)
	h.clients--
	h.weight -= c.weight
	if len(t.clients) == 0 {
		t.end(endClosed)
	}
}

// What follows is called with the mutex of the hub held.

// begin lets a client have all states first.
func (c *Client) begin(s *snapshot) {
	h := c.topic.hub
	if h.weight+len(s.States) > mostWeight {
		c.fail(ErrFull)
		return
	}
	c.weight = len(s.States)
	h.weight += c.weight
	c.full = true
	c.start()
	set(c.ready)
}

// fail tells a client that has not begun that it cannot.
func (c *Client) fail(err error) {
	if !c.began {
		c.failed = err
		c.start()
	}
}

func (c *Client) start() {
	c.began = true
	close(c.begun)
}

// replace tells that tasks or links came or went.
func (c *Client) replace(s *snapshot) {
	if !c.began {
		c.begin(s)
		return
	}
	c.graph, c.full, c.changed = true, true, nil
	set(c.ready)
}

// change tells that tasks have changed, if any have.
func (c *Client) change(s *snapshot, changed []uint64, any bool) {
	switch {
	case !c.began:
		c.begin(s)
		return
	case c.full:
	case any && c.changed == nil:
		c.changed = append(c.changed, changed...)
	case any:
		for i := range changed {
			c.changed[i] |= changed[i]
		}
	default:
		return
	}
	set(c.ready)
}

// finish tells that nothing more will come.
func (c *Client) finish(why ending) {
	if c.ending == goesOn {
		c.ending = why
	}
	c.fail(ErrClosed)
	set(c.ready)
}
