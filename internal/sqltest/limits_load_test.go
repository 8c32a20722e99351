package sqltest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
)

// startLog notes every start, in the order in which limits decided it: the row is written under the stripes. What a task was
// when it started is kept, because it may change later.
const startLog = `
	create schema test;
	create sequence test.number;
	create table test.start (task_id uuid primary key, number bigint, priority int, seq bigint, kind text, rules jsonb, metadata jsonb,
		changed bool not null default false);
	create function test.started() returns trigger language plpgsql security definer as $$
	declare v_number bigint := nextval('test.number');
	begin
		insert into test.start
		select t.id, v_number, t.priority, t.seq, t.kind, t.rules, t.metadata from new_rows n join taskrunner.task t on t.id = n.task_id
		on conflict (task_id) do update set number = excluded.number, priority = excluded.priority, rules = excluded.rules,
			metadata = excluded.metadata, changed = false;
		return null;
	end $$;
	create trigger active_task_900_log after insert on taskrunner_private.active_task
	referencing new table as new_rows for each statement execute function test.started();
	-- Active tasks for whose rules too many others had started before them and are active still. Those without rules may start at
	-- any time, so they are not ordered; and what moved into a group has not started there.
	create view test.exceeded as
	select a.task_id, r.rule, x.n
	from test.start a
	join taskrunner_private.active_task using (task_id)
	cross join jsonb_array_elements(a.rules) r (rule)
	cross join lateral (
		select case r.rule ->> 'type' when 'Capacity'
			then sum(greatest(coalesce(o.expected_count, 0) - o.success - o.failures, 0)) else count(*) end as n
		from test.start b
		join taskrunner_private.active_task using (task_id)
		join taskrunner.task o on o.id = b.task_id
		where b.rules <> '[]' and not b.changed and (b.number, -b.priority, b.seq) < (a.number, -a.priority, a.seq)
			and b.kind = r.rule -> 'matcher' ->> 'kind' and not exists (
				select from jsonb_array_elements_text(r.rule -> 'matcher' -> 'fields') f
				where (b.metadata -> f) is null or b.metadata -> f <> a.metadata -> f)
	) x
	where not a.changed and x.n >= coalesce(r.rule -> 'max_capacity', r.rule -> 'max_concurency')::bigint`

// crowd is many clients at work on the same few limits.
type crowd struct {
	e     *engine
	stop  context.Context
	fault chan error // the first that is not to be expected
	shape atomic.Int32

	mu    sync.Mutex
	tasks []string
	done  map[string]int // by what was done, or its SQLSTATE
}

func TestLimitsUnderLoad(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.exec(startLog)
	const took = 6 * time.Second
	stop, cancel := context.WithTimeout(t.Context(), took)
	defer cancel()
	c := &crowd{e: e, stop: stop, fault: make(chan error, 1), done: map[string]int{}}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	var group sync.WaitGroup
	work := func(name string, n int, do func(ctx context.Context, conn *pgx.Conn, r *rand.Rand) error) {
		for range n {
			seed++
			r := rand.New(rand.NewPCG(seed, 1))
			group.Go(func() { c.loop(name, do, r) })
		}
	}
	work("insert", 1, c.insert)
	work("replica", 3, c.replica)
	work("act", 8, c.act)
	work("kill", 1, c.kill)
	work("recheck", 1, c.recheck)
	work("look", 1, c.look)
	group.Wait()
	select {
	case err := <-c.fault:
		require.NoError(t, err)
	default:
	}

	// Then everything comes to an end by wake-ups alone: nobody rechecks, and no task stays behind.
	e.exec(`update taskrunner.task set expected_count = 5 where expected_count is null and status not in ('Success', 'Failure', 'Canceled')`)
	e.exec(`select taskrunner.resume_task(id) from taskrunner.task where status = 'Paused'`)
	for deadline := time.Now().Add(2 * time.Minute); e.line("select count(*) from taskrunner_private.queued_task") != "0" ||
		e.line("select count(*) from taskrunner_private.active_task") != "0"; {
		e.exec("update taskrunner_private.queued_task set run_at = now() - interval '1 second' where state = 'scheduled'; update taskrunner_private.shape_request set next_at = now()")
		e.line("select taskrunner_private.release_scheduled(10000)")
		e.wakes()
		e.exec("select * from taskrunner_private.claim_tasks($1::uuid, 100, 30, '{}', '{}', true)", id("r"))
		e.exec("select taskrunner.finish_tasks(array(select task_id from taskrunner_private.active_task), 'Success')")
		require.True(t, time.Now().Before(deadline), "tasks are left: %v", e.lines(`select q.state, count(*), count(q.gate_id), count(q.limit_id) from taskrunner_private.queued_task q group by 1`))
	}
	require.Equal(t, "0", e.line("select repaired from taskrunner_private.recheck_limits(true)"))
	t.Log(c.done, e.lines("select status, count(*) from taskrunner.task group by 1"))
}

// loop does something again and again, on a new connection when the old one was ended.
func (c *crowd) loop(name string, do func(ctx context.Context, conn *pgx.Conn, r *rand.Rand) error, r *rand.Rand) {
	var conn *pgx.Conn
	defer func() {
		if conn != nil {
			_ = conn.Close(context.Background())
		}
	}()
	for c.stop.Err() == nil {
		if conn == nil || conn.IsClosed() {
			var err error
			if conn, err = pgx.Connect(c.stop, c.e.DSN); err != nil {
				continue
			}
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(c.stop), patience)
		err := do(ctx, conn, r)
		cancel()
		var pgErr *pgconn.PgError
		switch {
		case err == nil:
			c.count(name, 1)
		case conn.IsClosed():
			c.count("connections lost", 1)
		case errors.As(err, &pgErr) && strings.Contains("TR001 TR002 TR003 TR008 40001 57P01", pgErr.Code):
			c.count(name+" "+pgErr.Code, 1)
		default:
			if pgErr != nil {
				err = fmt.Errorf("%w: %s %s", err, pgErr.Detail, pgErr.Where)
			}
			select {
			case c.fault <- err:
			default:
			}
			return
		}
	}
}

func (c *crowd) count(what string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done[what] += n
}

func (c *crowd) pick(r *rand.Rand, n int) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var some []string
	for range n {
		if len(c.tasks) > 0 {
			some = append(some, c.tasks[r.IntN(len(c.tasks))])
		}
	}
	return some
}

func (c *crowd) fields(r *rand.Rand) []string {
	return [][]string{nil, {"tenant"}, {"tenant"}, {"project"}, {"project", "tenant"}, {fmt.Sprint("late", c.shape.Load())}}[r.IntN(6)]
}

func (c *crowd) rules(r *rand.Rand) string {
	var rules []string
	for range []int{0, 0, 1, 1, 1, 2, 2, 3}[r.IntN(8)] {
		kind := fmt.Sprint("k", r.IntN(4))
		if r.IntN(7) == 0 {
			rules = append(rules, capacity([]int{20, 60}[r.IntN(2)], kind, c.fields(r)...))
		} else {
			rules = append(rules, concurency([]int{1, 2, 3, 5}[r.IntN(4)], kind, c.fields(r)...))
		}
	}
	return "[" + strings.Join(rules, ",") + "]"
}

func (c *crowd) metadata(r *rand.Rand) string {
	late := ""
	for i := range 20 {
		late += fmt.Sprintf(`, "late%d": %d`, i, r.IntN(3))
	}
	return fmt.Sprintf(`{"tenant": %d, "project": %s%s}`, r.IntN(4), []string{"1", "1.0", `"1"`, "null", "[1, 2]"}[r.IntN(5)], late)
}

// insert keeps some hundred tasks open, some of them waiting for others.
func (c *crowd) insert(ctx context.Context, conn *pgx.Conn, r *rand.Rand) error {
	var open int
	if err := conn.QueryRow(ctx, "select count(*) from taskrunner_private.queued_task").Scan(&open); err != nil || open > 500 {
		time.Sleep(10 * time.Millisecond)
		return err
	}
	if r.IntN(4) == 0 {
		c.shape.Add(1)
		if c.shape.Load() > 19 {
			c.shape.Store(0)
		}
	}
	var names []string
	batch := &pgx.Batch{}
	for range 1 + r.IntN(25) {
		name := uuid.Must(uuid.NewRandom()).String()
		batch.Queue(`insert into taskrunner.task (id, name, kind, priority, metadata, rules, expected_count, max_attempts, retry_max_delay_secs, retry_initial_delay_secs)
			values ($1, 'n', $2, $3, $4, $5, $6, $7, 0, 0)`, name, fmt.Sprint("k", r.IntN(4)), []int{0, 0, 0, 5}[r.IntN(4)], c.metadata(r), c.rules(r),
			[]int{0, 10, 50}[r.IntN(3)], []int{1, 1, 3}[r.IntN(3)])
		if len(names) > 0 && r.IntN(3) == 0 {
			batch.Queue("insert into taskrunner.link (parent_id, child_id, requires_success) values ($1, $2, $3)", names[r.IntN(len(names))], name, r.IntN(2) == 0)
		}
		names = append(names, name)
	}
	if err := conn.SendBatch(ctx, batch).Close(); err != nil {
		return err
	}
	c.count("tasks inserted", len(names))
	c.mu.Lock()
	c.tasks = append(c.tasks, names...)
	if len(c.tasks) > 1500 {
		c.tasks = c.tasks[len(c.tasks)-1500:]
	}
	c.mu.Unlock()
	return nil
}

// replica does what replicas do.
func (c *crowd) replica(ctx context.Context, conn *pgx.Conn, r *rand.Rand) error {
	for _, sql := range []string{"select * from taskrunner_private.wake_limits(200)", "select taskrunner_private.register_shape()",
		"select taskrunner_private.release_scheduled(1000)", fmt.Sprintf("select * from taskrunner_private.claim_tasks('%s', %d, 30, '{}', '{}', true)",
			id("r"), []int{1, 5, 20, 100}[r.IntN(4)])} {
		rows, err := lines(ctx, conn, sql)
		if err != nil {
			return err
		}
		if strings.Contains(sql, "claim_tasks") {
			c.count("tasks claimed", len(rows))
		}
	}
	return nil
}

// act is what clients do to one task, sometimes slowly, sometimes taken back.
func (c *crowd) act(ctx context.Context, conn *pgx.Conn, r *rand.Rand) error {
	tx, err := conn.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(ctx) }()
	if err := c.change(ctx, tx, r); err != nil {
		return err
	}
	if r.IntN(8) == 0 {
		time.Sleep(time.Duration(r.IntN(150)) * time.Millisecond)
		if r.IntN(3) == 0 {
			return nil
		}
	}
	return tx.Commit(ctx)
}

func (c *crowd) change(ctx context.Context, tx pgx.Tx, r *rand.Rand) error {
	open := "(select id from taskrunner.task where id = any($1) and status not in ('Success', 'Failure', 'Canceled') limit 1)"
	active := "(select task_id from taskrunner_private.active_task order by random() limit 1)"
	var sql string
	args := []any{c.pick(r, 20)}
	switch n := r.IntN(100); {
	case n < 35:
		sql, args = "select taskrunner.finish_task("+active+", $1)", []any{[]string{"Success", "Success", "Success", "Failure"}[r.IntN(4)]}
	case n < 43:
		sql, args = "update taskrunner.task set status = 'Success' where id = "+active, nil
	case n < 47:
		sql, args = "update taskrunner.task set status = 'Running' where status = 'Claimed' and id = "+active, nil
	case n < 52:
		sql = "update taskrunner.task set status = 'Claimed' where status = 'Pending' and id = " + open
	case n < 58:
		sql = "select taskrunner.pause_task(" + open + ")"
	case n < 68:
		sql = "select taskrunner.resume_task((select id from taskrunner.task where id = any($1) and status = 'Paused' limit 1))"
	case n < 71:
		sql = "select taskrunner.cancel_task(" + open + ")"
	case n < 76:
		_, err := tx.Exec(ctx, `with t as (update taskrunner.task set metadata = $1 where status in ('Claimed', 'Running') and id = `+active+` returning id)
			update test.start set changed = true from t where task_id = t.id`, c.metadata(r))
		return err
	case n < 80:
		sql, args = "update taskrunner.task set metadata = $2 where status in ('Pending', 'Waiting') and id = "+open, append(args, c.metadata(r))
	case n < 85:
		sql, args = "update taskrunner.task set rules = $2 where id = "+open, append(args, c.rules(r))
	case n < 88:
		sql, args = "update taskrunner.task set priority = $2 where id = "+open, append(args, r.IntN(9))
	case n < 93:
		sql, args = "select taskrunner.add_progress("+active+", 5, 0)", nil
	case n < 95:
		sql, args = "update taskrunner.task set expected_count = $2 where status in ('Pending', 'Waiting') and id = "+open, append(args, []any{nil, 5, 40}[r.IntN(3)])
	case n < 97:
		sql, args = "select * from taskrunner_private.sweep_active(5, 0)", nil
	default:
		sql = "insert into taskrunner.link select a.id, b.id, false from (select id from taskrunner.task where id = any($1) and status in ('Pending', 'Waiting') and not contacted limit 1) a, (select id from taskrunner.task where id = any($1) and status in ('Pending', 'Waiting') and not contacted offset 1 limit 1) b on conflict do nothing"
	}
	_, err := tx.Exec(ctx, sql, args...)
	return err
}

// kill ends connections in the middle of their work.
func (c *crowd) kill(ctx context.Context, conn *pgx.Conn, r *rand.Rand) error {
	time.Sleep(time.Duration(r.IntN(300)) * time.Millisecond)
	_, err := conn.Exec(ctx, `select pg_terminate_backend(pid) from (select pid from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()
		and state <> 'idle' and query !~ 'exceeded|recheck|check_inv' order by random() limit 1) x`)
	return err
}

// recheck must have nothing to repair.
func (c *crowd) recheck(ctx context.Context, conn *pgx.Conn, _ *rand.Rand) error {
	time.Sleep(300 * time.Millisecond)
	var repaired int
	if err := conn.QueryRow(ctx, "select repaired from taskrunner_private.recheck_limits(true)").Scan(&repaired); err != nil {
		return err
	}
	_, err := conn.Exec(ctx, "select taskrunner_private.delete_gates(100)")
	if repaired > 0 {
		return fmt.Errorf("%d tasks had been forgotten", repaired)
	}
	return err
}

// look finds what must never be, in one snapshot.
func (c *crowd) look(ctx context.Context, conn *pgx.Conn, _ *rand.Rand) error {
	time.Sleep(50 * time.Millisecond)
	broken, err := lines(ctx, conn, "select 'exceeded: ' || to_jsonb(x)::text from test.exceeded x union all select to_jsonb(i)::text from taskrunner.check_invariants() i")
	if err == nil && len(broken) > 0 {
		return fmt.Errorf("broken: %s", strings.Join(broken, "\n"))
	}
	return err
}
