package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/taskrunner/taskrunner/internal/client"
	"github.com/taskrunner/taskrunner/internal/screen"
	"github.com/taskrunner/taskrunner/internal/task"
	"github.com/taskrunner/taskrunner/internal/taskview"
)

// watchCmd follows a batch.
type watchCmd struct {
	remote
	patience
	ID uuid.UUID `arg:"" name:"batch" help:"Id of the batch."`
}

// patience is the part of a command line that is about waiting.
type patience struct {
	Patience time.Duration `name:"patience" group:"client" default:"10m" help:"How long the service may be away, while a batch is watched, before that is an error."`
}

// Help implements [kong.HelpProvider].
func (*watchCmd) Help() string {
	return `On a terminal the progress is drawn in place, elsewhere there is a line for what changed, every second at most and less often the longer it takes. It ends when every task has ended: with 0 if all are in Success, with 3 if any is in Failure or Canceled. Ctrl-C ends the watching only, with 130; the batch goes on.

With --json every change is a line with the answer of GET /batch/{batch_id}.`
}

// Run follows it to its end.
func (c *watchCmd) Run(ctx context.Context, s streams) error {
	api, err := c.connect()
	if err != nil {
		return err
	}
	defer api.Close()
	return watch(ctx, s, &c.remote, api, c.ID, c.Patience)
}

// The pause between two looks at a batch: short when something changes, longer when nothing does, and longer still when
// the service does not answer.
const (
	lookSoon  = 250 * time.Millisecond
	lookLater = 2 * time.Second
	lookAway  = 10 * time.Second
	lookShare = 5 // a look that takes long is one at a large batch; most of the time the service is left alone
)

// watch follows a batch until all its tasks have ended.
func watch(ctx context.Context, s streams, r *remote, api *client.Client, id uuid.UUID, patience time.Duration) error {
	w := &watcher{
		api: api, remote: r, streams: s, screen: s.screen(), id: id,
		begun: time.Now(), details: map[uuid.UUID]task.Task{},
	}
	defer w.screen.Close()
	pause := lookSoon
	answered := time.Time{}
	for {
		asked := time.Now()
		changed, err := w.look(ctx)
		took := time.Since(asked)
		switch {
		case ctx.Err() != nil:
			return interrupted()
		case err == nil && w.ended():
			return w.finish(ctx)
		case err == nil:
			if answered = time.Now(); changed {
				pause = lookSoon
			} else {
				pause = min(pause*3/2, lookLater)
			}
		case answered.IsZero(), !passing(err), time.Since(answered) > patience:
			return w.remote.told(s, err, nil)
		default:
			w.away(err)
			pause = min(pause*2, lookAway)
		}
		select {
		case <-ctx.Done():
			return interrupted()
		case <-time.After(max(pause, lookShare*took)):
		}
	}
}

// passing reports an error that may be over soon: a service that restarts, or is overloaded.
func passing(err error) bool {
	var away *client.Unreachable
	var refused *client.Error
	switch {
	case errors.As(err, &away):
		return true
	case errors.As(err, &refused):
		return refused.Status >= http.StatusInternalServerError || refused.Status == http.StatusTooManyRequests
	}
	return false
}

// watcher shows how a batch goes.
type watcher struct {
	api     *client.Client
	remote  *remote
	streams streams
	screen  *screen.Screen
	id      uuid.UUID
	begun   time.Time

	seen    bool
	batch   task.Batch
	told    task.StatusCounts // by the last line
	toldAt  time.Time
	graph   task.Graph              // of a small batch, where it is drawn
	details map[uuid.UUID]task.Task // tasks that went wrong
	absent  bool                    // the service, and that was said
}

// look asks for the batch and shows it. changed: something is new.
func (w *watcher) look(ctx context.Context) (changed bool, err error) {
	a, err := w.api.Batch(ctx, w.id)
	if err != nil {
		return false, err
	}
	changed = !w.seen || a.Value.StatusCounts != w.batch.StatusCounts ||
		a.Value.TotalSuccess != w.batch.TotalSuccess || a.Value.TotalFailures != w.batch.TotalFailures
	w.batch, w.seen = a.Value, true
	live := w.screen.Live() && !w.remote.JSON
	if live && a.Value.TotalTasks <= tableMost {
		g, err := w.api.Graph(ctx, w.id)
		if err != nil {
			return false, err
		}
		w.graph = g.Value
		if err := addReasons(ctx, w.api, w.graph, w.details); err != nil {
			return false, err
		}
	}
	back := w.absent
	w.absent = false
	switch {
	case live:
		w.screen.Draw(w.frame)
	case w.remote.JSON && changed:
		w.streams.println(string(a.Raw))
	case !w.remote.JSON && (back || w.due()):
		w.told, w.toldAt = w.batch.StatusCounts, time.Now()
		w.screen.Println(w.line())
	}
	return changed, nil
}

// due reports whether a line is to be written: a log of a long batch shall not be full of them.
func (w *watcher) due() bool {
	const least, most = time.Second, 60 // a line in so many parts of the time
	switch now := time.Now(); {
	case w.toldAt.IsZero(), w.ended():
		return true
	case w.batch.StatusCounts == w.told:
		return false
	default:
		return now.Sub(w.toldAt) >= max(least, now.Sub(w.begun)/most)
	}
}

// ended reports whether all tasks have ended.
func (w *watcher) ended() bool {
	c := w.batch.StatusCounts
	return c.Waiting+c.Pending+c.Claimed+c.Running+c.Paused == 0
}

// line is the batch in one line.
func (w *watcher) line() string {
	return fmt.Sprintf("%8.1f s  %3d %%  %s", time.Since(w.begun).Seconds(), taskview.Share(w.batch.StatusCounts), taskview.Counts(w.batch.StatusCounts))
}

// frame is the batch as it is drawn: a bar, and below it the tasks, if they are few.
func (w *watcher) frame(s screen.Style) []string {
	head := w.title(s)
	if w.graph.Tasks == nil {
		return head
	}
	const around = 2 // the line where the cursor stands, and one to spare
	if s.Height > 0 {
		s.Height = max(1, s.Height-len(head)-around)
	}
	return append(head, taskview.Table(taskview.Rows(w.graph, w.details, time.Now()), s)...)
}

// title is the head of a frame.
func (w *watcher) title(s screen.Style) []string {
	name := ""
	if w.batch.BatchName != nil {
		name = screen.Clean(*w.batch.BatchName)
	}
	return []string{
		s.Line(screen.Cell{Text: "batch " + w.id.String(), Colour: screen.Bold}, screen.Cell{Text: name, Colour: screen.Bold}),
		s.Line(screen.Cell{Text: fmt.Sprintf("  %.1f s", time.Since(w.begun).Seconds())}, screen.Cell{Text: taskview.Counts(w.batch.StatusCounts)}),
		taskview.Progress(w.batch.StatusCounts, s),
	}
}

// away says once that the service does not answer.
func (w *watcher) away(err error) {
	if w.absent {
		return
	}
	w.absent = true
	line := screen.Clean(err.Error()) + "; trying again"
	if w.remote.JSON {
		fmt.Fprintln(w.streams.err, "taskrunner:", line)
		return
	}
	w.screen.Println(line)
}

// reasonsMost is how many tasks that went wrong are named at the end.
const reasonsMost = 20

// finish shows how the batch has ended; the error says whether it went wrong.
func (w *watcher) finish(ctx context.Context) error {
	c := w.batch.StatusCounts
	bad := c.Failure + c.Canceled
	if w.screen.Live() && !w.remote.JSON {
		w.screen.Finish(w.frame)
	}
	if bad == 0 {
		return nil
	}
	if !w.remote.JSON && w.graph.Tasks == nil {
		w.tellBad(ctx, bad)
	}
	return &exitError{exitBatch, fmt.Errorf("the batch went wrong: %s", taskview.Counts(task.StatusCounts{Failure: c.Failure, Canceled: c.Canceled}))}
}

// tellBad lists tasks that went wrong, with their reasons, where no table shows them.
func (w *watcher) tellBad(ctx context.Context, bad int64) {
	g, err := w.api.Graph(ctx, w.id)
	if err != nil {
		w.screen.Println("which tasks went wrong cannot be told: " + screen.Clean(err.Error()))
		return
	}
	st, names := style(w.screen), taskview.Names(g.Value)
	list := taskview.WentWrong(g.Value)
	list = list[:min(len(list), reasonsMost)]
	for _, t := range list {
		full, err := w.api.Task(ctx, t.ID)
		if err != nil {
			w.screen.Println("why tasks went wrong cannot be told: " + screen.Clean(err.Error()))
			return
		}
		w.screen.Println(taskview.Line(full.Value, names, st))
	}
	if more := bad - int64(len(list)); more > 0 {
		w.screen.Printf("and %d more: taskrunner list --all --batch %s --status Failure (or Canceled)", more, w.id)
	}
}
