package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"

	"github.com/taskrunner/taskrunner/internal/task"
	"github.com/taskrunner/taskrunner/internal/testdb"
)

// collector receives spans by OTLP over gRPC, as a real one does.
type collector struct {
	collectorpb.UnimplementedTraceServiceServer
	url string

	mu       sync.Mutex
	requests []*collectorpb.ExportTraceServiceRequest
}

func newCollector(t *testing.T) *collector {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	c := &collector{url: "http://" + l.Addr().String()}
	server := grpc.NewServer()
	collectorpb.RegisterTraceServiceServer(server, c)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	t.Cleanup(func() {
		server.Stop()
		require.NoError(t, <-ended)
	})
	return c
}

func (c *collector) Export(_ context.Context, r *collectorpb.ExportTraceServiceRequest) (*collectorpb.ExportTraceServiceResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requests = append(c.requests, r)
	return &collectorpb.ExportTraceServiceResponse{}, nil
}

// spans are all that came, by name.
func (c *collector) spans() map[string][]*tracepb.Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	spans := map[string][]*tracepb.Span{}
	for _, r := range c.requests {
		for _, resource := range r.ResourceSpans {
			for _, scope := range resource.ScopeSpans {
				for _, span := range scope.Spans {
					spans[span.Name] = append(spans[span.Name], span)
				}
			}
		}
	}
	return spans
}

// text is all that came, for a search.
func (c *collector) text() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var text strings.Builder
	for _, r := range c.requests {
		text.WriteString(r.String())
	}
	return text.String()
}

// end stops a process as an operator does.
func (p *process) end(t *testing.T) {
	t.Helper()
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	select {
	case err := <-p.exited:
		require.NoError(t, err, "exit code 0")
	case <-time.After(patience):
		t.Fatal("the process does not end")
	}
}

// traced starts a process on a database that sends its spans to the collector.
func traced(t *testing.T, db *testdb.DB, c *collector, flags ...string) *process {
	t.Helper()
	return startProcess(t, db, append([]string{"--tracing-enabled=1", "--otel-exporter-otlp-endpoint=" + c.url}, flags...)...)
}

// chain are three tasks, each of which requires the one before; the last one owes a webhook.
func chain(r *receiver) []entry {
	after := func(id string) []any { return []any{map[string]any{"id": id, "requires_success": true}} }
	return []entry{
		{"id": "a", "name": "a", "kind": "k", "on_start": r.hook("/a")},
		{"id": "b", "name": "b", "kind": "k", "on_start": r.hook("/b"), "dependencies": after("a")},
		{"id": "c", "name": "c", "kind": "k", "on_start": r.hook("/c"), "dependencies": after("b"), "on_success": []any{r.hook("/done")}},
	}
}

// sendTraced makes a request with a traceparent, or with several, and returns the body of its answer.
func sendTraced(t *testing.T, method, url string, body any, traceparents ...string) []byte {
	t.Helper()
	raw, err := json.Marshal(body)
	require.NoError(t, err)
	req, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader(raw))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/json")
	req.Header["Traceparent"] = traceparents
	resp, err := client.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	var answer bytes.Buffer
	_, err = answer.ReadFrom(resp.Body)
	require.NoError(t, err)
	require.Less(t, resp.StatusCode, 300, answer.String())
	return answer.Bytes()
}

// continuing reports Success for every on_start, in the trace of the call.
func continuing(t *testing.T) *receiver {
	t.Helper()
	var r *receiver
	r = newReceiver(t, func(_ http.ResponseWriter, _ *http.Request, c call) {
		if c.trigger == "start" {
			r.work.Go(func() {
				sendTraced(t, http.MethodPatch, c.handle, map[string]string{"status": "Success"}, c.header["Traceparent"]...)
			})
		}
	})
	return r
}

const (
	clientTrace = "0af7651916cd43dd8448eb211c80319c"
	clientSpan  = "b7ad6b7169203331"
)

// traceOf returns the trace and the span that a call named.
func traceOf(t *testing.T, c call) (trace, span string) {
	t.Helper()
	parts := strings.Split(c.header.Get("Traceparent"), "-")
	require.Len(t, parts, 4, "%s: %q", c.path, c.header.Get("Traceparent"))
	return parts[1], parts[2]
}

// The trace of the request that creates a graph goes on through all of it: statements, calls of parents and children, what they
// report, and what is delivered in the end. Its client decides whether it is recorded.
func TestOneTraceSpansAGraph(t *testing.T) {
	t.Parallel()
	spansOf := newCollector(t)
	p := traced(t, newDB(t), spansOf, "--otel-sampling-ratio=0", "--otel-service-name=runner")
	hooks := continuing(t)
	var tasks []task.Task
	require.NoError(t, json.Unmarshal(sendTraced(t, http.MethodPost, p.url+"/task", chain(hooks), "00-"+clientTrace+"-"+clientSpan+"-01"), &tasks))
	hooks.awaitCalls(t, "/done", 1)
	p.await(t, tasks[2].ID, task.Success) // not recorded, since nobody has begun a trace for it
	hooks.work.Wait()
	p.end(t)

	spans := spansOf.spans()
	ids := map[string]string{} // names of spans by id
	for name, list := range spans {
		for _, span := range list {
			require.Equal(t, clientTrace, hex.EncodeToString(span.TraceId), name)
			ids[hex.EncodeToString(span.SpanId)] = name
		}
	}
	parent := func(name string, n int) (parents []string) {
		require.Len(t, spans[name], n, name)
		for _, span := range spans[name] {
			id := hex.EncodeToString(span.ParentSpanId)
			if id != clientSpan {
				id = ids[id]
			}
			parents = append(parents, id)
		}
		return parents
	}
	require.Equal(t, []string{clientSpan}, parent("POST /task", 1))
	require.Equal(t, []string{"POST /task"}, parent("Submit, BatchTasks", 1))
	require.Equal(t, []string{"POST /task", "POST /task", "POST /task"}, parent("webhook start", 3))
	require.Equal(t, []string{"POST /task"}, parent("webhook end", 1))
	require.Equal(t, []string{"webhook start", "webhook start", "webhook start"}, parent("PATCH /task/{task_id}", 3))
	for _, of := range parent("ReportTasks", 3) {
		require.Equal(t, "PATCH /task/{task_id}", of)
	}
	require.Len(t, spans, 6)
	for path, name := range map[string]string{"/a": "webhook start", "/b": "webhook start", "/c": "webhook start", "/done": "webhook end"} {
		trace, span := traceOf(t, hooks.got(path)[0])
		require.Equal(t, clientTrace, trace)
		require.Equal(t, name, ids[span], path)
	}
	text := spansOf.text()
	for _, want := range []string{"runner", "service.version", tasks[0].BatchID.String(), tasks[2].ID.String(), "127.0.0.1"} {
		require.Contains(t, text, want)
	}
}

// Whoever says nothing about a trace has one begun: a request, and a graph that came by SQL.
func TestTracesThatBeginHere(t *testing.T) {
	t.Parallel()
	spansOf := newCollector(t)
	db := newDB(t)
	p := traced(t, db, spansOf)
	hooks := succeeding(t)
	_ = p.submit(t, chain(hooks)...)
	hooks.awaitCalls(t, "/done", 1)
	var posted string
	for _, path := range []string{"/a", "/b", "/c", "/done"} {
		trace, _ := traceOf(t, hooks.got(path)[0])
		if posted == "" {
			posted = trace
		}
		require.Equal(t, posted, trace, path)
	}

	bySQL := succeeding(t)
	_, err := db.Pool.Exec(t.Context(), "select from taskrunner.submit_batch($1)", chain(bySQL))
	require.NoError(t, err)
	bySQL.awaitCalls(t, "/done", 1)
	trace, _ := traceOf(t, bySQL.got("/a")[0])
	require.NotEqual(t, posted, trace)
	for _, path := range []string{"/b", "/c", "/done"} {
		same, _ := traceOf(t, bySQL.got(path)[0])
		require.Equal(t, trace, same, path)
	}

	// SQL clients can say it, for plain INSERTs too.
	for _, said := range []string{"00-" + clientTrace + "-" + clientSpan + "-01", "nonsense"} {
		plain := succeeding(t)
		tx, err := db.Pool.Begin(t.Context())
		require.NoError(t, err)
		_, err = tx.Exec(t.Context(), "select set_config('taskrunner.traceparent', $1, true)", said)
		require.NoError(t, err)
		id := uuid.New()
		_, err = tx.Exec(t.Context(), "insert into taskrunner.task (id, name, kind) values ($1, 'a', 'k')", id)
		require.NoError(t, err)
		_, err = tx.Exec(t.Context(), "insert into taskrunner.action (task_id, trigger, params) values ($1, 'Start', $2), ($1, 'End', $3)",
			id, plain.hook("/a")["params"], plain.hook("/done")["params"])
		require.NoError(t, err)
		require.NoError(t, tx.Commit(t.Context()))
		plain.awaitCalls(t, "/done", 1)
		trace, _ = traceOf(t, plain.got("/a")[0])
		same, _ := traceOf(t, plain.got("/done")[0])
		require.Equal(t, trace, same)
		require.Equal(t, said != "nonsense", trace == clientTrace, "what is none is ignored")
	}
	p.end(t)
	traces := map[string]int{}
	for _, span := range spansOf.spans()["webhook start"] {
		traces[hex.EncodeToString(span.TraceId)]++
	}
	require.Equal(t, 3, traces[posted])
	require.Equal(t, 1, traces[clientTrace])
	require.Len(t, traces, 4)
}

// A trace that its client does not record is not recorded here, and its calls say so.
func TestTraceThatIsNotSampled(t *testing.T) {
	t.Parallel()
	spansOf := newCollector(t)
	p := traced(t, newDB(t), spansOf)
	hooks := continuing(t)
	sendTraced(t, http.MethodPost, p.url+"/task", chain(hooks), "00-"+clientTrace+"-"+clientSpan+"-00")
	hooks.awaitCalls(t, "/done", 1)
	for _, c := range hooks.got("") {
		require.Regexp(t, "^00-"+clientTrace+"-[0-9a-f]{16}-00$", c.header.Get("Traceparent"))
	}
	hooks.work.Wait()
	p.end(t)
	require.Empty(t, spansOf.spans())
}

// Who is not permitted, or asks for what everybody may have, does not decide what is recorded.
func TestStrangersAreNotTraced(t *testing.T) {
	t.Parallel()
	spansOf := newCollector(t)
	token := func(scope string) string { return fmt.Sprintf("%s:%[1]s:%x", scope, sha256.Sum256([]byte(scope))) }
	p := traced(t, newDB(t), spansOf, "--otel-sampling-ratio=1", "--auth-tokens="+token("read")+","+token("write"))
	ask := func(secret, method, path string) int {
		req, err := http.NewRequestWithContext(t.Context(), method, p.url+path, nil)
		require.NoError(t, err)
		req.Header.Set("Traceparent", "00-"+clientTrace+"-"+clientSpan+"-01")
		if secret != "" {
			req.Header.Set("Authorization", "Bearer "+secret)
		}
		resp, err := client.Do(req)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		return resp.StatusCode
	}
	task := "/task/" + uuid.NewString()
	require.Equal(t, http.StatusUnauthorized, ask("", http.MethodPost, "/task"))
	require.Equal(t, http.StatusUnauthorized, ask("guess", http.MethodGet, task))
	require.Equal(t, http.StatusUnauthorized, ask("", http.MethodPatch, task+"?attempt=1&token=guess"))
	require.Equal(t, http.StatusForbidden, ask("read", http.MethodDelete, task))
	require.Equal(t, http.StatusNotFound, ask("", http.MethodGet, "/nowhere"))
	require.Equal(t, http.StatusMethodNotAllowed, ask("", http.MethodPost, task))
	require.Equal(t, http.StatusOK, ask("", http.MethodGet, "/view"))
	require.Equal(t, http.StatusNotFound, ask("read", http.MethodGet, task))
	p.end(t)
	spans := spansOf.spans()
	require.Len(t, spans, 2, "the last request and its statement")
	require.Len(t, spans["GET /task/{task_id}"], 1)
	require.Equal(t, clientTrace, hex.EncodeToString(spans["GET /task/{task_id}"][0].TraceId))
}

// Without tracing the calls of a graph carry what its client said, unless that is none; and a header of the action wins.
func TestTraceparentIsPassedOn(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	r := startReplica(t, db)
	const given = "00-" + clientTrace + "-" + clientSpan + "-01"
	for _, c := range []struct {
		given []string
		want  string
	}{
		{[]string{given}, given},
		{[]string{"00-" + clientTrace + "-" + clientSpan + "-00"}, "00-" + clientTrace + "-" + clientSpan + "-00"},
		{[]string{"cc-" + clientTrace + "-" + clientSpan + "-01-of-later"}, given}, // a later version
		{nil, ""},
		{[]string{""}, ""},
		{[]string{given, given}, ""},
		{[]string{"ff-" + clientTrace + "-" + clientSpan + "-01"}, ""},
		{[]string{given + "-more"}, ""},
		{[]string{strings.ToUpper(given)}, ""},
		{[]string{"00-" + strings.Repeat("0", 32) + "-" + clientSpan + "-01"}, ""},
		{[]string{"00-" + clientTrace + "-" + strings.Repeat("0", 16) + "-01"}, ""},
		{[]string{"'; drop table task; --"}, ""},
		{[]string{strings.Repeat("0", 100_000)}, ""},
	} {
		hooks := succeeding(t)
		sendTraced(t, http.MethodPost, r.url+"/task", chain(hooks), c.given...)
		hooks.awaitCalls(t, "/done", 1)
		for _, got := range hooks.got("") {
			require.Equal(t, c.want, got.header.Get("Traceparent"), "%q", c.given)
			require.Empty(t, got.header.Get("Tracestate"))
		}
	}

	const own = "00-11111111111111111111111111111111-2222222222222222-01"
	hooks := succeeding(t)
	hook := hooks.hook("/a")
	hook["params"].(map[string]any)["headers"] = map[string]any{"TraceParent": own}
	sendTraced(t, http.MethodPost, r.url+"/task", []entry{{"id": "a", "name": "a", "kind": "k", "on_start": hook}}, given)
	require.Equal(t, []string{own}, hooks.awaitCalls(t, "/a", 1)[0].header["Traceparent"])

	// The key of a request belongs to the trace of the first one that had it. An answer's cancel action belongs to that of on_start.
	var canceling *receiver
	canceling = newReceiver(t, func(w http.ResponseWriter, _ *http.Request, c call) {
		if c.trigger == "start" {
			require.NoError(t, json.NewEncoder(w).Encode(canceling.hook("/cancel")))
		}
	})
	var tasks []task.Task
	require.NoError(t, json.Unmarshal(sendTraced(t, http.MethodPost, r.url+"/task", []entry{{"id": "a", "name": "a", "kind": "k",
		"on_start": canceling.hook("/a")}}, given), &tasks))
	r.await(t, tasks[0].ID, task.Running)
	require.Equal(t, http.StatusOK, do(t, http.MethodDelete, r.url+"/task/"+tasks[0].ID.String(), nil, nil))
	require.Equal(t, given, canceling.awaitCalls(t, "/cancel", 1)[0].header.Get("Traceparent"))
}

// Whoever reads traces learns no secret: no token of a handle, nothing of URLs and headers, no statement's arguments, and nothing that
// receivers say.
func TestNoSecretsInTraces(t *testing.T) {
	t.Parallel()
	spansOf := newCollector(t)
	p := traced(t, newDB(t), spansOf, "--webhook-backoff-secs=1")
	for _, status := range []string{"404 Not Found", "500 Internal Server Error", "200 OK"} {
		receiver := parrot(t, status)
		hook := receiver.hook("/secret-path?api_key=hunter2a")
		params := hook["params"].(map[string]any)
		params["url"] = strings.Replace(params["url"].(string), "://", "://me:hunter2b@", 1)
		params["headers"] = map[string]any{"Authorization": "Bearer hunter2c", "X-Secret": "hunter2d"}
		id := p.submit(t, entry{"id": "a", "name": "hunter2e", "kind": "k", "metadata": map[string]string{"password": "hunter2f"},
			"on_start": hook, "on_failure": []any{hook}, "on_cancel": []any{hook}})["hunter2e"].ID
		if status == "200 OK" {
			p.await(t, id, task.Running)
			require.Equal(t, http.StatusUnauthorized, do(t, http.MethodGet, p.url+"/task/"+id.String()+"?token=hunter2g", nil, nil))
			require.Equal(t, http.StatusOK, do(t, http.MethodDelete, p.url+"/task/"+id.String(), nil, nil))
		}
		require.Eventually(t, func() bool { return len(receiver.got("")) >= 2 }, patience, 10*time.Millisecond)
	}
	require.Equal(t, http.StatusNotFound, do(t, http.MethodGet, p.url+"/hunter2h", nil, nil))
	p.end(t)
	text := spansOf.text()
	for _, want := range []string{"webhook start", "webhook cancel", "webhook end", "404", "500"} {
		require.Contains(t, text, want)
	}
	for _, secret := range []string{"hunter2", "secret-path", "token", "handle", "bWU6"} {
		require.NotContains(t, text, secret)
	}
}

// A collector that never answers costs nobody anything but the traces: requests and webhooks go on, and the process ends when it is
// told to.
func TestCollectorThatHangs(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	p := traced(t, newDB(t), &collector{url: "http://" + l.Addr().String()})
	hooks := succeeding(t)
	p.submit(t, chain(hooks)...)
	hooks.awaitCalls(t, "/done", 1)
	hooks.work.Wait()
	p.end(t)
	require.Contains(t, strings.Join(p.log(), "\n"), "the last traces are lost")
}
