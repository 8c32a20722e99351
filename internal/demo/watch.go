package demo

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/taskrunner/taskrunner/internal/client"
	"github.com/taskrunner/taskrunner/internal/screen"
	"github.com/taskrunner/taskrunner/internal/task"
	"github.com/taskrunner/taskrunner/internal/taskview"
)

// How often the service is asked. A terminal shows movement, a file only what changed.
const (
	liveEvery  = 150 * time.Millisecond
	plainEvery = 250 * time.Millisecond
)

// Run creates the demo graph with the service at the given URL, worked on by the receiver, and shows how it goes until
// every task has ended or the context does. The result is what became of it.
func Run(ctx context.Context, service string, receiver *Receiver, scr *screen.Screen, hooks *Hooks) (Result, error) {
	body, err := Graph(receiver.url, receiver.speed)
	if err != nil {
		return Result{}, err
	}
	api, err := client.New(client.Config{URL: service, Timeout: 10 * time.Second})
	if err != nil {
		return Result{}, fmt.Errorf("demo: %w", err)
	}
	defer api.Close()
	w := &watcher{
		client: api, screen: scr, hooks: hooks,
		begun: time.Now(), details: map[uuid.UUID]task.Task{}, said: map[uuid.UUID]string{},
	}
	created, err := api.Submit(ctx, body, "")
	if err != nil {
		return Result{}, fmt.Errorf("demo: POST /task: %w", err)
	}
	w.batch = created.Value.BatchID
	scr.Printf("POST /task created batch %s: %d tasks, %s", w.batch, len(release), scr.Strong("release 2.4.0"))
	if !scr.Live() {
		scr.Println("(webhooks are written as they arrive, states as they are polled: a webhook may come before its state)")
	}
	scr.Println("")
	hooks.begin(w.batch)
	defer scr.Close()
	return w.run(ctx)
}

// Result is what became of the demo graph.
type Result struct {
	Batch   uuid.UUID
	Task    uuid.UUID // one of its tasks, to look at
	Tasks   []task.Basic
	Elapsed time.Duration
}

// Unplanned lists the tasks that have ended otherwise than the graph is made to.
func (r Result) Unplanned() []string {
	plan := plan()
	var list []string
	for _, t := range r.Tasks {
		if t.Status != plan[t.Name] {
			list = append(list, fmt.Sprintf("%s %s instead of %s", t.Name, t.Status, plan[t.Name]))
		}
	}
	return list
}

// watcher follows one batch.
type watcher struct {
	client *client.Client
	screen *screen.Screen
	hooks  *Hooks
	batch  uuid.UUID
	begun  time.Time

	details  map[uuid.UUID]task.Task // tasks looked at in full
	said     map[uuid.UUID]string    // the state last written of each task, where nothing is drawn
	canceled bool                    // the step that outlives all others was canceled
}

// patience is how often in a row the service may fail to answer, and afterHooks how long the hooks of the last tasks are
// waited for when all have ended.
const (
	patience   = 20
	afterHooks = 10 * time.Second
)

func (w *watcher) run(ctx context.Context) (Result, error) {
	every := plainEvery
	if w.screen.Live() {
		every = liveEvery
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	failures := 0
	var end time.Time // when all tasks had ended
	for {
		g, err := w.look(ctx)
		if err == nil {
			err = w.impatience(ctx, g)
		}
		switch {
		case ctx.Err() != nil:
			return Result{}, ctx.Err()
		case err != nil:
			// A service under load or a restarting database is no reason to give up at once.
			if failures++; failures >= patience {
				return Result{}, err
			}
		default:
			failures = 0
			ended := w.show(g)
			if ended && end.IsZero() {
				end = time.Now()
			}
			if ended && (w.hooks.ends(w.batch) >= len(g.Tasks) || time.Since(end) > afterHooks) {
				w.last(g)
				return Result{Batch: w.batch, Task: g.Tasks[0].ID, Tasks: g.Tasks, Elapsed: end.Sub(w.begun)}, nil
			}
		}
		select {
		case <-ctx.Done():
			return Result{}, ctx.Err()
		case <-ticker.C:
		}
	}
}

// look asks for the batch, and for those tasks in full of which a list does not say enough.
func (w *watcher) look(ctx context.Context) (task.Graph, error) {
	answer, err := w.client.Graph(ctx, w.batch)
	if err != nil {
		return task.Graph{}, fmt.Errorf("demo: the graph of the batch: %w", err)
	}
	g := answer.Value
	if len(g.Tasks) == 0 {
		return task.Graph{}, errors.New("demo: the batch has no tasks")
	}
	for _, t := range g.Tasks {
		failed := t.Status == task.Failure || t.Status == task.Canceled
		if t.Status != task.Pending && !failed || failed && w.details[t.ID].Status == t.Status {
			continue
		}
		full, err := w.client.Task(ctx, t.ID)
		if err != nil {
			return task.Graph{}, fmt.Errorf("demo: task %s: %w", t.ID, err)
		}
		w.details[t.ID] = full.Value
	}
	return g, nil
}

// show displays the graph and reports whether all of it has ended.
func (w *watcher) show(g task.Graph) bool {
	list := taskview.Rows(g, w.details, time.Now())
	elapsed := time.Since(w.begun)
	if w.screen.Live() {
		w.screen.Draw(func(s screen.Style) []string { return w.frame(list, elapsed, s) })
	} else {
		w.tell(g, list, elapsed)
	}
	for _, r := range list {
		if !r.Status.Terminal() {
			return false
		}
	}
	return true
}

// last writes the whole table at the end, whatever was drawn or not before.
func (w *watcher) last(g task.Graph) {
	if !w.screen.Live() {
		w.screen.Println("")
	}
	list := taskview.Rows(g, w.details, time.Now())
	w.screen.Finish(func(s screen.Style) []string { return w.frame(list, time.Since(w.begun), s) })
}

// frame is the table with a line above and one below.
func (w *watcher) frame(list []taskview.Row, elapsed time.Duration, s screen.Style) []string {
	head := fmt.Sprintf("  %s   %s", taskview.Seconds(elapsed), taskview.Tally(list))
	return taskview.Frame(head, "  webhooks received: "+w.hooks.summary(w.batch), list, s)
}

// tell writes a line for each task whose state changed.
func (w *watcher) tell(g task.Graph, list []taskview.Row, elapsed time.Duration) {
	for i, r := range list {
		id, state := g.Tasks[i].ID, r.State()
		before, known := w.said[id]
		if before == state {
			continue
		}
		w.said[id] = state
		if !known && r.Status == task.Waiting {
			continue // how it begins is of no interest
		}
		line := fmt.Sprintf("%7s  %-18s %s", taskview.Seconds(elapsed), r.Name, state)
		if known {
			line = fmt.Sprintf("%7s  %-18s %s -> %s", taskview.Seconds(elapsed), r.Name, before, state)
		}
		extra := []string{}
		if r.Status.Terminal() && r.Took > 0 {
			extra = append(extra, "after "+taskview.Seconds(r.Took))
		}
		if r.Note != "" {
			extra = append(extra, r.Note)
		}
		if len(extra) > 0 {
			line += " (" + strings.Join(extra, "; ") + ")"
		}
		w.screen.Println(line)
	}
}

// impatience cancels the step that outlives all others, once they have ended and it runs.
func (w *watcher) impatience(ctx context.Context, g task.Graph) error {
	if w.canceled {
		return nil
	}
	var last task.Basic
	for _, t := range g.Tasks {
		switch {
		case t.Name == outlived:
			last = t
		case !t.Status.Terminal():
			return nil
		}
	}
	if last.Status != task.Running {
		return nil
	}
	if _, err := w.client.Cancel(ctx, last.ID); err != nil {
		return fmt.Errorf("demo: cancel %s: %w", last.Name, err)
	}
	w.canceled = true
	w.screen.Printf("  everything else has ended: DELETE /task/%s cancels %s", last.ID, last.Name)
	return nil
}
