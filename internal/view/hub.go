package view

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/taskrunner/taskrunner/internal/task"
)

const (
	// MostClients is how many clients may be told of changes at once.
	MostClients = 100
	// mostWeight bounds the memory of all of them: the sum of the tasks that each looks at.
	mostWeight = 1_000_000
	// readsAtOnce is how many batches are read at the same time, so that connections are left for requests.
	readsAtOnce = 2
	// unwatchTimeout bounds the good-bye; without it the watch expires.
	unwatchTimeout = 2 * time.Second
)

// Errors of Subscribe, beside those of the store.
var (
	ErrFull   = errors.New("too many pages are open")
	ErrClosed = errors.New("shutting down")
)

// Store is what the hub needs of internal/store.
type Store interface {
	ViewStates(ctx context.Context, batch uuid.UUID, most int, links bool) (task.ViewStates, error)
	WatchBatch(ctx context.Context, replica, batch uuid.UUID) (unchanged bool, err error)
	UnwatchBatch(ctx context.Context, replica, batch uuid.UUID) error
}

// Hub tells clients what changes of the batches that they look at. Each batch is read once for all its clients, by a goroutine of its
// own that ends with the last of them. What a client has not taken yet is kept as a set of tasks, not as events, so a client that is
// slow, or does not read at all, costs a bit per task and keeps nobody waiting.
type Hub struct {
	store     Store
	replica   uuid.UUID
	mostTasks int
	log       *slog.Logger
	reading   chan struct{} // holds a token for each read that goes on
	ctx       context.Context
	cancel    context.CancelFunc
	topics    sync.WaitGroup

	mu      sync.Mutex // guards the rest, and all that topics and clients say it guards
	closed  bool
	watched map[uuid.UUID]*topic // by batch
	clients int
	weight  int
}

// NewHub returns a hub of a replica for batches of at most so many tasks. It works without being told of changes: then it looks.
func NewHub(s Store, replica uuid.UUID, mostTasks int, log *slog.Logger) *Hub {
	ctx, cancel := context.WithCancel(context.Background())
	return &Hub{store: s, replica: replica, mostTasks: mostTasks, log: log.With("component", "view"),
		reading: make(chan struct{}, readsAtOnce), ctx: ctx, cancel: cancel, watched: map[uuid.UUID]*topic{}}
}

// Run passes notifications on that a watched batch has changed, until the context ends. Which batch it is they do not say.
func (h *Hub) Run(ctx context.Context, notified <-chan struct{}) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-notified:
		}
		h.mu.Lock()
		for _, t := range h.watched {
			set(t.notified)
		}
		h.mu.Unlock()
	}
}

// Close ends the streams of all clients, and waits until nothing runs any more.
func (h *Hub) Close() {
	h.mu.Lock()
	h.closed = true
	for _, t := range h.watched {
		t.end(endClosed)
	}
	h.mu.Unlock()
	h.cancel()
	h.topics.Wait()
}

// Subscribe returns a client of a batch once its states are known. It must be closed. Errors: ErrFull, ErrClosed, and those of
// Store.ViewStates.
func (h *Hub) Subscribe(ctx context.Context, batch uuid.UUID) (*Client, error) {
	c, err := h.add(batch)
	if err != nil {
		return nil, err
	}
	select {
	case <-ctx.Done():
		err = ctx.Err()
	case <-c.begun:
		h.mu.Lock()
		err = c.failed
		h.mu.Unlock()
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

func (h *Hub) add(batch uuid.UUID) (*Client, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.closed:
		return nil, ErrClosed
	case h.clients >= MostClients:
		return nil, ErrFull
	}
	t := h.watched[batch]
	if t == nil {
		t = newTopic(h, batch)
		h.watched[batch] = t
		h.topics.Go(t.run)
	}
	c := &Client{topic: t, ready: make(chan struct{}, 1), begun: make(chan struct{})}
	t.clients[c] = struct{}{}
	h.clients++
	if t.now != nil {
		c.begin(t.now)
	}
	set(t.asked) // whoever has loaded the graph a moment ago may know more than the last look has shown
	return c, nil
}

// leastPause is between two questions about the same batch: of many batches each has to wait longer.
func (h *Hub) leastPause() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	return max(100*time.Millisecond, time.Duration(len(h.watched))*10*time.Millisecond)
}

// set puts a signal into a channel that holds one.
func set(signal chan struct{}) {
	select {
	case signal <- struct{}{}:
	default:
	}
}
