package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/multitracer"
	"github.com/jackc/pgx/v5/pgxpool"
	pgxuuid "github.com/vgarvardt/pgx-google-uuid/v5"

	"github.com/taskrunner/taskrunner/internal/connect"
	"github.com/taskrunner/taskrunner/internal/db"
	"github.com/taskrunner/taskrunner/internal/groupcommit"
	"github.com/taskrunner/taskrunner/internal/requestid"
	"github.com/taskrunner/taskrunner/internal/task"
	"github.com/taskrunner/taskrunner/internal/tracing"
)

const (
	connLifetime = 24 * time.Hour
	connIdle     = 120 * time.Second
	// workConns is how many connections the loops and chores may use at once: each loop claims and settles at most one
	// group at a time.
	workConns = 4
	// stuckConns is how many reports at once wait for tasks that somebody else holds, or take longer than a group may.
	stuckConns = 4
	// readTimeout is the default of ReadTimeout: long enough to go through some millions of rows once.
	readTimeout = 15 * time.Second
)

// Options are the settings of a Store.
type Options struct {
	// MaxConns is how many connections serve requests, > 0. Up to workConns more serve the loops, up to stuckConns more
	// requests that wait for what somebody holds, and one is kept for Pulse.
	MaxConns int
	MinConns int // connections to keep open, at most MaxConns
	// PreparedStatements keeps named prepared statements in the sessions. False for poolers that cannot keep them, such
	// as PgBouncer before 1.21: then only descriptions are remembered, on our side, and every query is still one round
	// trip with typed parameters.
	PreparedStatements bool
	AcquireTimeout     time.Duration // of one try to get a connection, > 0
	AcquireRetries     int           // tries to get a connection; 0 acts as 1
	Breaker            Breaker
	ReadTimeout        time.Duration   // of a statement that reads for a request; 0: 15 s
	SlowQuery          time.Duration   // queries that take longer are logged; 0: none is
	Observer           Observer        // may be nil
	Tracer             *tracing.Tracer // may be nil
	Log                *slog.Logger    // nil: slog.Default()
}

// Store calls the engine. It is safe for concurrent use.
type Store struct {
	pool    *pgxpool.Pool
	work    *pgxpool.Pool // what the loops and chores use, so that requests cannot keep them from working
	pulse   *pgxpool.Pool // one connection, so that a pulse never waits for other calls
	stuck   *pgxpool.Pool // for reports that wait for somebody or take long, so that the others need not wait for them
	queries *db.Queries
	breaker *breaker
	options Options
	log     *slog.Logger
	timer   *timer

	reports  *groupcommit.Queue[uuid.UUID, report, reported]
	progress *groupcommit.Queue[uuid.UUID, task.Progress, progressed]
}

// Open prepares a Store for the database at dsn, a URL or a keyword string. It does not wait for the database; Ping
// tells whether it answers. ctx bounds only Open itself.
func Open(ctx context.Context, dsn string, o Options) (*Store, error) {
	if err := o.validate(); err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	o.ReadTimeout = cmp.Or(o.ReadTimeout, readTimeout)
	if o.Observer == nil {
		o.Observer = Unobserved{}
	}
	s := &Store{queries: db.New(), breaker: newBreaker(o.Breaker), options: o, log: o.Log}
	if s.log == nil {
		s.log = slog.Default()
	}
	s.log = tracing.Logger(requestid.Logger(s.log)).With("component", "store")
	s.timer = &timer{observer: o.Observer, slow: o.SlowQuery, log: s.log}
	var err error
	for _, p := range []struct {
		pool     **pgxpool.Pool
		max, min int
	}{{&s.pool, o.MaxConns, o.MinConns}, {&s.work, workConns, 0}, {&s.pulse, 1, 0}, {&s.stuck, stuckConns, 0}} {
		if *p.pool, err = s.newPool(ctx, dsn, p.max, p.min); err != nil {
			s.closePools()
			return nil, fmt.Errorf("store: %w", err)
		}
	}
	s.reports, s.progress = s.newReports(), s.newProgress()
	return s, nil
}

func (o Options) validate() error {
	switch {
	case o.MaxConns < 1:
		return errors.New("MaxConns must be positive")
	case o.MinConns < 0 || o.MinConns > o.MaxConns:
		return errors.New("MinConns must be between 0 and MaxConns")
	case o.AcquireTimeout <= 0:
		return errors.New("AcquireTimeout must be positive")
	case o.ReadTimeout < 0, o.ReadTimeout > 0 && o.ReadTimeout < time.Millisecond: // in whole milliseconds 0 is forever
		return errors.New("ReadTimeout must be at least a millisecond")
	case o.AcquireRetries < 0:
		return errors.New("AcquireRetries must not be negative")
	case o.Breaker.Failures < 0 || o.Breaker.Failures > 0 && (o.Breaker.Window <= 0 || o.Breaker.Recovery <= 0):
		return errors.New("Breaker must have a Window and a Recovery, both positive")
	}
	return nil
}

func (s *Store) newPool(ctx context.Context, dsn string, maxConns, minConns int) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, err // names no password
	}
	config.MaxConns, config.MinConns = int32(maxConns), int32(minConns)
	config.MaxConnLifetime, config.MaxConnIdleTime = connLifetime, connIdle
	config.MaxConnLifetimeJitter = connLifetime / 24
	connect.Prepare(&config.ConnConfig.Config)
	config.PingTimeout = connect.Timeout // a connection that hangs is one that is lost
	// Not QueryExecModeExec, which guesses parameter types from Go types and would send jsonb as bytea; and not
	// QueryExecModeDescribeExec, whose two round trips a pooler may deal to two sessions.
	config.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	if s.options.PreparedStatements {
		config.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeCacheStatement
	}
	tracers := []pgx.QueryTracer{s.timer}
	if s.options.Tracer != nil {
		tracers = append(tracers, s.options.Tracer.Statements())
	}
	config.ConnConfig.Tracer = multitracer.New(tracers...)
	config.AfterConnect = func(_ context.Context, conn *pgx.Conn) error {
		s.breaker.reached()
		pgxuuid.Register(conn.TypeMap()) // by itself pgx knows uuid.UUID by its text only, and takes detours to that
		return nil
	}
	return pgxpool.NewWithConfig(ctx, config)
}

// Close waits for the calls in progress and closes all connections.
func (s *Store) Close() {
	var queues sync.WaitGroup
	queues.Go(s.reports.Close)
	queues.Go(s.progress.Close)
	queues.Wait()
	s.closePools()
}

func (s *Store) closePools() {
	for _, pool := range []*pgxpool.Pool{s.pool, s.work, s.pulse, s.stuck} {
		if pool != nil {
			pool.Close()
		}
	}
}

// Ping asks the database whether it takes writes, by one connection of the pool and without repeating anything; ctx bounds it.
// The error is a *task.Error that wraps ErrPoolExhausted when all connections are in use.
func (s *Store) Ping(ctx context.Context) error {
	conn, err := s.acquireOnce(ctx, s.pool)
	if err != nil {
		return mapError("ping", err)
	}
	defer conn.Release()
	var readOnly string
	err = conn.QueryRow(ctx, "show transaction_read_only").Scan(&readOnly)
	if err == nil && readOnly == "on" { // through a pooler the server may have become another one
		err = connect.ErrReadOnly
	}
	if err != nil {
		return mapError("ping", &acquireError{err: err})
	}
	return nil
}

// Away reports whether calls, those of the loops aside, fail at once because the database is away.
func (s *Store) Away() bool { return s.breaker.refusing() }

// Stat returns the number of open connections of the pool, and how many of them are idle.
func (s *Store) Stat() (size, idle int) {
	stat := s.pool.Stat()
	return int(stat.TotalConns()), int(stat.IdleConns())
}

// counted hands on what the engine has counted.
func (s *Store) counted(op, counts string) {
	if counts == "" {
		return
	}
	c, err := parseCounts(counts)
	if err != nil {
		s.log.Error("status changes cannot be counted", "operation", op, "error", err)
	}
	s.options.Observer.Counted(c)
}
