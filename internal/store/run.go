package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/taskrunner/taskrunner/internal/task"
)

const (
	// conflictTries bounds how often a transaction is tried that others keep from committing, about 2 s in all.
	conflictTries = 12
	// lockWait is how long a transaction waits for a lock: a row that somebody holds in an open transaction must not keep a
	// connection busy. Between tries none is held.
	lockWait = "100ms"
	// patience is how long a request goes on trying to get its locks.
	patience = 10 * time.Second
	// lostTries bounds how often a call is tried whose connection was lost.
	lostTries = 3
	// linger is how long a query that has begun goes on when the caller gives up. Stopping it costs the connection, and a
	// caller who lost patience with a busy database should not make it open new ones.
	linger = 5 * time.Second
)

// ErrPoolExhausted is wrapped by errors that say: all connections of the pool are in use.
var ErrPoolExhausted = errors.New("connection pool exhausted")

// ErrAway is wrapped by errors that say: no connection was tried, because the database was away a moment ago.
var ErrAway = errors.New("the database was away a moment ago")

// errSlow is the error of a call that reads and had no answer in time.
var errSlow = errors.New("no answer in time")

// acquireError says that a connection could not be had; nothing was sent.
type acquireError struct{ err error }

func (e *acquireError) Error() string { return "get a connection: " + e.err.Error() }
func (e *acquireError) Unwrap() error { return e.err }

// call says how a call may be repeated.
type call struct {
	op    string // for errors and logs
	reads bool   // it writes nothing
	long  bool   // it reads without an end of its own
	// idempotent calls are repeated also when nobody knows whether they were carried out.
	idempotent bool
	pool       *pgxpool.Pool // nil: the common one
	// patience is how long the call is repeated when it does not get its locks within lockWait. Zero: the caller decides.
	patience time.Duration
	// conflictTries is how often the call is tried when others keep it from committing. Zero: conflictTries.
	conflictTries int
}

// bounds are the lock_timeout and the statement_timeout of a transaction; without work it is the database's own. With
// lookups its queries go by indexes, whatever the planner believes of tables that have just been filled, and are not compiled,
// which takes longer than a query for tens of thousands of rows. Actions that it creates belong to the trace of traceparent.
type bounds struct {
	lock, work  string
	lookups     bool
	traceparent string
}

// begin begins a batch in these bounds, with a single statement: a lone request feels each one.
func (b bounds) begin() *pgx.Batch {
	settings := "set_config('lock_timeout', '" + b.lock + "', true)"
	if b.work != "" {
		settings += ", set_config('statement_timeout', '" + b.work + "', true)"
	}
	if b.lookups {
		settings += ", set_config('enable_seqscan', 'off', true), set_config('jit', 'off', true)"
	}
	batch := &pgx.Batch{}
	if b.traceparent == "" {
		batch.Queue("select " + settings)
	} else {
		batch.Queue("select "+settings+", set_config('taskrunner.traceparent', $1, true)", b.traceparent)
	}
	return batch
}

// bounded begins a batch whose transaction waits at most lockWait for its locks.
func bounded() *pgx.Batch { return bounds{lock: lockWait}.begin() }

// do runs f on a connection, again and again where that is safe and of use: a transaction that lost a conflict did not
// happen, and neither did one of which nothing was sent. f must be one transaction: a single query, one batch, or a
// transaction that it begins and ends. The error is a *task.Error or internal.
func (s *Store) do(ctx context.Context, c call, f func(context.Context, *pgxpool.Conn) error) error {
	err := s.repeat(ctx, c, f)
	if err != nil && !c.reads && isFailure(err) {
		s.options.Observer.WriteFailed(c.op == opProgress)
	}
	return err
}

// isFailure reports an error that is no answer to a request that cannot be granted.
func isFailure(err error) bool {
	var known *task.Error
	if errors.As(err, &known) {
		return known.Code == task.CodeBusy || known.Code == task.CodeUnavailable
	}
	return !errors.Is(err, context.Canceled)
}

// repeat is do.
func (s *Store) repeat(ctx context.Context, c call, f func(context.Context, *pgxpool.Conn) error) error {
	pool := c.pool
	if pool == nil {
		pool = s.pool
	}
	began := time.Now()
	for try := 1; ; try++ {
		err := s.once(ctx, c, pool, f)
		if err == nil {
			return nil
		}
		var tries int
		switch {
		case locked(err):
			if time.Since(began) < c.patience {
				tries = try + 1
			}
		case conflicted(err):
			tries = cmp.Or(c.conflictTries, conflictTries)
		case neverSent(err), c.idempotent && connectionLost(err):
			tries = lostTries
		}
		if try >= tries || ctx.Err() != nil {
			return mapError(c.op, err)
		}
		s.log.DebugContext(ctx, "repeating a call", "operation", c.op, "try", try, "error", err)
		if !pause(ctx, backoff(try)) {
			return mapError(c.op, err)
		}
	}
}

// once runs f on a connection. Reading ends after twice ReadTimeout, which costs the connection: the statement_timeout of
// reading holds for what is executed, and a session that does not know a statement yet, or knows it no longer, has it parsed
// before, which waits for a table that somebody has locked.
func (s *Store) once(ctx context.Context, c call, pool *pgxpool.Pool, f func(context.Context, *pgxpool.Conn) error) error {
	conn, err := s.acquire(ctx, pool)
	if err != nil {
		return err
	}
	defer conn.Release()
	ctx, cancel := lingering(ctx)
	defer cancel()
	if c.reads && !c.long {
		ctx, cancel = context.WithTimeoutCause(ctx, 2*s.options.ReadTimeout, errSlow)
		defer cancel()
	}
	err = f(ctx, conn)
	if err != nil && isNetwork(err) && errors.Is(context.Cause(ctx), errSlow) {
		return errSlow
	}
	return err
}

// sender is a connection or a transaction.
type sender interface {
	SendBatch(ctx context.Context, batch *pgx.Batch) pgx.BatchResults
}

// send sends the queries of a batch in one round trip; on a connection they are one transaction. Their callbacks receive
// the answers, and its error is the first thing that went wrong, the commit included.
func send(ctx context.Context, conn sender, batch *pgx.Batch) error {
	return conn.SendBatch(ctx, batch).Close()
}

// acquire gets a connection from the pool: AcquireRetries tries of AcquireTimeout each.
func (s *Store) acquire(ctx context.Context, pool *pgxpool.Pool) (*pgxpool.Conn, error) {
	for try := 1; ; try++ {
		tryCtx, cancel := context.WithTimeout(ctx, s.options.AcquireTimeout)
		conn, err := s.acquireUnlessAway(tryCtx, pool)
		cancel()
		if err == nil || try >= s.options.AcquireRetries || ctx.Err() != nil || errors.Is(err, ErrAway) {
			return conn, err
		}
		if !pause(ctx, backoff(try)) {
			return nil, err
		}
	}
}

// acquireUnlessAway fails at once while the breaker is open. The loops are not subject to it: they have a patience of
// their own. A pool whose connections are all in use is no sign that the database is away.
func (s *Store) acquireUnlessAway(ctx context.Context, pool *pgxpool.Pool) (*pgxpool.Conn, error) {
	if pool != s.pool {
		return s.acquireOnce(ctx, pool)
	}
	try, ok := s.breaker.begin()
	if !ok {
		return nil, &acquireError{err: ErrAway}
	}
	conn, err := s.acquireOnce(ctx, pool)
	switch {
	case err == nil:
		s.breaker.worked(try)
	case errors.Is(err, ErrPoolExhausted), errors.Is(err, context.Canceled):
		s.breaker.ended(try)
	default:
		s.breaker.broke(try)
	}
	return conn, err
}

func (s *Store) acquireOnce(ctx context.Context, pool *pgxpool.Pool) (*pgxpool.Conn, error) {
	conn, err := pool.Acquire(ctx)
	if err == nil {
		return conn, nil
	}
	if errors.Is(err, context.DeadlineExceeded) && pool.Stat().AcquiredConns() >= pool.Config().MaxConns {
		err = fmt.Errorf("%w (%w)", ErrPoolExhausted, err)
		s.options.Observer.PoolExhausted()
	}
	return nil, &acquireError{err: err}
}

// lingering returns a context that ends a while after its parent.
func lingering(parent context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(parent))
	stop := context.AfterFunc(parent, func() {
		timer := time.AfterFunc(linger, cancel)
		context.AfterFunc(ctx, func() { timer.Stop() })
	})
	return ctx, func() {
		stop()
		cancel()
	}
}

// backoff is the pause after a try: 5 ms, doubled each time up to 320 ms, half of it random.
func backoff(try int) time.Duration {
	pause := 5 * time.Millisecond << min(try-1, 6)
	return pause/2 + rand.N(pause/2)
}

// pause waits and reports whether it was not interrupted.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// one adds a query that returns one row, which goes to dst by the order of its fields. No row is pgx.ErrNoRows.
func one[T any](batch *pgx.Batch, dst *T, sql string, args ...any) {
	batch.Queue(sql, args...).Query(func(rows pgx.Rows) (err error) {
		*dst, err = pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[T])
		return err
	})
}

// many adds a query that returns rows, which go to dst by the order of their fields.
func many[T any](batch *pgx.Batch, dst *[]T, sql string, args ...any) {
	batch.Queue(sql, args...).Query(func(rows pgx.Rows) (err error) {
		*dst, err = pgx.CollectRows(rows, pgx.RowToStructByPos[T])
		return err
	})
}
