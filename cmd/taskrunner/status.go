package main

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/taskrunner/taskrunner/internal/client"
	"github.com/taskrunner/taskrunner/internal/screen"
	"github.com/taskrunner/taskrunner/internal/task"
	"github.com/taskrunner/taskrunner/internal/taskview"
)

// statusCmd shows tasks and batches.
type statusCmd struct {
	remote
	IDs []uuid.UUID `arg:"" name:"id" help:"Ids of tasks or batches; which of both is found out."`
}

// Run shows each.
func (c *statusCmd) Run(ctx context.Context, s streams) error {
	st := style(s.screen())
	first := true
	return each(ctx, s, &c.remote, c.IDs, func(ctx context.Context, api *client.Client, id uuid.UUID) ([]byte, []string, error) {
		raw, lines, err := c.show(ctx, api, id, st)
		if err == nil && !first {
			lines = append([]string{""}, lines...)
		}
		first = first && err != nil
		return raw, lines, err
	})
}

// show describes what has the id: a task, or else a batch.
func (c *statusCmd) show(ctx context.Context, api *client.Client, id uuid.UUID, st screen.Style) (raw []byte, lines []string, err error) {
	t, err := api.Task(ctx, id)
	if err == nil {
		return t.Raw, taskview.Task(t.Value, taskview.Holds(t.Raw), time.Now(), st), nil
	}
	if !client.NotFound(err) {
		return nil, nil, err
	}
	b, err := api.Batch(ctx, id)
	if err != nil {
		return nil, nil, notFound(err)
	}
	if c.JSON {
		return b.Raw, nil, nil
	}
	lines = taskview.Batch(b.Value, st)
	if b.Value.TotalTasks > tableMost || b.Value.TotalTasks == 0 {
		return b.Raw, lines, nil
	}
	g, err := api.Graph(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	details := map[uuid.UUID]task.Task{}
	if err := addReasons(ctx, api, g.Value, details); err != nil {
		return nil, nil, err
	}
	lines = append(lines, "")
	return b.Raw, append(lines, taskview.Table(taskview.Rows(g.Value, details, time.Now()), st)...), nil
}

// tableMost is the size up to which the tasks of a batch are shown one by one.
const tableMost = 100

// addReasons looks at tasks that went wrong in full, because a graph does not say why. It asks for no task twice.
func addReasons(ctx context.Context, api *client.Client, g task.Graph, details map[uuid.UUID]task.Task) error {
	for _, t := range g.Tasks {
		_, known := details[t.ID]
		if known || t.Status != task.Failure && t.Status != task.Canceled {
			continue
		}
		full, err := api.Task(ctx, t.ID)
		if err != nil {
			return err
		}
		details[t.ID] = full.Value
	}
	return nil
}

// notFound says of an id that neither a task nor a batch has it.
func notFound(err error) error {
	if !client.NotFound(err) {
		return err
	}
	var refused *client.Error
	if errors.As(err, &refused) {
		const message = "no task and no batch has this id"
		refused.Message = message
		var answer map[string]any
		if json.Unmarshal(refused.Raw, &answer) == nil { // with --json it is what is written
			answer["error"] = message
			refused.Raw, _ = json.Marshal(answer)
		}
	}
	return err
}
