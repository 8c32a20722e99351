package bench

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
)

// loadSpec is what a load client does: the same request again and again, on one connection per client.
type loadSpec struct {
	URL     string
	Method  string
	IDs     []uuid.UUID // tasks, in turn
	Once    bool        // each task only once: the load ends with them
	Body    string
	Want    int // status of each answer
	Clients int
	WarmUp  time.Duration
	Measure time.Duration
}

// loadResult is what a load client measured: requests that were answered after the warm-up.
type loadResult struct {
	All      int // answered, the warm-up included
	Requests int
	Seconds  float64
	P50, P99 float64 // ms
}

func (l *loadSpec) run(ctx context.Context) (loadResult, error) {
	transport := &http.Transport{MaxIdleConnsPerHost: l.Clients, MaxConnsPerHost: l.Clients, DisableCompression: true}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: time.Minute}
	var next atomic.Int64
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var (
		mu        sync.Mutex
		latencies []time.Duration
		all       atomic.Int64
		last      time.Time
		failure   error
		work      sync.WaitGroup
	)
	from := time.Now().Add(l.WarmUp)
	end := from.Add(l.Measure)
	for range l.Clients {
		work.Go(func() {
			var own []time.Duration
			var at time.Time
			for ctx.Err() == nil {
				n := int(next.Add(1) - 1)
				began := time.Now()
				if l.Once && n >= len(l.IDs) || began.After(end) && len(own) > 0 {
					break
				}
				if err := l.once(ctx, client, l.IDs[n%len(l.IDs)]); err != nil {
					mu.Lock()
					if failure == nil {
						failure = err
					}
					mu.Unlock()
					cancel()
					return
				}
				all.Add(1)
				if at = time.Now(); at.After(from) {
					own = append(own, at.Sub(began))
				}
			}
			mu.Lock()
			defer mu.Unlock()
			latencies = append(latencies, own...)
			if at.After(last) {
				last = at
			}
		})
	}
	work.Wait()
	result := loadResult{All: int(all.Load()), Requests: len(latencies), Seconds: last.Sub(from).Seconds()}
	result.P50, result.P99 = percentiles(latencies)
	if failure == nil && len(latencies) == 0 {
		failure = fmt.Errorf("no request was answered after the warm-up")
	}
	return result, failure
}

func (l *loadSpec) once(ctx context.Context, client *http.Client, id uuid.UUID) error {
	req, err := http.NewRequestWithContext(ctx, l.Method, l.URL+"/task/"+id.String(), bytes.NewReader([]byte(l.Body)))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != l.Want {
		err = fmt.Errorf("%s %s: %s: %s", l.Method, req.URL.Path, resp.Status, answer)
	}
	return err
}
