package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"github.com/taskrunner/taskrunner/internal/bench"
	"github.com/taskrunner/taskrunner/internal/devpg"
)

// benchCmd measures the engine on graphs of several shapes beside the floor of the same machine.
type benchCmd struct {
	DatabaseURL string   `name:"database-url" env:"DATABASE_URL" help:"Server on which databases may be created and dropped; without it a private one is started for the run."`
	Shapes      []string `default:"${bench_shapes}" help:"Shapes to run: ${bench_shapes}."`
	Sizes       []int    `default:"10000,100000" help:"Tasks per graph."`
	Batch       int      `default:"500" help:"Tasks per statement."`
	Workers     int      `default:"2" help:"Connections that claim and finish at once."`
	JSON        bool     `name:"json" help:"Print JSON after the table."`
}

// Run prints each result as it comes, then all of them.
func (c *benchCmd) Run(ctx context.Context) error {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	if c.DatabaseURL == "" {
		server, err := devpg.Start(ctx, devpg.Config{Log: log})
		if err != nil {
			return err
		}
		defer server.Stop(context.WithoutCancel(ctx))
		c.DatabaseURL = server.DSN("postgres")
	}
	var results []bench.Result
	err := bench.Run(ctx, bench.Config{
		URL: c.DatabaseURL, Shapes: c.Shapes, Sizes: c.Sizes, Batch: c.Batch, Workers: c.Workers, Log: log,
	}, func(r bench.Result) {
		results = append(results, r)
		fmt.Fprintf(os.Stderr, "%s %d: %.0f tasks/s, floor %.0f/s\n", r.Shape, r.Tasks, r.Rate, r.Floor)
	})
	if err != nil {
		return err
	}
	if err := bench.WriteTable(os.Stdout, results); err != nil {
		return err
	}
	if c.JSON {
		return bench.WriteJSON(os.Stdout, results)
	}
	return nil
}
