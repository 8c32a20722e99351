package demo

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"sync"
	"time"
)

// The receiver's paths, and the events that its hooks are called for.
const (
	startPath = "/start"
	hookPath  = "/hook/"
	graphPath = "/graph"

	onStart   = "on_start"
	onSuccess = "on_success"
	onFailure = "on_failure"
	onCancel  = "on_cancel"
)

// Event is a webhook that the receiver was called with.
type Event struct {
	At      time.Time
	Kind    string // on_start, on_success, on_failure or on_cancel
	Step    string
	TaskID  string
	BatchID string
	Status  int // what was answered
}

// Observer is told what the receiver sees, from any goroutine.
type Observer interface {
	// Webhook is called for every webhook.
	Webhook(e Event)
	// Trouble is called when a step's report to its handle has failed. what never holds the handle's token.
	Trouble(step, what string)
}

// Receiver works on tasks like a user's program: on_start tells it what to do (Work), it answers at once, reports
// progress and in the end the result to the handle, and it is told by hooks what became of the task. What it knows it
// knows from the calls, so it serves any graph.
//
//	POST /start              on_start, the body is a Work
//	POST /hook/on_success    and on_failure, on_cancel; a canceled task's work is given up
//	GET  /graph              the demo graph as a body for POST /task
type Receiver struct {
	log      *slog.Logger
	observer Observer
	speed    float64
	url      string // of itself; for /graph
	client   *http.Client

	ctx    context.Context // of the work; canceled by Close
	cancel context.CancelFunc
	jobs   sync.WaitGroup

	mu     sync.Mutex
	closed bool
	tries  map[string]int                // refused starts by idempotency key
	known  map[string]struct{}           // keys of starts that were accepted
	stop   map[string]context.CancelFunc // by task id, of the work in progress
}

// NewReceiver returns a receiver that can be reached at url. speed is that of the graph it offers.
func NewReceiver(url string, speed float64, log *slog.Logger, observer Observer) *Receiver {
	r := &Receiver{
		log:      log.With("component", "receiver"),
		observer: observer,
		speed:    speed,
		url:      url,
		client:   &http.Client{Timeout: 10 * time.Second, Transport: http.DefaultTransport.(*http.Transport).Clone()},
		tries:    map[string]int{},
		known:    map[string]struct{}{},
		stop:     map[string]context.CancelFunc{},
	}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	return r
}

// Close gives up all work and returns when it has ended. Starts that arrive later are refused with 503.
func (r *Receiver) Close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.cancel()
	r.jobs.Wait()
	r.client.CloseIdleConnections()
}

// URL returns where the receiver can be reached.
func (r *Receiver) URL() string { return r.url }

// Handler serves the receiver's paths.
func (r *Receiver) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+startPath, r.start)
	mux.HandleFunc("POST "+hookPath+"{event}", r.hook)
	mux.HandleFunc("GET "+graphPath, r.graph)
	return mux
}

// start answers on_start. A start that was accepted before (same Idempotency-Key) is accepted again and does nothing:
// on_start is delivered at least once.
func (r *Receiver) start(w http.ResponseWriter, req *http.Request) {
	work, ok := decodeWork(w, req)
	if !ok {
		return
	}
	id, handle := req.Header.Get("X-Task-Id"), req.URL.Query().Get("handle")
	status := r.accept(req.Header.Get("Idempotency-Key"), id, handle, work)
	r.observer.Webhook(Event{At: time.Now(), Kind: onStart, Step: work.Step, TaskID: id, BatchID: req.Header.Get("X-Batch-Id"), Status: status})
	answer := map[string]string{"step": work.Step, "message": "working on it"}
	switch {
	case status == http.StatusServiceUnavailable:
		answer["message"] = "not now, try again"
	case status == http.StatusOK:
		answer["message"] = "known already"
	case status >= http.StatusBadRequest:
		answer["message"] = "the query parameter handle is missing"
	}
	writeJSON(w, status, answer)
}

// accept starts the work unless it is to be refused, and returns the status to answer.
func (r *Receiver) accept(key, id, handle string, work Work) int {
	if handle == "" {
		return http.StatusBadRequest
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return http.StatusServiceUnavailable
	}
	if _, ok := r.known[key]; ok {
		return http.StatusOK
	}
	if r.tries[key] < work.Refuse {
		r.tries[key]++
		return http.StatusServiceUnavailable
	}
	delete(r.tries, key)
	r.known[key] = struct{}{}
	ctx, cancel := context.WithCancel(r.ctx)
	r.stop[id] = cancel
	r.jobs.Go(func() {
		defer func() {
			cancel()
			r.mu.Lock()
			defer r.mu.Unlock()
			delete(r.stop, id)
		}()
		r.work(ctx, handle, work)
	})
	return http.StatusAccepted
}

// hook answers on_success, on_failure and on_cancel.
func (r *Receiver) hook(w http.ResponseWriter, req *http.Request) {
	event := req.PathValue("event")
	switch event {
	case onSuccess, onFailure, onCancel:
	default:
		http.NotFound(w, req)
		return
	}
	work, ok := decodeWork(w, req)
	if !ok {
		return
	}
	id := req.Header.Get("X-Task-Id")
	if event == onCancel {
		r.mu.Lock()
		if cancel, ok := r.stop[id]; ok {
			cancel()
		}
		r.mu.Unlock()
	}
	r.observer.Webhook(Event{At: time.Now(), Kind: event, Step: work.Step, TaskID: id, BatchID: req.Header.Get("X-Batch-Id"), Status: http.StatusNoContent})
	w.WriteHeader(http.StatusNoContent)
}

// graph answers with a body for POST /task.
func (r *Receiver) graph(w http.ResponseWriter, _ *http.Request) {
	body, err := Graph(r.url, r.speed)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body) // an error means that the caller is gone
}

// decodeWork reads the body of a webhook; a body that is none is answered with 400.
func decodeWork(w http.ResponseWriter, req *http.Request) (Work, bool) {
	const most = 1 << 20
	var work Work
	err := json.NewDecoder(http.MaxBytesReader(w, req.Body, most)).Decode(&work)
	if err == nil && (work.Seconds < 0 || work.Items < 0 || work.Bad < 0 || work.Bad > work.Items) {
		writeJSON(w, http.StatusBadRequest, map[string]string{"message": "seconds, items and bad must not be negative, bad not above items"})
		return Work{}, false
	}
	if err != nil {
		writeJSON(w, http.StatusBadRequest, map[string]string{"message": "the body must be a JSON object: " + err.Error()})
		return Work{}, false
	}
	return work, true
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // an error means that the caller is gone
}
