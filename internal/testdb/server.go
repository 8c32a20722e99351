package testdb

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"

	"github.com/taskrunner/taskrunner/internal/devpg"
)

// The environment of the tests.
const (
	// URLEnv holds the URL of a server to use, as a user that may create databases and roles.
	URLEnv = "TEST_DATABASE_URL"
	// SourceEnv picks one source of servers, "docker", "local" or "fetched", instead of trying them in this order.
	SourceEnv = "TEST_POSTGRES"
	// ImageEnv names the Docker image, by default postgres with the tag of the major version, or 15.
	ImageEnv = "TEST_POSTGRES_IMAGE"
	// MajorEnv is the major version of a server that is started, by default the newest found. Tests that start servers of
	// their own take it too.
	MajorEnv = "TEST_POSTGRES_MAJOR"
)

// settings make a server quick to start and to write. A crash of the machine may lose its data, which is of no worth;
// synchronous_commit stays on, because programs behave differently without it. The statement of a deadlock stands in the
// server's log.
var settings = map[string]string{
	"fsync":              "off",
	"full_page_writes":   "off",
	"max_connections":    "300",
	"shared_buffers":     "256MB",
	"jit":                "off",
	"log_lock_waits":     "on",
	"max_wal_size":       "4GB",
	"checkpoint_timeout": "30min",
	"autovacuum_naptime": "10s",
}

// Server is a PostgreSQL server for tests.
type Server struct {
	// DSN is a superuser's URL of the maintenance database.
	DSN string
	// Source says where the server comes from, for people.
	Source string

	stop func(context.Context) error
}

// Stop ends the server if StartServer started it.
func (s *Server) Stop(ctx context.Context) error { return s.stop(ctx) }

// StartServer returns the server that TEST_DATABASE_URL names, or starts one: in Docker if an engine answers, with local
// binaries, or with fetched ones. The error of all that were tried says what to install.
func StartServer(ctx context.Context) (*Server, error) {
	if dsn := os.Getenv(URLEnv); dsn != "" {
		if _, err := withDatabase(dsn, ""); err != nil {
			return nil, fmt.Errorf("testdb: %w", err)
		}
		return &Server{DSN: dsn, Source: URLEnv, stop: func(context.Context) error { return nil }}, nil
	}
	sources := []struct {
		name  string
		start func(context.Context) (*Server, error)
	}{
		{"docker", startDocker},
		{"local", func(ctx context.Context) (*Server, error) { return startDevpg(ctx, devpg.SearchLocal) }},
		{"fetched", func(ctx context.Context) (*Server, error) { return startDevpg(ctx, devpg.Fetch) }},
	}
	wanted := os.Getenv(SourceEnv)
	errs := []error{errors.New("testdb: tests need a PostgreSQL server (15 to 18): start a Docker engine, install the server's package " +
		"(postgresql on Debian, postgresql@17 in Homebrew), set " + devpg.BinEnv + " to the folder of its binaries, or set " +
		URLEnv + " to a server's URL")}
	for _, source := range sources {
		if wanted != "" && wanted != source.name {
			continue
		}
		s, err := source.start(ctx)
		if err == nil {
			return s, nil
		}
		errs = append(errs, fmt.Errorf("%s: %w", source.name, err))
	}
	if len(errs) == 1 {
		errs = append(errs, fmt.Errorf("%s=%q is none of docker, local, fetched", SourceEnv, wanted))
	}
	return nil, errors.Join(errs...)
}

func startDevpg(ctx context.Context, search devpg.Search) (*Server, error) {
	s, err := devpg.Start(ctx, devpg.Config{
		Log:      slog.New(slog.NewTextHandler(os.Stderr, nil)),
		Major:    os.Getenv(MajorEnv),
		Search:   search,
		Settings: settings,
	})
	if err != nil {
		return nil, err
	}
	return &Server{DSN: s.DSN("postgres"), Source: s.BinDir(), stop: s.Stop}, nil
}

var shared struct {
	once   sync.Once
	server *Server
	err    error
}

// sharedServer returns the DSN of this process's server, starting it at the first call. Main stops it; without Main it
// ends by itself soon after the process.
func sharedServer(ctx context.Context) (string, error) {
	shared.once.Do(func() { shared.server, shared.err = StartServer(ctx) })
	if shared.err != nil {
		return "", shared.err
	}
	return shared.server.DSN, nil
}
