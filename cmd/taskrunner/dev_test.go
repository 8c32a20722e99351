package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/demo"
	"github.com/taskrunner/taskrunner/internal/devpg"
	"github.com/taskrunner/taskrunner/internal/screen"
	"github.com/taskrunner/taskrunner/internal/testdb"
)

// childVariable makes the test program the program: bench runs parts of itself in other processes.
const childVariable = "TASKRUNNER_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		main()
	}
	_ = os.Setenv(childVariable, "1")
	_ = flag.Set("test.parallel", "4") // these tests wait more than they work; -parallel still decides
	testdb.Main(m)
}

// output collects what a command writes, and lets a test wait for it.
type output struct {
	mu      sync.Mutex
	text    bytes.Buffer
	changed chan struct{} // closed and replaced at every write
}

func newOutput() *output { return &output{changed: make(chan struct{})} }

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.changed)
	o.changed = make(chan struct{})
	return o.text.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// await returns when the text has been written.
func (o *output) await(t *testing.T, text string) {
	t.Helper()
	const patience = 5 * time.Minute
	deadline := time.After(patience)
	for {
		o.mu.Lock()
		found, changed := strings.Contains(o.text.String(), text), o.changed
		o.mu.Unlock()
		if found {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("not written in time: %q. The output:\n%s", text, o)
		}
	}
}

// devRun is a run of `taskrunner dev` with the output in plain lines.
type devRun struct {
	out  *output
	cmd  *devCmd
	stop context.CancelFunc
	done chan error
}

// startDev starts the command with the given arguments, on the database of the URL.
func startDev(t *testing.T, url string, args ...string) *devRun {
	t.Helper()
	var cli cli
	parser, err := newParser(&cli)
	require.NoError(t, err)
	_, err = parser.Parse(append([]string{"dev", "--database-url", url, "--dir", t.TempDir(), "--port", "18085", "--speed", "10"}, args...))
	require.NoError(t, err)
	r := &devRun{out: newOutput(), cmd: &cli.Dev, done: make(chan error, 1)}
	cli.Dev.screen = screen.NewPlain(r.out)
	ctx, stop := context.WithCancel(t.Context())
	r.stop = stop
	go func() { r.done <- cli.Dev.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if t.Failed() {
			t.Logf("the output:\n%s", r.out)
			log, _ := os.ReadFile(cli.Dev.logFile())
			t.Logf("the service's log:\n%s", log)
		}
	})
	return r
}

// end waits for the command's end.
func (r *devRun) end(t *testing.T) {
	t.Helper()
	select {
	case err := <-r.done:
		require.NoError(t, err)
	case <-time.After(5 * time.Minute):
		t.Fatalf("the command does not end. The output:\n%s", r.out)
	}
}

// value returns what a line of the output says behind a word.
func (r *devRun) value(t *testing.T, word string) string {
	t.Helper()
	for line := range strings.Lines(r.out.String()) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == word {
			return f[1]
		}
	}
	t.Fatalf("no line with %q. The output:\n%s", word, r.out)
	return ""
}

// The whole thing: the graph runs by real calls, all that was promised is in the output and in the database, and a second
// start finds the data of the first.
func TestDevRunsTheDemo(t *testing.T) {
	t.Parallel()
	db := testdb.NewEmpty(t)
	first := startDev(t, db.DSN, "--once")
	first.end(t)
	info, err := os.Stat(first.cmd.logFile())
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())
	text := first.out.String()
	for _, want := range []string{
		"POST /task created batch ",
		"13 tasks",
		"integration-tests  on_start answered 503",
		"deploy-production  on_success answered 204",
		"lint               on_failure answered 204",
		"quality-badge      on_failure answered 204",
		"DELETE /task/",
		"soak-test          on_cancel answered 204",
		"10 Success, 2 Failure, 1 Canceled",
		"webhooks received: 13 on_start, 10 on_success, 2 on_failure, 1 on_cancel",
		"3 findings",
		"Required parent task lint failed",
		"a webhook may come before its state",
		"start it without --once",
		"\nstopped\n",
	} {
		require.Contains(t, text, want)
	}
	for _, never := range []string{"\x1b", "unfinished", "ignored", "not reported", "curl", "psql", "Look at it"} {
		require.NotContains(t, text, never, "no terminal, nothing wrong, and nothing that works only while it is up")
	}

	var statuses string
	require.NoError(t, db.Pool.QueryRow(t.Context(), `
		select string_agg(name || ' ' || status || coalesce(' ' || success || '/' || failures, ''), ', ' order by seq)
		from taskrunner.task where name <> 'soak-test'`).Scan(&statuses))
	require.Equal(t, "checkout Success 3/0, build Success 48/0, lint Failure 57/3, docs Success 12/0, quality-badge Failure 0/0, "+
		"unit-tests Success 420/0, integration-tests Success 64/0, license-scan Success 89/1, package Success 5/0, "+
		"deploy-staging Success 4/0, smoke-test Success 20/0, deploy-production Success 6/0", statuses)
	var tries int
	require.NoError(t, db.Pool.QueryRow(t.Context(), `
		select d.tries from taskrunner.delivery d join taskrunner.task t on t.id = d.task_id
		where t.name = 'integration-tests' and d.trigger = 'Start'`).Scan(&tries))
	require.Equal(t, 2, tries)
	db.AssertInvariants(t)

	startDev(t, db.DSN, "--once").end(t)
	var batches int
	require.NoError(t, db.Pool.QueryRow(t.Context(), "select count(*) from taskrunner.batch").Scan(&batches))
	require.Equal(t, 2, batches)
	db.AssertInvariants(t)
}

// What is suggested at the end works as it is printed, and Ctrl-C ends all.
func TestDevSuggestionsWork(t *testing.T) {
	t.Parallel()
	db := testdb.NewEmpty(t)
	run := startDev(t, db.DSN)
	run.out.await(t, "Ctrl-C stops everything.")
	text := run.out.String()
	service, receiver := run.value(t, "service"), run.value(t, "receiver")

	// What is there to look at is there.
	_, look, _ := strings.Cut(text, "Look at it")
	look, _, _ = strings.Cut(look, "Try next")
	require.Contains(t, look, service+"/view?batch=")
	require.Contains(t, look, service+"/swagger-ui/\n")
	for line := range strings.Lines(look) {
		if url := strings.TrimSpace(line); strings.HasPrefix(url, service) {
			resp, err := http.Get(url)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			require.Equal(t, http.StatusOK, resp.StatusCode, url)
		}
	}

	// The graph of one's own: from -d ' to the next '.
	_, rest, found := strings.Cut(text, "curl -s "+service+"/task -H 'Content-Type: application/json' -d '")
	require.True(t, found)
	body, _, found := strings.Cut(rest, "'")
	require.True(t, found)
	require.True(t, json.Valid([]byte(body)), body)
	require.Equal(t, http.StatusCreated, post(t, service+"/task", body))
	run.out.await(t, "nap                on_start answered 202")

	require.Contains(t, text, demo.WatchSQL)
	require.Contains(t, text, demo.CancelSQL)
	var name, status, reason string
	require.Eventually(t, func() bool {
		// The row is Running as soon as the service has recorded the answer, a moment after the receiver gave it.
		return db.Pool.QueryRow(t.Context(), demo.CancelSQL).Scan(&name, &status, &reason) == nil
	}, 5*time.Minute, 20*time.Millisecond)
	require.Equal(t, []string{"nap", "Canceled", "Canceled"}, []string{name, status, reason})
	run.out.await(t, "nap                on_cancel answered 204")
	run.out.await(t, "after-nap          on_failure answered 204")

	// The same graph once more.
	require.Contains(t, text, "curl -s "+receiver+"/graph | TASKRUNNER_URL="+service+" ")
	require.Contains(t, text, " submit - --watch\n")
	resp, err := http.Get(receiver + "/graph")
	require.NoError(t, err)
	r := command(t, service, resp.Body, "submit", "-")
	require.NoError(t, resp.Body.Close())
	require.Equal(t, exitOK, r.code, r.err)
	http.DefaultClient.CloseIdleConnections()

	run.stop()
	run.end(t)
	require.Contains(t, run.out.String(), "stopping")
	db.AssertInvariants(t)

	// That graph goes on in the next run, which shows only its own webhooks while its demo runs.
	next := startDev(t, db.DSN, "--once")
	next.end(t)
	text = next.out.String()
	require.Contains(t, text, " unfinished tasks of earlier runs go on\n")
	require.Equal(t, 1, strings.Count(text, "integration-tests  on_start answered 503"))
	require.Equal(t, 1, strings.Count(text, "checkout           on_success answered 204"))
	require.NotContains(t, text, "nap ")
	db.AssertInvariants(t)
}

func post(t *testing.T, url, body string) int {
	t.Helper()
	resp, err := http.Post(url, "application/json", strings.NewReader(body))
	require.NoError(t, err)
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	require.NoError(t, err)
	return resp.StatusCode
}

// A server of its own: made at the first start, found again at the second, refused while another process has it.
func TestDevOwnDatabase(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("/tmp", "dev-test-") // the server's account must be able to enter it
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	require.NoError(t, os.Chmod(dir, 0o755))
	out := newOutput()
	c := devCmd{Dir: dir, screen: screen.NewPlain(out)}

	db, err := c.startDatabase(t.Context())
	require.NoError(t, err)
	require.Equal(t, filepath.Join(dir, "postgres"), db.dir)
	require.Contains(t, db.psql, `psql "`+db.url+`"`)
	conn := testdb.ConnectTo(t, db.url)
	_, err = conn.Exec(t.Context(), "create table kept ()")
	require.NoError(t, err)
	_, err = c.startDatabase(t.Context())
	require.ErrorIs(t, err, devpg.ErrInUse)
	require.ErrorContains(t, err, "make run ARGS='--dir X'")
	require.NotContains(t, err.Error(), "devpg:")
	require.NoError(t, conn.Close(t.Context()))
	require.NoError(t, db.stop())

	db, err = c.startDatabase(t.Context())
	require.NoError(t, err)
	conn = testdb.ConnectTo(t, db.url)
	_, err = conn.Exec(t.Context(), "select from kept")
	require.NoError(t, err)
	require.NoError(t, conn.Close(t.Context()))
	require.NoError(t, db.stop())
	require.Contains(t, out.String(), "with the data of the run before")
}

// What breaks the demo when it is set for serve does not reach dev, and it says so.
func TestDevIgnoresTheEnvironmentOfServe(t *testing.T) {
	t.Setenv("HOST_URL", "http://foo.example")
	t.Setenv("WORKER_ENABLED", "0")
	t.Setenv("LOG_FORMAT", "")
	db := testdb.NewEmpty(t)
	run := startDev(t, db.DSN, "--once")
	run.end(t)
	text := run.out.String()
	require.Contains(t, text, "ignored    HOST_URL, WORKER_ENABLED of the environment")
	require.Contains(t, text, "10 Success, 2 Failure, 1 Canceled")
}

func TestDevHasNoFlagsForWhatItDecides(t *testing.T) {
	for _, flag := range []string{"--host-url=http://foo.example", "--worker-enabled=0", "--log-format=json"} {
		var stderr bytes.Buffer
		require.Equal(t, exitUsage, run([]string{"dev", flag}, streams{err: &stderr}), flag)
		require.Contains(t, stderr.String(), "unknown flag")
	}
}

func TestDevHelpIsTrue(t *testing.T) {
	var cli cli
	var help bytes.Buffer
	parser, err := newParser(&cli)
	require.NoError(t, err)
	parser.Stdout = &help
	parser.Exit = func(int) {}
	_, _ = parser.Parse([]string{"dev", "--help"}) // without the exit, parsing goes on
	text := strings.Join(strings.Fields(help.String()), " ")
	for _, want := range []string{"By default a private PostgreSQL", "on 127.0.0.1 only", "($DATABASE_URL)", "($PORT)", "--log-level"} {
		require.Contains(t, text, want)
	}
	for _, never := range []string{"Required.", "all addresses", "json", "($HOST_URL)"} {
		require.NotContains(t, text, never)
	}
}

// Wrong settings are found before a server is started or a folder made.
func TestDevChecksFirst(t *testing.T) {
	for flag, says := range map[string]string{
		"--speed=0": "--speed must be above 0", "--port=70000": "PORT must be", "--pool-max-size=0": "POOL_MAX_SIZE must be",
		"--database-url=x://": "DATABASE_URL is not",
	} {
		dir := filepath.Join(t.TempDir(), "data")
		var stderr bytes.Buffer
		require.Equal(t, exitFailed, run([]string{"dev", "--once", "--dir", dir, flag}, streams{err: &stderr}), flag)
		require.Contains(t, stderr.String(), says)
		require.NoDirExists(t, dir)
	}
}

// An interrupt while the server is being made is told like any other end.
func TestDevStoppedEarly(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	out := newOutput()
	var cli cli
	parser, err := newParser(&cli)
	require.NoError(t, err)
	_, err = parser.Parse([]string{"dev", "--database-url=", "--dir", t.TempDir()})
	require.NoError(t, err)
	cli.Dev.screen = screen.NewPlain(out)
	require.NoError(t, cli.Dev.Run(ctx))
	require.Contains(t, out.String(), "\nstopped\n")
}

// The receiver's port is one that exists, whatever the service's is.
func TestNextPort(t *testing.T) {
	t.Parallel()
	for port, next := range map[int]int{8085: 8086, 65535: 0} {
		require.Equal(t, next, nextPort(addressed{port: port}))
	}
}

// addressed is a listener that only has an address.
type addressed struct {
	net.Listener
	port int
}

func (a addressed) Addr() net.Addr { return &net.TCPAddr{Port: a.port} }
