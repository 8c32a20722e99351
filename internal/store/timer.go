package store

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// otherQuery stands for statements that have no name: those that begin and end transactions.
const otherQuery = "other"

// slowLogEvery is how often slow runs of the same query are logged at most.
const slowLogEvery = time.Second

// timer tells an observer how long queries take, by their names in queries/, and logs those that take longer than slow. Arguments are
// never looked at. It implements pgx.QueryTracer and pgx.BatchTracer.
type timer struct {
	observer Observer
	slow     time.Duration
	log      *slog.Logger

	mu    sync.Mutex
	slows map[string]*slowRuns
}

// slowRuns are runs of a query that were slow.
type slowRuns struct {
	logged time.Time
	silent int // since then
}

// timed is a query or a batch that runs; in a batch, where began is the end of the query before, by one goroutine.
type timed struct {
	began time.Time
	sql   string
}

type timerKey struct{}

func (t *timer) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	return context.WithValue(ctx, timerKey{}, &timed{began: time.Now(), sql: data.SQL})
}

func (t *timer) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryEndData) {
	if q, ok := ctx.Value(timerKey{}).(*timed); ok {
		t.ended(ctx, q.sql, time.Since(q.began))
	}
}

func (t *timer) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	return context.WithValue(ctx, timerKey{}, &timed{began: time.Now()})
}

// TraceBatchQuery is called when the answer of a query has been read. The server sends all answers at the end, so that the first query
// with a name has the time of the batch.
func (t *timer) TraceBatchQuery(ctx context.Context, _ *pgx.Conn, data pgx.TraceBatchQueryData) {
	if b, ok := ctx.Value(timerKey{}).(*timed); ok && queryName(data.SQL) != otherQuery {
		now := time.Now()
		t.ended(ctx, data.SQL, now.Sub(b.began))
		b.began = now
	}
}

func (t *timer) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}

func (t *timer) ended(ctx context.Context, sql string, took time.Duration) {
	query := queryName(sql)
	slow := t.slow > 0 && took > t.slow
	t.observer.Queried(query, slow, took)
	if !slow {
		return
	}
	if silent, ok := t.tells(query); ok {
		t.log.WarnContext(ctx, "slow query", "query", query, "duration", took, "others_since_last", silent)
	}
}

// tells reports whether a slow run is logged now, and how many before it were not.
func (t *timer) tells(query string) (silent int, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	runs := t.slows[query]
	if runs == nil {
		if t.slows == nil {
			t.slows = map[string]*slowRuns{}
		}
		runs = &slowRuns{}
		t.slows[query] = runs
	}
	if now := time.Now(); now.Sub(runs.logged) >= slowLogEvery {
		silent, runs.logged, runs.silent = runs.silent, now, 0
		return silent, true
	}
	runs.silent++
	return 0, false
}

// queryName returns the name that sqlc has written before a query.
func queryName(sql string) string {
	rest, ok := strings.CutPrefix(sql, "-- name: ")
	if !ok {
		return otherQuery
	}
	name, _, _ := strings.Cut(rest, " ")
	return name
}
