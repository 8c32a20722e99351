package testdb

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) { Main(m) }

// recorder is a test that fails without failing the run.
type recorder struct {
	testing.TB
	failures []string
}

func (r *recorder) Helper() {}

func (r *recorder) Errorf(format string, args ...any) {
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}

func ask[T any](t *testing.T, dsn, query string, args ...any) T {
	t.Helper()
	conn := ConnectTo(t, dsn)
	var v T
	require.NoError(t, conn.QueryRow(t.Context(), query, args...).Scan(&v))
	return v
}

func TestNewGivesEachTestItsOwnDatabase(t *testing.T) {
	t.Parallel()
	outer := NewEmpty(t)
	var names []string
	var mu sync.Mutex
	t.Run("group", func(t *testing.T) {
		for i := range 4 {
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				t.Parallel()
				db := New(t)
				mu.Lock()
				names = append(names, db.Name)
				mu.Unlock()
				_, err := db.Pool.Exec(t.Context(), "insert into taskrunner.batch (name) values ('only here')")
				require.NoError(t, err)
				require.EqualValues(t, 1, ask[int64](t, db.DSN, "select count(*) from taskrunner.batch"))
				db.AssertInvariants(t)
				db.AssertNoDeadlocks(t)
			})
		}
	})
	require.Len(t, names, 4)
	require.Zero(t, ask[int64](t, outer.DSN, "select count(*) from pg_database where datname = any ($1)", names), "they are dropped")
}

func TestEndOfTestEndsOpenConnections(t *testing.T) {
	t.Parallel()
	var conn *pgx.Conn
	t.Run("test", func(t *testing.T) {
		db := NewEmpty(t)
		var err error
		conn, err = pgx.Connect(t.Context(), db.DSN) // nobody closes it
		require.NoError(t, err)
	})
	_, err := conn.Exec(t.Context(), "select 1")
	require.Error(t, err)
}

func TestPoolThatIsNotGivenBackIsReported(t *testing.T) {
	t.Parallel()
	db := NewEmpty(t)
	conn, err := db.Pool.Acquire(t.Context())
	require.NoError(t, err)
	r := &recorder{TB: t}
	closePool(r, db.Pool, 50*time.Millisecond)
	require.Len(t, r.failures, 1)
	require.Contains(t, r.failures[0], "1 connections were not given back")
	conn.Release()
}

func TestLogin(t *testing.T) {
	t.Parallel()
	outer := NewEmpty(t)
	var users []string
	t.Run("test", func(t *testing.T) {
		db := New(t)
		reader, nobody, other := db.Login(t, "taskrunner_reader"), db.Login(t, ""), db.Login(t, "taskrunner_reader")
		for _, dsn := range []string{reader, nobody, other} {
			users = append(users, ask[string](t, dsn, "select current_user::text"))
		}
		require.NotEqual(t, users[0], users[2])
		require.Equal(t, []string{"taskrunner_reader"}, ask[[]string](t, reader,
			"select array_agg(roleid::regrole::text) from pg_auth_members where member = current_user::regrole"))
		require.Zero(t, ask[int64](t, reader, "select count(*) from taskrunner.task"))
		var pgErr *pgconn.PgError
		_, err := ConnectTo(t, reader).Exec(t.Context(), "insert into taskrunner.batch default values")
		require.True(t, errors.As(err, &pgErr) && pgErr.Code == "42501", "%v", err)
		_, err = ConnectTo(t, nobody).Exec(t.Context(), "select from taskrunner.task")
		require.True(t, errors.As(err, &pgErr) && pgErr.Code == "42501", "%v", err)
	})
	require.Zero(t, ask[int64](t, outer.DSN, "select count(*) from pg_roles where rolname = any ($1)", users), "they are dropped")
}

func TestAssertNoDeadlocksSeesOne(t *testing.T) {
	t.Parallel()
	db := NewEmpty(t)
	_, err := db.Pool.Exec(t.Context(), "create table row (id int primary key); insert into row values (1), (2)")
	require.NoError(t, err)
	db.AssertNoDeadlocks(t)

	lock := func(tx pgx.Tx, id int) error {
		_, err := tx.Exec(t.Context(), "select from row where id = $1 for update", id)
		return err
	}
	var locked, done sync.WaitGroup
	locked.Add(2)
	errs := make([]error, 2)
	for i := range errs {
		done.Go(func() {
			errs[i] = pgx.BeginFunc(t.Context(), db.Pool, func(tx pgx.Tx) error {
				err := lock(tx, 1+i)
				locked.Done()
				if err != nil {
					return err
				}
				locked.Wait()
				return lock(tx, 2-i)
			})
		})
	}
	done.Wait()
	require.ErrorContains(t, errors.Join(errs...), "40P01")
	r := &recorder{TB: t}
	db.AssertNoDeadlocks(r)
	require.Len(t, r.failures, 1)
	require.Contains(t, r.failures[0], "1 deadlocks")
}

func TestAssertInvariantsShowsTheRows(t *testing.T) {
	t.Parallel()
	db := NewEmpty(t)
	_, err := db.Pool.Exec(t.Context(), `
		create schema taskrunner;
		create function taskrunner.check_invariants() returns table (invariant text, detail jsonb) language sql as
		$$ select 'counters', jsonb_build_object('task', n) from generate_series(1, 60) n $$`)
	require.NoError(t, err)
	r := &recorder{TB: t}
	db.AssertInvariants(r)
	require.Len(t, r.failures, 1)
	require.Contains(t, r.failures[0], `counters: {"task": 1}`)
	require.Contains(t, r.failures[0], "and 10 more")
	require.NotContains(t, r.failures[0], `{"task": 51}`)
}

// Several processes that share a server make one template.
func TestTemplateConcurrently(t *testing.T) {
	t.Parallel()
	admin, err := sharedServer(t.Context())
	require.NoError(t, err)
	names, errs := make([]string, 4), make([]error, 4)
	var wg sync.WaitGroup
	for i := range names {
		wg.Go(func() { names[i], errs[i] = ensureTemplate(t.Context(), admin) })
	}
	wg.Wait()
	for i := range names {
		require.NoError(t, errs[i])
		require.Equal(t, names[0], names[i])
	}
	conn := ConnectTo(t, admin)
	require.NoError(t, dropOld(t.Context(), conn))
	require.True(t, ask[bool](t, admin, "select datistemplate and not datallowconn from pg_database where datname = $1", names[0]),
		"a fresh template is kept")
}

func TestStartServerRefuses(t *testing.T) {
	for name, tc := range map[string]struct {
		env  map[string]string
		want []string
	}{
		"a URL that is none": {map[string]string{URLEnv: "host=localhost"}, []string{"TEST_DATABASE_URL must be a URL"}},
		"an unknown source":  {map[string]string{URLEnv: "", SourceEnv: "cloud"}, []string{`TEST_POSTGRES="cloud" is none of docker, local, fetched`}},
		"nothing installed": {
			map[string]string{URLEnv: "", SourceEnv: "local", "TASKRUNNER_PG_BIN": "/nonexistent"},
			[]string{"tests need a PostgreSQL server (15 to 18)", "local: ", "/nonexistent"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			for key, value := range tc.env {
				t.Setenv(key, value)
			}
			_, err := StartServer(t.Context())
			for _, want := range tc.want {
				require.ErrorContains(t, err, want)
			}
		})
	}
}

func TestWithDatabase(t *testing.T) {
	t.Parallel()
	dsn, err := withDatabase("postgresql://u:p%40ss@db.example:5433/old?sslmode=require", "new")
	require.NoError(t, err)
	require.Equal(t, "postgresql://u:p%40ss@db.example:5433/new?sslmode=require", dsn)
	require.False(t, strings.ContainsAny(randomName(), "ABC="))
}
