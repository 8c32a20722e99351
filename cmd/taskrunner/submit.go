package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/google/uuid"

	"github.com/taskrunner/taskrunner/internal/client"
	"github.com/taskrunner/taskrunner/internal/graphfile"
	"github.com/taskrunner/taskrunner/internal/screen"
)

// submitCmd creates a batch.
type submitCmd struct {
	remote
	patience
	File   string           `arg:"" name:"file" help:"The graph: an array of tasks, or an object with tasks, name, metadata and dead_end_cancel; - is the standard input."`
	Format graphfile.Format `name:"format" enum:"auto,json,yaml" default:"auto" help:"json, yaml, or auto: by the name of the file, else by its first character."`
	Watch  bool             `name:"watch" short:"w" help:"Follow the batch until all of it has ended, as watch does."`
	Quiet  bool             `name:"quiet" short:"q" help:"Write nothing but the id of the batch."`
	Key    string           `name:"key" placeholder:"TEXT" help:"Idempotency-Key of the request: invocations with the same key and the same graph create one batch. By default each has its own."`
	Print  bool             `name:"print" help:"Write what would be sent, and send nothing."`
}

// Help implements [kong.HelpProvider].
func (*submitCmd) Help() string {
	return `JSON is sent as it is; YAML is turned into JSON. What the service finds wrong is written with the line of the file.

A request whose answer is lost, or that is answered with 503, is repeated; the batch is created once, because all tries carry the same Idempotency-Key. With 204 nothing was created: there was nothing in the graph, or all of it exists already.`
}

// Run creates it.
func (c *submitCmd) Run(ctx context.Context, s streams) error {
	graph, err := c.read(s.in)
	if err != nil {
		return err
	}
	if c.Print {
		s.println(string(graph.JSON))
		return nil
	}
	c.Timeout = cmp.Or(c.Timeout, submitTimeout)
	api, err := c.connect()
	if err != nil {
		return err
	}
	defer api.Close()
	created, err := submit(ctx, s, api, graph.JSON, cmp.Or(c.Key, uuid.NewString()))
	switch {
	case ctx.Err() != nil:
		return interrupted()
	case err != nil:
		return c.told(s, err, graph.Explain)
	}
	id, nothing := created.Value.BatchID, len(created.Value.Tasks) == 0
	switch {
	case c.JSON && !nothing:
		s.println(string(created.Raw))
	case nothing:
		fmt.Fprintln(s.err, "taskrunner: nothing was created")
	case c.Quiet:
		s.println(id.String())
	default:
		s.println(fmt.Sprintf("batch %s: %s", id, count(len(created.Value.Tasks), "task")))
	}
	if !c.Watch || nothing {
		return nil
	}
	return watch(ctx, s, &c.remote, api, id, c.Patience)
}

// read reads the graph.
func (c *submitCmd) read(stdin io.Reader) (*graphfile.File, error) {
	name, in := c.File, stdin
	if name == "-" {
		name = "standard input"
	} else {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	graph, err := graphfile.Read(name, in, c.Format)
	if err != nil {
		return nil, errors.New(screen.Clean(err.Error()))
	}
	return graph, nil
}

// count writes a number of things.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// Repeats of a submission that was not answered, or was answered with 503.
const (
	submitTries    = 6
	submitPause    = 500 * time.Millisecond // doubles
	submitMostWait = 30 * time.Second       // whatever Retry-After says
)

// submit posts a graph, repeatedly if need be. All tries carry one key, so that the graph is created once.
func submit(ctx context.Context, s streams, api *client.Client, body []byte, key string) (client.Answer[client.Created], error) {
	pause := submitPause
	for try := 1; ; try++ {
		created, err := api.Submit(ctx, body, key)
		wait, again := repeat(err, pause, try > 1)
		if !again || try == submitTries || ctx.Err() != nil {
			return created, err
		}
		fmt.Fprintf(s.err, "taskrunner: %s; trying again in %v\n", screen.Clean(err.Error()), wait)
		select {
		case <-ctx.Done():
			return created, ctx.Err()
		case <-time.After(wait):
		}
		pause *= 2
	}
}

// repeat reports whether a submission is worth another try, and when: after a lost answer, and after 503. A service that
// was never reached may be misspelled; that is for the caller to see at once.
func repeat(err error, pause time.Duration, reached bool) (wait time.Duration, again bool) {
	var away *client.Unreachable
	var refused *client.Error
	switch {
	case errors.As(err, &away):
		return pause, (reached || away.Sent()) && !away.Timeout()
	case errors.As(err, &refused) && refused.Status == http.StatusServiceUnavailable:
		return min(max(pause, refused.RetryAfter), submitMostWait), true
	}
	return 0, false
}
