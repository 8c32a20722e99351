package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
)

// receiverSpec is a receiver of webhooks that stands for many hosts, each a port of its own. It accepts every on_start at once and
// then completes the task through its handle.
type receiverSpec struct {
	Hosts   int
	Hangs   bool // the last host never answers
	Reports int  // sent at the same time
}

// sighting is what a receiver saw of a task: when its on_start had arrived, and when it began to report, by the machine's clock.
type sighting struct{ Received, Reported time.Time }

// receiver is a running one.
type receiver struct {
	client   *http.Client
	accepted chan accepted
	mu       sync.Mutex
	seen     map[uuid.UUID]sighting
}

// accepted is an on_start that was accepted.
type accepted struct {
	task   uuid.UUID
	handle string
}

// seenPath is where the sightings can be read; reading forgets them.
const seenPath = "/seen"

// reportBacklog is how many accepted tasks may wait for their reports.
const reportBacklog = 100_000

func (s *receiverSpec) run(ctx context.Context, ready func(addresses []string) error) error {
	r := &receiver{
		client:   &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: s.Reports}, Timeout: 30 * time.Second},
		accepted: make(chan accepted, reportBacklog),
		seen:     map[uuid.UUID]sighting{},
	}
	var group errgroup.Group
	for range s.Reports {
		group.Go(func() error {
			for {
				select {
				case c := <-r.accepted:
					r.complete(ctx, c)
				case <-ctx.Done():
					return nil
				}
			}
		})
	}
	addresses := make([]string, 0, s.Hosts)
	for i := range s.Hosts {
		socket, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		addresses = append(addresses, socket.Addr().String())
		server := &http.Server{Handler: http.HandlerFunc(r.serve), ReadHeaderTimeout: time.Minute}
		if s.Hangs && i == s.Hosts-1 {
			server.Handler = http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) { <-req.Context().Done() })
		}
		stop := context.AfterFunc(ctx, func() { _ = server.Close() })
		defer stop()
		group.Go(func() error {
			if err := server.Serve(socket); !errors.Is(err, http.ErrServerClosed) {
				return err
			}
			return nil
		})
	}
	if err := ready(addresses); err != nil {
		return err
	}
	return group.Wait()
}

func (r *receiver) serve(w http.ResponseWriter, req *http.Request) {
	now := time.Now()
	if req.URL.Path == seenPath {
		r.mu.Lock()
		seen := r.seen
		r.seen = map[uuid.UUID]sighting{}
		r.mu.Unlock()
		_ = json.NewEncoder(w).Encode(seen) // who asks notices
		return
	}
	_, _ = io.Copy(io.Discard, req.Body)
	task, err := uuid.Parse(req.Header.Get("X-Task-Id"))
	handle := req.URL.Query().Get("handle")
	if err != nil || handle == "" {
		http.Error(w, "not an on_start", http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	r.seen[task] = sighting{Received: now}
	r.mu.Unlock()
	w.WriteHeader(http.StatusAccepted)
	r.accepted <- accepted{task, handle}
}

// complete reports success. A report that fails shows in the end: its task does not end.
func (r *receiver) complete(ctx context.Context, c accepted) {
	r.mu.Lock()
	s := r.seen[c.task]
	s.Reported = time.Now()
	r.seen[c.task] = s
	r.mu.Unlock()
	req, err := http.NewRequestWithContext(ctx, http.MethodPatch, c.handle, bytes.NewReader([]byte(patchBody)))
	if err != nil {
		return
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := r.client.Do(req)
	if err != nil {
		return
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
}
