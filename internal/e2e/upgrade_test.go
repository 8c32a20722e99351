package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/task"
	"github.com/taskrunner/taskrunner/internal/testdb"
)

// The present program is the old version in these tests. The new one is built from the same source with an overlay: a higher
// revision, a changed function, and migrations as a release may bring them.

// The migrations of the new version: a column of the largest table, and an index, built beside the load.
const (
	columnMigration = "-- +goose Up\nalter table taskrunner.task add column note_of_next_version text;\n"
	indexMigration  = `-- +goose NO TRANSACTION
-- +goose Up
create index concurrently next_version_idx on taskrunner.task (last_updated);
`
)

// nextBinary is the program of the next version, built once per run.
var nextBinary = sync.OnceValues(func() (content []byte, err error) {
	dir, err := os.MkdirTemp("", "taskrunner-next-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	engine, err := filepath.Abs("../../sql")
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(engine, "REVISION"))
	if err != nil {
		return nil, err
	}
	revision, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return nil, err
	}
	claim, err := os.ReadFile(filepath.Join(engine, "functions/claim_tasks.sql"))
	if err != nil {
		return nil, err
	}
	overlay := map[string]string{}
	for name, content := range map[string]string{
		"REVISION":                         strconv.Itoa(revision + 1),
		"functions/claim_tasks.sql":        string(claim) + "-- The next version.\n",
		"migrations/90001_next_column.sql": columnMigration,
		"migrations/90002_next_index.sql":  indexMigration,
	} {
		path := filepath.Join(dir, filepath.Base(name))
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			return nil, err
		}
		overlay[filepath.Join(engine, name)] = path
	}
	list, err := json.Marshal(map[string]any{"Replace": overlay})
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(path, list, 0o600); err != nil {
		return nil, err
	}
	return build("-overlay", path, "-ldflags", "-X main.version=next")
})

// asOwner is the DSN of the user that owns the engine, and by that may migrate.
func asOwner(t *testing.T, db *testdb.DB) string {
	t.Helper()
	var owner string
	require.NoError(t, db.Pool.QueryRow(t.Context(), "select nspowner::regrole::text from pg_namespace where nspname = 'taskrunner'").Scan(&owner))
	u, err := url.Parse(db.DSN)
	require.NoError(t, err)
	query := u.Query()
	query.Set("role", owner)
	u.RawQuery = query.Encode()
	return u.String()
}

// command runs a command of a program on a database and returns what it prints and its exit code.
func command(t *testing.T, content []byte, dsn string, args ...string) (output string, code int) {
	t.Helper()
	cmd := runnable(t, content, dsn, args...)
	cmd.Env = append(cmd.Env, "HOST_URL=http://127.0.0.1:9", "PORT=0", "LOG_LEVEL=warn")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	var exit *exec.ExitError
	if err := cmd.Run(); !errors.As(err, &exit) {
		require.NoError(t, err, "%s", out.String())
	}
	return out.String(), cmd.ProcessState.ExitCode()
}

// upgradeTraffic is clients that create graphs, and report progress of tasks that run, until stop is called. No answer but success is
// allowed.
type upgradeTraffic struct {
	url      atomic.Pointer[string]
	running  []uuid.UUID
	counted  []atomic.Int64 // of each of them, what was acknowledged
	created  atomic.Int64   // tasks
	requests atomic.Int64
	end      chan struct{}
	work     sync.WaitGroup
}

func newUpgradeTraffic(t *testing.T, r *replica) *upgradeTraffic {
	t.Helper()
	hooks := succeeding(t)
	c := &upgradeTraffic{running: r.running(t, 20), counted: make([]atomic.Int64, 20), end: make(chan struct{})}
	c.url.Store(&r.url)
	body, err := json.Marshal([]entry{
		{"id": "a", "name": "a", "kind": "traffic", "on_start": hooks.hook("/a")},
		{"id": "b", "name": "b", "kind": "traffic", "on_start": hooks.hook("/b"), "dependencies": []entry{{"id": "a", "requires_success": true}}},
	})
	require.NoError(t, err)
	for i := range 8 {
		c.work.Go(func() { c.run(t, i, string(body)) })
	}
	t.Cleanup(c.stop)
	return c
}

func (c *upgradeTraffic) run(t *testing.T, client int, graph string) {
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	caller := &http.Client{Transport: transport, Timeout: patience}
	for n := client; ; n++ {
		select {
		case <-c.end:
			return
		default:
		}
		place := n % len(c.running)
		one := *c.url.Load() + "/task/" + c.running[place].String()
		method, target, body, want := http.MethodPut, one, `{"new_success": 1}`, http.StatusAccepted
		switch n % 10 {
		case 0:
			method, target, body, want = http.MethodPost, *c.url.Load()+"/task", graph, http.StatusCreated
		case 1, 2, 3:
			method, body, want = http.MethodPatch, `{"new_success": 1, "metadata": {"seen": true}}`, http.StatusOK
		}
		if status := send(caller, method, target, body); status != want {
			t.Errorf("%s %s: %d", method, target, status)
			return
		}
		c.requests.Add(1)
		if method == http.MethodPost {
			c.created.Add(2)
			continue
		}
		c.counted[place].Add(1)
	}
}

// goesOn waits until many more requests have been answered.
func (c *upgradeTraffic) goesOn(t *testing.T) {
	t.Helper()
	had := c.requests.Load()
	require.Eventually(t, func() bool { return c.requests.Load() > had+100 }, 2*patience, 5*time.Millisecond, "the requests stand still")
}

func (c *upgradeTraffic) stop() {
	select {
	case <-c.end:
	default:
		close(c.end)
	}
	c.work.Wait()
}

// check compares the database with what the clients know. All that was created ends.
func (c *upgradeTraffic) check(t *testing.T, r *replica, db *testdb.DB) {
	t.Helper()
	for i, id := range c.running {
		require.Equal(t, c.counted[i].Load(), r.task(t, id).Success, "task %d", i)
	}
	require.Eventually(t, func() bool {
		var ended int64
		require.NoError(t, db.Pool.QueryRow(t.Context(), "select count(*) from taskrunner.task where kind = 'traffic' and status = 'Success'").Scan(&ended))
		return ended == c.created.Load()
	}, 2*patience, 50*time.Millisecond, "not all tasks end")
}

// awaitLog waits until the process has logged a text.
func (p *process) awaitLog(t *testing.T, text string) {
	t.Helper()
	require.Eventually(t, func() bool {
		for _, line := range p.log() {
			if strings.Contains(line, text) {
				return true
			}
		}
		return false
	}, patience, 20*time.Millisecond, "no log line with %q", text)
}

func (p *process) ends(t *testing.T) {
	t.Helper()
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	select {
	case err := <-p.exited:
		require.NoError(t, err, "exit code 0")
	case <-time.After(patience):
		t.Fatal("the process does not end")
	}
}

// lone creates a task that nothing else has to do with.
func (r *replica) lone(t *testing.T, hooks *receiver) task.Task {
	t.Helper()
	return r.submit(t, entry{"id": "lone", "name": "lone", "kind": "lone", "on_start": hooks.hook("/lone")})["lone"]
}

// The way of docs/upgrading.md: migrate while the old version works, start the new one, end the old one. Clients see nothing of
// it, no report is lost, and every task ends.
func TestRollingUpgrade(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	next, err := nextBinary()
	require.NoError(t, err)
	old := startProcess(t, db)
	traffic := newUpgradeTraffic(t, &old.replica)
	traffic.goesOn(t)

	printed, code := command(t, next, asOwner(t, db), "migrate")
	require.Zero(t, code, printed)
	require.Contains(t, printed, "migrations 90001_next_column.sql, 90002_next_index.sql")
	traffic.goesOn(t)

	// The old version answers, and starts nothing.
	old.awaitLog(t, "this process claims nothing any more")
	traffic.goesOn(t)
	require.Equal(t, http.StatusOK, do(t, http.MethodGet, old.url+"/ready", nil, nil))
	hooks := succeeding(t)
	waiting := old.lone(t, hooks)
	old.staysPending(t, waiting.ID)

	// The new version starts what waits. Load balancers go to it, and the old one is told to end.
	replacement := startProgram(t, next, db.Login(t, "taskrunner_service"))
	replacement.await(t, waiting.ID, task.Success)
	traffic.url.Store(&replacement.url)
	traffic.goesOn(t)
	old.ends(t)
	traffic.goesOn(t)
	traffic.stop()
	traffic.check(t, &replacement.replica, db)

	// The old version on a newer schema: it leaves it alone, serves requests and starts nothing.
	back := startProcess(t, db)
	back.awaitLog(t, "it belongs to a newer version of the program; this one claims nothing")
	require.Equal(t, http.StatusOK, do(t, http.MethodGet, back.url+"/ready", nil, nil))
	printed, code = command(t, mustBinary(t), asOwner(t, db), "migrate")
	require.Equal(t, 1, code)
	require.Contains(t, printed, "the database belongs to a newer version")
	replacement.ends(t)
	waiting = back.lone(t, hooks)
	back.staysPending(t, waiting.ID)
	replacement = startProgram(t, next, db.Login(t, "taskrunner_service"))
	replacement.await(t, waiting.ID, task.Success)
}

func mustBinary(t *testing.T) []byte {
	t.Helper()
	content, err := binary()
	require.NoError(t, err)
	return content
}

// A new version does not start on an old schema that it may not change, and says what to do. With the right it migrates by itself.
func TestNewVersionOnAnOldSchema(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	next, err := nextBinary()
	require.NoError(t, err)
	printed, code := command(t, next, db.Login(t, "taskrunner_service"), "serve")
	require.Equal(t, 1, code, printed)
	require.Contains(t, printed, `run "taskrunner migrate" as the owner of the schema`)

	old := startProcess(t, db)
	replacement := startProgram(t, next, asOwner(t, db))
	old.awaitLog(t, "this process claims nothing any more")
	created := old.lone(t, succeeding(t))
	replacement.await(t, created.ID, task.Success)
}
