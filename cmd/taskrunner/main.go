// Command taskrunner is Task Runner's one binary: the service, its tools, and a demo.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/taskrunner/taskrunner/internal/bench"
	"github.com/taskrunner/taskrunner/internal/config"
)

// version is set at link time; else the module's version is shown.
var version = "dev"

// cli is the command line.
type cli struct {
	Serve   serveCmd   `cmd:"" help:"Run a replica: HTTP API, webhooks and chores."`
	Migrate migrateCmd `cmd:"" help:"Bring the database to this version's schema and code."`
	Dev     devCmd     `cmd:"" help:"See it at work: a private PostgreSQL, the service and a demo."`
	Bench   benchCmd   `cmd:"" help:"Measure the engine on this machine."`
	Check   checkCmd   `cmd:"" help:"Check the engine's invariants; prints what is broken."`
	Version versionCmd `cmd:"" help:"Print the version."`
}

// errBroken is an answer, not a failure: check has found something.
var errBroken = errors.New("invariants are broken")

func main() { os.Exit(run(os.Args[1:])) }

// run is the program without its exit: 0 success, 1 failure or a check that found something, 2 wrong usage.
func run(args []string) int {
	if version == "dev" {
		if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
			version = info.Main.Version
		}
	}
	options := append([]kong.Option{
		kong.Name("taskrunner"),
		kong.Description("A DAG engine inside PostgreSQL. Exit codes: 0 success, 1 failure or a check that found something, 2 wrong usage."),
		kong.Vars{"bench_shapes": strings.Join(bench.Shapes(), ",")},
		config.Groups(),
	}, config.Mappers()...)
	var c cli
	parser, err := kong.New(&c, options...)
	if err != nil {
		fmt.Fprintln(os.Stderr, "taskrunner:", err)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	command, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintln(os.Stderr, "taskrunner:", err)
		var value *config.ValueError
		if errors.As(err, &value) {
			return 1 // a setting, from the environment perhaps
		}
		return 2
	}
	command.BindTo(ctx, (*context.Context)(nil))
	if err := command.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "taskrunner:", err)
		return 1
	}
	return 0
}

// versionCmd prints the version.
type versionCmd struct{}

// Run prints it.
func (versionCmd) Run() error {
	fmt.Println("taskrunner", version)
	return nil
}
