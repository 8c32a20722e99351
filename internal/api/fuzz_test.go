package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/api"
	"github.com/taskrunner/taskrunner/internal/handle"
	"github.com/taskrunner/taskrunner/internal/metrics"
	"github.com/taskrunner/taskrunner/internal/store"
	"github.com/taskrunner/taskrunner/internal/strictjson"
	"github.com/taskrunner/taskrunner/internal/task"
	"github.com/taskrunner/taskrunner/internal/testdb"
)

// The fuzz targets send whatever comes to the real handler on a real database: no answer is a 5xx, none is late, and what
// is refused has written nothing. `go test` runs their seeds, and for more:
//
//	go run ./internal/testdb/withpg -- go test ./internal/api -run '^$' -fuzz '^FuzzCreate$' -fuzztime 10m -parallel 1

// fuzzPatience is how long an answer may take, on a busy machine.
const fuzzPatience = time.Minute

// fuzzer is the API without a network in between.
type fuzzer struct {
	db      *testdb.DB
	store   *store.Store
	handler http.Handler
	replica uuid.UUID
	rows    string // what tableRows said last
}

func newFuzzer(f *testing.F) *fuzzer {
	f.Helper()
	z := &fuzzer{db: testdb.New(f), replica: uuid.New()}
	var err error
	z.store, err = store.Open(context.Background(), z.db.Login(f, "taskrunner_service"), store.Options{
		MaxConns: 2, PreparedStatements: true, AcquireTimeout: fuzzPatience, Log: slog.New(slog.DiscardHandler)})
	require.NoError(f, err)
	f.Cleanup(z.store.Close)
	handles, err := handle.New("https://runner.example.com", [][]byte{[]byte("key")})
	require.NoError(f, err)
	z.handler, err = api.New(api.Config{Store: z.store, Handles: handles, MaxBodyBytes: 1 << 20, PageSize: 5, MaxPageSize: 10,
		IdempotencyLife: time.Hour, Metrics: metrics.New().Handler(), Log: slog.New(slog.DiscardHandler), Egress: anywhere(f)})
	require.NoError(f, err)
	f.Cleanup(func() { z.db.AssertInvariants(f) })
	return z
}

// send sends a request; the answer must come in time and be no 5xx.
func (z *fuzzer) send(t testing.TB, method, path, query, body string) answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), fuzzPatience)
	defer cancel()
	r := httptest.NewRequestWithContext(ctx, method, path, strings.NewReader(body))
	r.URL.RawQuery = query
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	z.handler.ServeHTTP(w, r)
	if w.Code >= 499 || ctx.Err() != nil {
		t.Fatalf("%s %s?%q\n%q\ngives %d %s (%v)", method, path, query, body, w.Code, w.Body, ctx.Err())
	}
	if w.Body.Len() > 0 && !json.Valid(w.Body.Bytes()) {
		t.Fatalf("%s %s: no JSON: %q", method, path, w.Body)
	}
	return answer{Status: w.Code, Header: w.Header(), Body: w.Body.String()}
}

// tableRows tells how much there is in the tables that a request could write, and which version of each task.
func (z *fuzzer) tableRows(t testing.TB) string {
	t.Helper()
	var rows string
	require.NoError(t, z.db.Pool.QueryRow(context.Background(), `select concat_ws(' ', (select count(*) from taskrunner.batch),
		(select concat(count(*), ' ', max(xmin::text::bigint)) from taskrunner.task), (select count(*) from taskrunner.link),
		(select count(*) from taskrunner.action), (select count(*) from taskrunner_private.queued_task),
		(select count(*) from taskrunner_private.due_delivery))`).Scan(&rows))
	return rows
}

// wrote requires that what was refused has written nothing.
func (z *fuzzer) wrote(t testing.TB, a answer, body string) {
	t.Helper()
	rows := z.tableRows(t)
	if a.Status >= 400 && rows != z.rows {
		t.Fatalf("%q\ngave %d, and wrote: %s, before %s", body, a.Status, rows, z.rows)
	}
	z.rows = rows
}

// empty removes all tasks now and then, so that counting them stays cheap.
func (z *fuzzer) empty(t testing.TB) {
	t.Helper()
	_, err := z.db.Pool.Exec(context.Background(), `truncate taskrunner.batch, taskrunner.task, taskrunner.link, taskrunner.action,
		taskrunner_private.queued_task, taskrunner_private.active_task, taskrunner_private.ended_task, taskrunner_private.delivery,
		taskrunner_private.delivery_try, taskrunner_private.due_delivery`)
	require.NoError(t, err)
	z.rows = z.tableRows(t)
}

// running creates one task and brings it to Running.
func (z *fuzzer) running(t testing.TB) task.Task {
	t.Helper()
	a := z.send(t, "POST", "/task", "", `[{"id": "a", "name": "n", "kind": "k", "on_start": {"kind": "Webhook", "params": {"url": "https://a", "verb": "Get"}}}]`)
	require.Equal(t, http.StatusCreated, a.Status, a.Body)
	var tasks []task.Task
	require.NoError(t, json.Unmarshal([]byte(a.Body), &tasks))
	claims, _, err := z.store.ClaimTasks(context.Background(), z.replica, 100, 30*time.Second, nil, true, task.Rooms{})
	require.NoError(t, err)
	tries := []task.StartTry{}
	code := int32(200)
	for _, c := range claims {
		tries = append(tries, task.StartTry{Claim: c, Try: task.Try{At: time.Now(), StatusCode: &code}})
	}
	_, startErr := z.store.StartTasks(context.Background(), tries)
	require.NoError(t, startErr)
	z.rows = z.tableRows(t)
	return tasks[0]
}

// exponent finds numbers that jsonb shows otherwise than they are written.
var exponent = regexp.MustCompile(`[0-9][eE][-+]?[0-9]`)

// create posts a body. What is created can be read; what is refused, submit_batch refuses in the same words.
func (z *fuzzer) create(t testing.TB, body string) {
	t.Helper()
	a := z.send(t, "POST", "/task", "", body)
	z.wrote(t, a, body)
	switch a.Status {
	case http.StatusCreated:
		var tasks []task.Task
		require.NoError(t, json.Unmarshal([]byte(a.Body), &tasks))
		for _, path := range []string{"/task/" + tasks[0].ID.String(), "/dag/" + a.Header.Get("X-Batch-Id")} {
			require.Equal(t, http.StatusOK, z.send(t, "GET", path, "", "").Status)
		}
		if tasks[0].ID[15]%16 == 0 {
			z.empty(t)
		}
	case http.StatusNoContent:
	case http.StatusBadRequest:
		checked, err := strictjson.Check([]byte(body), "tasks", math.MaxInt64)
		if err != nil || checked.Faults != nil || exponent.MatchString(body) {
			return
		}
		var f failure
		require.NoError(t, json.Unmarshal([]byte(a.Body), &f))
		b := testBundle{db: z.db}
		require.Equal(t, f.Details, b.sqlFaults(t, "select taskrunner.submit_batch($1)", body), body)
	default:
		require.Equal(t, http.StatusRequestEntityTooLarge, a.Status, a.Body)
	}
}

// seeds adds the bodies of a file in testdata/bodies that are not too long to be worth changing.
func seeds(f *testing.F, file string) {
	f.Helper()
	for _, c := range readBodies(f, file) {
		if len(c.body) < 4000 {
			f.Add(c.body)
		}
	}
}

// FuzzCreate: the body of POST /task as a whole.
func FuzzCreate(f *testing.F) {
	z := newFuzzer(f)
	seeds(f, "post_task.txt")
	z.rows = z.tableRows(f)
	f.Fuzz(func(t *testing.T, body string) { z.create(t, body) })
}

// FuzzCreateFields: the object form of POST /task, field by field, each a piece of JSON or what looks like it.
func FuzzCreateFields(f *testing.F) {
	z := newFuzzer(f)
	action := `{"kind": "Webhook", "params": {"url": "https://a/?b=c", "verb": "Post", "headers": {"A": "b"}, "body": [1]}}`
	f.Add(`"batch"`, `{}`, `"a"`, `"n"`, `60`, `{"p": 1}`, action, `[]`, `"rules": []`)
	f.Add(`null`, `null`, `"\ud83d\ude00"`, `"é"`, `null`, `[1e2, "\u0000"]`, action, `[{"id": "b", "requires_success": true}]`, `"priority": -5, "retry": {"max_attempts": 1}`)
	f.Add(`" "`, `[[]]`, `1`, `{}`, `60.0`, `"x"`, `{}`, `[{"task_id": "{00000000-0000-4000-8000-000000000000}", "requires_success": false}]`,
		`"rules": [{"type": "Capacity", "max_capacity": 1, "matcher": {"kind": "k", "status": "Running", "fields": ["p"]}}], "expected_count": 1`)
	f.Add(`"x"`, `1`, `"b"`, `"n"`, `-1`, `null`, action, `[{"id": "a", "requires_success": 1}, {"id": "b"}]`,
		`"dedupe_strategy": [{"kind": "k", "status": "Paused", "fields": []}], "run_at": "2026-01-02T03:04:05+01:00", "on_failure": [`+action+`], "on_cancel": [{}]`)
	z.rows = z.tableRows(f)
	f.Fuzz(func(t *testing.T, name, metadata, id, taskName, timeout, taskMetadata, onStart, dependencies, rest string) {
		z.create(t, fmt.Sprintf(`{"name": %s, "metadata": %s, "tasks": [
			{"id": %s, "name": %s, "kind": "k", "timeout": %s, "metadata": %s, "on_start": %s, "dependencies": %s, %s},
			{"id": "b", "name": "n", "kind": "k", "on_start": %s, "dependencies": [{"id": "a", "requires_success": false}]}]}`,
			name, metadata, id, taskName, timeout, taskMetadata, onStart, dependencies, rest, onStart))
	})
}

// FuzzReport: PATCH of a running task.
func FuzzReport(f *testing.F) {
	z := newFuzzer(f)
	seeds(f, "patch_task.txt")
	f.Add(`{"status": "Success"}`)
	f.Add(`{"status": "Failure", "failure_reason": "disk full", "metadata": {"a": 1}}`)
	path := "/task/" + z.running(f).ID.String()
	f.Fuzz(func(t *testing.T, body string) {
		a := z.send(t, "PATCH", path, "", body)
		z.wrote(t, a, body)
		require.Equal(t, http.StatusOK, z.send(t, "GET", path, "", "").Status)
		if !strings.Contains(a.Body, `"ended_at":null`) && a.Status == http.StatusOK {
			z.empty(t)
			path = "/task/" + z.running(t).ID.String()
		}
	})
}

// FuzzProgress: PUT of a running task.
func FuzzProgress(f *testing.F) {
	z := newFuzzer(f)
	seeds(f, "put_task.txt")
	path := "/task/" + z.running(f).ID.String()
	f.Fuzz(func(t *testing.T, body string) {
		z.wrote(t, z.send(t, "PUT", path, "", body), body)
		require.Equal(t, http.StatusOK, z.send(t, "GET", path, "", "").Status)
	})
}

// FuzzBatchRules: PATCH /batch/{batch_id}/rules.
func FuzzBatchRules(f *testing.F) {
	z := newFuzzer(f)
	seeds(f, "batch_rules.txt")
	path := "/batch/" + z.running(f).BatchID.String() + "/rules"
	f.Fuzz(func(t *testing.T, body string) { z.wrote(t, z.send(t, "PATCH", path, "", body), body) })
}

// FuzzReplay: POST /deliveries/replay.
func FuzzReplay(f *testing.F) {
	z := newFuzzer(f)
	for _, body := range []string{`{}`, `{"from": "2026-01-02T03:04:05Z", "to": "9999-12-31T23:59:59.999999999-23:59"}`, `{"host": "a:1", "status": "Failed"}`,
		`{"batch_id": "{00000000-0000-4000-8000-000000000000}", "trigger": "End"}`, `{"task_id": "urn:uuid:00000000-0000-4000-8000-000000000000", "status": "Delivered"}`,
		`{"task_id": 1, "from": "x", "host": "", "status": "Pending", "trigger": null, "to": "0000-01-01T00:00:00Z"}`, `[]`} {
		f.Add(body)
	}
	z.running(f)
	f.Fuzz(func(t *testing.T, body string) { z.wrote(t, z.send(t, "POST", "/deliveries/replay", "", body), body) })
}

// FuzzQuery: the query strings of everything that reads one, as they stand in the URL.
func FuzzQuery(f *testing.F) {
	z := newFuzzer(f)
	id := z.running(f)
	paths := []string{"/task", "/batches", "/deliveries", "/task/" + id.ID.String(), "/task/" + id.ID.String() + "/deliveries"}
	for _, query := range []string{"", "page=0&page_size=2", "page=-1&page_size=0", "page=9223372036854775807&page_size=100", "page=9223372036854775808", "page=1&page=2",
		"cursor=", "cursor=AAAA&page_size=1", "name=%25_%5C&kind=k", "status=Running", "status=running", "timeout=60", "timeout=6e1", "metadata=%7B%7D",
		"metadata={\"a\":[1e2]}", "metadata=%22%5Cu0000%22", "batch_id=" + id.BatchID.String(), "batch_id=%7B" + id.BatchID.String() + "%7D", "batch_id=x",
		"created_after=2026-01-02T03:04:05%2B01:00&created_before=2026-01-02T03:04:05Z", "created_after=0000-01-01T00:00:00Z", "trigger=End&host=a:1&from=2026-01-02T03:04:05Z",
		"to=9999-12-31T23:59:59-23:59", "task_id=" + id.ID.String(), "attempt=1", "attempt=2&token=x", "attempt=99999999999", "%zz=1", "a;b=c", "name=%00", "name=\xff", "&&=&=",
		"status=", "name=", url.Values{"name": {strings.Repeat("é", 3000)}}.Encode()} {
		for i := range paths {
			f.Add(i, query)
		}
	}
	for range 12 {
		z.send(f, "POST", "/task", "", `[{"id": "a", "name": "n", "kind": "k", "metadata": {"a": 1}, "on_start": {"kind": "Webhook", "params": {"url": "https://a", "verb": "Get"}}}]`)
	}
	z.rows = z.tableRows(f)
	f.Fuzz(func(t *testing.T, path int, query string) {
		a := z.send(t, "GET", paths[uint(path)%uint(len(paths))], query, "")
		z.wrote(t, a, query)
		if next := a.Header.Get("X-Next-Cursor"); next != "" && !strings.Contains(query, "page=") && !strings.Contains(query, "cursor") {
			require.Equal(t, http.StatusOK, z.send(t, "GET", paths[uint(path)%uint(len(paths))], query+"&cursor="+url.QueryEscape(next), "").Status)
		}
	})
}
