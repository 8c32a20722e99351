package e2e

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/app"
	"github.com/taskrunner/taskrunner/internal/config"
	"github.com/taskrunner/taskrunner/internal/task"
	"github.com/taskrunner/taskrunner/internal/testdb"
)

// runApp runs a replica that is expected not to start.
func runApp(t *testing.T, flags ...string) error {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	c, err := config.Parse(append([]string{"--host-url=http://127.0.0.1:9"}, flags...)...)
	require.NoError(t, err)
	require.NoError(t, c.Check())
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	err = app.Run(ctx, c, app.Options{Listener: listener, Log: slog.New(slog.DiscardHandler), Ready: func(net.Addr) {
		t.Error("it has started")
		cancel()
	}})
	_, open := listener.Accept()
	require.ErrorIs(t, open, net.ErrClosed, "the listener is closed")
	return err
}

func TestDatabaseThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	began := time.Now()
	err = runApp(t, "--database-startup-timeout-secs=1", "--database-url=postgres://u:secret@"+l.Addr().String()+"/d")
	require.ErrorContains(t, err, "DATABASE_STARTUP_TIMEOUT_SECS")
	require.NotContains(t, err.Error(), "secret")
	require.GreaterOrEqual(t, time.Since(began), time.Second)
}

func TestUserWhoMayNotMigrate(t *testing.T) {
	t.Parallel()
	empty := testdb.NewEmpty(t)
	testdb.New(t) // so that the roles exist
	err := runApp(t, "--database-url", empty.Login(t, "taskrunner_service"))
	require.ErrorContains(t, err, `run "taskrunner migrate"`)

	err = runApp(t, "--database-url", testdb.New(t).Login(t, ""))
	require.ErrorContains(t, err, "grant taskrunner_service")
}

// Every change would end in TR009; better not to start.
func TestOtherIsolation(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	_, err := db.Pool.Exec(t.Context(), "alter database "+db.Name+" set default_transaction_isolation = 'serializable'")
	require.NoError(t, err)
	require.ErrorContains(t, runApp(t, "--database-url", db.Login(t, "taskrunner_service")), "default_transaction_isolation")
}

// A replica that is started with the rights to migrate does it.
func TestEmptyDatabaseIsMigrated(t *testing.T) {
	t.Parallel()
	db := testdb.NewEmpty(t)
	r := startReplicaAs(t, db.DSN)
	hooks := succeeding(t)
	created := r.submit(t, entry{"id": "a", "name": "a", "kind": "k", "on_start": hooks.hook("/start")})["a"]
	r.await(t, created.ID, task.Success)
	r.stop()
	db.AssertInvariants(t)
}

// On the schema of a newer version the API works, but nothing is claimed: that is the newer replicas' business.
func TestNewerDatabase(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	_, err := db.Pool.Exec(t.Context(), "update taskrunner_private.code_version set revision = revision + 1")
	require.NoError(t, err)
	old := startReplica(t, db)
	hooks := newReceiver(t, nil)
	created := old.submit(t, entry{"id": "a", "name": "a", "kind": "k", "on_start": hooks.hook("/start")})["a"]
	old.staysPending(t, created.ID)
	require.Equal(t, http.StatusOK, do(t, http.MethodGet, old.url+"/ready", nil, nil))
	require.Empty(t, hooks.got(""))
}

// The last start wins.
func TestSettingsAreSaved(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	settings := func() (webhook, start int) {
		err := db.Pool.QueryRow(t.Context(), "select webhook_max_attempts, start_max_attempts from taskrunner_private.server_setting").
			Scan(&webhook, &start)
		require.NoError(t, err)
		return webhook, start
	}
	startReplica(t, db, "--webhook-max-attempts=4", "--webhook-start-max-attempts=2")
	webhook, start := settings()
	require.Equal(t, []int{4, 2}, []int{webhook, start})
	startReplica(t, db)
	webhook, start = settings()
	require.Equal(t, []int{10, 3}, []int{webhook, start})
}
