package migrate_test

import (
	"bytes"
	"context"
	"log/slog"
	"maps"
	"net/url"
	"strconv"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/migrate"
	"github.com/taskrunner/taskrunner/internal/testdb"
)

func TestMain(m *testing.M) { testdb.Main(m) }

// base is a small engine. Each code file notes in the table ran that it ran.
var base = map[string]string{
	"REVISION": "1",
	"migrations/00001_schema.sql": `-- +goose Up
		create table taskrunner_private.code_version (
		  "only" boolean primary key default true check ("only"), revision int not null, hash text not null,
		  roles_hash text not null, applied_at timestamptz not null default now());
		create table taskrunner_private.ran (id int generated always as identity, file text);
		create table taskrunner_private.task (id int);`,
	"migrations/00002_index.sql": `-- +goose NO TRANSACTION
-- +goose Up
		create index concurrently task_idx on taskrunner_private.task (id);`,
	"access/roles.sql":      note("roles"),
	"functions/one.sql":     note("one") + `create or replace function taskrunner_private.one() returns int language sql as $$ select taskrunner_private.two() $$;`,
	"functions/two.sql":     note("two") + `create or replace function taskrunner_private.two() returns int language sql as $$ select 2 $$;`,
	"triggers/task_500.sql": note("task_500") + trigger,
	"access/grants.sql":     note("grants"),
}

const trigger = `
create or replace function taskrunner_private.task_500() returns trigger language plpgsql as $$ begin return null; end $$;
create or replace trigger task_500 after insert on taskrunner_private.task execute function taskrunner_private.task_500();`

func note(file string) string {
	return "insert into taskrunner_private.ran (file) values ('" + file + "');\n"
}

// engine returns base with changes; an empty text removes the file.
func engine(changes map[string]string) fstest.MapFS {
	files := maps.Clone(base)
	maps.Copy(files, changes)
	fsys := fstest.MapFS{}
	for name, text := range files {
		if text != "" {
			fsys[name] = &fstest.MapFile{Data: []byte(text)}
		}
	}
	return fsys
}

// bundle is an empty database and shorthands.
type bundle struct {
	t  *testing.T
	db *testdb.DB
}

func setup(t *testing.T) bundle {
	t.Helper()
	t.Parallel()
	return bundle{t: t, db: testdb.NewEmpty(t)}
}

func (b bundle) up(changes map[string]string) (migrate.Result, error) {
	b.t.Helper()
	return b.upAs(b.db.DSN, changes)
}

// upAs watches no roles: other tests create those of the real engine at any moment.
func (b bundle) upAs(dsn string, changes map[string]string) (migrate.Result, error) {
	b.t.Helper()
	return migrate.UpWithRoles(b.t.Context(), engine(changes), dsn, nil, []string{})
}

func (b bundle) mustUp(changes map[string]string) migrate.Result {
	b.t.Helper()
	res, err := b.up(changes)
	require.NoError(b.t, err)
	return res
}

// ran returns the code files that ran since the last call.
func (b bundle) ran() []string {
	b.t.Helper()
	rows, err := b.db.Pool.Query(b.t.Context(), "with d as (delete from taskrunner_private.ran returning *) select file from d order by id")
	require.NoError(b.t, err)
	files, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(b.t, err)
	return files
}

func (b bundle) exec(sql string) {
	b.t.Helper()
	_, err := b.db.Pool.Exec(b.t.Context(), sql)
	require.NoError(b.t, err)
}

var allCode = []string{"roles", "one", "two", "task_500", "grants"}

func TestUpFromNothing(t *testing.T) {
	b := setup(t)
	res := b.mustUp(nil)
	require.Equal(t, migrate.Applied, res.Outcome)
	require.Equal(t, []string{"00001_schema.sql", "00002_index.sql"}, res.Migrations)
	require.Equal(t, 1, res.Revision)
	require.Equal(t, allCode, b.ran())

	// A function may name one of a later file: bodies are not checked when they are made.
	var n int
	require.NoError(t, b.db.Pool.QueryRow(t.Context(), "select taskrunner_private.one()").Scan(&n))
	require.Equal(t, 2, n)

	res = b.mustUp(nil)
	require.Equal(t, migrate.Unchanged, res.Outcome)
	require.Empty(t, res.Migrations)
	require.Empty(t, b.ran())
}

// initdb makes such a database where the environment names no locale; it fails on the first letter beyond ASCII.
func TestUpRefusesOtherEncodings(t *testing.T) {
	b := setup(t)
	name := b.db.Name + "_ascii"
	b.exec("create database " + name + " template template0 encoding 'SQL_ASCII' lc_collate 'C' lc_ctype 'C'")
	t.Cleanup(func() {
		_, err := b.db.Pool.Exec(context.WithoutCancel(t.Context()), "drop database "+name)
		require.NoError(t, err)
	})
	dsn, err := url.Parse(b.db.DSN)
	require.NoError(t, err)
	dsn.Path = name
	_, err = b.upAs(dsn.String(), nil)
	require.ErrorIs(t, err, migrate.ErrEncoding)
	require.ErrorContains(t, err, "SQL_ASCII")
}

func TestUpHigherRevisionAppliesAllCode(t *testing.T) {
	b := setup(t)
	b.mustUp(nil)
	b.ran()
	res := b.mustUp(map[string]string{"REVISION": "2", "functions/three.sql": note("three")})
	require.Equal(t, migrate.Applied, res.Outcome)
	require.Empty(t, res.Migrations)
	require.Equal(t, 2, res.Revision)
	require.Equal(t, []string{"roles", "one", "three", "two", "task_500", "grants"}, b.ran())

	// The same files under a higher number: applying them again changes nothing, and is done.
	res = b.mustUp(map[string]string{"REVISION": "5", "functions/three.sql": note("three")})
	require.Equal(t, migrate.Applied, res.Outcome)
	require.Equal(t, 5, res.Revision)
}

func TestUpMigrationWithoutCode(t *testing.T) {
	b := setup(t)
	b.mustUp(nil)
	b.ran()
	res := b.mustUp(map[string]string{"migrations/00003_more.sql": "-- +goose Up\ncreate table taskrunner_private.more ();"})
	require.Equal(t, migrate.Applied, res.Outcome)
	require.Equal(t, []string{"00003_more.sql"}, res.Migrations)
	require.Empty(t, b.ran())
}

func TestUpSameRevisionOtherCode(t *testing.T) {
	b := setup(t)
	b.mustUp(nil)
	b.ran()
	_, err := b.up(map[string]string{
		"functions/two.sql":         base["functions/two.sql"] + "-- changed",
		"migrations/00003_more.sql": "-- +goose Up\ncreate table taskrunner_private.more ();",
	})
	require.ErrorIs(t, err, migrate.ErrRevision)
	require.ErrorContains(t, err, "raise the number in sql/REVISION, or delete the database if it is a development one")
	require.Empty(t, b.ran())
	var more *string
	require.NoError(t, b.db.Pool.QueryRow(t.Context(), "select to_regclass('taskrunner_private.more')::text").Scan(&more))
	require.Nil(t, more, "migrations did not run either")
}

func TestUpLeavesANewerDatabaseAlone(t *testing.T) {
	for name, newer := range map[string]map[string]string{
		"by revision":  {"REVISION": "9"},
		"by migration": {"migrations/00003_more.sql": "-- +goose Up\ncreate table taskrunner_private.more ();"},
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			want := b.mustUp(newer).Revision
			b.ran()
			// The old binary has other code and lacks, or has, other migrations.
			res := b.mustUp(map[string]string{"functions/one.sql": note("old one")})
			require.Equal(t, migrate.DatabaseNewer, res.Outcome)
			require.Equal(t, want, res.Revision)
			require.Empty(t, b.ran())

			st, err := migrate.CheckFrom(t.Context(), engine(nil), b.db.Pool)
			require.NoError(t, err)
			require.Equal(t, migrate.Newer, st.State)
			require.Contains(t, st.String(), "claims nothing")
		})
	}
}

func TestUpFailingCodeLeavesTheOldCode(t *testing.T) {
	b := setup(t)
	b.mustUp(nil)
	b.ran()
	_, err := b.up(map[string]string{"REVISION": "2", "triggers/task_500.sql": note("bad") + "select 'ä';\n\nselect nonsense;"})
	require.ErrorContains(t, err, "sql/triggers/task_500.sql:4: ERROR: column \"nonsense\" does not exist")
	require.Empty(t, b.ran(), "what ran before was rolled back")

	require.Equal(t, migrate.Unchanged, b.mustUp(nil).Outcome)
	res := b.mustUp(map[string]string{"REVISION": "2"})
	require.Equal(t, 2, res.Revision)
	require.Equal(t, allCode, b.ran())
}

func TestUpFailingMigrationKeepsEarlierOnes(t *testing.T) {
	b := setup(t)
	_, err := b.up(map[string]string{"migrations/00003_bad.sql": "-- +goose Up\ncreate table taskrunner_private.more (); select 1/0;"})
	require.ErrorContains(t, err, "sql/migrations/00003_bad.sql: ERROR: division by zero")
	res := b.mustUp(map[string]string{"migrations/00003_good.sql": "-- +goose Up\ncreate table taskrunner_private.more ();"})
	require.Equal(t, []string{"00003_good.sql"}, res.Migrations)
	require.Equal(t, allCode, b.ran())
}

// Replicas that start at once on an empty database take turns; "create index concurrently" in a migration does not hang
// on those who wait.
func TestUpConcurrently(t *testing.T) {
	b := setup(t)
	const replicas = 5
	results := make([]migrate.Result, replicas)
	errs := make([]error, replicas)
	var wg sync.WaitGroup
	for i := range replicas {
		wg.Go(func() { results[i], errs[i] = b.up(nil) })
	}
	wg.Wait()
	applied := 0
	for i := range replicas {
		require.NoError(t, errs[i])
		if results[i].Outcome == migrate.Applied {
			applied++
		} else {
			require.Equal(t, migrate.Unchanged, results[i].Outcome)
		}
	}
	require.Equal(t, 1, applied)
	require.Equal(t, allCode, b.ran())
	b.db.AssertNoDeadlocks(t)
}

func TestUpWaitsForTheLockUntilTheContextEnds(t *testing.T) {
	b := setup(t)
	holder := b.db.Connect(t)
	_, err := holder.Exec(t.Context(), "select pg_advisory_lock($1)", migrate.LockKey)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	_, err = migrate.UpFrom(ctx, engine(nil), b.db.DSN, nil)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "waiting for another process that migrates this database")

	// The lock is free again after each Up, whatever its outcome.
	_, err = holder.Exec(t.Context(), "select pg_advisory_unlock($1)", migrate.LockKey)
	require.NoError(t, err)
	_, err = b.up(map[string]string{"functions/one.sql": "nonsense"})
	require.ErrorContains(t, err, "sql/functions/one.sql:1")
	var free bool
	require.NoError(t, holder.QueryRow(t.Context(), "select pg_try_advisory_lock($1)", migrate.LockKey).Scan(&free))
	require.True(t, free)
}

// A trigger cannot be replaced while a transaction writes to its table. Up waits in short steps and lets other writers
// through in between.
func TestUpRetriesLocks(t *testing.T) {
	b := setup(t)
	b.mustUp(nil)
	b.ran()
	tx, err := b.db.Pool.Begin(t.Context())
	require.NoError(t, err)
	defer tx.Rollback(t.Context())
	_, err = tx.Exec(t.Context(), "insert into taskrunner_private.task values (1)")
	require.NoError(t, err)

	var log lockedBuffer
	done := make(chan error, 1)
	go func() {
		_, err := migrate.UpFrom(t.Context(), engine(map[string]string{"REVISION": "2"}), b.db.DSN, slog.New(slog.NewTextHandler(&log, nil)))
		done <- err
	}()
	require.Eventually(t, func() bool { return bytes.Contains(log.bytes(), []byte("trying again")) }, 20*time.Second, 10*time.Millisecond)
	b.exec("insert into taskrunner_private.task values (2)")
	require.NoError(t, tx.Commit(t.Context()))
	require.NoError(t, <-done)
	require.Equal(t, allCode, b.ran())
}

// A migration that changes a table waits in short steps too, however long a transaction has looked at the table.
func TestUpRetriesMigrations(t *testing.T) {
	b := setup(t)
	b.mustUp(nil)
	tx, err := b.db.Pool.Begin(t.Context())
	require.NoError(t, err)
	defer tx.Rollback(t.Context())
	_, err = tx.Exec(t.Context(), "select from taskrunner_private.task")
	require.NoError(t, err)

	var log lockedBuffer
	done := make(chan error, 1)
	go func() {
		_, err := migrate.UpFrom(t.Context(), engine(map[string]string{
			"migrations/00003_column.sql": "-- +goose Up\nalter table taskrunner_private.task add column more int;",
			"migrations/00004_last.sql":   "-- +goose Up\ncreate table taskrunner_private.more ();",
		}), b.db.DSN, slog.New(slog.NewTextHandler(&log, nil)))
		done <- err
	}()
	require.Eventually(t, func() bool { return bytes.Contains(log.bytes(), []byte("trying again")) }, 20*time.Second, 10*time.Millisecond)
	b.exec("insert into taskrunner_private.task values (2)") // would wait for ever behind one who waits for ever
	require.NoError(t, tx.Commit(t.Context()))
	require.NoError(t, <-done)
	b.exec("select more from taskrunner_private.task; select from taskrunner_private.more")
}

// What builds an index concurrently waits for older transactions as long as they take: cut short it would leave a broken index.
func TestUpWaitsForOlderTransactions(t *testing.T) {
	b := setup(t)
	b.mustUp(nil)
	tx, err := b.db.Pool.Begin(t.Context())
	require.NoError(t, err)
	defer tx.Rollback(t.Context())
	_, err = tx.Exec(t.Context(), "insert into taskrunner_private.task values (1)")
	require.NoError(t, err)

	done := make(chan error, 1)
	go func() {
		_, err := b.up(map[string]string{
			"migrations/00003_index.sql": "-- +goose NO TRANSACTION\n-- +goose Up\ncreate index concurrently next_idx on taskrunner_private.task (id);",
		})
		done <- err
	}()
	time.Sleep(time.Second) // longer than a step
	b.exec("insert into taskrunner_private.task values (2)")
	select {
	case err := <-done:
		t.Fatalf("it did not wait: %v", err)
	default:
	}
	require.NoError(t, tx.Commit(t.Context()))
	require.NoError(t, <-done)
	var valid bool
	require.NoError(t, b.db.Pool.QueryRow(t.Context(), "select indisvalid from pg_index where indexrelid = 'taskrunner_private.next_idx'::regclass").Scan(&valid))
	require.True(t, valid)
}

// Limits for everyday statements do not hold for migrations.
func TestUpLiftsTimeouts(t *testing.T) {
	b := setup(t)
	b.exec("alter database " + b.db.Name + " set statement_timeout = 300")
	_, err := b.up(map[string]string{"migrations/00003_slow.sql": "-- +goose Up\nselect pg_sleep(0.6);"})
	require.NoError(t, err)
}

// The lock lives with the connection: work must not go on with another one.
func TestUpDoesNotReconnect(t *testing.T) {
	b := setup(t)
	_, err := b.up(map[string]string{
		"migrations/00002_index.sql": "-- +goose NO TRANSACTION\n-- +goose Up\nselect pg_terminate_backend(pg_backend_pid());",
		"migrations/00003_more.sql":  "-- +goose Up\ncreate table taskrunner_private.more ();",
	})
	require.Error(t, err)
	var more *string
	require.NoError(t, b.db.Pool.QueryRow(t.Context(), "select to_regclass('taskrunner_private.more')::text").Scan(&more))
	require.Nil(t, more)
}

// lockedBuffer is a bytes.Buffer for a logger of another goroutine.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) bytes() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return bytes.Clone(b.buf.Bytes())
}

// embeddedPlus is the real engine with its revision raised.
func embeddedPlus(t *testing.T, fsys fstest.MapFS, n int) fstest.MapFS {
	t.Helper()
	plus := maps.Clone(fsys)
	old, err := strconv.Atoi(string(bytes.TrimSpace(fsys["REVISION"].Data)))
	require.NoError(t, err)
	plus["REVISION"] = &fstest.MapFile{Data: []byte(strconv.Itoa(old + n))}
	return plus
}
