package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/taskrunner/taskrunner/internal/bench"
	"github.com/taskrunner/taskrunner/internal/devpg"
)

// benchCmd measures the engine on graphs of several shapes beside the floor of the same machine.
type benchCmd struct {
	DatabaseURL string   `name:"database-url" env:"DATABASE_URL" placeholder:"URL" help:"Server on which databases, named taskrunner_bench_…, are created and dropped. By default a private one is started for the run."`
	Shapes      []string `default:"${bench_shapes}" help:"Graphs to run, of: ${bench_shapes}."`
	Sizes       []int    `default:"10000,100000" help:"Tasks per graph. Layered graphs, and insert, which writes one, need 20."`
	Batch       int      `default:"500" help:"Tasks per statement."`
	Workers     int      `default:"2" help:"Connections that claim and finish at once."`
	JSON        bool     `name:"json" help:"Print JSON on standard output, and the table on standard error."`

	out, progress io.Writer // standard output and error
}

// Run prints each result as it comes, then all of them. Nothing stays on the server, also when it is interrupted.
func (c *benchCmd) Run(ctx context.Context) (err error) {
	if c.out == nil {
		c.out, c.progress = os.Stdout, os.Stderr
	}
	log := slog.New(slog.NewTextHandler(c.progress, nil))
	config := bench.Config{URL: c.DatabaseURL, Shapes: c.Shapes, Sizes: c.Sizes, Batch: c.Batch, Workers: c.Workers, Log: log}
	if err := config.Check(); err != nil {
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
	if config.URL == "" {
		server, err := devpg.Start(ctx, devpg.Config{Log: log})
		if err != nil {
			return err
		}
		config.URL = server.DSN("postgres")
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

func (c *benchCmd) measure(ctx context.Context, config bench.Config) error {
	var results []bench.Result
	if err := bench.Run(ctx, config, func(r bench.Result) {
		results = append(results, r)
		fmt.Fprintf(c.progress, "%s %d: %.0f tasks/s, floor %.0f/s\n", r.Shape, r.Tasks, r.Rate, r.Floor)
	}); err != nil {
		return err
	}
	if !c.JSON {
		return bench.WriteTable(c.out, results)
	}
	return errors.Join(bench.WriteTable(c.progress, results), bench.WriteJSON(c.out, results))
}
