package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// postSpec posts one body and measures the time from the last byte of the request to the first of the answer.
type postSpec struct {
	URL   string
	Tasks int // each but the first ones with Links links to those before it
	Links int
}

type postResult struct {
	Bytes, Answer int64
	Seconds       float64 // from the last byte sent to the first received
	Total         float64 // from the first byte sent to the last received
}

func (p *postSpec) run(ctx context.Context) (postResult, error) {
	body, err := p.body()
	if err != nil {
		return postResult{}, err
	}
	var sent, answered time.Time
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		WroteRequest:         func(httptrace.WroteRequestInfo) { sent = time.Now() },
		GotFirstResponseByte: func() { answered = time.Now() },
	})
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.URL+"/task", bytes.NewReader(body))
	if err != nil {
		return postResult{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	client := &http.Client{Timeout: 5 * time.Minute}
	defer client.CloseIdleConnections()
	began := time.Now()
	resp, err := client.Do(req)
	if err != nil {
		return postResult{}, err
	}
	defer resp.Body.Close()
	n, err := io.Copy(io.Discard, resp.Body)
	if err == nil && resp.StatusCode != http.StatusCreated {
		err = fmt.Errorf("POST /task: %s", resp.Status)
	}
	return postResult{Bytes: int64(len(body)), Answer: n, Seconds: answered.Sub(sent).Seconds(), Total: time.Since(began).Seconds()}, err
}

// body is a layered graph: each task depends on some of the layer before, the layers are a hundredth of the tasks wide.
func (p *postSpec) body() ([]byte, error) {
	type link struct {
		ID       string `json:"id"`
		Requires bool   `json:"requires_success"`
	}
	type entry struct {
		ID           string         `json:"id"`
		Name         string         `json:"name"`
		Kind         string         `json:"kind"`
		OnStart      map[string]any `json:"on_start"`
		Dependencies []link         `json:"dependencies"`
	}
	width := max(p.Tasks/100, p.Links)
	entries := make([]entry, p.Tasks)
	for i := range entries {
		name := fmt.Sprint("t", i)
		entries[i] = entry{ID: name, Name: name, Kind: "bench", Dependencies: []link{}, OnStart: map[string]any{
			"kind": "Webhook", "params": map[string]any{"url": "http://127.0.0.1:9/start", "verb": "Post"}}}
		if i < width {
			continue
		}
		layer := (i/width - 1) * width
		for k := range p.Links {
			entries[i].Dependencies = append(entries[i].Dependencies, link{ID: fmt.Sprint("t", layer+(i+k)%width), Requires: true})
		}
	}
	return json.Marshal(entries)
}

// Submits measures POST /task of large graphs.
func Submits(ctx context.Context, c Config, report func(Measure)) error {
	if err := c.CheckHTTP(); err != nil {
		return err
	}
	r := newRun(c)
	return r.inDatabase(ctx, func(dsn string, pool *pgxpool.Pool) error {
		backend, err := backendOf(ctx, pool)
		if err != nil {
			return err
		}
		m := newMachine(backend)
		for _, tasks := range r.Sizes {
			if err := r.postTo(ctx, m, dsn, tasks, report); err != nil {
				return fmt.Errorf("%d tasks: %w", tasks, err)
			}
		}
		var broken int
		if err := pool.QueryRow(ctx, "select count(*) from taskrunner.check_invariants()").Scan(&broken); err != nil {
			return err
		}
		if broken > 0 {
			return fmt.Errorf("%d broken invariants", broken)
		}
		return nil
	})
}

// postTargets are the seconds from the last byte of the request to the first of the answer, and the memory of the service.
var postTargets = map[int]struct {
	seconds float64
	memory  int64
}{10_000: {1, 0}, 100_000: {12, 1 << 30}}

// postTo posts graphs of one size to a fresh service, whose peak of memory is then that of these requests.
func (r *run) postTo(ctx context.Context, m machine, dsn string, tasks int, report func(Measure)) error {
	service, err := r.startService(ctx, dsn, false)
	if err != nil {
		return err
	}
	defer service.stop() //nolint:errcheck // nothing depends on it
	times, target := rounds, postTargets[tasks]
	if tasks > 10_000 {
		times = 1
	}
	for range times {
		before, err := m.read()
		var result postResult
		if err := r.ask(ctx, childSpec{Post: &postSpec{URL: service.url, Tasks: tasks, Links: 3}}, &result); err != nil {
			return err
		}
		measure := Measure{Name: fmt.Sprintf("POST of %d tasks, last byte to first", tasks), Value: result.Seconds, Unit: "s", Met: true}
		if target.seconds > 0 {
			measure.Target, measure.Met = fmt.Sprintf("<= %g", target.seconds), result.Seconds <= target.seconds
		}
		measure.took(m.since(before, err), 1)
		report(measure)
		report(Measure{Name: fmt.Sprintf("POST of %d tasks, %d bytes, in all", tasks, result.Bytes), Value: result.Total, Unit: "s", Met: true,
			Others: measure.Others})
	}
	if peak := peakMemory(service.cmd.Process.Pid); peak > 0 {
		measure := Measure{Name: fmt.Sprintf("POST of %d tasks, memory of the service", tasks), Value: float64(peak) / (1 << 20), Unit: "MiB", Met: true,
			Others: unknownShare}
		if target.memory > 0 {
			measure.Target, measure.Met = fmt.Sprintf("<= %d", target.memory>>20), peak <= target.memory
		}
		report(measure)
	}
	return nil
}
