package store

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/db"
	"github.com/taskrunner/taskrunner/internal/task"
	"github.com/taskrunner/taskrunner/internal/testdb"
)

func open(t *testing.T, database *testdb.DB) *Store {
	t.Helper()
	s, err := Open(t.Context(), database.DSN, Options{MaxConns: 2, PreparedStatements: true, AcquireTimeout: 20 * time.Second})
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return s
}

// failing returns a transaction that fails the first times by the given statement, and how often it was run.
func failing(times int, statement string) (func(context.Context, *pgxpool.Conn) error, *int) {
	runs := new(int)
	return func(ctx context.Context, conn *pgxpool.Conn) error {
		*runs++
		if *runs > times {
			statement = "select 1"
		}
		_, err := conn.Exec(ctx, statement)
		return err
	}, runs
}

func TestConflictsAreRepeated(t *testing.T) {
	t.Parallel()
	s := open(t, testdb.New(t))
	for _, state := range []string{"40001", "40P01"} {
		raise := "do $$ begin raise exception 'lost' using errcode = '" + state + "'; end $$"
		f, runs := failing(3, raise)
		require.NoError(t, s.do(t.Context(), call{op: "op"}, f))
		require.Equal(t, 4, *runs)

		f, runs = failing(1000, raise)
		var e *task.Error
		require.ErrorAs(t, s.do(t.Context(), call{op: "op"}, f), &e)
		require.Equal(t, task.CodeUnavailable, e.Code)
		require.Equal(t, conflictTries, *runs)
	}

	f, runs := failing(1, "select 1/0")
	require.Error(t, s.do(t.Context(), call{op: "op"}, f))
	require.Equal(t, 1, *runs, "nothing else is repeated")

	ctx, cancel := context.WithCancel(t.Context())
	f, runs = failing(1000, "do $$ begin raise exception 'lost' using errcode = '40001'; end $$")
	err := s.do(ctx, call{op: "op"}, func(ctx context.Context, conn *pgxpool.Conn) error {
		cancel()
		return f(ctx, conn)
	})
	require.Error(t, err)
	require.Equal(t, 1, *runs, "nobody waits for it any more")
}

func TestLostConnectionsAreRepeatedWhereThatIsSafe(t *testing.T) {
	t.Parallel()
	s := open(t, testdb.New(t))
	const suicide = "select pg_terminate_backend(pg_backend_pid())"
	f, runs := failing(1, suicide)
	require.NoError(t, s.do(t.Context(), call{op: "op", idempotent: true}, f))
	require.Equal(t, 2, *runs)

	f, runs = failing(1, suicide)
	var e *task.Error
	require.ErrorAs(t, s.do(t.Context(), call{op: "op"}, f), &e)
	require.Equal(t, task.CodeUnavailable, e.Code)
	require.Equal(t, 1, *runs, "it may have been carried out")

	// Nothing can be sent by a closed connection.
	sent := 0
	require.NoError(t, s.do(t.Context(), call{op: "op"}, func(ctx context.Context, conn *pgxpool.Conn) error {
		if sent++; sent == 1 {
			require.NoError(t, conn.Conn().Close(ctx))
		}
		_, err := conn.Exec(ctx, "select 1")
		return err
	}))
	require.Equal(t, 2, sent)
}

// A new version of a function may return other columns while statements that call it are prepared.
func TestChangedResultTypeIsRepeated(t *testing.T) {
	t.Parallel()
	database := testdb.New(t)
	s := open(t, database)
	read := func(ctx context.Context, conn *pgxpool.Conn) error {
		rows, err := conn.Query(ctx, "select * from changing()")
		if err != nil {
			return err
		}
		rows.Close()
		return rows.Err()
	}
	_, err := database.Pool.Exec(t.Context(), "create function changing() returns table (a int) language sql as 'select 1'")
	require.NoError(t, err)
	require.NoError(t, s.do(t.Context(), call{op: "op"}, read))
	_, err = database.Pool.Exec(t.Context(), "drop function changing(); create function changing() returns table (a int, b text) language sql as 'select 1, null'")
	require.NoError(t, err)
	require.NoError(t, s.do(t.Context(), call{op: "op"}, read))
}

// The queries of a batch are one transaction: a failure undoes what came before it, and before the answers.
func TestBatchIsOneTransaction(t *testing.T) {
	t.Parallel()
	database := testdb.New(t)
	s := open(t, database)
	id := uuid.New()
	var created db.SubmitRow
	err := s.do(t.Context(), call{op: "op"}, func(ctx context.Context, conn *pgxpool.Conn) error {
		batch := &pgx.Batch{}
		one(batch, &created, db.Submit, id, []byte(`[{"id": "a", "name": "a", "kind": "k",
			"on_start": {"kind": "Webhook", "params": {"url": "https://a", "verb": "Get"}}}]`))
		batch.Queue("select 1/0")
		return send(ctx, conn, batch)
	})
	require.Error(t, err)
	require.Len(t, created.TaskIds, 1)
	_, err = s.Batch(t.Context(), id)
	var e *task.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, task.CodeUnknown, e.Code)
}

func TestLingeringEnds(t *testing.T) {
	t.Parallel()
	parent, giveUp := context.WithCancelCause(t.Context())
	ctx, cancel := lingering(parent)
	giveUp(errors.New("gone"))
	require.NoError(t, ctx.Err())
	cancel()
	require.Error(t, ctx.Err())
}
