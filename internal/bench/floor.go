package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// The rows that the engine writes for a batch of tasks, by somebody who knows which tasks can run: claim, start, and
// finish with the children counted down. $1 are the ids. Each step is a transaction, as in the engine.
var floorSteps = [][]string{
	{
		`with q as (delete from taskrunner_private.queued_task where task_id = any($1) returning task_id, seq, created_at, kind)
		insert into taskrunner_private.active_task (task_id, seq, created_at, claimed_at, due_at, kind)
		select task_id, seq, created_at, now(), now() + interval '30 s', kind from q`,
		`update taskrunner.task set status = 'Claimed', contacted = true, last_updated = now() where id = any($1)`,
	},
	{
		`insert into taskrunner_private.delivery (task_id, batch_id, action_id, finished_at, first_try_at, number,
			task_attempt, tries, max_tries, last_status_code, first_latency_ms, first_status_code, trigger, status)
		select a.task_id, '00000000-0000-4000-8000-0000000000b1', a.id, now(), now(), 1, 1, 1, 3, 200, 1, 200, 'Start', 'Delivered'
		from taskrunner.action a where a.task_id = any($1)`,
		`update taskrunner.task set status = 'Running', started_at = now(), last_updated = now() where id = any($1)`,
	},
	{
		`with t as (update taskrunner.task set status = 'Success', ended_at = now(), last_updated = now()
			where id = any($1) returning id, seq, created_at, kind)
		insert into taskrunner_private.ended_task (task_id, seq, created_at, ended_at, status, kind)
		select id, seq, created_at, now(), 'Success', kind from t`,
		`delete from taskrunner_private.active_task where task_id = any($1)`,
		`select from taskrunner.task where id in (select child_id from taskrunner.link where parent_id = any($1))
		order by rank for no key update`,
		`with c as (
			update taskrunner.task c set wait_finished = c.wait_finished - d.n, wait_success = c.wait_success - d.n,
				status = case when c.wait_finished = d.n then 'Pending' else c.status end
			from (select child_id, count(*) n from taskrunner.link where parent_id = any($1) group by 1) d
			where c.id = d.child_id returning c.id, c.status)
		update taskrunner_private.queued_task q set state = 'ready' from c where q.task_id = c.id and c.status = 'Pending'`,
	},
}

// runFloor writes the same rows layer by layer, with triggers disabled, and returns tasks per second.
func (c Config) runFloor(ctx context.Context, pool *pgxpool.Pool) (float64, error) {
	rows, err := pool.Query(ctx, `select layer, array_agg(id order by i) from (
			select *, (row_number() over (partition by layer order by i) - 1) / $1 as batch from public.bench_task) b
		group by layer, batch order by layer, batch`, c.Batch)
	if err != nil {
		return 0, err
	}
	var batches [][][][16]byte // of each layer
	var layer, tasks int
	var ids [][16]byte
	if _, err := pgx.ForEachRow(rows, []any{&layer, &ids}, func() error {
		for len(batches) <= layer {
			batches = append(batches, nil)
		}
		batches[layer] = append(batches[layer], append([][16]byte(nil), ids...))
		tasks += len(ids)
		return nil
	}); err != nil {
		return 0, err
	}

	start := time.Now()
	for _, of := range batches {
		work := make(chan [][16]byte, len(of))
		for _, b := range of {
			work <- b
		}
		close(work)
		if err := inParallel(ctx, c.Workers, func(ctx context.Context) error {
			for b := range work {
				if err := writeFloor(ctx, pool, b); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return 0, err
		}
	}
	elapsed := time.Since(start)
	var open int
	if err := pool.QueryRow(ctx, "select count(*) from taskrunner.task where status <> 'Success'").Scan(&open); err != nil {
		return 0, err
	}
	if open > 0 {
		return 0, fmt.Errorf("the floor left %d tasks open", open)
	}
	return float64(tasks) / elapsed.Seconds(), nil
}

func writeFloor(ctx context.Context, pool *pgxpool.Pool, ids [][16]byte) error {
	for _, step := range floorSteps {
		batch := &pgx.Batch{}
		batch.Queue("set local session_replication_role = replica")
		batch.Queue("set local enable_seqscan = off")
		for _, sql := range step {
			batch.Queue(sql, ids)
		}
		// A batch outside a transaction block is one transaction; set local needs the block.
		if err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error { return tx.SendBatch(ctx, batch).Close() }); err != nil {
			return err
		}
	}
	return nil
}
