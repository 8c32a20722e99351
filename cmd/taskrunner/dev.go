package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/taskrunner/taskrunner/internal/app"
	"github.com/taskrunner/taskrunner/internal/config"
	"github.com/taskrunner/taskrunner/internal/demo"
	"github.com/taskrunner/taskrunner/internal/migrate"
)

// devCmd starts everything one needs to see Task Runner at work, shows a graph of tasks run, and stays up.
type devCmd struct {
	config.Config
	Dir   string  `name:"dir" default:".data" type:"path" group:"dev" help:"Folder of the private PostgreSQL and of the log. It may be deleted while nothing runs."`
	Speed float64 `name:"speed" default:"1" group:"dev" help:"How many times faster the demo works."`
	Once  bool    `name:"once" group:"dev" help:"End when the demo graph has ended."`

	screen *demo.Screen
}

// stopTimeout bounds what is done after the service has drained.
const stopTimeout = 30 * time.Second

// Run starts a database (unless DATABASE_URL names one), the service and the demo's receiver, in this order, runs the
// demo and waits for the end of the context. It stops all of them in reverse. A second signal ends the process at once;
// the database then notices by itself.
func (c *devCmd) Run(ctx context.Context) error {
	if c.screen == nil {
		c.screen = demo.NewScreen(os.Stdout)
	}
	if !(c.Speed > 0) {
		return fmt.Errorf("--speed must be above 0, not %v", c.Speed)
	}
	defer c.screen.Close()
	defer c.forceAtSecondSignal(ctx)()

	if err := os.MkdirAll(c.Dir, 0o755); err != nil {
		return fmt.Errorf("folder of the data: %w", err)
	}
	c.screen.Println(c.screen.Strong("Task Runner " + version))
	db, err := c.startDatabase(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil // interrupted, which is no failure
		}
		return err
	}
	log, closeLog, err := c.openLog() // after the database, whose folder belongs to one process only
	if err == nil {
		err = c.withDatabase(ctx, db, log)
		closeLog()
	}
	if stopErr := db.stop(); stopErr != nil {
		err = errors.Join(err, stopErr)
	}
	if err == nil && db.dir != "" {
		c.screen.Printf("stopped; the data stays in %s", shortPath(db.dir))
	}
	return err
}

// withDatabase runs the rest, while the database is up.
func (c *devCmd) withDatabase(ctx context.Context, db *devDatabase, log *slog.Logger) error {
	c.DatabaseURL = db.url
	listener, err := c.listen(c.Port, "the service")
	if err != nil {
		return err
	}
	service := "http://" + listener.Addr().String()
	if c.HostURL == "" {
		c.HostURL = service
	}
	if err := c.Check(); err != nil {
		return errors.Join(err, listener.Close())
	}
	receiver, stopReceiver, err := c.startReceiver(listener.Addr().(*net.TCPAddr).Port+1, log)
	if err != nil {
		return errors.Join(err, listener.Close())
	}

	told := ctx // by the user
	ctx, cancel := context.WithCancelCause(told)
	defer cancel(nil)
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- app.Run(ctx, c.Config, app.Options{Version: version, Log: log, Listener: listener, Ready: func(net.Addr) { close(ready) }})
		cancel(nil) // whatever waits has nothing to wait for any more
	}()
	go func() {
		select {
		case <-db.done:
			cancel(errDatabaseEnded)
		case <-ctx.Done():
		}
	}()

	var demoErr error
	select {
	case <-ready:
		c.screen.Printf("  %-10s %s", "service", service)
		c.screen.Printf("  %-10s %s", "receiver", receiver.URL())
		c.screen.Println("")
		demoErr = c.show(ctx, service, receiver, db)
	case err := <-ended:
		ended <- err
		demoErr = err
	}
	if told.Err() != nil {
		c.screen.Println("", "stopping; Ctrl-C once more forces it")
	}
	cancel(nil)
	receiver.Close() // work that goes on would only report to nobody
	err = <-ended
	stopReceiver()
	switch {
	case errors.Is(context.Cause(ctx), errDatabaseEnded):
		return fmt.Errorf("%w, see %s", errDatabaseEnded, db.log)
	case errors.Is(err, migrate.ErrRevision) && db.dir != "":
		return fmt.Errorf("the service: %w (rm -rf %s makes a new one)", err, shortPath(db.dir))
	case err != nil:
		return fmt.Errorf("the service: %w", err)
	case told.Err() != nil:
		return nil // what was interrupted is no failure
	}
	return demoErr
}

// errDatabaseEnded is the cause of the end when the own server is gone.
var errDatabaseEnded = errors.New("PostgreSQL has ended")

// show runs the demo and prints what to do next; then it waits, unless it should end.
func (c *devCmd) show(ctx context.Context, service string, receiver *devReceiver, db *devDatabase) error {
	result, err := demo.Run(ctx, service, receiver.Receiver, c.screen, &receiver.hooks)
	if err != nil {
		return err
	}
	c.screen.Println(demo.Guide{
		Service: service, Receiver: receiver.URL(), Batch: result.Batch, Task: result.Task, PSQL: db.psql,
	}.Lines(c.screen)...)
	if c.Once {
		return nil
	}
	c.screen.Println("Ctrl-C stops everything.", "")
	receiver.follow.Store(true)
	<-ctx.Done()
	return nil
}

// listen opens a port of the loopback interface, the wanted one or the next that is free.
func (c *devCmd) listen(port int, who string) (net.Listener, error) {
	const tries = 50
	for try := range tries {
		listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port+try)))
		if err == nil {
			if try > 0 {
				c.screen.Printf("  port %d is taken, %s listens on %d", port, who, port+try)
			}
			return listener, nil
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			return nil, fmt.Errorf("port of %s: %w", who, err)
		}
	}
	return nil, fmt.Errorf("port of %s: %d and the next %d are taken; PORT chooses another", who, port, tries-1)
}

// openLog opens the service's log; that of the run before has ".old" behind its name.
func (c *devCmd) openLog() (*slog.Logger, func(), error) {
	path := filepath.Join(c.Dir, "service.log")
	if err := os.Rename(path, path+".old"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, nil, fmt.Errorf("log: %w", err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, nil, fmt.Errorf("log: %w", err)
	}
	c.screen.Printf("  %-10s %s", "log", shortPath(path))
	options := &slog.HandlerOptions{Level: c.Log.Level()}
	return slog.New(slog.NewTextHandler(f, options)), func() { _ = f.Close() }, nil
}

// forceAtSecondSignal makes a signal that comes while everything is being stopped end the process. The returned function
// takes that back.
func (c *devCmd) forceAtSecondSignal(ctx context.Context) func() {
	quit, finished := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(finished)
		select {
		case <-ctx.Done():
		case <-quit:
			return
		}
		signals := make(chan os.Signal, 1)
		signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
		defer signal.Stop(signals)
		select {
		case <-signals:
			c.screen.Close()
			c.screen.Println("forced")
			os.Exit(1)
		case <-quit:
		}
	}()
	return func() {
		close(quit)
		<-finished
	}
}

// shortPath writes a path relative to the present folder, where that is shorter.
func shortPath(path string) string {
	wd, err := os.Getwd()
	if err != nil {
		return path
	}
	if rel, err := filepath.Rel(wd, path); err == nil && len(rel) < len(path) {
		return rel
	}
	return path
}

// serveReceiver runs an HTTP server until stop is called.
func serveReceiver(listener net.Listener, handler http.Handler, log *slog.Logger) (stop func()) {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			log.Error("the demo's receiver ended", "error", err)
		}
	}()
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
		defer cancel()
		if err := server.Shutdown(ctx); err != nil {
			log.Warn("the demo's receiver was not idle", "error", err)
			_ = server.Close()
		}
		<-ended
	}
}
