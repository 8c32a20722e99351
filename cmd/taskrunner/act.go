package main

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/taskrunner/taskrunner/internal/client"
	"github.com/taskrunner/taskrunner/internal/task"
	"github.com/taskrunner/taskrunner/internal/taskview"
)

// tasks is the part of a command line that names tasks to do something with.
type tasks struct {
	remote
	IDs []uuid.UUID `arg:"" name:"task" help:"Ids of tasks."`
}

// act does something with each task, and writes what state it is in then.
func (c *tasks) act(ctx context.Context, s streams, do func(*client.Client, context.Context, uuid.UUID) (client.Answer[task.Task], error)) error {
	st := style(s.screen())
	return each(ctx, s, &c.remote, c.IDs, func(ctx context.Context, api *client.Client, id uuid.UUID) ([]byte, []string, error) {
		a, err := do(api, ctx, id)
		if err != nil {
			return nil, nil, err
		}
		return a.Raw, []string{taskview.Line(a.Value, nil, st)}, nil
	})
}

// cancelCmd cancels tasks.
type cancelCmd struct{ tasks }

// Run does it.
func (c *cancelCmd) Run(ctx context.Context, s streams) error {
	return c.act(ctx, s, (*client.Client).Cancel)
}

// Help implements [kong.HelpProvider].
func (*cancelCmd) Help() string {
	return "The task must not have ended. Its on_cancel webhooks are called if it was started; what requires it fails."
}

// pauseCmd pauses tasks.
type pauseCmd struct{ tasks }

// Run does it.
func (c *pauseCmd) Run(ctx context.Context, s streams) error {
	return c.act(ctx, s, (*client.Client).Pause)
}

// Help implements [kong.HelpProvider].
func (*pauseCmd) Help() string {
	return "A task that has not started is not started; one that runs goes on, and does not time out."
}

// resumeCmd resumes tasks.
type resumeCmd struct{ tasks }

// Run does it.
func (c *resumeCmd) Run(ctx context.Context, s streams) error {
	return c.act(ctx, s, (*client.Client).Resume)
}

// succeedCmd reports success.
type succeedCmd struct{ tasks }

// Run does it.
func (c *succeedCmd) Run(ctx context.Context, s streams) error {
	return c.act(ctx, s, func(api *client.Client, ctx context.Context, id uuid.UUID) (client.Answer[task.Task], error) {
		return api.Report(ctx, id, client.Report{Status: task.Success})
	})
}

// Help implements [kong.HelpProvider].
func (*succeedCmd) Help() string {
	return "In place of the program that was called: the task must have been started."
}

// failCmd reports failure.
type failCmd struct {
	tasks
	Reason string `name:"reason" required:"" placeholder:"TEXT" help:"Why: the task's failure_reason."`
}

// Run does it.
func (c *failCmd) Run(ctx context.Context, s streams) error {
	return c.act(ctx, s, func(api *client.Client, ctx context.Context, id uuid.UUID) (client.Answer[task.Task], error) {
		return api.Report(ctx, id, client.Report{Status: task.Failure, FailureReason: &c.Reason})
	})
}

// Help implements [kong.HelpProvider].
func (*failCmd) Help() string {
	return "In place of the program that was called: the task must have been started. If it has attempts left it is tried again."
}

// stopCmd stops batches.
type stopCmd struct {
	remote
	IDs []uuid.UUID `arg:"" name:"batch" help:"Ids of batches."`
}

// Help implements [kong.HelpProvider].
func (*stopCmd) Help() string {
	return "All tasks of the batch that have not ended are canceled in one step; on_cancel webhooks are called for those that were started."
}

// Run stops them.
func (c *stopCmd) Run(ctx context.Context, s streams) error {
	return each(ctx, s, &c.remote, c.IDs, func(ctx context.Context, api *client.Client, id uuid.UUID) ([]byte, []string, error) {
		a, err := api.Stop(ctx, id)
		if err != nil {
			return nil, nil, err
		}
		v := a.Value
		canceled := v.CanceledWaiting + v.CanceledPending + v.CanceledClaimed + v.CanceledRunning + v.CanceledPaused
		return a.Raw, []string{fmt.Sprintf("%s  %d canceled, %d had ended before", id, canceled, v.AlreadyTerminal)}, nil
	})
}
