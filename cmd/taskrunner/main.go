// Command taskrunner is Task Runner's one binary: the service, its tools, and a demo.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"github.com/taskrunner/taskrunner/internal/bench"
	"github.com/taskrunner/taskrunner/internal/config"
	"github.com/taskrunner/taskrunner/internal/connect"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1 // it failed, a setting is wrong, or check has found something
	exitUsage  = 2 // no such command or flag
)

const description = `A DAG engine inside PostgreSQL with webhooks around it.

Every setting is a flag and an environment variable; flags win, an empty variable counts as unset. Exit codes: 0 done; 1 failed, a setting is wrong, or check found something; 2 the command line is wrong.`

// cli is the command line.
type cli struct {
	Serve   serveCmd   `cmd:"" help:"Run a replica: HTTP API, webhooks and chores."`
	Migrate migrateCmd `cmd:"" help:"Bring the database to this version's schema and code."`
	Dev     devCmd     `cmd:"" help:"See it at work: a private PostgreSQL, the service and a demo."`
	Bench   benchCmd   `cmd:"" help:"Measure the engine on this machine."`
	Check   checkCmd   `cmd:"" help:"Check the engine's invariants; prints what is broken."`
	Health  healthCmd  `cmd:"" help:"Ask the service on this machine for its health; for health checks of containers."`
	Version versionCmd `cmd:"" help:"Print the version."`
}

func main() { os.Exit(run(os.Args[1:], os.Stderr)) }

// run is the program without its exit. Errors go to stderr.
func run(args []string, stderr io.Writer) int {
	parser, err := newParser(new(cli))
	if err != nil {
		panic(err) // a tag in the source is wrong
	}
	command, err := parser.Parse(args)
	if err != nil {
		complain(stderr, err)
		code := parseExit(err)
		if code == exitUsage {
			fmt.Fprintln(stderr, "see taskrunner --help")
		}
		return code
	}
	// The first signal asks to stop; what comes after it, its echo aside, ends the process at once.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, func() { time.AfterFunc(signalEcho, stop) })
	command.BindTo(ctx, (*context.Context)(nil))
	if err := command.Run(); err != nil {
		complain(stderr, err)
		return exitFailed
	}
	return exitOK
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
		kong.Vars{"bench_shapes": strings.Join(bench.Shapes(), ",")},
		config.Groups(),
		config.Environment(),
	}, config.Mappers()...)...)
}

// parseExit tells a setting that cannot be read from a command line that cannot be understood. Kong has an exit code of
// its own for the latter; what is left are values from the environment.
func parseExit(err error) int {
	var valueErr *config.ValueError
	var parseErr *kong.ParseError
	if errors.As(err, &valueErr) || errors.As(err, &parseErr) && parseErr.ExitCode() == 1 {
		return exitFailed
	}
	return exitUsage
}
