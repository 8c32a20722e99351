package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// insertName is the measurement beside the shapes, insertShape the graph that it inserts.
const (
	insertName  = "insert"
	insertShape = "layered"
)

// measureInsert times plain INSERTs of n tasks with three links each, against the same with our triggers disabled.
// Foreign keys and CHECKs stay on in both: they belong to the tables. That of a link's child, whose work a trigger does, is
// added where triggers are disabled.
func (r *run) measureInsert(ctx context.Context, n int) (Result, error) {
	result := Result{Shape: insertName, Tasks: n}
	err := r.with(ctx, r.seed, 1, func(pool *pgxpool.Pool) error {
		for _, disabled := range []bool{true, false} {
			if _, err := pool.Exec(ctx, `truncate taskrunner.task, taskrunner.link, taskrunner.action,
				taskrunner_private.queued_task`); err != nil {
				return err
			}
			if _, err := pool.Exec(ctx, "vacuum analyze"); err != nil {
				return err
			}
			before, err := readStats(ctx, pool)
			if err != nil {
				return err
			}
			elapsed, err := insertLayered(ctx, pool, n, disabled)
			if err != nil {
				return err
			}
			rate := float64(n) / elapsed.Seconds()
			if disabled {
				result.Floor = rate
				continue
			}
			after, err := readStats(ctx, pool)
			if err != nil {
				return err
			}
			result.Rate, result.Ratio = rate, rate/result.Floor
			result.P50 = float64(elapsed.Microseconds()) / 1000
			result.P99 = result.P50
			result.WALBytes = float64(after.wal-before.wal) / float64(n)
			result.Commits = float64(after.commits-before.commits) / float64(n)
			if updates := after.updates - before.updates; updates > 0 {
				result.HOT = float64(after.hot-before.hot) / float64(updates)
			}
			result.DeadRows = after.dead
			var broken int
			if err := pool.QueryRow(ctx, "select count(*) from taskrunner.check_invariants()").Scan(&broken); err != nil {
				return err
			}
			if broken > 0 {
				return fmt.Errorf("%d broken invariants", broken)
			}
		}
		return nil
	})
	return result, err
}

func insertLayered(ctx context.Context, pool *pgxpool.Pool, n int, disabled bool) (time.Duration, error) {
	layered, _ := shapeByName(insertShape)
	var elapsed time.Duration
	err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		for _, sql := range []string{
			"create temp table t on commit drop as select i, taskrunner.uuidv7() as id from generate_series(0, $1::int - 1) i",
			"create temp table l on commit drop as select p.id as parent_id, c.id as child_id from (" + layered.links +
				") l (parent, child) join t p on p.i = l.parent join t c on c.i = l.child",
			"analyze t", "analyze l",
		} {
			if _, err := tx.Exec(ctx, substitute(sql, n)); err != nil {
				return err
			}
		}
		if disabled {
			for _, sql := range []string{
				"alter table taskrunner.task disable trigger user",
				"alter table taskrunner.link disable trigger user, add constraint link_child_id_fkey foreign key (child_id) " +
					"references taskrunner.task on delete cascade",
			} {
				if _, err := tx.Exec(ctx, sql); err != nil {
					return err
				}
			}
		}
		start := time.Now()
		if _, err := tx.Exec(ctx, `insert into taskrunner.task (id, name, kind, metadata)
			select id, 'task ' || i, 'bench', '{"tenant": "a"}' from t order by i`); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `insert into taskrunner.link (parent_id, child_id, requires_success)
			select parent_id, child_id, true from l`); err != nil {
			return err
		}
		elapsed = time.Since(start)
		if disabled {
			for _, sql := range []string{
				"alter table taskrunner.task enable trigger user",
				"alter table taskrunner.link enable trigger user, drop constraint link_child_id_fkey",
			} {
				if _, err := tx.Exec(ctx, sql); err != nil {
					return err
				}
			}
		}
		return nil
	})
	return elapsed, err
}
