package main

import (
	"context"
	stdlog "log"
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
	log := newLogger(os.Stderr, c.Log)
	stdlog.SetFlags(0)
	stdlog.SetOutput(libraryLog{log})
	if err := c.Check(); err != nil {
		return err
	}
	if files := c.Files(); len(files) > 0 {
		log.Info("settings are read from files too", "files", files)
	}
	return app.Run(ctx, c.Config, app.Options{Version: version, Log: log})
}
