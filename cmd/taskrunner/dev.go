package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/taskrunner/taskrunner/internal/app"
	"github.com/taskrunner/taskrunner/internal/config"
	"github.com/taskrunner/taskrunner/internal/demo"
	"github.com/taskrunner/taskrunner/internal/migrate"
	"github.com/taskrunner/taskrunner/internal/screen"
)

// devCmd starts everything one needs to see Task Runner at work, shows a graph of tasks run, and stays up. It has the
// settings of serve, except those that would break the demo or mean something else here.
type devCmd struct {
	config.Config
	// Kong makes no flags of these fields of Config: dev has its own below, or decides itself (check).
	DatabaseURL, ListenDatabaseURL, Port, HostURL, WorkerEnabled, LogFormat struct{} `kong:"-"`

	URL       string `name:"database-url" env:"DATABASE_URL" group:"database" placeholder:"URL" help:"Database to use. By default a private PostgreSQL is started in the folder of --dir."`
	ListenURL string `name:"listen-database-url" env:"LISTEN_DATABASE_URL" group:"database" placeholder:"URL" help:"Direct connection for LISTEN and migrations; needed with PgBouncer in transaction mode. By default DATABASE_URL; ignored without it."`
	APIPort   int    `name:"port" env:"PORT" group:"server" default:"8085" help:"Port of the API, on 127.0.0.1 only. The next free one is taken if it is in use; the demo's receiver gets the next after that."`

	Dir   string  `name:"dir" default:".data" type:"path" group:"dev" help:"Folder of the private PostgreSQL and of service.log, the service's log as text. It may be deleted while nothing runs."`
	Speed float64 `name:"speed" default:"1" group:"dev" help:"How many times faster the demo works."`
	Once  bool    `name:"once" group:"dev" help:"End when the demo graph has ended; fails unless it has ended as planned."`

	screen *screen.Screen
}

// Help implements [kong.HelpProvider].
func (*devCmd) Help() string {
	return "HOST_URL, WORKER_ENABLED and LOG_FORMAT are ignored: the service calls itself by the address it listens on, works, and logs text. DATABASE_URL, LISTEN_DATABASE_URL and PORT are taken from flags and the environment, not from .env and config.toml, which are about the service. Webhooks may go to this machine (localhost, 127.0.0.0/8, ::1), beside what SSRF_ALLOW permits."
}

// stopTimeout bounds what is done after the service has drained.
const stopTimeout = 30 * time.Second

// Run starts a database (unless DATABASE_URL names one), the service and the demo's receiver, in this order, runs the
// demo and waits for the end of the context. It stops all of them in reverse. A second signal ends the process at once;
// the database then notices by itself.
func (c *devCmd) Run(ctx context.Context) error {
	if c.screen == nil {
		c.screen = screen.New(os.Stdout)
	}
	if err := c.check(); err != nil {
		return err
	}
	defer c.screen.Close()
	defer forceAtSecondSignal(ctx, func() {
		c.screen.Close()
		c.screen.Println("forced")
		os.Exit(exitFailed)
	})()

	if err := os.MkdirAll(c.Dir, 0o755); err != nil {
		return fmt.Errorf("folder of the data: %w", err)
	}
	c.screen.Println(c.screen.Strong("Task Runner " + version))
	if files := c.Files(); len(files) > 0 {
		c.screen.Printf("  %-10s %s", "settings", strings.Join(files, ", "))
	}
	if names := c.ignored(); len(names) > 0 {
		c.screen.Printf("  %-10s %s of the environment: dev decides this itself", "ignored", strings.Join(names, ", "))
	}
	db, err := c.startDatabase(ctx)
	if err != nil {
		if ctx.Err() != nil {
			c.screen.Println("stopped")
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
	switch {
	case err != nil:
	case db.dir != "":
		c.screen.Printf("stopped; the data stays in %s", shortPath(db.dir))
	default:
		c.screen.Println("stopped")
	}
	return err
}

// check completes the settings and finds wrong ones before anything is started. The URLs of the database and of the
// service are known later; until then they are such that all is well with them.
func (c *devCmd) check() error {
	if !(c.Speed > 0) {
		return fmt.Errorf("--speed must be above 0, not %v", c.Speed)
	}
	c.Config.DatabaseURL, c.Config.Port, c.Config.WorkerEnabled, c.Config.LogFormat = c.URL, c.APIPort, 1, "text"
	c.SSRFAllow = append(c.SSRFAllow, "localhost", "127.0.0.0/8", "::1") // where its receiver and those of its user are
	if c.URL != "" {
		c.Config.ListenDatabaseURL = c.ListenURL // of a private server it would be another database
	}
	settings := c.Config
	settings.DatabaseURL, settings.HostURL = cmp.Or(c.URL, "postgres://127.0.0.1"), "http://127.0.0.1"
	return settings.Check()
}

// ignored lists what the environment says in vain.
func (c *devCmd) ignored() []string {
	names := []string{"HOST_URL", "WORKER_ENABLED", "LOG_FORMAT"}
	if c.URL == "" {
		names = append(names, "LISTEN_DATABASE_URL")
	}
	return slices.DeleteFunc(names, func(name string) bool { return os.Getenv(name) == "" })
}

// withDatabase runs the rest, while the database is up.
func (c *devCmd) withDatabase(ctx context.Context, db *devDatabase, log *slog.Logger) error {
	listener, err := c.listen(c.APIPort, "the service")
	if err != nil {
		return err
	}
	service := "http://" + listener.Addr().String()
	c.Config.DatabaseURL, c.Config.HostURL = db.url, service
	receiver, stopReceiver, err := c.startReceiver(nextPort(listener), log)
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
		switch n, err := unfinished(ctx, db.url); {
		case err != nil:
			log.Warn("unfinished tasks not counted", "error", err)
		case n > 0:
			c.screen.Printf("  %d unfinished tasks of earlier runs go on", n)
		}
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
	result, err := demo.Run(ctx, service, receiver.Receiver, c.screen, receiver.hooks)
	if err != nil {
		return err
	}
	unplanned := result.Unplanned()
	if len(unplanned) > 0 {
		err = fmt.Errorf("the demo did not end as planned: %s; see %s", strings.Join(unplanned, ", "), shortPath(c.logFile()))
	}
	if c.Once {
		c.screen.Println("", "All of it stops now. To look around and try more, start it without --once: make run, or taskrunner dev.")
		return err
	}
	if err != nil {
		c.screen.Println("", err.Error())
	}
	c.screen.Println(demo.Guide{
		Service: service, Receiver: receiver.URL(), Batch: result.Batch, Task: result.Task, PSQL: db.psql,
		Command: clientCommand(service),
	}.Lines(c.screen)...)
	c.screen.Println("Ctrl-C stops everything.", "")
	receiver.hooks.ShowAll()
	<-ctx.Done()
	return nil
}

// clientCommand is how this program is called to use a service.
func clientCommand(service string) string {
	program := shortPath(os.Args[0])
	if service == defaultServer {
		return program
	}
	return "TASKRUNNER_URL=" + service + " " + program
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

// nextPort is the one after a listener's; after the last it is 0, which takes a free one.
func nextPort(listener net.Listener) int {
	return (listener.Addr().(*net.TCPAddr).Port + 1) % (math.MaxUint16 + 1)
}

// logFile is the path of the service's log.
func (c *devCmd) logFile() string { return filepath.Join(c.Dir, "service.log") }

// openLog opens the service's log, which only its owner may read; that of the run before has ".old" behind its name.
func (c *devCmd) openLog() (*slog.Logger, func(), error) {
	path := c.logFile()
	if err := os.Rename(path, path+".old"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, nil, fmt.Errorf("log: %w", err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, nil, fmt.Errorf("log: %w", err)
	}
	c.screen.Printf("  %-10s %s", "log", shortPath(path))
	return newLogger(f, c.Log), func() { _ = f.Close() }, nil
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
