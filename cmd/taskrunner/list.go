package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/taskrunner/taskrunner/internal/client"
	"github.com/taskrunner/taskrunner/internal/task"
	"github.com/taskrunner/taskrunner/internal/taskview"
)

// listCmd lists tasks or batches.
type listCmd struct {
	remote
	Batches bool `name:"batches" short:"b" help:"List batches: those with a task that all filters fit."`

	Status        *string    `name:"status" enum:"Waiting,Pending,Claimed,Running,Success,Failure,Paused,Canceled" placeholder:"STATUS" group:"filter" help:"Tasks in this state: Waiting, Pending, Claimed, Running, Success, Failure, Paused or Canceled."`
	Name          string     `name:"name" placeholder:"TEXT" group:"filter" help:"Tasks with this in their name."`
	Kind          string     `name:"kind" placeholder:"TEXT" group:"filter" help:"Tasks with this in their kind."`
	Batch         *uuid.UUID `name:"batch" placeholder:"ID" group:"filter" help:"Tasks of this batch."`
	Metadata      string     `name:"metadata" placeholder:"JSON" group:"filter" help:"Tasks whose metadata contains this."`
	WithTimeout   *int       `name:"with-timeout" placeholder:"SECONDS" group:"filter" help:"Tasks with this timeout."`
	CreatedAfter  string     `name:"created-after" placeholder:"TIME" group:"filter" help:"With --batches: created at that time, as in 2026-01-02T15:04:05Z, or later."`
	CreatedBefore string     `name:"created-before" placeholder:"TIME" group:"filter" help:"With --batches: created at that time or earlier."`

	Limit  int    `name:"limit" short:"n" default:"50" help:"Most rows."`
	All    bool   `name:"all" help:"All rows, however many there are."`
	Cursor string `name:"cursor" placeholder:"CURSOR" help:"Go on where a list with the same filters ended, by what it said at its end."`
}

// Help implements [kong.HelpProvider].
func (*listCmd) Help() string {
	return `The newest come first. With --json the rows are one array, each as the service wrote it.`
}

// Run lists them.
func (c *listCmd) Run(ctx context.Context, s streams) error {
	query, err := c.query()
	if err != nil {
		return &exitError{exitUsage, err}
	}
	api, err := c.connect()
	if err != nil {
		return err
	}
	defer api.Close()
	st := style(s.screen())
	if c.Batches {
		return listAll(ctx, s, c, query, api.Batches, taskview.BatchesHeading(st), func(rows []task.ListedBatch) []string {
			return taskview.Batches(rows, st)
		})
	}
	return listAll(ctx, s, c, query, api.Tasks, taskview.TasksHeading(st), func(rows []task.Basic) []string {
		return taskview.Tasks(rows, time.Now(), st)
	})
}

// query is what is asked for, the page aside.
func (c *listCmd) query() (client.Query, error) {
	q := client.Query{
		Name: c.Name, Kind: c.Kind, Metadata: c.Metadata, Cursor: c.Cursor,
		CreatedAfter: c.CreatedAfter, CreatedBefore: c.CreatedBefore,
	}
	if c.Status != nil {
		q.Status = *c.Status
	}
	if c.Batch != nil {
		q.BatchID = c.Batch.String()
	}
	if c.WithTimeout != nil {
		q.Timeout = fmt.Sprint(*c.WithTimeout)
	}
	switch {
	case c.Batches && (q.BatchID != "" || q.Timeout != "" || q.Metadata != ""):
		return q, errors.New("--batch, --metadata and --with-timeout are for lists of tasks")
	case !c.Batches && (q.CreatedAfter != "" || q.CreatedBefore != ""):
		return q, errors.New("--created-after and --created-before are for lists of batches")
	case c.Limit <= 0:
		return q, fmt.Errorf("--limit must be above 0, not %d", c.Limit)
	}
	return q, nil
}

// pageMost is how many rows are asked for at once. The service may give fewer.
const pageMost = 100

// listAll asks for one page after the other and writes each as it comes.
func listAll[T any](ctx context.Context, s streams, c *listCmd, q client.Query,
	ask func(context.Context, client.Query) (client.Page[T], error), heading string, lines func([]T) []string,
) error {
	for written := 0; ; {
		if q.Size = pageMost; !c.All {
			q.Size = min(pageMost, c.Limit-written)
		}
		page, err := ask(ctx, q)
		switch {
		case ctx.Err() != nil:
			return interrupted()
		case err != nil && written > 0:
			quiet := c.remote
			quiet.JSON = false // an array has begun
			return quiet.told(s, err, nil)
		case err != nil:
			return c.told(s, err, nil)
		case c.JSON:
			s.printRows(page.Raw, written > 0)
		case written == 0 && len(page.Rows) > 0:
			s.println(heading)
			fallthrough
		default:
			s.println(lines(page.Rows)...)
		}
		written += len(page.Rows)
		if page.Next != "" && (c.All || written < c.Limit) {
			q.Cursor = page.Next
			continue
		}
		if c.JSON {
			s.println("]")
		}
		if page.Next != "" {
			fmt.Fprintf(s.err, "taskrunner: there are more: --all lists them, --cursor %s goes on\n", page.Next)
		}
		return nil
	}
}

// printRows writes rows of an array, whose end is left to the caller.
func (s streams) printRows(rows []json.RawMessage, more bool) {
	texts := make([]string, len(rows))
	for i, row := range rows {
		texts[i] = string(row)
	}
	begin := "["
	if more {
		begin = ","
	}
	if len(rows) > 0 || !more {
		fmt.Fprint(s.out, begin+strings.Join(texts, ","))
	}
}
