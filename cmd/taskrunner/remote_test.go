package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/app"
	"github.com/taskrunner/taskrunner/internal/client"
	"github.com/taskrunner/taskrunner/internal/config"
	"github.com/taskrunner/taskrunner/internal/screen"
	"github.com/taskrunner/taskrunner/internal/task"
	"github.com/taskrunner/taskrunner/internal/testdb"
)

// service is a replica with a database of its own, and a program that its tasks call.
type service struct {
	url  string
	hook string // "/ok" and "/bad" report Success and Failure, "/hold" nothing
	db   *testdb.DB
	stop func()
}

// startService runs one until the test ends. What the database holds then is checked.
func startService(t *testing.T, flags ...string) *service {
	t.Helper()
	db := testdb.New(t)
	t.Cleanup(func() { db.AssertInvariants(t) })
	s := &service{db: db, hook: worker(t)}
	s.start(t, "127.0.0.1:0", flags...)
	return s
}

// start runs a replica on an address.
func (s *service) start(t *testing.T, address string, flags ...string) {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	require.NoError(t, err)
	s.url = "http://" + listener.Addr().String()
	c, err := config.Parse(append(flags, "--database-url", s.db.Login(t, "taskrunner_service"), "--host-url", s.url, "--drain-timeout-secs=20", "--ssrf-allow=127.0.0.1")...)
	require.NoError(t, err)
	require.NoError(t, c.Check())
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- app.Run(ctx, c, app.Options{
			Version: "test", Listener: listener, Log: slog.New(slog.DiscardHandler), Ready: func(net.Addr) { close(ready) },
		})
	}()
	s.stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(t, <-ended)
	})
	t.Cleanup(s.stop)
	<-ready
}

// worker is a program that tasks call.
func worker(t *testing.T) (url string) {
	t.Helper()
	var work sync.WaitGroup
	api := &http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		report := map[string]string{"/ok": `{"status": "Success"}`, "/bad": "{\"status\": \"Failure\", \"failure_reason\": \"disk \\u001b[31mfull\"}"}[r.URL.Path]
		handle := r.URL.Query().Get("handle")
		if report == "" {
			return
		}
		work.Go(func() {
			req, err := http.NewRequest(http.MethodPatch, handle, strings.NewReader(report))
			if err != nil {
				t.Error(err)
				return
			}
			req.Header.Set("Content-Type", "application/json")
			resp, err := api.Do(req)
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
		})
	}))
	t.Cleanup(func() {
		server.Close()
		work.Wait()
	})
	return server.URL
}

// result is what a command left behind.
type result struct {
	code     int
	out, err string
}

// call runs a command against the service.
func (s *service) call(t *testing.T, args ...string) result {
	t.Helper()
	return command(t, s.url, nil, args...)
}

// command runs a command that calls a server.
func command(t *testing.T, url string, in io.Reader, args ...string) result {
	t.Helper()
	var out, stderr bytes.Buffer
	code := run(append(args, "--server", url), streams{in: in, out: &out, err: &stderr})
	return result{code, out.String(), stderr.String()}
}

// good is the output of a command that must succeed.
func (s *service) good(t *testing.T, args ...string) string {
	t.Helper()
	r := s.call(t, args...)
	require.Equal(t, result{code: exitOK, out: r.out}, r, "%v", args)
	return r.out
}

// file writes a graph.
func file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// graph is a graph of one task for each path of the worker, in YAML.
func (s *service) graph(t *testing.T, paths ...string) string {
	t.Helper()
	text := "name: \"n\\e1\"\ntasks:\n"
	for i, path := range paths {
		id := string(rune('a' + i))
		text += "- id: " + id + "\n  name: \"task-" + id + "\\n\"\n  kind: k\n" +
			"  on_start: {kind: Webhook, params: {url: '" + s.hook + path + "', verb: Post}}\n"
	}
	return file(t, "graph.yaml", text)
}

// submit creates a batch, and returns its id and the ids of its tasks.
func (s *service) submit(t *testing.T, paths ...string) (batch string, tasks []string) {
	t.Helper()
	batch = strings.TrimSpace(s.good(t, "submit", s.graph(t, paths...), "--quiet"))
	var g task.Graph
	_, err := s.get(t, "/dag/"+batch, &g)
	require.NoError(t, err)
	for _, created := range g.Tasks {
		tasks = append(tasks, created.ID.String())
	}
	require.Len(t, tasks, len(paths))
	return batch, tasks
}

// get asks the service itself.
func (s *service) get(t *testing.T, path string, into any) (raw []byte, err error) {
	t.Helper()
	resp, err := http.Get(s.url + path)
	require.NoError(t, err)
	defer resp.Body.Close()
	raw, err = io.ReadAll(resp.Body)
	require.NoError(t, err)
	return raw, json.Unmarshal(raw, into)
}

// await waits until a task has a status.
func (s *service) await(t *testing.T, id string, status task.Status) {
	t.Helper()
	require.Eventually(t, func() bool {
		var got task.Task
		_, err := s.get(t, "/task/"+id, &got)
		return err == nil && got.Status == status
	}, 5*time.Minute, 10*time.Millisecond)
}

func TestRemoteCommands(t *testing.T) {
	t.Parallel()
	s := startService(t)

	path := s.graph(t, "/hold", "/hold", "/hold", "/hold", "/hold")
	out := s.good(t, "submit", path)
	require.Regexp(t, "^batch [0-9a-f-]{36}: 5 tasks\n$", out)
	batch := strings.Fields(strings.ReplaceAll(out, ":", ""))[1]
	var g task.Graph
	_, err := s.get(t, "/dag/"+batch, &g)
	require.NoError(t, err)
	var ids []string
	for _, created := range g.Tasks {
		ids = append(ids, created.ID.String())
		s.await(t, created.ID.String(), task.Running)
	}

	require.Equal(t, ids[0]+`  Success   task-a\n`+"\n", s.good(t, "succeed", ids[0]))
	require.Equal(t, ids[1]+`  Failure   task-b\n  no \x07luck`+"\n", s.good(t, "fail", ids[1], "--reason", "no \aluck"))
	require.Equal(t, ids[2]+`  Paused    task-c\n`+"\n"+ids[3]+`  Paused    task-d\n`+"\n", s.good(t, "pause", ids[2], ids[3]))
	require.Equal(t, ids[2]+`  Running   task-c\n`+"\n", s.good(t, "resume", ids[2]))
	require.Equal(t, ids[2]+`  Canceled  task-c\n`+"\n", s.good(t, "cancel", ids[2]))

	// One that is refused does not keep the others from being tried.
	r := s.call(t, "cancel", ids[0], ids[3])
	require.Equal(t, result{exitFailed, ids[3] + `  Canceled  task-d\n` + "\n",
		"taskrunner: task " + ids[0] + ": is Success, it cannot be canceled (HTTP 409)\n"}, r)

	text := s.good(t, "status", batch)
	require.Contains(t, text, "batch  "+batch+`  n\x1b1`)
	require.Contains(t, text, "  80 %  4 of 5 ended\n")
	require.Contains(t, text, "5 tasks: 1 Success, 1 Failure, 2 Canceled, 1 Running")
	require.Regexp(t, `✗ task-b\\n +Failure .* no \\x07luck`, text)
	text = s.good(t, "status", ids[1], ids[4])
	require.Contains(t, text, "task  "+ids[1]+`  task-b\n`+"\n  status            ✗ Failure\n")
	require.Contains(t, text, "\n\ntask  "+ids[4])

	require.Equal(t, batch+"  1 canceled, 4 had ended before\n", s.good(t, "stop", batch))
	require.Equal(t, batch+"  0 canceled, 5 had ended before\n", s.good(t, "stop", batch))
}

// With --json what the service answers is written as it is, errors too.
func TestJSONAnswers(t *testing.T) {
	t.Parallel()
	s := startService(t)
	var tasks []task.Task
	require.NoError(t, json.Unmarshal([]byte(s.good(t, "submit", s.graph(t, "/hold", "/hold"), "--json")), &tasks))
	require.Len(t, tasks, 2)
	id, batch := tasks[0].ID.String(), tasks[0].BatchID.String()
	for _, created := range tasks {
		s.await(t, created.ID.String(), task.Running)
	}
	for _, c := range []struct{ id, path string }{{id, "/task/" + id}, {batch, "/batch/" + batch}} {
		raw, err := s.get(t, c.path, new(any))
		require.NoError(t, err)
		require.Equal(t, string(raw)+"\n", s.good(t, "status", c.id, "--json"))
	}
	paused := s.good(t, "pause", "--json", id)
	require.Contains(t, paused, `"status":"Paused"`)
	r := s.call(t, "pause", "--json", id)
	require.Equal(t, exitFailed, r.code)
	var refused struct {
		Status        int
		CurrentStatus string `json:"current_status"`
	}
	require.NoError(t, json.Unmarshal([]byte(r.out), &refused))
	require.Equal(t, http.StatusConflict, refused.Status)
	require.Equal(t, "Paused", refused.CurrentStatus)
	require.Contains(t, s.good(t, "stop", "--json", batch), `"already_terminal":0`)
}

func TestUnknownIDs(t *testing.T) {
	t.Parallel()
	s := startService(t)
	const nobody = "00000000-0000-4000-8000-0000000000b1"
	r := s.call(t, "status", nobody)
	require.Equal(t, result{exitFailed, "", "taskrunner: no task and no batch has this id (HTTP 404)\n"}, r)
	r = s.call(t, "status", nobody, "--json")
	require.Equal(t, "taskrunner: no task and no batch has this id (HTTP 404)\n", r.err)
	require.Regexp(t, `^{"error":"no task and no batch has this id","request_id":"[^"]+","status":404}\n$`, r.out)
	for _, name := range []string{"cancel", "pause", "resume", "succeed", "stop", "watch"} {
		r := s.call(t, name, nobody)
		require.Equal(t, exitFailed, r.code, name)
		require.Contains(t, r.err, "(HTTP 404)", name)
		r = s.call(t, name, "nobody")
		require.Equal(t, exitUsage, r.code, name)
		require.Contains(t, r.err, `"nobody" is no id`, name)
	}
}

// What the service finds wrong is said with the line of the file.
func TestSubmitNamesLines(t *testing.T) {
	t.Parallel()
	s := startService(t)
	path := file(t, "g.yaml", `tasks:
  - id: a
    name: ""
    kind: k
    on_start:
      kind: Webhook
      params:
        url: nope
        verb: Post
  - id: b
    name: b
    kind: k
    on_start: {kind: Webhook, params: {url: 'http://x.example', verb: Post}}
    dependencies:
      - id: nobody
        requires_success: true
`)
	r := s.call(t, "submit", path)
	require.Equal(t, exitFailed, r.code)
	require.Empty(t, r.out)
	lines := strings.Split(r.err, "\n")
	require.Equal(t, "taskrunner: Validation failed (HTTP 400)", lines[0])
	for i, want := range []string{":3: tasks[0].name: ", ":7: tasks[0].on_start.params: ", ":15: tasks[1].dependencies[0].id: "} {
		require.Contains(t, lines[i+1], "taskrunner: "+path+want)
	}
	r = s.call(t, "submit", path, "--json")
	require.Equal(t, exitFailed, r.code)
	require.True(t, json.Valid([]byte(r.out)), r.out)
	require.Contains(t, r.out, `"details":["tasks[0].name: `)

	entry := `{"id": "a", "name": "a", "kind": "k", "on_start": {"kind": "Webhook", "params": {"url": "http://x.example", "verb": "Post"}},
"dependencies": [{"id": "a", "requires_success": true}]}`
	r = command(t, s.url, strings.NewReader("[\n"+entry+"\n]"), "submit", "-")
	require.Equal(t, exitFailed, r.code)
	require.Contains(t, r.err, "taskrunner: standard input:3: tasks[0].dependencies: ")

	for text, want := range map[string]string{
		"a: 1\na: 2\n": `g.yaml:2: the key "a" stands in line 1 already`,
		"":             "g.yaml: empty",
		"a: [":         "g.yaml:",
	} {
		r := s.call(t, "submit", file(t, "g.yaml", text))
		require.Equal(t, exitFailed, r.code)
		require.Contains(t, r.err, want)
	}
	r = s.call(t, "submit", "no such file")
	require.Equal(t, exitFailed, r.code)
	require.Contains(t, r.err, "no such file")
}

// Of every path that the service has for faults the line is found.
func TestSubmitNamesEveryLine(t *testing.T) {
	t.Parallel()
	s := startService(t)
	const path = "testdata/wrong.yaml"
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	r := s.call(t, "submit", path)
	require.Equal(t, exitFailed, r.code)
	asked := 0
	for i, line := range strings.Split(string(text), "\n") {
		if _, want, found := strings.Cut(line, "  # "); found {
			asked++
			require.Contains(t, r.err, fmt.Sprintf("\ntaskrunner: %s:%d: %s: ", path, i+1, want))
		}
	}
	require.Equal(t, 28, asked)
}

func TestSubmitNothing(t *testing.T) {
	t.Parallel()
	s := startService(t)
	r := command(t, s.url, strings.NewReader("tasks: []"), "submit", "-", "--watch")
	require.Equal(t, result{exitOK, "", "taskrunner: nothing was created\n"}, r)
	r = command(t, s.url, strings.NewReader("[]"), "submit", "-", "--quiet")
	require.Equal(t, result{exitOK, "", "taskrunner: nothing was created\n"}, r)
	r = command(t, "http://127.0.0.1:1", strings.NewReader("tasks: [{a: 0x10}]"), "submit", "-", "--print")
	require.Equal(t, result{exitOK, `{"tasks":[{"a":16}]}` + "\n", ""}, r)
}

func TestWatch(t *testing.T) {
	t.Parallel()
	s := startService(t)
	r := s.call(t, "submit", s.graph(t, "/ok", "/ok"), "--watch")
	require.Equal(t, exitOK, r.code, r.err)
	require.Regexp(t, `(?s)^batch .*: 2 tasks\n.* 100 %  2 Success\n$`, r.out)
	require.Empty(t, r.err)

	batch, tasks := s.submit(t, "/ok", "/bad")
	r = s.call(t, "watch", batch)
	require.Equal(t, exitBatch, r.code)
	require.Equal(t, "taskrunner: the batch went wrong: 1 Failure\n", r.err)
	require.Regexp(t, ` 100 %  1 Success, 1 Failure\n`+tasks[1]+`  Failure   task-b\\n  disk \\x1b\[31mfull\n$`, r.out)

	r = s.call(t, "watch", batch, "--json")
	require.Equal(t, exitBatch, r.code)
	lines := strings.Split(strings.TrimSpace(r.out), "\n")
	var b task.Batch
	require.NoError(t, json.Unmarshal([]byte(lines[len(lines)-1]), &b))
	require.Equal(t, task.StatusCounts{Success: 1, Failure: 1}, b.StatusCounts)
}

// Of a large batch only some of the tasks that went wrong are named, the causes first.
func TestWatchOfALargeBatch(t *testing.T) {
	t.Parallel()
	const n = 300
	s := startService(t)
	var text strings.Builder
	for i := range n {
		fmt.Fprintf(&text, "- {id: t%d, name: t%d, kind: k, on_start: {kind: Webhook, params: {url: '%s/hold', verb: Post}}", i, i, s.hook)
		if i < n-1 {
			fmt.Fprintf(&text, ", dependencies: [{id: t%d, requires_success: true}]", n-1)
		}
		text.WriteString("}\n")
	}
	batch := strings.TrimSpace(s.good(t, "submit", "-q", file(t, "g.yaml", text.String())))
	var tasks []task.Basic
	_, err := s.get(t, fmt.Sprintf("/task?name=t%d&batch_id=%s", n-1, batch), &tasks)
	require.NoError(t, err)
	require.Len(t, tasks, 1)
	s.good(t, "cancel", tasks[0].ID.String())
	r := s.call(t, "watch", batch)
	require.Equal(t, exitBatch, r.code)
	require.Regexp(t, `(?m)^.* 100 %  299 Failure, 1 Canceled\n`+tasks[0].ID.String()+`  Canceled  t299$`, r.out)
	require.Equal(t, reasonsMost-1, strings.Count(r.out, "  Required parent task t299 failed\n"))
	require.Contains(t, r.out, fmt.Sprintf("\nand %d more: taskrunner list ", n-reasonsMost))
	require.Contains(t, s.good(t, "status", batch), "300 tasks: 299 Failure, 1 Canceled")
}

// What is drawn on a terminal fits into it.
func TestWatchFrame(t *testing.T) {
	t.Parallel()
	s := startService(t)
	batch, tasks := s.submit(t, "/hold", "/hold", "/hold", "/hold")
	for _, id := range tasks {
		s.await(t, id, task.Running)
	}
	s.good(t, "fail", tasks[1], "--reason", "bad\x1b[2J luck")
	api, err := client.New(client.Config{URL: s.url})
	require.NoError(t, err)
	t.Cleanup(api.Close)
	b, err := api.Batch(t.Context(), uuid.MustParse(batch))
	require.NoError(t, err)
	g, err := api.Graph(t.Context(), uuid.MustParse(batch))
	require.NoError(t, err)
	w := &watcher{api: api, id: b.Value.BatchID, begun: time.Now(), batch: b.Value, graph: g.Value, details: map[uuid.UUID]task.Task{}}
	require.NoError(t, addReasons(t.Context(), api, g.Value, w.details))

	frame := strings.Join(w.frame(screen.Style{Width: 100, Height: 24}), "\n")
	require.Regexp(t, "^batch "+batch+`  n\\x1b1\n  [\d.]+ s  1 Failure, 3 Running\n  ██████████░`, frame)
	require.Contains(t, frame, "░   25 %  1 of 4 ended\n")
	require.Regexp(t, `\n  ✗ task-b\\n +Failure .* bad\\x1b\[2J luck\n`, frame)
	for width := 1; width < 120; width += 7 {
		for height := 1; height < 12; height++ {
			lines := w.frame(screen.Style{Width: width, Height: height})
			require.LessOrEqual(t, len(lines), max(height-1, 4))
			for _, line := range lines {
				require.LessOrEqual(t, screen.Width(line), width)
			}
		}
	}
	w.graph = task.Graph{} // of a large batch
	require.Len(t, w.frame(screen.Style{Width: 100, Height: 24}), 3)
}

// A service that goes away and comes back is waited for; a watch that is interrupted says so and stops nothing.
func TestWatchOutlivesTheService(t *testing.T) {
	t.Parallel()
	s := startService(t)
	batch, tasks := s.submit(t, "/hold")
	s.await(t, tasks[0], task.Running)
	out := newOutput()
	var stderr bytes.Buffer
	code := make(chan int, 1)
	go func() {
		code <- run([]string{"watch", batch, "--server", s.url}, streams{out: out, err: &stderr})
	}()
	out.await(t, "1 Running")
	s.stop()
	out.await(t, "; trying again")
	s.start(t, strings.TrimPrefix(s.url, "http://"))
	s.good(t, "succeed", tasks[0])
	require.Equal(t, exitOK, <-code, stderr.String())
	require.Contains(t, out.String(), "100 %  1 Success")
	require.Contains(t, out.String(), "cannot reach "+s.url+": ")
}

// A service that does not answer in time is not asked again: what it does may take long, and would begin anew.
func TestTimeout(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}))
	defer server.Close()
	r := command(t, server.URL, nil, "submit", file(t, "g.json", "[]"), "--timeout=3s")
	require.Equal(t, result{exitFailed, "", "taskrunner: cannot reach " + server.URL + ": no answer in time; see --timeout\n"}, r)
	require.EqualValues(t, 1, calls.Load())
}

func TestInterruptedWatch(t *testing.T) {
	t.Parallel()
	s := startService(t)
	batch, _ := s.submit(t, "/hold")
	var c cli
	parser, err := newParser(&c)
	require.NoError(t, err)
	_, err = parser.Parse([]string{"watch", batch, "--server", s.url})
	require.NoError(t, err)
	out := newOutput()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.Watch.Run(ctx, streams{out: out}) }()
	out.await(t, " 0 %")
	cancel()
	var exit *exitError
	require.ErrorAs(t, <-ended, &exit)
	require.Equal(t, exitInterrupted, exit.code)
	require.NotContains(t, s.good(t, "status", batch), "Canceled")
}

func TestUnreachable(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	url := "http://" + listener.Addr().String()
	require.NoError(t, listener.Close())
	const id = "00000000-0000-4000-8000-000000000001"
	want := "taskrunner: cannot reach " + url + ": connection refused; is it running? see --server\n"
	for _, args := range [][]string{{"status", id}, {"watch", id}, {"cancel", id}, {"submit", file(t, "g.json", "[]")}} {
		require.Equal(t, result{exitFailed, "", want}, command(t, url, nil, args...), args)
	}
}

// Another program's server is told from a service by whatever it answers, and no command takes it for a success.
func TestOtherServers(t *testing.T) {
	t.Parallel()
	const id = "00000000-0000-4000-8000-000000000001"
	graph := file(t, "g.json", "[]")
	for name, answer := range map[string]http.HandlerFunc{
		"empty": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
		"object": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(`{"status": "ok"}`))
		},
		"null": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte("null"))
		},
	} {
		server := httptest.NewServer(answer)
		t.Cleanup(server.Close)
		for _, args := range [][]string{
			{"status", id}, {"status", id, "--json"}, {"watch", id}, {"list"}, {"list", "--json"}, {"list", "--batches"}, {"cancel", id},
			{"pause", id}, {"resume", id}, {"succeed", id}, {"fail", id, "--reason=x"}, {"stop", id}, {"submit", graph}, {"submit", "-q", graph},
		} {
			r := command(t, server.URL, nil, args...)
			require.Equal(t, exitFailed, r.code, "%s %v", name, args)
			require.Empty(t, r.out, "%s %v", name, args)
			require.Contains(t, r.err, server.URL+" is no Task Runner", "%s %v", name, args)
		}
	}
}

// A page about a missing page is no word about a task.
func TestNotFoundOfOthers(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	r := command(t, server.URL, nil, "status", "00000000-0000-4000-8000-000000000001")
	require.Equal(t, result{exitFailed, "", "taskrunner: " + server.URL + " answered 404 Not Found, and not as Task Runner does (HTTP 404)\n"}, r)
}

// A submission whose answer was lost, or that found the service busy, is repeated with the same key.
func TestSubmitIsRepeated(t *testing.T) {
	t.Parallel()
	s := startService(t)
	var keys []string
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		keys = append(keys, r.Header.Get("Idempotency-Key"))
		if len(keys) == 2 {
			w.Header().Set("Retry-After", "1")
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = w.Write([]byte(`{"error": "busy", "status": 503}`))
			return
		}
		r.URL.Scheme, r.URL.Host = "http", strings.TrimPrefix(s.url, "http://")
		req := r.Clone(r.Context())
		req.RequestURI = ""
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Error(err)
			return
		}
		defer resp.Body.Close()
		if len(keys) == 1 {
			panic(http.ErrAbortHandler) // it was served, and the answer is lost
		}
		for _, name := range []string{"X-Batch-ID", "Content-Type"} {
			w.Header().Set(name, resp.Header.Get(name))
		}
		w.WriteHeader(resp.StatusCode)
		_, _ = io.Copy(w, resp.Body)
	}))
	defer proxy.Close()
	r := command(t, proxy.URL, nil, "submit", s.graph(t, "/ok"))
	require.Equal(t, exitOK, r.code, r.err)
	require.Equal(t, 2, strings.Count(r.err, "; trying again in "))
	require.Len(t, keys, 3)
	require.NotEmpty(t, keys[0])
	require.Equal(t, []string{keys[0], keys[0], keys[0]}, keys)
	var n int
	require.NoError(t, s.db.Pool.QueryRow(t.Context(), "select count(*) from taskrunner.task").Scan(&n))
	require.Equal(t, 1, n)

	// With a key of one's own another invocation creates nothing either.
	path := s.graph(t, "/ok")
	first := s.good(t, "submit", path, "--key", "mine", "-q")
	require.Equal(t, first, s.good(t, "submit", path, "--key", "mine", "-q"))
	r = s.call(t, "submit", s.graph(t, "/bad"), "--key", "mine", "-q")
	require.Equal(t, exitFailed, r.code)
	require.Contains(t, r.err, "(HTTP 422)")
}

// The token is sent as it is in the variable or the file, and shown nowhere.
func TestToken(t *testing.T) {
	const secret = "hunter2-hunter2"
	var got []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = append(got, r.Header.Get("Authorization"))
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = w.Write([]byte(`{"error": "a token is required", "status": 401}`))
	}))
	defer server.Close()
	const id = "00000000-0000-4000-8000-000000000001"
	want := result{exitFailed, "", "taskrunner: a token is required (HTTP 401); the token is taken from TASKRUNNER_TOKEN or --token-file\n"}
	require.Equal(t, want, command(t, server.URL, nil, "cancel", id))
	t.Setenv("TASKRUNNER_TOKEN", secret)
	require.Equal(t, want, command(t, server.URL, nil, "cancel", id))
	require.Equal(t, want, command(t, server.URL, nil, "cancel", id, "--token-file", file(t, "token", "other\n")))
	require.Equal(t, []string{"", "Bearer " + secret, "Bearer other"}, got)

	t.Setenv("TASKRUNNER_TOKEN", secret+"\nX-Evil: 1")
	r := command(t, server.URL, nil, "cancel", id)
	require.Equal(t, exitFailed, r.code)
	require.Equal(t, "taskrunner: TASKRUNNER_TOKEN: the token holds a blank, a line break or a character beyond ASCII\n", r.err)
	r = command(t, server.URL, nil, "cancel", id, "--token-file", file(t, "token", "two words"))
	require.Equal(t, "taskrunner: --token-file: the token holds a blank, a line break or a character beyond ASCII\n", r.err)
	require.Len(t, got, 3)
	t.Setenv("TASKRUNNER_TOKEN", "")
	for url, says := range map[string]string{
		"ftp://x": "must begin with http:// or https://", "127.0.0.1:8085": "--server", "http://": "must begin with",
		"http://u:" + secret + "@x": "must not hold a user", "http://x/?a=b": "no query", "http://[::1": "malformed",
	} {
		r := command(t, url, nil, "cancel", id)
		require.Equal(t, exitFailed, r.code, url)
		require.Contains(t, r.err, says, url)
		require.Contains(t, r.err, "taskrunner: --server: ", url)
		require.NotContains(t, r.err, secret)
	}
}

// A service that wants tokens gets the one of the file, and says what that may not do.
func TestScopes(t *testing.T) {
	t.Parallel()
	hash := func(secret string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(secret))) }
	s := startService(t, "--auth-tokens", "r:read:"+hash("reading")+",w:write:"+hash("writing"))
	reads, writes := file(t, "reads", "reading\n"), file(t, "writes", "writing")
	graph := s.graph(t, "/hold")
	r := s.call(t, "list")
	require.Equal(t, exitFailed, r.code)
	require.Contains(t, r.err, "(HTTP 401); the token is taken from TASKRUNNER_TOKEN or --token-file\n")
	require.Empty(t, s.good(t, "list", "--token-file", reads))
	r = s.call(t, "submit", graph, "--token-file", reads)
	require.Equal(t, exitFailed, r.code)
	require.Contains(t, r.err, "(HTTP 403)")
	batch := strings.TrimSpace(s.good(t, "submit", graph, "--token-file", writes, "-q"))
	require.Contains(t, s.good(t, "status", batch, "--token-file", reads), "1 task: ")
}

func TestSettingsOfTheClient(t *testing.T) {
	t.Parallel()
	const id = "00000000-0000-4000-8000-000000000001"
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"cancel"}, exitUsage, "expected \"<task> ...\""},
		{[]string{"cancel", id, "--timeout=-1s"}, exitFailed, "--timeout must be above 0"},
		{[]string{"cancel", id, "--timeout=soon"}, exitUsage, "--timeout"},
		{[]string{"cancel", id, "--token-file=/nowhere"}, exitFailed, "--token-file: open /nowhere"},
		{[]string{"fail", id}, exitUsage, "missing flags: --reason=TEXT"},
		{[]string{"submit", "x", "--format=toml"}, exitUsage, "--format must be one of"},
	} {
		var stderr bytes.Buffer
		require.Equal(t, c.code, run(c.args, streams{err: &stderr}), c.args)
		require.Contains(t, stderr.String(), c.says)
	}
}
