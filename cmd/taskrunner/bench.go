package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/taskrunner/taskrunner/internal/bench"
	"github.com/taskrunner/taskrunner/internal/chromium"
	"github.com/taskrunner/taskrunner/internal/devpg"
)

// benchCmd measures the engine on graphs of several shapes beside the floor of the same machine.
type benchCmd struct {
	Scenario    string        `enum:"graphs,report,submit,scheduled,rules,webhooks,view" default:"graphs" help:"What to measure: graphs, the engine in SQL; report, PUT and PATCH over HTTP; submit, POST of large graphs; scheduled, what future tasks cost, and starts at run_at; rules, what limits cost; webhooks, tasks end to end; view, the web page in a browser."`
	DatabaseURL string        `name:"database-url" env:"DATABASE_URL" placeholder:"URL" help:"Server on which databases, named taskrunner_bench_…, are created and dropped. By default a private one is started for the run."`
	Shapes      []string      `default:"${bench_shapes}" help:"Graphs to run, of: ${bench_shapes}."`
	Sizes       []int         `default:"10000,100000" help:"Tasks per graph; scenarios graphs, submit, view, scheduled, rules and webhooks (of the last three the largest). Layered graphs, and insert, which writes one, need 20."`
	Batch       int           `default:"500" help:"Tasks per statement."`
	Workers     int           `default:"2" help:"Connections that claim and finish at once."`
	Clients     int           `default:"64" help:"Connections of the load client; scenario report."`
	Duration    time.Duration `default:"4s" help:"Length of each measurement; scenarios report and view."`
	JSON        bool          `name:"json" help:"Print JSON on standard output, and the table on standard error."`

	out, progress io.Writer // standard output and error
}

// Run prints each result as it comes, then all of them. Nothing stays on the server, also when it is interrupted.
func (c *benchCmd) Run(ctx context.Context) (err error) {
	if c.out == nil {
		c.out, c.progress = os.Stdout, os.Stderr
	}
	log := slog.New(slog.NewTextHandler(c.progress, nil))
	config := bench.Config{
		URL: c.DatabaseURL, Shapes: c.Shapes, Sizes: c.Sizes, Batch: c.Batch, Workers: c.Workers, Log: log,
		Clients: c.Clients, Duration: c.Duration, Command: ownCommand,
	}
	if err := errors.Join(config.Check(), config.CheckHTTP()); err != nil {
		return err
	}
	defer forceAtSecondSignal(ctx, func() {
		log.Error("forced; databases may be left behind")
		os.Exit(exitFailed)
	})()
	defer func() {
		if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
			err = errors.New("interrupted")
		}
	}()
	config.Chromium, _ = chromium.Find()         // "" without one
	config.Pgbench, _ = exec.LookPath("pgbench") // "" without one
	if config.URL == "" {
		server, err := devpg.Start(ctx, devpg.Config{Log: log})
		if err != nil {
			return err
		}
		config.URL = server.DSN("postgres")
		if path, err := exec.LookPath(filepath.Join(server.BinDir(), "pgbench")); err == nil {
			config.Pgbench = path
		}
		return errors.Join(c.measure(ctx, config), stopServer(ctx, server))
	}
	return c.measure(ctx, config)
}

// stopServer stops the server even when the context has ended.
func stopServer(ctx context.Context, server *devpg.Server) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	return server.Stop(ctx)
}

// ownCommand is this program again.
func ownCommand(ctx context.Context, args ...string) *exec.Cmd {
	program, err := os.Executable()
	if err != nil {
		program = os.Args[0]
	}
	return exec.CommandContext(ctx, program, args...)
}

func (c *benchCmd) measure(ctx context.Context, config bench.Config) error {
	switch c.Scenario {
	case "report":
		return printMeasures(c, func(report func(bench.Measure)) error { return bench.Reports(ctx, config, report) })
	case "submit":
		return printMeasures(c, func(report func(bench.Measure)) error { return bench.Submits(ctx, config, report) })
	case "scheduled":
		return printMeasures(c, func(report func(bench.Measure)) error { return bench.Scheduled(ctx, config, report) })
	case "rules":
		return printMeasures(c, func(report func(bench.Measure)) error { return bench.Rules(ctx, config, report) })
	case "webhooks":
		return printMeasures(c, func(report func(bench.Measure)) error { return bench.Webhooks(ctx, config, report) })
	case "view":
		return printMeasures(c, func(report func(bench.Measure)) error { return bench.View(ctx, config, report) })
	}
	var results []bench.Result
	err := bench.Run(ctx, config, func(r bench.Result) {
		results = append(results, r)
		fmt.Fprintf(c.progress, "%s %d: %.0f tasks/s, floor %.0f/s\n", r.Shape, r.Tasks, r.Rate, r.Floor)
	})
	return printResults(c, results, bench.WriteTable, err)
}

// printMeasures runs an HTTP scenario.
func printMeasures(c *benchCmd, run func(func(bench.Measure)) error) error {
	var measures []bench.Measure
	err := run(func(m bench.Measure) {
		measures = append(measures, m)
		fmt.Fprintf(c.progress, "%s: %.4g %s\n", m.Name, m.Value, m.Unit)
	})
	return printResults(c, measures, bench.WriteMeasures, err)
}

// printResults prints what a run measured; of one that was cut off, what it had measured until then.
func printResults[R bench.Result | bench.Measure](c *benchCmd, results []R, table func(io.Writer, []R) error, err error) error {
	switch {
	case len(results) == 0:
		return err
	case c.JSON:
		return errors.Join(err, table(c.progress, results), bench.WriteJSON(c.out, results))
	}
	return errors.Join(err, table(c.out, results))
}

// benchChildCmd is a part of bench in a process of its own.
type benchChildCmd struct{}

func (benchChildCmd) Run(ctx context.Context) error { return bench.Child(ctx, os.Stdin, os.Stdout) }
