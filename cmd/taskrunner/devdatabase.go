package main

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/taskrunner/taskrunner/internal/devpg"
	"github.com/taskrunner/taskrunner/internal/screen"
)

// devDatabase is what `taskrunner dev` works on: a server of its own, or that of DATABASE_URL.
type devDatabase struct {
	url  string
	psql string          // command line that opens it
	dir  string          // folder of the own server; "" for a foreign one
	log  string          // log of the own server
	done <-chan struct{} // closed when the own server has ended; nil, which blocks, for a foreign one
	stop func() error
}

// devDatabaseName is the database in the own server.
const devDatabaseName = "taskrunner"

func (c *devCmd) startDatabase(ctx context.Context) (*devDatabase, error) {
	if c.URL != "" {
		c.screen.Printf("  %-10s %s", "database", "that of DATABASE_URL")
		return &devDatabase{url: c.URL, psql: `psql "$DATABASE_URL"`, stop: func() error { return nil }}, nil
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	dir := serverDir(c.Dir)
	server, err := devpg.Start(ctx, devpg.Config{Dir: dir, Log: slog.New(slog.NewTextHandler(screenWriter{c.screen}, &slog.HandlerOptions{
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey) {
				return slog.Attr{}
			}
			return a
		},
	}))})
	if errors.Is(err, devpg.ErrInUse) {
		return nil, fmt.Errorf("%w: stop that first, or choose another folder: make run ARGS='--dir X', or taskrunner dev --dir X",
			serverError{err})
	}
	if err != nil {
		return nil, serverError{err}
	}
	stop := func() error {
		ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
		defer cancel()
		if err := server.Stop(ctx); err != nil {
			return serverError{err}
		}
		return nil
	}
	version, err := createDatabase(ctx, server)
	if err != nil {
		return nil, errors.Join(err, stop())
	}
	origin := "new"
	if server.Reused() {
		origin = "with the data of the run before"
	}
	c.screen.Printf("  %-10s PostgreSQL %s on port %d, %s, in %s", "database", version, server.Port(), origin, shortPath(dir))
	url := server.DSN(devDatabaseName)
	return &devDatabase{
		url: url, psql: psqlCommand(server.BinDir()) + ` "` + url + `"`, dir: dir, log: server.LogFile(), done: server.Done(), stop: stop,
	}, nil
}

// serverError is an error of package devpg without the package's name, which says nothing to a user.
type serverError struct{ err error }

func (e serverError) Error() string { return strings.TrimPrefix(e.err.Error(), "devpg: ") }
func (e serverError) Unwrap() error { return e.err }

// unfinished counts the tasks that have not ended; each has a row in one of the two tables.
func unfinished(ctx context.Context, url string) (n int64, err error) {
	const patience = 5 * time.Second // a large queue of a foreign database is not worth a wait
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return 0, fmt.Errorf("count unfinished tasks: %w", err)
	}
	defer conn.Close(ctx)
	if err := conn.QueryRow(ctx, `select (select count(*) from taskrunner_private.queued_task)
		+ (select count(*) from taskrunner_private.active_task)`).Scan(&n); err != nil {
		return 0, fmt.Errorf("count unfinished tasks: %w", err)
	}
	return n, nil
}

// createDatabase creates the database unless it is there, and returns the server's version.
func createDatabase(ctx context.Context, server *devpg.Server) (version string, err error) {
	conn, err := pgx.Connect(ctx, server.DSN("postgres"))
	if err != nil {
		return "", fmt.Errorf("create the database: %w", err)
	}
	defer conn.Close(ctx)
	const duplicate = "42P04"
	var pgErr *pgconn.PgError
	if _, err := conn.Exec(ctx, "create database "+devDatabaseName); err != nil && !(errors.As(err, &pgErr) && pgErr.Code == duplicate) {
		return "", fmt.Errorf("create the database: %w", err)
	}
	if err := conn.QueryRow(ctx, "select split_part(current_setting('server_version'), ' ', 1)").Scan(&version); err != nil {
		return "", fmt.Errorf("version of the server: %w", err)
	}
	return version, nil
}

// serverDir returns the folder of the own server: postgres in the data folder. PostgreSQL refuses to run as root, so for
// root it runs as a user with fewer rights; a data folder that only root can reach (below /root, usually) is replaced by
// one that this user can.
func serverDir(base string) string {
	if os.Geteuid() != 0 || reachable(base) {
		return filepath.Join(base, "postgres")
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(base)) // never fails
	return filepath.Join("/var/lib/taskrunner", fmt.Sprintf("dev-%x", h.Sum64()), "postgres")
}

// reachable reports whether every user may pass to the folder.
func reachable(path string) bool {
	for {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm()&0o001 == 0 {
			return false
		}
		parent := filepath.Dir(path)
		if parent == path {
			return true
		}
		path = parent
	}
}

// psqlCommand returns the psql to call: that in PATH, or the server's own. Where there is none, its name says what to
// install.
func psqlCommand(binDir string) string {
	if _, err := exec.LookPath("psql"); err == nil {
		return "psql"
	}
	own := filepath.Join(binDir, "psql")
	if _, err := os.Stat(own); err == nil {
		return own
	}
	return "psql"
}

// screenWriter lets a log write to the screen.
type screenWriter struct{ screen *screen.Screen }

func (w screenWriter) Write(b []byte) (int, error) {
	line := string(b)
	if n := len(line); n > 0 && line[n-1] == '\n' {
		line = line[:n-1]
	}
	w.screen.Println("  " + line)
	return len(b), nil
}
