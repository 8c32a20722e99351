package e2e

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/testdb"
	"github.com/taskrunner/taskrunner/internal/testpooler"
)

// documented are the settings of PgBouncer that docs/high-availability.md names.
func documented(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("../../docs/high-availability.md")
	require.NoError(t, err)
	_, text, found := bytes.Cut(text, []byte("```ini\n"))
	require.True(t, found)
	text, _, _ = bytes.Cut(text, []byte("```"))
	return strings.Split(strings.TrimSpace(string(text)), "\n")
}

// Everything works through PgBouncer in transaction mode: with a direct connection for LISTEN, and without, when the listener finds
// out that it is deaf. PgBouncer dies under load and comes back, then all its sessions are ended.
func TestPgBouncer(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	direct := db.Login(t, "taskrunner_service")
	// Fewer sessions than the clients have connections, so that they change hands.
	pooler := testpooler.Start(t, []string{direct}, append(documented(t), "default_pool_size = 8")...)
	pooled := pooler.DSN(direct)
	hearing := startProcessAs(t, pooled, "--pool-prepared-statements=0", "--listen-database-url="+direct)
	deaf := startProcessAs(t, pooled, "--pool-prepared-statements=0")
	f := startTraffic(t, &hearing.replica, &deaf.replica)
	hearing.awaitListener(t, "connected")
	deaf.awaitListener(t, "polling")
	f.flows(t)
	deaf.awaitListener(t, "polling")
	require.Contains(t, deaf.metrics(t), "listener_connected 0\n")

	pooler.Kill()
	hearing.awaitHealth(t, false)
	pooler.Run(t, direct)
	f.resumes(t, "PgBouncer killed", time.Now())
	hearing.awaitHealth(t, true)
	f.flows(t)
	_, err := db.Pool.Exec(t.Context(), `select pg_terminate_backend(pid) from pg_stat_activity where usename = $1`, userOf(t, direct))
	require.NoError(t, err)
	f.resumes(t, "all sessions ended", time.Now())
	hearing.awaitListener(t, "connected")
	f.flows(t)
	f.finish(t, db.DSN)
}

// PgBouncer keeps answering when the server behind it is gone, and until it has tried again when that is back.
func TestPgBouncerOfARestartedServer(t *testing.T) {
	t.Parallel()
	dir := serverDir(t)
	server := ownServer(t, devpgConfig(dir, 0))
	direct := server.DSN("postgres")
	pooler := testpooler.Start(t, []string{direct}, documented(t)...)
	r := startProcessAs(t, pooler.DSN(direct), "--pool-prepared-statements=0", "--listen-database-url="+direct)
	f := startTraffic(t, &r.replica)
	f.flows(t)
	server.Kill()
	r.awaitHealth(t, false)
	ownServer(t, devpgConfig(dir, server.Port()))
	back := time.Now()
	f.resumes(t, "restart behind PgBouncer", back)
	r.awaitHealth(t, true)
	r.awaitListener(t, "connected")
	f.flows(t)
	f.finish(t, direct)
}

// Migrations need a session of their own, and say what to set.
func TestMigrationsRefuseAPooledConnection(t *testing.T) {
	t.Parallel()
	db := testdb.NewEmpty(t)
	pooler := testpooler.Start(t, []string{db.DSN})
	err := runApp(t, "--database-url="+pooler.DSN(db.DSN), "--pool-prepared-statements=0")
	require.ErrorContains(t, err, "LISTEN_DATABASE_URL")
	r := startReplicaAs(t, pooler.DSN(db.DSN), "--pool-prepared-statements=0", "--listen-database-url="+db.DSN)
	hooks := succeeding(t)
	created := r.submit(t, entry{"id": "a", "name": "a", "kind": "k", "on_start": hooks.hook("/start")})["a"]
	r.await(t, created.ID, "Success")
}

// A pooler that does not keep prepared statements is found out at the start. One in session mode does.
func TestPreparedStatementsThroughPgBouncer(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	direct := db.Login(t, "taskrunner_service")
	for _, settings := range [][]string{nil, {"server_round_robin = 1", "min_pool_size = 3", "default_pool_size = 3"}} {
		pooler := testpooler.Start(t, []string{direct}, settings...)
		err := runApp(t, "--database-url="+pooler.DSN(direct), "--listen-database-url="+direct)
		require.ErrorContains(t, err, "POOL_PREPARED_STATEMENTS must be 0")
	}
	pooler := testpooler.Start(t, []string{direct}, "pool_mode = session")
	r := startReplicaAs(t, pooler.DSN(direct))
	hooks := succeeding(t)
	created := r.submit(t, entry{"id": "a", "name": "a", "kind": "k", "on_start": hooks.hook("/start")})["a"]
	r.await(t, created.ID, "Success")
}
