package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// The commit of a single row is what a lone PUT is compared with: an UPDATE of one of a thousand rows, in a transaction of
// its own. pgbench makes it, over the same socket as the service and with a prepared statement (without, as is its default, it
// is a little slower). Where there is no pgbench a loop of this program does the same, which takes a tenth longer.
const (
	commitRows   = 1000
	commitScript = "\\set id random(1, 1000)\nupdate public.bench_row set n = n + 1 where id = :id;\n"
)

// commits measures single-row commits.
func (r *reportRun) commits(ctx context.Context, dsn string, report func(Measure)) error {
	for _, sql := range []string{
		"create table if not exists public.bench_row (id int primary key, n bigint not null) with (fillfactor = 30)",
		fmt.Sprintf("insert into public.bench_row select i, 0 from generate_series(1, %d) i on conflict do nothing", commitRows),
	} {
		if _, err := r.pool.Exec(ctx, sql); err != nil {
			return err
		}
	}
	before, machineErr := r.machine.read()
	var latencies []time.Duration
	var took time.Duration
	var err error
	if r.Pgbench != "" {
		latencies, took, err = pgbench(ctx, r.Pgbench, dsn, r.Duration)
	} else {
		r.Log.Warn("there is no pgbench: a loop of this program times single-row commits, which takes a tenth longer")
		latencies, took, err = commitLoop(ctx, r.pool, r.Duration)
	}
	if err != nil {
		return err
	}
	m := Measure{Name: "single-row commit", Value: float64(len(latencies)) / took.Seconds(), Unit: "commits/s", Met: true}
	m.took(r.machine.since(before, machineErr), len(latencies))
	m.P50, m.P99 = percentiles(latencies)
	r.series[m.Name] = append(r.series[m.Name], m)
	report(m)
	return nil
}

// pgbench runs the program with one client, for whole seconds, and returns the latencies that it logged.
func pgbench(ctx context.Context, program, dsn string, d time.Duration) (_ []time.Duration, _ time.Duration, err error) {
	dir, err := os.MkdirTemp("", "taskrunner-bench-")
	if err != nil {
		return nil, 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	script, seconds := filepath.Join(dir, "commit.sql"), int(math.Ceil(d.Seconds()))
	if err := os.WriteFile(script, []byte(commitScript), 0o600); err != nil {
		return nil, 0, err
	}
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, 0, err
	}
	cmd := exec.CommandContext(ctx, program, "--no-vacuum", "--client=1", "--protocol=prepared", "--time="+strconv.Itoa(seconds),
		"--log", "--log-prefix="+filepath.Join(dir, "log"), "--file="+script)
	tls := "disable"
	if config.TLSConfig != nil {
		tls = "require"
	}
	// By the environment, which shows no password to others.
	cmd.Env = append(cmd.Environ(), "PGHOST="+config.Host, "PGPORT="+strconv.Itoa(int(config.Port)), "PGUSER="+config.User,
		"PGPASSWORD="+config.Password, "PGDATABASE="+config.Database, "PGSSLMODE="+tls)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		return nil, 0, fmt.Errorf("%s: %w: %s", program, err, strings.TrimSpace(stderr.String()))
	}
	logs, err := filepath.Glob(filepath.Join(dir, "log.*"))
	if err != nil || len(logs) != 1 {
		return nil, 0, errors.Join(err, fmt.Errorf("pgbench left %d logs", len(logs)))
	}
	latencies, err := readLatencies(logs[0])
	return latencies, time.Duration(seconds) * time.Second, err
}

// readLatencies reads the third column of pgbench's log, in microseconds.
func readLatencies(path string) ([]time.Duration, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // it was only read
	var list []time.Duration
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 3 {
			return nil, fmt.Errorf("pgbench logged %q", lines.Text())
		}
		n, err := strconv.ParseInt(fields[2], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("pgbench logged %q: %w", lines.Text(), err)
		}
		list = append(list, time.Duration(n)*time.Microsecond)
	}
	return list, lines.Err()
}

// commitLoop is pgbench where there is none.
func commitLoop(ctx context.Context, pool *pgxpool.Pool, d time.Duration) (latencies []time.Duration, took time.Duration, err error) {
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return nil, 0, err
	}
	defer conn.Release()
	began := time.Now()
	for n := 0; time.Since(began) < d; n++ {
		at := time.Now()
		if _, err := conn.Exec(ctx, "update public.bench_row set n = n + 1 where id = $1", 1+n%commitRows); err != nil {
			return nil, 0, err
		}
		latencies = append(latencies, time.Since(at))
	}
	return latencies, time.Since(began), nil
}
