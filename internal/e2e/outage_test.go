package e2e

import (
	"context"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/devpg"
	"github.com/taskrunner/taskrunner/internal/testdb"
)

// serverDir is a folder for a server that is started more than once.
func serverDir(t *testing.T) string {
	t.Helper()
	// Not t.TempDir, which lets nobody else in: PostgreSQL refuses to run as root.
	dir, err := os.MkdirTemp("", "taskrunner-outage-")
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o755))
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return filepath.Join(dir, "server")
}

func devpgConfig(dir string, port int) devpg.Config {
	return devpg.Config{
		Dir: dir, Port: port, Major: os.Getenv(testdb.MajorEnv), Settings: map[string]string{"fsync": "off", "max_connections": "150"},
	}
}

// ownServer starts a server of the test's own.
func ownServer(t *testing.T, c devpg.Config) *devpg.Server {
	t.Helper()
	server, err := devpg.Start(t.Context(), c)
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
		defer cancel()
		require.NoError(t, server.Stop(ctx))
	})
	return server
}

// withStandby starts a server and one that follows it.
func withStandby(t *testing.T) (primary, standby *devpg.Server) {
	t.Helper()
	primary = ownServer(t, devpgConfig(serverDir(t), 0))
	c := devpgConfig(serverDir(t), 0)
	c.StandbyOf = primary
	return primary, ownServer(t, c)
}

// The database restarts under load: once as for an upgrade, once after a crash.
func TestDatabaseRestart(t *testing.T) {
	t.Parallel()
	config := devpgConfig(serverDir(t), 0)
	server := ownServer(t, config)
	config.Port = server.Port()
	dsn := server.DSN("postgres")
	a, b := startProcessAs(t, dsn), startProcessAs(t, dsn)
	f := startTraffic(t, &a.replica, &b.replica)
	f.flows(t)

	require.NoError(t, server.Stop(t.Context()))
	a.awaitHealth(t, false)
	b.awaitHealth(t, false)
	// By then the pauses between tries are at their longest.
	require.Eventually(t, func() bool {
		return regexp.MustCompile(`circuit_breaker_state_transitions_total\{to_state="half_open"\} [1-9]`).MatchString(a.metrics(t))
	}, patience, 100*time.Millisecond)
	server = ownServer(t, config)
	back := time.Now()
	f.resumes(t, "restart", back)
	a.awaitHealth(t, true)
	b.awaitHealth(t, true)
	f.flows(t)

	server.Kill()
	server = ownServer(t, config)
	back = time.Now()
	f.resumes(t, "crash", back)
	a.awaitListener(t, "connected")
	b.awaitListener(t, "connected")
	f.flows(t)
	f.finish(t, dsn)
	require.Positive(t, f.refused.Load())
	metrics := a.metrics(t)
	for _, state := range []string{"open", "closed"} {
		require.Regexp(t, `circuit_breaker_state_transitions_total\{to_state="`+state+`"\} [1-9]`, metrics)
	}
	require.Regexp(t, `requests_shed_total\{reason="database"\} [1-9]`, metrics)
}

// The primary dies with its machine, and its standby is promoted. The service finds it by itself.
func TestFailover(t *testing.T) {
	t.Parallel()
	primary, standby := withStandby(t)
	both, err := url.Parse(primary.DSN("postgres"))
	require.NoError(t, err)
	both.Host += ",127.0.0.1:" + strconv.Itoa(standby.Port())
	both.RawQuery += "&target_session_attrs=read-write"
	a, b := startProcessAs(t, both.String()), startProcessAs(t, both.String())
	// What is acknowledged is on both: otherwise the last moments before the failover are lost, which no client can help.
	for _, statement := range []string{"alter system set synchronous_standby_names = '*'", "select pg_reload_conf()"} {
		require.NoError(t, execute(t, primary.DSN("postgres"), statement))
	}
	require.Eventually(t, func() bool {
		var state string
		return ask(t, primary.DSN("postgres"), &state, "select coalesce(max(sync_state), '') from pg_stat_replication") == nil && state == "sync"
	}, patience, 20*time.Millisecond)
	f := startTraffic(t, &a.replica, &b.replica)
	f.flows(t)

	primary.Kill()
	a.awaitHealth(t, false) // the standby is there, but it is none that can be written to
	b.awaitHealth(t, false)
	require.NoError(t, standby.Promote(t.Context()))
	back := time.Now()
	f.resumes(t, "failover", back)
	a.awaitHealth(t, true)
	b.awaitHealth(t, true)
	a.awaitListener(t, "connected")
	b.awaitListener(t, "connected")
	f.flows(t)
	f.finish(t, standby.DSN("postgres"))
}

// Without a word about it in the DSN a standby is none to work with either.
func TestStandbyAlone(t *testing.T) {
	t.Parallel()
	_, standby := withStandby(t)
	err := runApp(t, "--database-startup-timeout-secs=1", "--database-url="+standby.DSN("postgres"))
	require.ErrorContains(t, err, "read-only")
}

// One of three replicas dies of kill -9 under load, then one is told to stop.
func TestReplicasGoUnderLoad(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	dsn := db.Login(t, "taskrunner_service")
	victim, second, third := startProcessAs(t, dsn), startProcessAs(t, dsn), startProcessAs(t, dsn)
	f := startTraffic(t, &victim.replica, &second.replica, &third.replica)
	f.losesRequests.Store(true)
	f.flows(t)
	require.NoError(t, victim.cmd.Process.Kill())
	f.flows(t)
	require.NoError(t, second.cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, <-second.exited, "exit code 0")
	f.flows(t)
	f.finish(t, db.DSN)
}
