package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
)

// The graphs: each task has up to so many parents, among the twentieth of all tasks that comes before it.
const (
	viewLinks = 3
	viewReach = 20
	viewKinds = 5
)

const (
	viewLimit = 3 * time.Minute // of all that a browser does with one graph
	dragStep  = 6               // pixels from one movement of the mouse to the next
)

// The targets, for graphs of up to so many tasks: how long a page may take to open, and how many frames a second it draws at least.
const (
	openTasks = 10_000
	openIn    = 3 * time.Second
	leastRate = 30
)

// viewRun is the scenario "view".
type viewRun struct {
	*run
	machine machine
	service *child
	report  func(Measure)
}

// View measures the web page with graphs of some sizes: the answer that it is drawn from, made for the first time and again; and in
// a browser without a window, if the configuration has one, how long it takes from navigation until the graph is drawn, and
// how many frames a second are drawn while it is dragged about, all of it in sight or so near that it can be read.
func View(ctx context.Context, c Config, report func(Measure)) error {
	if err := c.CheckHTTP(); err != nil {
		return err
	}
	if c.Chromium == "" {
		c.Log.Warn("no Chromium found: only answers are measured")
	}
	r := &viewRun{run: newRun(c), report: report}
	return r.inDatabase(ctx, func(dsn string, pool *pgxpool.Pool) error {
		backend, err := backendOf(ctx, pool)
		if err != nil {
			return err
		}
		r.machine = newMachine(backend)
		if r.service, err = r.startService(ctx, dsn, false); err != nil {
			return err
		}
		defer r.service.stop() //nolint:errcheck // nothing depends on it
		for _, tasks := range r.Sizes {
			if err := r.show(ctx, tasks); err != nil {
				return fmt.Errorf("%d tasks: %w", tasks, err)
			}
		}
		return nil
	})
}

// show measures one graph.
func (r *viewRun) show(ctx context.Context, tasks int) error {
	batch, err := r.submit(ctx, viewGraph(tasks))
	if err != nil {
		return err
	}
	for _, when := range []string{"first", "again"} {
		before, err := r.machine.read()
		began := time.Now()
		_, body, err2 := r.do(ctx, http.MethodGet, "/view/graph/"+batch.String(), nil, "gzip")
		if err2 != nil {
			return err2
		}
		took := time.Since(began)
		load := r.machine.since(before, err)
		r.measure(Measure{Name: fmt.Sprintf("%d tasks, GET /view/graph, %s", tasks, when), Value: ms(took), Unit: "ms"}, load, 1)
		if when == "again" {
			r.measure(Measure{Name: fmt.Sprintf("%d tasks, its answer, compressed", tasks), Value: float64(len(body)) / 1000, Unit: "kB"}, load, 0)
		}
	}
	_, body, err := r.do(ctx, http.MethodGet, "/view/graph/"+batch.String(), nil, "identity")
	if err != nil {
		return err
	}
	r.measure(Measure{Name: fmt.Sprintf("%d tasks, its answer", tasks), Value: float64(len(body)) / 1000, Unit: "kB"}, load{others: unknownShare}, 0)
	if r.Chromium == "" {
		return nil
	}
	return r.browse(ctx, tasks, batch)
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// measure reports what n requests or frames took.
func (r *viewRun) measure(m Measure, l load, n int) {
	m.took(l, n)
	m.Met = m.Met || m.Target == ""
	r.report(m)
}

// viewGraph is a body of POST /task: tasks of several kinds, with up to three parents not far before them.
func viewGraph(tasks int) any {
	random := rand.New(rand.NewPCG(1, 2))
	entries := make([]fields, tasks)
	for i := range entries {
		var parents []int
		for range viewLinks {
			if i > 0 {
				parents = append(parents, i-1-random.IntN(min(i, 1+tasks/viewReach)))
			}
		}
		slices.Sort(parents)
		dependencies := []fields{}
		for _, p := range slices.Compact(parents) {
			dependencies = append(dependencies, fields{"id": fmt.Sprint("t", p), "requires_success": random.IntN(4) > 0})
		}
		entries[i] = fields{
			"id": fmt.Sprint("t", i), "name": fmt.Sprint("task ", i), "kind": fmt.Sprint("kind-", i%viewKinds), "dependencies": dependencies,
			"on_start": fields{"kind": "Webhook", "params": fields{"url": "http://127.0.0.1:9/start", "verb": "Post"}},
		}
	}
	return entries
}

func (r *viewRun) submit(ctx context.Context, graph any) (batch uuid.UUID, err error) {
	raw, err := json.Marshal(graph)
	if err != nil {
		return batch, err
	}
	header, _, err := r.do(ctx, http.MethodPost, "/task", raw, "gzip")
	if err != nil {
		return batch, err
	}
	return uuid.Parse(header.Get("X-Batch-ID"))
}

// do makes a request. An Accept-Encoding of its own leaves the answer compressed.
func (r *viewRun) do(ctx context.Context, method, path string, body []byte, encoding string) (http.Header, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, r.service.url+path, bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept-Encoding", encoding)
	client := &http.Client{Timeout: viewLimit}
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode/100 != 2 {
		err = fmt.Errorf("%s %s: %s", method, path, resp.Status)
	}
	return resp.Header, raw, err
}

// drawn is a promise of the moment, in milliseconds since navigation began, at which a first picture has been drawn.
const drawn = `window.drawn = new Promise((done) => {
	const look = () => (window.__view?.view?.stats?.().frames > 0 ? requestAnimationFrame(done) : requestAnimationFrame(look));
	requestAnimationFrame(look);
});`

// browse opens the page of a graph, each time in a new tab and with nothing cached, and then drags the graph about.
func (r *viewRun) browse(ctx context.Context, tasks int, batch uuid.UUID) (err error) {
	ctx, cancel := context.WithTimeout(ctx, viewLimit)
	defer cancel()
	b, err := startBrowser(ctx, r.Chromium)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.stop(ctx)) }()
	limited := tasks <= openTasks
	for round := range rounds {
		before, usageErr := r.machine.read()
		t, err := b.open(drawn)
		if err != nil {
			return err
		}
		if err := t.call("Page.navigate", fields{"url": fmt.Sprintf("%s/view?batch=%s&tab=graph", r.service.url, batch)}); err != nil {
			return err
		}
		var took float64
		if err := t.eval("drawn", &took); err != nil {
			return err
		}
		m := Measure{Name: fmt.Sprintf("%d tasks, navigation to picture", tasks), Value: took, Unit: "ms"}
		if limited {
			m.Target, m.Met = fmt.Sprintf("<= %d", openIn.Milliseconds()), took <= ms(openIn)
		}
		r.measure(m, r.machine.since(before, usageErr), 1)
		if round == rounds-1 {
			if err := r.dragAt(t, fmt.Sprintf("%d tasks, all in sight", tasks), limited); err != nil {
				return err
			}
			if err := t.eval("__view.view.reveal(__view.graph.count >> 1), new Promise((done) => setTimeout(done, 500))", nil); err != nil {
				return err
			}
			if err := r.dragAt(t, fmt.Sprintf("%d tasks, near", tasks), limited); err != nil {
				return err
			}
		}
		if err := t.close(); err != nil {
			return err
		}
	}
	return nil
}

// count counts the frames of the page, and those in which the picture was drawn anew.
const count = `window.counted = {at: [], drawn: __view.view.stats().frames, on: true};
(function next(at) { counted.at.push(at); if (counted.on) requestAnimationFrame(next); })(performance.now());`

const counted = `(() => {
	counted.on = false;
	const gaps = counted.at.slice(1).map((at, i) => at - counted.at[i]);
	return {Frames: gaps.length, Drawn: __view.view.stats().frames - counted.drawn, Milliseconds: gaps.reduce((a, b) => a + b, 0), Gaps: gaps};
})()`

// dragAt drags the graph to and fro with the mouse.
func (r *viewRun) dragAt(t *browserTab, what string, limited bool) error {
	before, usageErr := r.machine.read()
	if err := t.eval(count, nil); err != nil {
		return err
	}
	x, step := 640, dragStep
	mouse := func(kind string) error {
		return t.call("Input.dispatchMouseEvent", fields{"type": kind, "x": x, "y": 400, "button": "left", "buttons": 1, "clickCount": 1})
	}
	if err := mouse("mousePressed"); err != nil {
		return err
	}
	for end := time.Now().Add(r.Duration); time.Now().Before(end); {
		if x += step; x < 340 || x > 940 {
			step = -step
		}
		if err := mouse("mouseMoved"); err != nil {
			return err
		}
	}
	var c struct {
		Frames, Drawn int
		Milliseconds  float64
		Gaps          []float64
	}
	if err := errors.Join(t.eval(counted, &c), mouse("mouseReleased")); err != nil {
		return err
	}
	if c.Drawn == 0 || len(c.Gaps) == 0 {
		return fmt.Errorf("%s: the graph was dragged, and not drawn", what)
	}
	slices.Sort(c.Gaps)
	m := Measure{Name: what + ", frames while dragged", Value: float64(min(c.Frames, c.Drawn)) / c.Milliseconds * 1000, Unit: "/s",
		P50: c.Gaps[len(c.Gaps)/2], P99: c.Gaps[len(c.Gaps)*99/100]}
	if limited {
		m.Target, m.Met = fmt.Sprintf(">= %d", leastRate), m.Value >= leastRate
	}
	r.measure(m, r.machine.since(before, usageErr), min(c.Frames, c.Drawn))
	return nil
}
