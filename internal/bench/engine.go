package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// substitute puts n in place of $1, in statements that cannot take parameters.
func substitute(sql string, n int) string {
	sql = strings.ReplaceAll(sql, "$1::int", strconv.Itoa(n))
	return strings.ReplaceAll(sql, "$1", strconv.Itoa(n))
}

// runEngine drains the graph: each worker claims a batch, starts it and reports success for all of it, as a replica
// and its receivers would.
func (c Config) runEngine(ctx context.Context, pool *pgxpool.Pool, n int, result *Result) error {
	before, err := readStats(ctx, pool)
	if err != nil {
		return err
	}
	if err := c.drain(ctx, pool, n, result, false); err != nil {
		return err
	}
	after, err := readStats(ctx, pool)
	if err != nil {
		return err
	}
	result.WALBytes = float64(after.wal-before.wal) / float64(n)
	result.Commits = float64(after.commits-before.commits) / float64(n)
	if updates := after.updates - before.updates; updates > 0 {
		result.HOT = float64(after.hot-before.hot) / float64(updates)
	}
	result.DeadRows = after.dead
	return healthy(ctx, pool)
}

// idlePauses are those of a replica's start loop (internal/worker) whose claims find nothing.
var idlePauses = [...]time.Duration{5 * time.Millisecond, 15 * time.Millisecond, 50 * time.Millisecond, 200 * time.Millisecond}

// idlePause is the pause after so many claims in a row that found nothing. Without rules nobody tells a worker of this benchmark of tasks
// that became ready. With them it does as a replica: whoever makes parked tasks ready starts them himself, the others are not told.
func idlePause(misses int, rules bool) time.Duration {
	if !rules {
		return 2 * time.Millisecond
	}
	return idlePauses[min(misses, len(idlePauses))-1]
}

// drain works until n tasks have succeeded, or a few more when the last claims give more. wakes: each worker hands slots that it has freed to parked tasks, as the chores of a
// replica do.
func (c Config) drain(ctx context.Context, pool *pgxpool.Pool, n int, result *Result, wakes bool) error {
	var (
		done      atomic.Int64
		mu        sync.Mutex
		latencies []time.Duration
		enough    = make(chan struct{})
		end       sync.Once
	)
	start := time.Now()
	err := inParallel(ctx, c.Workers, func(ctx context.Context) error {
		replica := uuid.New()
		misses := 0
		for done.Load() < int64(n) {
			at := time.Now()
			finished, again, err := drainBatch(ctx, pool, replica, c.Batch)
			if err != nil {
				return err
			}
			woken := 0
			if wakes {
				if err := pool.QueryRow(ctx, "select unparked from taskrunner_private.wake_limits($1)", wakeChunk).Scan(&woken); err != nil {
					return fmt.Errorf("wake: %w", err)
				}
			}
			if finished == 0 && (again || woken > 0) {
				misses = 0
				continue
			}
			if finished == 0 && wakes { // some may have been put off
				if _, err := pool.Exec(ctx, "select taskrunner_private.release_scheduled($1)", c.Batch); err != nil {
					return fmt.Errorf("release: %w", err)
				}
			}
			if finished == 0 {
				misses++
				select {
				case <-ctx.Done():
					return ctx.Err()
				case <-enough:
				case <-time.After(idlePause(misses, wakes)):
				}
				continue
			}
			misses = 0
			if done.Add(int64(finished)) >= int64(n) {
				end.Do(func() { close(enough) })
			}
			mu.Lock()
			latencies = append(latencies, time.Since(at))
			mu.Unlock()
		}
		return nil
	})
	if err != nil {
		return err
	}
	result.Tasks = int(done.Load())
	result.Rate = float64(result.Tasks) / time.Since(start).Seconds()
	result.P50, result.P99 = percentiles(latencies)
	return nil
}

type tryItem struct {
	TaskID    uuid.UUID `json:"task_id"`
	Attempt   int32     `json:"attempt,omitempty"`
	At        time.Time `json:"at,omitzero"`
	LatencyMS int       `json:"latency_ms,omitempty"`
	Code      int       `json:"status_code,omitempty"`
	Status    string    `json:"status,omitempty"`
}

func drainBatch(ctx context.Context, pool *pgxpool.Pool, replica uuid.UUID, batch int) (finished int, again bool, err error) {
	reports, again, err := startBatch(ctx, pool, replica, batch)
	if err != nil || len(reports) == 0 {
		return 0, again, err
	}
	return len(reports), again, report(ctx, pool, reports)
}

// report ends tasks.
func report(ctx context.Context, pool *pgxpool.Pool, reports []tryItem) error {
	if err := call(ctx, pool, `select count(*) from taskrunner_private.report_tasks($1) where outcome = 'done'`,
		reports, len(reports)); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}

// claimBatch claims tasks. again: there may be more, although there was room for them.
func claimBatch(ctx context.Context, pool *pgxpool.Pool, replica uuid.UUID, batch int) (tries []tryItem, again bool, err error) {
	rows, err := pool.Query(ctx, `select coalesce(task_id, $3), attempt, again
		from taskrunner_private.claim_tasks($1, $2, 30, '{}', '{}', true)`, replica, batch, uuid.Nil)
	if err != nil {
		return nil, false, fmt.Errorf("claim: %w", err)
	}
	var id uuid.UUID
	var attempt int32
	now := time.Now()
	if _, err = pgx.ForEachRow(rows, []any{&id, &attempt, &again}, func() error {
		if id != uuid.Nil {
			tries = append(tries, tryItem{TaskID: id, Attempt: attempt, At: now, LatencyMS: 1, Code: 200})
		}
		return nil
	}); err != nil {
		return nil, false, fmt.Errorf("claim: %w", err)
	}
	return tries, again, nil
}

// startBatch claims and starts tasks, and returns the reports of their success.
func startBatch(ctx context.Context, pool *pgxpool.Pool, replica uuid.UUID, batch int) (reports []tryItem, again bool, err error) {
	tries, again, err := claimBatch(ctx, pool, replica, batch)
	if err != nil || len(tries) == 0 {
		return nil, again, err
	}
	for _, t := range tries {
		reports = append(reports, tryItem{TaskID: t.TaskID, Attempt: t.Attempt, Status: "Success"})
	}
	if err := call(ctx, pool, "select count(*) from taskrunner_private.start_tasks($1)", tries, len(tries)); err != nil {
		return nil, false, fmt.Errorf("start: %w", err)
	}
	return reports, again, nil
}

// call runs a set-wise function and insists that it did all items.
func call(ctx context.Context, pool *pgxpool.Pool, sql string, items []tryItem, want int) error {
	body, err := json.Marshal(items)
	if err != nil {
		return err
	}
	var got int
	if err := pool.QueryRow(ctx, sql, string(body)).Scan(&got); err != nil {
		return err
	}
	if got != want {
		return fmt.Errorf("%d of %d items were done", got, want)
	}
	return nil
}

type stats struct {
	wal, commits, updates, hot, dead int64
}

func readStats(ctx context.Context, pool *pgxpool.Pool) (stats, error) {
	var s stats
	// Statistics of other sessions arrive when these report them, at the latest a second after their last statement.
	time.Sleep(1100 * time.Millisecond)
	err := pool.QueryRow(ctx, `select (pg_current_wal_insert_lsn() - '0/0')::bigint,
			(select xact_commit from pg_stat_database where datname = current_database()),
			t.n_tup_upd, t.n_tup_hot_upd, (select sum(n_dead_tup)::bigint from pg_stat_user_tables)
		from pg_stat_user_tables t where t.schemaname = 'taskrunner' and t.relname = 'task'`).
		Scan(&s.wal, &s.commits, &s.updates, &s.hot, &s.dead)
	return s, err
}

// healthy is the end of every run: everything has ended well, and no rule of the engine is broken.
func healthy(ctx context.Context, pool *pgxpool.Pool) error {
	var open, broken, deadlocks int64
	if err := pool.QueryRow(ctx, `select (select count(*) from taskrunner.task where status <> 'Success'),
			(select count(*) from taskrunner.check_invariants()),
			(select deadlocks from pg_stat_database where datname = current_database())`).
		Scan(&open, &broken, &deadlocks); err != nil {
		return err
	}
	if open+broken+deadlocks > 0 {
		return fmt.Errorf("after the run: %d tasks without success, %d broken invariants, %d deadlocks", open, broken, deadlocks)
	}
	return nil
}

func percentiles(d []time.Duration) (p50, p99 float64) {
	if len(d) == 0 {
		return 0, 0
	}
	slices.Sort(d)
	at := func(q float64) float64 { return float64(d[int(q*float64(len(d)-1))].Microseconds()) / 1000 }
	return at(0.5), at(0.99)
}
