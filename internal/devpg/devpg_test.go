package devpg

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// fast makes a server that is quick to create and to start.
var fast = map[string]string{"fsync": "off"}

// helperEnv makes this test binary a process that starts a server in the folder it names, prints its URL and process
// number, and waits to be killed.
const helperEnv = "DEVPG_TEST_HELPER"

func TestMain(m *testing.M) {
	if dir, ok := os.LookupEnv(helperEnv); ok {
		s, err := Start(context.Background(), Config{Dir: dir, Settings: fast})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println(s.DSN("postgres"), s.process.Pid, s.guardian.cmd.Process.Pid, s.layout.dir)
		select {}
	}
	goleak.VerifyTestMain(m)
}

func TestTemporaryServer(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Settings: map[string]string{"fsync": "off", "work_mem": "5MB"}})
	require.False(t, s.Reused())

	conn := connect(t, s.DSN("postgres"))
	require.Equal(t, "5MB", ask(t, conn, "show work_mem"))
	require.Equal(t, "127.0.0.1", ask(t, conn, "show listen_addresses"))
	require.Empty(t, ask(t, conn, "show unix_socket_directories"))
	require.Equal(t, "UTF8", ask(t, conn, "show server_encoding"))
	require.Equal(t, "on", ask(t, conn, "select current_setting('is_superuser')"))
	require.Equal(t, strconv.Itoa(s.Port()), ask(t, conn, "show port"))

	_, err := pgx.Connect(t.Context(), strings.Replace(s.DSN("postgres"), s.password, "wrong", 1))
	require.ErrorContains(t, err, "28P01", "a wrong password must be refused")

	pgid, err := syscall.Getpgid(s.process.Pid)
	require.NoError(t, err)
	require.Equal(t, s.process.Pid, pgid, "Ctrl-C in a terminal goes to our process group, where the server must not be")

	// An open connection does not delay the stop.
	require.NoError(t, s.Stop(t.Context()))
	require.NoError(t, s.Stop(t.Context()), "a second call has the first one's result")
	requireClosed(t, s.Done())
	require.NoDirExists(t, s.layout.dir)
}

func TestNamedServerKeepsItsData(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(openDir(t), "made", "here")
	s := start(t, Config{Dir: dir, Settings: fast})
	ask(t, connect(t, s.DSN("postgres")), "create table kept as select 7 as n")
	require.NoError(t, s.Stop(t.Context()))

	info, err := os.Stat(filepath.Join(dir, "password"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())

	s = start(t, Config{Dir: dir, Settings: map[string]string{"work_mem": "6MB"}})
	require.True(t, s.Reused())
	conn := connect(t, s.DSN("postgres"))
	require.Equal(t, "7", ask(t, conn, "select n::text from kept"))
	require.Equal(t, "6MB", ask(t, conn, "show work_mem"))
}

func TestFolderInUse(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(openDir(t), "pg")
	s := start(t, Config{Dir: dir, Settings: fast})
	_, err := Start(t.Context(), Config{Dir: dir})
	require.ErrorIs(t, err, ErrInUse)
	require.ErrorContains(t, err, strconv.Itoa(os.Getpid()), "the message names the process")
	require.Equal(t, "1", ask(t, connect(t, s.DSN("postgres")), "select '1'"), "the first server goes on")
}

func TestFixedPort(t *testing.T) {
	t.Parallel()
	port, err := freePort()
	require.NoError(t, err)
	s := start(t, Config{Port: port, Settings: fast})
	require.Equal(t, port, s.Port())

	_, err = Start(t.Context(), Config{Port: port, Settings: fast})
	require.ErrorContains(t, err, fmt.Sprintf("PostgreSQL on port %d", port))
	require.ErrorContains(t, err, "could not bind", "the end of the server's log is part of the message")
}

func TestRefusedConfigurations(t *testing.T) {
	t.Parallel()
	dir := openDir(t)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "main.go"), nil, 0o600))
	empty := openDir(t)
	served := filepath.Join(openDir(t), "pg")
	s := start(t, Config{Dir: served, Settings: fast})
	have, err := s.layout.major()
	require.NoError(t, err)
	require.NoError(t, s.Stop(t.Context()))
	other := "15"
	if have == other {
		other = "16"
	}

	for name, tc := range map[string]struct {
		cfg  Config
		want string
	}{
		"a folder with other contents": {Config{Dir: dir}, "is not empty and holds no server of ours"},
		"binaries that are not there":  {Config{BinDir: empty}, "PostgreSQL binaries in " + empty},
		"an unsupported version":       {Config{Major: "14"}, "PostgreSQL 14 is not supported: 15 to 18 are"},
		"data of another version":      {Config{Dir: served, Major: other}, "is of PostgreSQL " + have + ", not " + other},
		"an unknown setting":           {Config{Settings: map[string]string{"wrok_mem": "1MB", "fsync": "off"}}, `unrecognized configuration parameter "wrok_mem"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Start(t.Context(), tc.cfg)
			require.ErrorContains(t, err, tc.want)
		})
	}
}

// A process killed by SIGKILL stops nothing itself.
func TestOwnerKilled(t *testing.T) {
	t.Parallel()

	t.Run("the guardian ends a named server cleanly", func(t *testing.T) {
		t.Parallel()
		dir := filepath.Join(openDir(t), "pg")
		h := startHelper(t, dir)
		ask(t, connect(t, h.dsn), "create table kept as select 7 as n")
		h.kill(t)
		s := start(t, Config{Dir: dir, Settings: fast}) // waits for the guardian's work
		require.Equal(t, "7", ask(t, connect(t, s.DSN("postgres")), "select n::text from kept"))
		h.requireGone(t)
		old, err := os.ReadFile(s.layout.log + ".old")
		require.NoError(t, err)
		require.Contains(t, string(old), "database system is shut down")
	})

	t.Run("the guardian removes a temporary server", func(t *testing.T) {
		t.Parallel()
		h := startHelper(t, "")
		h.kill(t)
		h.requireGone(t)
		require.Eventually(t, func() bool { _, err := os.Stat(h.dir); return errors.Is(err, os.ErrNotExist) },
			20*time.Second, 20*time.Millisecond)
	})

	t.Run("the guardian removes a temporary server that died before", func(t *testing.T) {
		t.Parallel()
		h := startHelper(t, "")
		require.NoError(t, syscall.Kill(h.postmaster, syscall.SIGKILL))
		h.kill(t)
		require.Eventually(t, func() bool { _, err := os.Stat(h.dir); return errors.Is(err, os.ErrNotExist) },
			20*time.Second, 20*time.Millisecond)
	})

	t.Run("without the guardian the next start ends the server", func(t *testing.T) {
		t.Parallel()
		dir := filepath.Join(openDir(t), "pg")
		h := startHelper(t, dir)
		require.NoError(t, syscall.Kill(h.guardian, syscall.SIGKILL))
		h.kill(t)
		ask(t, connect(t, h.dsn), "create table kept as select 7 as n") // it lives on
		s := start(t, Config{Dir: dir, Settings: fast})
		require.Equal(t, "7", ask(t, connect(t, s.DSN("postgres")), "select n::text from kept"))
		h.requireGone(t)
	})

	t.Run("a server killed with its owner recovers", func(t *testing.T) {
		t.Parallel()
		dir := filepath.Join(openDir(t), "pg")
		h := startHelper(t, dir)
		ask(t, connect(t, h.dsn), "create table kept as select 7 as n")
		for _, pid := range []int{h.guardian, h.postmaster} {
			require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
		}
		h.kill(t)
		require.FileExists(t, filepath.Join(dir, "data", "postmaster.pid"))
		s := start(t, Config{Dir: dir, Settings: fast})
		require.Equal(t, "7", ask(t, connect(t, s.DSN("postgres")), "select n::text from kept"))
	})
}

func TestServerThatDiesCanBeStopped(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Settings: fast})
	require.NoError(t, s.process.Kill())
	requireClosed(t, s.Done())
	require.NoError(t, s.Stop(t.Context()))
	require.NoDirExists(t, s.layout.dir)
}

func TestStopByForce(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Settings: fast})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	// A stopped process answers neither signal; only SIGKILL, the last resort, ends it. It takes the full patience.
	require.NoError(t, s.process.Signal(syscall.SIGSTOP))
	err := s.Stop(ctx)
	require.ErrorIs(t, err, context.Canceled)
	requireClosed(t, s.Done())
}

func start(t *testing.T, cfg Config) *Server {
	t.Helper()
	s, err := Start(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		_ = s.Stop(ctx)
	})
	return s
}

func connect(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// ask returns the first column of the first row as text, "" if there is none.
func ask(t *testing.T, conn *pgx.Conn, query string) string {
	t.Helper()
	rows, err := conn.Query(t.Context(), query, pgx.QueryExecModeSimpleProtocol)
	require.NoError(t, err)
	defer rows.Close()
	text := ""
	if rows.Next() {
		require.NoError(t, rows.Scan(&text))
	}
	rows.Close()
	require.NoError(t, rows.Err())
	return text
}

// openDir makes a folder that every user may enter, as a temporary folder of the testing package is not.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "devpg-test-")
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o755))
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func requireClosed(t *testing.T, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(10 * time.Second):
		require.Fail(t, "the server lives")
	}
}

// helper is another process that owns a server.
type helper struct {
	cmd                  *exec.Cmd
	dsn, dir             string
	postmaster, guardian int
}

func startHelper(t *testing.T, dir string) *helper {
	t.Helper()
	h := &helper{cmd: exec.Command(os.Args[0])}
	h.cmd.Env = append(os.Environ(), helperEnv+"="+dir)
	h.cmd.Stderr = os.Stderr
	out, err := h.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, h.cmd.Start())
	t.Cleanup(func() { _ = h.cmd.Process.Kill(); _ = h.cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	_, err = fmt.Sscan(line, &h.dsn, &h.postmaster, &h.guardian, &h.dir)
	require.NoError(t, err)
	return h
}

func (h *helper) kill(t *testing.T) {
	t.Helper()
	require.NoError(t, h.cmd.Process.Kill())
	_ = h.cmd.Wait() // says that it was killed
}

// requireGone waits until the server process has ended. Its parent is dead, so it may stay a zombie for a while where
// nobody collects those: the number of an ended process does not answer on the port.
func (h *helper) requireGone(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool { return ping(context.Background(), h.dsn) != nil }, 20*time.Second, 20*time.Millisecond)
}
