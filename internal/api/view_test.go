package api_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image/png"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/task"
)

func TestViewPage(t *testing.T) {
	t.Parallel()
	b := setup(t, withTokens(t))
	b.reachable(t, false) // the page needs no database
	page := b.ok(t, http.StatusOK, "GET", "/view", nil, nil)
	require.Equal(t, "text/html; charset=utf-8", page.Header.Get("Content-Type"))
	require.Equal(t, "no-cache", page.Header.Get("Cache-Control"))
	require.Equal(t, "nosniff", page.Header.Get("X-Content-Type-Options"))
	require.Equal(t, "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "+
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'", page.Header.Get("Content-Security-Policy"))
	require.NotContains(t, page.Body, "style=")
	for _, query := range []string{"?batch=" + uuid.NewString(), "?batch=<script>", "?batch="} {
		require.Equal(t, page.Body, b.ok(t, http.StatusOK, "GET", "/view"+query, nil, nil).Body, "it is the same for everybody")
	}
	head := b.do(t, "HEAD", "/view", nil)
	require.Equal(t, http.StatusOK, head.Status)
	require.Empty(t, head.Body)
}

func TestViewAssets(t *testing.T) {
	t.Parallel()
	b := setup(t, withTokens(t))
	script := b.with(t, "GET", "/view/assets/main.js", "Accept-Encoding", "identity")
	require.Equal(t, http.StatusOK, script.Status)
	require.Equal(t, "text/javascript; charset=utf-8", script.Header.Get("Content-Type"))
	require.Equal(t, fmt.Sprint(len(script.Body)), script.Header.Get("Content-Length"))
	require.Equal(t, "text/css; charset=utf-8", b.ok(t, http.StatusOK, "GET", "/view/assets/app.css", nil, nil).Header.Get("Content-Type"))

	compressed := b.with(t, "GET", "/view/assets/main.js", "Accept-Encoding", "br, gzip")
	require.Equal(t, "gzip", compressed.Header.Get("Content-Encoding"))
	require.NotEqual(t, script.Header.Get("ETag"), compressed.Header.Get("ETag"))
	require.Equal(t, script.Body, b.ok(t, http.StatusOK, "GET", "/view/assets/main.js", nil, nil).Body)

	tag := script.Header.Get("ETag")
	for header, want := range map[string]int{tag: 304, `"x", W/` + tag: 304, `"x"`: 200, "": 200} {
		a := b.with(t, "GET", "/view/assets/main.js", "Accept-Encoding", "identity", "If-None-Match", header)
		require.Equal(t, want, a.Status, header)
		require.Equal(t, want == 304, a.Body == "", header)
	}
	for _, name := range []string{"", "index.html", "x.js", "main.js/", "..", "../ui.go", "%2e%2e/ui.go", "."} {
		b.do(t, "GET", "/view/assets/"+name, nil).failure(t, http.StatusNotFound)
	}
}

// columns is an answer for the page.
type columns struct {
	Revision      string
	Now           int64
	Statuses      []string
	Kinds         []string
	Index         []int
	Status        []int
	Priority      []int
	Success       []int64
	Failures      []int64
	ExpectedCount []*int64 `json:"expected_count"`
	StartedAt     []*int64 `json:"started_at"`
	EndedAt       []*int64 `json:"ended_at"`
	Tasks         *columns
	ID            []uuid.UUID
	Name          []string
	Kind, Layer   []int
	X, Y          []float64
	Links         struct{ Parent, Child, Required []int }
	ExternalLinks []object `json:"external_links"`
	Width, Height float64
}

func TestViewGraphAndStates(t *testing.T) {
	t.Parallel()
	b := setup(t)
	evil := entry("b", "a")
	evil["name"], evil["kind"], evil["priority"], evil["expected_count"] = `<img onerror="alert(1)"> & ünï`, "it's", 7, 9
	evil["dependencies"] = []object{{"id": "a", "requires_success": false}}
	tasks := b.submit(t, entry("a"), evil, entry("c", "b"))
	batch := tasks[0].BatchID.String()
	b.start(t)
	b.ok(t, http.StatusAccepted, "PUT", "/task/"+tasks[0].ID.String(), object{"new_success": 5, "new_failures": 2}, nil)
	other := b.submit(t, entry("x"))[0]
	b.exec(t, "insert into taskrunner.link (parent_id, child_id) values ($1, $2)", other.ID, tasks[2].ID)

	get := func(path string) (c columns) {
		t.Helper()
		b.ok(t, http.StatusOK, "GET", path, nil, &c)
		return c
	}
	g := get("/view/graph/" + batch)
	require.Equal(t, []string{"Waiting", "Pending", "Claimed", "Running", "Failure", "Success", "Paused", "Canceled"}, g.Statuses)
	require.Equal(t, []string{"etl", "it's"}, g.Kinds)
	require.Equal(t, []uuid.UUID{tasks[0].ID, tasks[1].ID, tasks[2].ID}, g.Tasks.ID)
	require.Equal(t, []string{"task a", `<img onerror="alert(1)"> & ünï`, "task c"}, g.Tasks.Name)
	require.Equal(t, []int{0, 1, 0}, g.Tasks.Kind)
	require.Equal(t, []int{3, 0, 0}, g.Tasks.Status)
	require.Equal(t, []int{0, 7, 0}, g.Tasks.Priority)
	require.EqualValues(t, 5, g.Tasks.Success[0])
	require.EqualValues(t, 2, g.Tasks.Failures[0])
	require.Nil(t, g.Tasks.ExpectedCount[0])
	require.EqualValues(t, 9, *g.Tasks.ExpectedCount[1])
	require.InDelta(t, g.Now, *g.Tasks.StartedAt[0], 3.6e6)
	require.Nil(t, g.Tasks.StartedAt[1])
	require.Nil(t, g.Tasks.EndedAt[0])
	require.Equal(t, []int{0, 1, 2}, g.Tasks.Layer)
	require.Less(t, g.Tasks.X[0], g.Tasks.X[1])
	require.Less(t, g.Tasks.X[1], g.Tasks.X[2])
	require.GreaterOrEqual(t, g.Width, g.Tasks.X[2]+80)
	require.ElementsMatch(t, [][3]int{{0, 1, 0}, {1, 2, 1}}, [][3]int{
		{g.Links.Parent[0], g.Links.Child[0], g.Links.Required[0]}, {g.Links.Parent[1], g.Links.Child[1], g.Links.Required[1]}})
	require.Equal(t, []object{{"parent_id": other.ID.String(), "child_id": tasks[2].ID.String(), "requires_success": false}}, g.ExternalLinks)

	s := get("/view/states/" + batch)
	require.Equal(t, g.Revision, s.Revision)
	require.Equal(t, []int{0, 1, 2}, s.Index)
	require.Equal(t, []any{g.Tasks.Status, g.Tasks.Priority, g.Tasks.Success, g.Tasks.ExpectedCount, g.Tasks.StartedAt, g.Tasks.EndedAt},
		[]any{s.Status, s.Priority, s.Success, s.ExpectedCount, s.StartedAt, s.EndedAt})

	// States change without the revision; links and tasks change it.
	b.ok(t, http.StatusOK, "PATCH", "/task/"+tasks[0].ID.String(), object{"status": "Success"}, nil)
	s = get("/view/states/" + batch)
	require.Equal(t, g.Revision, s.Revision)
	require.Equal(t, []int{5, 1, 0}, s.Status)
	require.NotNil(t, s.EndedAt[0])
	revisions := map[string]bool{g.Revision: true}
	for _, change := range []string{
		"insert into taskrunner.link (parent_id, child_id) select t.id, u.id from taskrunner.task t, taskrunner.task u where t.name = 'task a' and u.name = 'task c'",
		"insert into taskrunner.task (batch_id, name, kind) select batch_id, 'new', 'etl' from taskrunner.task where name = 'task a'",
		"delete from taskrunner.task where name = 'task a'",
	} {
		b.exec(t, change)
		g, s := get("/view/graph/"+batch), get("/view/states/"+batch)
		require.Equal(t, g.Revision, s.Revision, change)
		require.Equal(t, len(g.Tasks.ID), len(s.Status))
		require.False(t, revisions[g.Revision], change)
		revisions[g.Revision] = true
	}
	for _, path := range []string{"/view/graph/", "/view/states/"} {
		b.fails(t, http.StatusNotFound, "GET", path+uuid.NewString(), nil)
		b.fails(t, http.StatusBadRequest, "GET", path+"x", nil)
	}
}

func TestViewOfALargeBatch(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := uuid.New()
	b.exec(t, "insert into taskrunner.batch (id) values ($1)", id)
	b.exec(t, "insert into taskrunner.task (batch_id, name, kind) select $1, repeat('x', 200), 'etl' from generate_series(1, $2)", id, viewTasks)
	for _, path := range []string{"/view/graph/", "/view/states/"} {
		b.ok(t, http.StatusOK, "GET", path+id.String(), nil, nil)
	}
	a := b.with(t, "GET", "/view/graph/"+id.String(), "Accept-Encoding", "gzip")
	require.Equal(t, "gzip", a.Header.Get("Content-Encoding"))
	require.Less(t, len(a.Body), 200*viewTasks)
	b.exec(t, "insert into taskrunner.task (batch_id, name, kind) values ($1, 'one too many', 'etl')", id)
	for _, path := range []string{"/view/graph/", "/view/states/"} {
		require.Contains(t, b.fails(t, http.StatusConflict, "GET", path+id.String(), nil).Error, fmt.Sprintf("more than %d tasks", viewTasks))
	}
}

func TestIcon(t *testing.T) {
	t.Parallel()
	b := setup(t, withTokens(t))
	for _, path := range []string{"/icon.png", "/favicon.ico"} {
		a := b.ok(t, http.StatusOK, "GET", path, nil, nil)
		require.Equal(t, "image/png", a.Header.Get("Content-Type"))
		require.Equal(t, "public, max-age=86400", a.Header.Get("Cache-Control"))
		icon, err := png.Decode(bytes.NewReader([]byte(a.Body)))
		require.NoError(t, err)
		require.Equal(t, 64, icon.Bounds().Dx())
	}
}

// events reads a stream.
type events struct {
	t    *testing.T
	body *bufio.Scanner
}

// watch opens a stream of events of a batch that ends with the test.
func (b *testBundle) watch(t *testing.T, batch string) *events {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, "GET", b.server.URL+"/view/events?batch="+batch, nil)
	require.NoError(t, err)
	resp, err := b.client.Do(r)
	require.NoError(t, err)
	t.Cleanup(func() { _ = resp.Body.Close() })
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.Equal(t, "text/event-stream", resp.Header.Get("Content-Type"))
	scanner := bufio.NewScanner(resp.Body)
	scanner.Buffer(nil, 16<<20)
	return &events{t, scanner}
}

// next returns the next event; name is "" when there is none any more.
func (e *events) next() (name string, c columns) {
	e.t.Helper()
	for e.body.Scan() {
		line := e.body.Text()
		if text, ok := strings.CutPrefix(line, "event: "); ok {
			name = text
		}
		if text, ok := strings.CutPrefix(line, "data: "); ok {
			require.NoError(e.t, json.Unmarshal([]byte(text), &c), text)
			return name, c
		}
	}
	return "", c
}

// states returns the next event, which must be of this kind.
func (e *events) states() columns {
	e.t.Helper()
	name, c := e.next()
	require.Equal(e.t, "states", name)
	return c
}

func TestViewEvents(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tasks := b.submit(t, entry("a"), entry("b"), entry("c", "b"))
	batch := tasks[0].BatchID.String()
	e := b.watch(t, batch)
	c := e.states()
	require.Equal(t, []int{0, 1, 2}, c.Index)
	require.Equal(t, []int{1, 1, 0}, c.Status)
	var g columns
	b.ok(t, http.StatusOK, "GET", "/view/graph/"+batch, nil, &g)
	require.Equal(t, g.Revision, c.Revision)

	// Only what has changed follows: by a status, progress, a priority.
	b.ok(t, http.StatusOK, "DELETE", "/task/"+tasks[0].ID.String(), nil, nil)
	c = e.states()
	require.Equal(t, []int{0}, c.Index)
	require.Equal(t, []int{7}, c.Status)
	require.Equal(t, g.Revision, c.Revision)
	b.start(t)
	c = e.states()
	require.Equal(t, []int{1}, c.Index)
	b.ok(t, http.StatusAccepted, "PUT", "/task/"+tasks[1].ID.String(), object{"new_success": 5}, nil)
	for c.Success[0] != 5 { // claim and start may be two
		c = e.states()
		require.Equal(t, []int{1}, c.Index)
	}
	require.Equal(t, []int{3}, c.Status)
	b.exec(t, "update taskrunner.task set priority = 9 where id = $1", tasks[2].ID)
	c = e.states()
	require.Equal(t, []int{2}, c.Index)
	require.Equal(t, []int{9}, c.Priority)

	// Whoever comes later gets all of it, and the structure may change.
	late := b.watch(t, batch)
	require.Equal(t, []int{7, 3, 0}, late.states().Status)
	b.exec(t, "insert into taskrunner.task (batch_id, name, kind) values ($1, 'd', 'etl')", batch)
	for _, e := range []*events{e, late} {
		name, c := e.next()
		require.Equal(t, "graph", name)
		require.NotEqual(t, g.Revision, c.Revision)
		all := e.states()
		require.Equal(t, c.Revision, all.Revision)
		require.Equal(t, []int{0, 1, 2, 3}, all.Index)
	}
	b.exec(t, "select taskrunner.stop_batch($1)", batch)
	b.exec(t, "delete from taskrunner.task where batch_id = $1", batch)
	b.exec(t, "delete from taskrunner.batch where id = $1", batch)
	for _, e := range []*events{e, late} {
		last := ""
		for name, _ := e.next(); name != ""; name, _ = e.next() {
			last = name
		}
		require.Equal(t, "gone", last)
	}
}

func TestViewTask(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tasks := b.submit(t, entry("a"), entry("b", "a"), entry("c", "b"))
	var around task.Surroundings
	get := func(id uuid.UUID) {
		t.Helper()
		around = task.Surroundings{}
		b.ok(t, http.StatusOK, "GET", "/view/task/"+id.String(), nil, &around)
	}
	get(tasks[1].ID)
	require.Contains(t, around.Why[0].Sentence, `It waits for task `+tasks[0].ID.String())
	require.JSONEq(t, fmt.Sprintf(`{"parent_id": %q, "name": "task a", "status": "Pending", "requires_success": true}`, tasks[0].ID), string(around.Why[0].Detail))
	require.Equal(t, []task.Neighbour{{ID: tasks[0].ID, Name: "task a", Kind: "etl", Status: task.Pending, BatchID: tasks[0].BatchID, RequiresSuccess: true}}, around.Parents)
	require.Equal(t, []task.Neighbour{{ID: tasks[2].ID, Name: "task c", Kind: "etl", Status: task.Waiting, BatchID: tasks[0].BatchID, RequiresSuccess: true}}, around.Children)
	require.False(t, around.MoreParents || around.MoreChildren)

	// Many are not all shown; tasks without a batch are.
	b.exec(t, `with child as (insert into taskrunner.task (name, kind) select 'child ' || n, 'etl' from generate_series(1, 201) n returning id)
		insert into taskrunner.link (parent_id, child_id) select $1, id from child`, tasks[0].ID)
	get(tasks[0].ID)
	require.Len(t, around.Children, 200)
	require.True(t, around.MoreChildren)
	require.Empty(t, around.Parents)
	require.False(t, around.MoreParents)
	b.exec(t, "with parent as (select id from taskrunner.task where name like 'child %') insert into taskrunner.link (parent_id, child_id) select id, $1 from parent", tasks[2].ID)
	get(tasks[2].ID)
	require.Len(t, around.Parents, 200)
	require.True(t, around.MoreParents)

	b.ok(t, http.StatusOK, "DELETE", "/task/"+tasks[2].ID.String(), nil, nil)
	get(tasks[2].ID)
	require.Contains(t, around.Why[0].Sentence, "It has ended as Canceled")
	b.fails(t, http.StatusNotFound, "GET", "/view/task/"+uuid.NewString(), nil)
	b.db.AssertInvariants(t)
}

func TestViewOverview(t *testing.T) {
	t.Parallel()
	b := setup(t)
	get := func() (o task.Overview) {
		t.Helper()
		b.ok(t, http.StatusOK, "GET", "/view/overview", nil, &o)
		return o
	}
	o := get()
	require.Equal(t, map[task.Status]int64{task.Waiting: 0, task.Pending: 0, task.Claimed: 0, task.Running: 0, task.Paused: 0}, o.Tasks)
	require.Len(t, o.EndedPerMinute, 15)
	require.Empty(t, o.Replicas)
	require.Empty(t, o.Parked)

	rule := object{"type": "Concurency", "max_concurency": 1, "matcher": object{"status": "Running", "kind": "etl", "fields": []string{"p"}}}
	unsized := object{"type": "Capacity", "max_capacity": 5, "matcher": object{"status": "Running", "kind": "etl", "fields": []string{}}}
	limited := func(id string, value any, rules ...object) object {
		e := entry(id)
		e["rules"], e["metadata"] = rules, object{"p": value}
		return e
	}
	later := entry("later")
	later["run_at"] = time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	big := limited("sized", "x", unsized)
	big["expected_count"] = 9
	tasks := b.submit(t, limited("1", 7, rule), limited("2", 7, rule), limited("3", 7, rule), limited("4", "<b>", rule), limited("5", "<b>", rule),
		big, later, entry("free"), entry("child", "free"))
	b.exec(t, "update taskrunner.task set expected_count = null where name = 'task sized'")
	for range 2 { // the shapes of both rules
		_, err := b.store.RegisterShape(t.Context())
		require.NoError(t, err)
	}
	b.start(t)
	b.ok(t, http.StatusOK, "PATCH", "/task/"+tasks[7].ID.String(), object{"status": "Success"}, nil)
	b.exec(t, "select taskrunner_private.tick($1, 'runner:1', 'v1', 3, false)", b.replica)

	for deadline := time.Now().Add(time.Minute); len(o.Parked) == 0 && time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		o = get() // the first answer may be kept for a while
	}
	kind := "etl"
	require.Equal(t, map[task.Status]int64{task.Waiting: 0, task.Pending: 6, task.Claimed: 0, task.Running: 2, task.Paused: 0}, o.Tasks)
	require.Equal(t, []task.KindCount{{Kind: &kind, Count: 2}}, o.RunningByKind)
	require.Len(t, o.Replicas, 1)
	require.Equal(t, []string{b.replica.String(), "runner:1", "v1"}, []string{o.Replicas[0].ID.String(), o.Replicas[0].Name, o.Replicas[0].Version})
	var ended int64
	for i, m := range o.EndedPerMinute {
		ended += m.Count
		if i > 0 {
			require.Equal(t, time.Minute, m.Minute.Sub(o.EndedPerMinute[i-1].Minute))
		}
	}
	require.EqualValues(t, 1, ended)
	parked := map[string]int64{}
	for _, p := range o.Parked {
		parked[p.Limit] = p.Count
		if strings.HasPrefix(p.Limit, "At most") {
			require.Contains(t, string(p.Rule), "max_concurency")
		}
	}
	require.Equal(t, map[string]int64{
		`At most 1 of the tasks of kind "etl" with p = 7 may be active at once.`:     2,
		`At most 1 of the tasks of kind "etl" with p = "<b>" may be active at once.`: 1,
		"A Capacity rule limits them, but they have no expected_count.":              1,
		"They are not to start yet: a run_at, or a pause before another try.":        1,
	}, parked)
	require.EqualValues(t, 2, o.Parked[0].Count)

	// Minutes that have passed are not counted again.
	known := slices.Clone(o.EndedPerMinute)
	known[7].Count = 99
	again, err := b.store.Overview(t.Context(), known)
	require.NoError(t, err)
	require.Contains(t, again.EndedPerMinute, known[7])
	ended = 0
	for _, m := range again.EndedPerMinute {
		ended += m.Count
	}
	require.EqualValues(t, 100, ended)
	b.db.AssertInvariants(t)
}
