package main

import (
	"context"
	"log/slog"
	"os"

	"github.com/taskrunner/taskrunner/internal/app"
	"github.com/taskrunner/taskrunner/internal/config"
)

// serveCmd runs a replica until it is told to stop.
type serveCmd struct {
	config.Config
}

// Run returns nil after a drain.
func (c *serveCmd) Run(ctx context.Context) error {
	if err := c.Check(); err != nil {
		return err
	}
	return app.Run(ctx, c.Config, app.Options{Version: version, Log: newLogger(c.Log)})
}

// newLogger logs to standard error.
func newLogger(c config.Log) *slog.Logger {
	options := &slog.HandlerOptions{Level: c.Level()}
	if c.LogFormat == "text" {
		return slog.New(slog.NewTextHandler(os.Stderr, options))
	}
	return slog.New(slog.NewJSONHandler(os.Stderr, options))
}
