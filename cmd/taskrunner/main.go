// Command taskrunner is Task Runner's one binary: the service, its tools, and a demo.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"reflect"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
	"github.com/google/uuid"

	"github.com/taskrunner/taskrunner/internal/bench"
	"github.com/taskrunner/taskrunner/internal/config"
	"github.com/taskrunner/taskrunner/internal/connect"
)

// Exit codes.
const (
	exitOK          = 0
	exitFailed      = 1   // it failed, a setting is wrong, or check has found something
	exitUsage       = 2   // no such command or flag
	exitBatch       = 3   // the watched batch has ended, and not all of it in Success
	exitInterrupted = 130 // a signal ended it before it was done, as shells have it
)

const description = `A DAG engine inside PostgreSQL with webhooks around it.

Every setting is a flag, an environment variable (in .env too) and a key of config.toml, which win in this order; an empty variable counts as unset. Exit codes: 0 done; 1 failed, refused by the service, a setting is wrong, or check found something; 2 the command line is wrong; 3 the batch that was watched ended with tasks in Failure or Canceled; 130 interrupted before it was done.`

// cli is the command line.
type cli struct {
	Submit  submitCmd  `cmd:"" group:"use" help:"Create a batch from a graph in JSON or YAML."`
	Status  statusCmd  `cmd:"" group:"use" help:"Show tasks or batches."`
	Watch   watchCmd   `cmd:"" group:"use" help:"Follow a batch until all of it has ended."`
	List    listCmd    `cmd:"" group:"use" help:"List tasks or batches."`
	Cancel  cancelCmd  `cmd:"" group:"use" help:"Cancel tasks."`
	Pause   pauseCmd   `cmd:"" group:"use" help:"Hold tasks until they are resumed."`
	Resume  resumeCmd  `cmd:"" group:"use" help:"Let paused tasks go on."`
	Succeed succeedCmd `cmd:"" group:"use" help:"Report that tasks succeeded."`
	Fail    failCmd    `cmd:"" group:"use" help:"Report that tasks failed."`
	Stop    stopCmd    `cmd:"" group:"use" help:"Cancel whatever of batches has not ended."`

	Serve    serveCmd    `cmd:"" group:"run" help:"Run a replica: HTTP API, webhooks and chores."`
	Migrate  migrateCmd  `cmd:"" group:"run" help:"Bring the database to this version's schema and code."`
	Config   configCmd   `cmd:"" group:"run" help:"Print the settings that count, and where each comes from."`
	Dev      devCmd      `cmd:"" group:"run" help:"See it at work: a private PostgreSQL, the service and a demo."`
	Bench    benchCmd    `cmd:"" group:"run" help:"Measure the engine on this machine."`
	Check    checkCmd    `cmd:"" group:"run" help:"Check the engine's invariants; prints what is broken."`
	Why      whyCmd      `cmd:"" group:"run" help:"Say what keeps a task from running; asks the database."`
	Prune    pruneCmd    `cmd:"" group:"run" help:"Remove what ended long ago, once and now."`
	Health   healthCmd   `cmd:"" group:"run" help:"Ask the service on this machine for its health; for health checks of containers."`
	Receiver receiverCmd `cmd:"" group:"run" help:"Run the demo's program, which works on tasks, on its own; for containers."`
	Version  versionCmd  `cmd:"" group:"run" help:"Print the version, the commit, and the revision of the SQL code."`

	Completion completionCmd `cmd:"" group:"run" help:"Print the script that lets a shell complete command lines."`
	Complete   completeCmd   `cmd:"" name:"__complete" hidden:""`
	BenchChild benchChildCmd `cmd:"" hidden:""`
}

func main() { os.Exit(run(os.Args[1:], streams{in: os.Stdin, out: os.Stdout, err: os.Stderr})) }

// run is the program without its exit.
func run(args []string, s streams) int {
	parser, err := newParser(new(cli))
	if err != nil {
		panic(err) // a tag in the source is wrong
	}
	command, err := parser.Parse(args)
	if err != nil {
		complain(s.err, err)
		code := parseExit(err)
		if code == exitUsage {
			fmt.Fprintf(s.err, "see %s --help\n", understood(err))
		}
		return code
	}
	// The first signal asks to stop; what comes after it, its echo aside, ends the process at once.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, func() { time.AfterFunc(signalEcho, stop) })
	command.BindTo(ctx, (*context.Context)(nil))
	command.Bind(s)
	if err := command.Run(); err != nil {
		complain(s.err, err)
		var exit *exitError
		if errors.As(err, &exit) {
			return exit.code
		}
		return exitFailed
	}
	return exitOK
}

// understood returns the part of a command line that was: the program, and its command if there is one.
func understood(err error) string {
	var parseErr *kong.ParseError
	if errors.As(err, &parseErr) {
		if node := parseErr.Context.Selected(); node != nil {
			return node.FullPath()
		}
	}
	return "taskrunner"
}

// complain writes what is wrong, a line each.
func complain(stderr io.Writer, err error) {
	for line := range strings.Lines(connect.Text(err)) {
		fmt.Fprintln(stderr, "taskrunner:", strings.TrimSuffix(line, "\n"))
	}
}

func newParser(c *cli) (*kong.Kong, error) {
	return kong.New(c, append([]kong.Option{
		kong.Name("taskrunner"),
		kong.Description(description),
		kong.Vars{"bench_shapes": strings.Join(bench.Shapes(), ","), "server": defaultServer},
		config.Groups(),
		config.Resolver(),
		kong.TypeMapper(reflect.TypeFor[uuid.UUID](), idMapper{}),
		kong.TypeMapper(reflect.TypeFor[*uuid.UUID](), idMapper{}),
	}, config.Mappers()...)...)
}

// idMapper reads ids, and those that may be absent.
type idMapper struct{}

// Decode implements [kong.Mapper].
func (idMapper) Decode(ctx *kong.DecodeContext, target reflect.Value) error {
	var text string
	if err := ctx.Scan.PopValueInto("id", &text); err != nil {
		return err
	}
	id, err := uuid.Parse(text)
	if err != nil {
		return fmt.Errorf("%q is no id", text)
	}
	if target.Kind() == reflect.Pointer {
		target.Set(reflect.ValueOf(&id))
	} else {
		target.Set(reflect.ValueOf(id))
	}
	return nil
}

// parseExit tells a setting that cannot be read from a command line that cannot be understood. Kong has an exit code of
// its own for the latter; what is left are values from the environment and from files.
func parseExit(err error) int {
	var valueErr *config.ValueError
	var invalidErr *config.InvalidError
	var parseErr *kong.ParseError
	if errors.As(err, &valueErr) || errors.As(err, &invalidErr) || errors.As(err, &parseErr) && parseErr.ExitCode() == 1 {
		return exitFailed
	}
	return exitUsage
}
