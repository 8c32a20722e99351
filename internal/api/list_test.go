package api_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/store"
	"github.com/taskrunner/taskrunner/internal/task"
)

// list reads a page of a list and returns the ids in it, with the cursor of the next.
func (b *testBundle) list(t *testing.T, path string, query url.Values) (ids []string, next string) {
	t.Helper()
	a := b.ok(t, http.StatusOK, "GET", path+"?"+query.Encode(), nil, nil)
	rows := []struct {
		ID      string `json:"id"`
		BatchID string `json:"batch_id"`
	}{}
	require.NoError(t, json.Unmarshal([]byte(a.Body), &rows), a.Body)
	require.NotEqual(t, "null", a.Body)
	for _, row := range rows {
		if path == "/batches" {
			ids = append(ids, row.BatchID)
		} else {
			ids = append(ids, row.ID)
		}
	}
	if a.Header.Values("X-Next-Cursor") != nil {
		next = a.Header.Get("X-Next-Cursor")
		require.NotEmpty(t, next)
	}
	return ids, next
}

// pages reads a whole list by cursor, and then by page number, and wants both to be the same.
func (b *testBundle) pages(t *testing.T, path string, query url.Values, size int) (all []string) {
	t.Helper()
	q := func(more ...string) url.Values {
		v := url.Values{"page_size": {strconv.Itoa(size)}}
		for name, values := range query {
			v[name] = values
		}
		for i := 0; i < len(more); i += 2 {
			v.Set(more[i], more[i+1])
		}
		return v
	}
	ids, next := b.list(t, path, q())
	for page := 0; ; page++ {
		again, nextAgain := b.list(t, path, q("page", strconv.Itoa(page)))
		require.Equal(t, ids, again, "%s %v page %d", path, query, page)
		require.Equal(t, next, nextAgain)
		require.LessOrEqual(t, len(ids), size)
		all = append(all, ids...)
		if next == "" {
			break
		}
		require.Len(t, ids, size, "a page that is not the last is full")
		ids, next = b.list(t, path, q("cursor", next))
		require.NotEmpty(t, ids, "a cursor is given only when more follows")
	}
	return all
}

// texts runs a query of one text column.
func (b *testBundle) texts(t *testing.T, sql string, args ...any) []string {
	t.Helper()
	rows, err := b.db.Pool.Query(t.Context(), sql, args...)
	require.NoError(t, err)
	texts, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	return texts
}

// zoo makes tasks in every state, with and without batches, whose created_at and seq disagree.
func (b *testBundle) zoo(t *testing.T) {
	t.Helper()
	names := []string{`100%`, `100 per cent`, `a_b`, `axb`, `back\slash`, `Load`, `load`, `Ünïcode ☃`}
	kinds := []string{"etl", "ETL", "e%l", "report"}
	metadata := []string{`null`, `{}`, `{"a": 1}`, `{"a": 1.0, "b": {"c": [1, 2, 3]}}`, `{"a": null}`, `[]`, `[1, "x"]`, `"x"`, `7`, `{"b": {"c": [2]}}`, `{"a": {}}`}
	n := 0
	group := func(size int, entries func([]object)) []task.Task {
		var list []object
		for i := range size {
			e := entry(fmt.Sprint("t", i))
			e["name"], e["kind"], e["metadata"] = names[n%len(names)], kinds[n%len(kinds)], json.RawMessage(metadata[n%len(metadata)])
			e["timeout"] = 60 + n%3
			n++
			list = append(list, e)
		}
		if entries != nil {
			entries(list)
		}
		return b.submit(t, list...)
	}
	report := func(tasks []task.Task, status string) {
		for _, one := range tasks {
			b.ok(t, http.StatusOK, "PATCH", "/task/"+one.ID.String(), object{"status": status, "failure_reason": "x"}, nil)
		}
	}
	pause := func(tasks []task.Task) {
		for _, one := range tasks {
			b.exec(t, "select taskrunner.pause_task($1)", one.ID)
		}
	}
	finished := group(24, nil)
	b.start(t)
	report(finished[:12], "Success")
	report(finished[12:20], "Failure")
	pause(finished[20:22]) // two stay Running
	canceled := group(8, nil)
	for _, one := range canceled {
		b.ok(t, http.StatusOK, "DELETE", "/task/"+one.ID.String(), nil, nil)
	}
	running := group(9, nil)
	b.start(t)
	pause(running[:3])
	group(7, nil)
	_, _, err := b.store.ClaimTasks(t.Context(), b.replica, 100, time.Hour, nil, true, task.Rooms{})
	require.NoError(t, err)
	group(13, func(list []object) { // Waiting, and Pending ones
		for i := range 10 {
			list[i]["dependencies"] = []object{{"id": fmt.Sprint("t", 10+i%3), "requires_success": i%2 == 0}}
		}
	})
	held := group(6, func(list []object) { list[0]["dependencies"] = []object{{"id": "t1", "requires_success": true}} })
	pause(held[:4])
	group(5, nil)
	b.exec(t, `with b as (insert into taskrunner.batch (name) values ('without tasks') returning id)
		select 1 from b`)
	b.exec(t, `insert into taskrunner.task (name, kind) select 'no batch ' || n, 'etl' from generate_series(1, 6) n`)
	b.exec(t, `begin;
		set local session_replication_role = replica;
		update taskrunner.task set run_at = now() + interval '1 day' where status = 'Pending' and seq % 2 = 0;
		update taskrunner_private.queued_task q set state = 'scheduled', run_at = t.run_at from taskrunner.task t where t.id = q.task_id and q.state = 'ready' and t.run_at > now();
		update taskrunner.task set created_at = created_at - seq % 7 * interval '10 ms' - seq % 3 * interval '10 days' where seq % 4 <> 0;
		update taskrunner.batch set created_at = created_at - seq % 3 * interval '10 days';
		update taskrunner_private.queued_task q set created_at = t.created_at from taskrunner.task t where t.id = q.task_id;
		update taskrunner_private.active_task q set created_at = t.created_at from taskrunner.task t where t.id = q.task_id;
		update taskrunner_private.ended_task q set created_at = t.created_at from taskrunner.task t where t.id = q.task_id;
		commit`)
	for _, status := range task.Statuses {
		require.GreaterOrEqual(t, len(b.texts(t, "select id::text from taskrunner.task where status = $1", status)), 3, status)
	}
	b.db.AssertInvariants(t)
}

// filters are values of each parameter, with the condition that says the same in SQL; $ stands for the value.
var filters = map[string]struct {
	sql    string
	values []string
}{
	"status":   {"t.status = $::taskrunner.status_kind", []string{"Waiting", "Pending", "Claimed", "Running", "Failure", "Success", "Paused", "Canceled"}},
	"name":     {"strpos(t.name, $) > 0", []string{"", "%", "_", `\`, "load", "Load", "0", "☃", "nothing", "100%"}},
	"kind":     {"strpos(t.kind, $) > 0", []string{"", "e", "etl", "ETL", "%", "x"}},
	"timeout":  {"t.timeout = $::integer", []string{"60", "61", "-1", "2147483647"}},
	"metadata": {"t.metadata @> $::jsonb", []string{`{}`, `{"a": 1}`, `{"a":null}`, `null`, `[]`, `"x"`, `[1]`, `{"b": {"c": [3, 1]}}`, `{"a": {}}`, `{"a": 1, "z": 0}`}},
}

// where gives the condition of a query string.
func where(query url.Values) string {
	conditions := []string{"true"}
	for name, values := range query {
		conditions = append(conditions, strings.ReplaceAll(filters[name].sql, "$", "'"+strings.ReplaceAll(values[0], "'", "''")+"'"))
	}
	return strings.Join(conditions, " and ")
}

// some gives each filter alone with each of its values, and combinations by a fixed seed.
func some(names []string, combinations int) (queries []url.Values) {
	queries = append(queries, url.Values{})
	random := rand.New(rand.NewPCG(3, 4))
	for _, name := range names {
		for _, value := range filters[name].values {
			queries = append(queries, url.Values{name: {value}})
		}
	}
	for range combinations {
		query := url.Values{}
		for _, name := range names {
			if values := filters[name].values; random.IntN(3) == 0 {
				query.Set(name, values[random.IntN(len(values))])
			}
		}
		queries = append(queries, query)
	}
	return queries
}

func TestListTasksFilters(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.zoo(t)
	batches := b.texts(t, "select batch_id::text from taskrunner.task where batch_id is not null group by 1 order by count(*) desc")
	sizes, found := []int{1, 2, 5, 50}, 0
	for i, query := range some([]string{"status", "name", "kind", "timeout", "metadata"}, 200) {
		condition := where(query)
		if i%5 == 4 {
			batch := batches[i%len(batches)]
			condition += " and t.batch_id = '" + batch + "'"
			query.Set("batch_id", "{"+strings.ToUpper(batch)+"}")
		}
		want := b.texts(t, "select t.id::text from taskrunner.task t where "+condition+" order by t.created_at desc, t.seq desc")
		got := b.pages(t, "/task", query, sizes[i%len(sizes)])
		require.Equal(t, want, append([]string{}, got...), "%v", query)
		found += min(len(want), 1)
	}
	require.Greater(t, found, 100)
	require.Empty(t, b.pages(t, "/task", url.Values{"batch_id": {uuid.NewString()}}, 10))
	require.NotContains(t, b.log.String(), "request failed")
}

func TestListTasksShowsBasicTasks(t *testing.T) {
	t.Parallel()
	b := setup(t)
	e := entry("a")
	e["expected_count"], e["priority"], e["dead_end_barrier"] = 5, -3, true
	one := b.submit(t, e)[0]
	b.start(t)
	b.ok(t, http.StatusOK, "PATCH", "/task/"+one.ID.String(), object{"status": "Success", "new_success": 2, "new_failures": 1}, &one)
	a := b.ok(t, http.StatusOK, "GET", "/task", nil, nil)
	const at = "2006-01-02T15:04:05.999999Z07:00"
	require.JSONEq(t, fmt.Sprintf(`[{"id": %q, "name": "task a", "kind": "etl", "status": "Success", "created_at": %q, "started_at": %q, "success": 2,
		"failures": 1, "expected_count": 5, "ended_at": %q, "batch_id": %q, "dead_end_barrier": true, "priority": -3}]`,
		one.ID, one.CreatedAt.Format(at), one.StartedAt.Format(at), one.EndedAt.Format(at), one.BatchID), a.Body)
	require.Nil(t, a.Header.Values("X-Next-Cursor"))
}

func TestListTasksOrder(t *testing.T) {
	t.Parallel()
	b := setup(t)
	first := b.submit(t, entry("a"), entry("b"), entry("c"))
	second := b.submit(t, entry("d"), entry("e"))
	ids, next := b.list(t, "/task", nil)
	require.Empty(t, next)
	require.Equal(t, []string{second[1].ID.String(), second[0].ID.String(), first[2].ID.String(), first[1].ID.String(), first[0].ID.String()}, ids)
}

// Past the end there is an empty list, however far.
func TestPastTheEnd(t *testing.T) {
	t.Parallel()
	b := setup(t)
	a := b.ok(t, http.StatusOK, "GET", "/task", nil, nil)
	require.Equal(t, "[]", a.Body)
	a = b.ok(t, http.StatusOK, "GET", "/batches", nil, nil)
	require.Equal(t, "[]", a.Body)
	b.submit(t, entry("a"), entry("b", "a"))
	for _, path := range []string{"/task", "/batches"} {
		for _, filter := range []string{"", "&status=Waiting", "&status=Pending", "&status=Running", "&name=b", `&metadata={"a":1}`, "&kind=e&created_after=2020-01-01T00:00:00Z"} {
			for _, page := range []string{"1", "2", "3", "1000", "9223372036854775807", "4611686018427387904", "92233720368547758", "92233720368547759"} {
				for _, size := range []string{"2", "100", "0"} {
					a := b.ok(t, http.StatusOK, "GET", path+"?page="+page+"&page_size="+size+filter, nil, nil)
					require.Equal(t, "[]", a.Body, "%s %s %s %s", path, page, size, filter)
					require.Nil(t, a.Header.Values("X-Next-Cursor"))
				}
			}
		}
	}
	for _, page := range []string{"0", "-1", "-9223372036854775808"} {
		ids, _ := b.list(t, "/task", url.Values{"page": {page}})
		require.Len(t, ids, 2)
	}
}

func TestPageSizes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.exec(t, "with b as (insert into taskrunner.batch select from generate_series(1, 130) returning id) insert into taskrunner.task (batch_id, name, kind) select id, 'n', 'k' from b")
	for _, path := range []string{"/task", "/batches"} {
		for size, want := range map[string]int{"": 50, "0": 50, "-1": 50, "1": 1, "99": 99, "100": 100, "101": 100, "9223372036854775807": 100} {
			query := url.Values{}
			if size != "" {
				query.Set("page_size", size)
			}
			ids, next := b.list(t, path, query)
			require.Len(t, ids, want, "%s %s", path, size)
			require.NotEmpty(t, next)
		}
		// Exactly full pages: the last has no cursor.
		require.Len(t, b.pages(t, path, nil, 65), 130)
	}
}

// What is wrong with the query of a list, all at once, by the names of its own parameters.
func TestListQueriesAreStrict(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.submit(t, entry("a"), entry("b"))
	b.submit(t, entry("a"))
	_, tasks := b.list(t, "/task", url.Values{"page_size": {"1"}})
	_, batches := b.list(t, "/batches", url.Values{"page_size": {"1"}})
	const statuses = "status: must be one of Waiting, Pending, Claimed, Running, Success, Failure, Paused, Canceled"
	const cursor, combined = "cursor: is not the X-Next-Cursor of an answer to this list", "cursor: must not be combined with page"
	for query, want := range map[string][]string{
		"status=waiting":                 {statuses},
		"status=":                        {statuses},
		"status=Running&status=Running":  {"status: must occur only once"},
		"name=a&name=a":                  {"name: must occur only once"},
		"kind=%00":                       {"kind: must not contain U+0000"},
		"name=%ff":                       {"name: must be UTF-8"},
		"page=one":                       {"page: must be an integer"},
		"page=1&page_size=&status=x":     {statuses, "page_size: must be an integer"},
		"page=9223372036854775808":       {"page: must be between -9223372036854775808 and 9223372036854775807"},
		"cursor=":                        {cursor},
		"cursor=abc":                     {cursor},
		"page=0&cursor=abc":              {combined, cursor},
		"page=0&cursor=!":                {combined, cursor},
		"name=%f0%9f&kind=a&kind=&page=": {"name: must be UTF-8", "kind: must occur only once", "page: must be an integer"},
	} {
		for _, path := range []string{"/task", "/batches"} {
			f := b.fails(t, http.StatusBadRequest, "GET", path+"?"+query, nil)
			require.Equal(t, "Validation failed", f.Error)
			require.Equal(t, want, f.Details, "%s?%s", path, query)
		}
	}
	for path, queries := range map[string]map[string][]string{
		"/task": {
			"cursor=" + batches:             {cursor},
			"page=2&cursor=" + tasks:        {combined},
			"cursor=" + tasks + "&cursor=":  {"cursor: must occur only once"},
			"timeout=":                      {"timeout: must be an integer"},
			"timeout=1.5":                   {"timeout: must be an integer"},
			"timeout=2147483648":            {"timeout: must be between -2147483648 and 2147483647"},
			"batch_id=":                     {"batch_id: must be a UUID"},
			"batch_id=x&timeout=y&status=z": {statuses, "batch_id: must be a UUID", "timeout: must be an integer"},
			"metadata=":                     {"metadata: must be JSON: unexpected end at byte 0"},
			"metadata={":                    {"metadata: must be JSON: unexpected end at byte 1"},
			"metadata={}&metadata={}":       {"metadata: must occur only once"},
			`metadata={"a":"\u0000"}`:       {"metadata.a: must not contain U+0000"},
			`metadata=["\udc00"]`:           {"metadata[0]: must not contain an unpaired surrogate"},
			"metadata=[1e1001]":             {"metadata[0]: must not have more than 1000 digits before or after the point"},
			"metadata=NaN":                  {"metadata: must be JSON: unexpected character at byte 0"},
		},
		"/batches": {
			"cursor=" + tasks:          {cursor},
			"page=2&cursor=" + batches: {combined},
			"created_after=":           {"created_after: must be a timestamp of RFC 3339"},
			"created_after=yesterday&created_before=2026-01-01":                     {"created_after: must be a timestamp of RFC 3339", "created_before: must be a timestamp of RFC 3339"},
			"created_before=2026-01-01T00:00:00+01:00":                              {"created_before: must be a timestamp of RFC 3339; a plus sign is written %2B in a query"},
			"created_after=2020-01-01T00:00:00%2B24:00":                             {"created_after: must be a timestamp of RFC 3339"},
			"created_after=infinity":                                                {"created_after: must be a timestamp of RFC 3339"},
			"created_after=2026-01-01T00:00:00Z&created_after=2026-01-01T00:00:00Z": {"created_after: must occur only once"},
		},
	} {
		for query, want := range queries {
			raw := strings.NewReplacer("{", "%7B", "}", "%7D", `"`, "%22", `\`, "%5C").Replace(query)
			f := b.fails(t, http.StatusBadRequest, "GET", path+"?"+raw, nil)
			require.Equal(t, want, f.Details, "%s?%s", path, query)
		}
		for _, query := range []string{"a=%zz", "status=%", "a;b=c", "unknown=%e0%"} {
			f := b.fails(t, http.StatusBadRequest, "GET", path+"?"+query, nil)
			require.Equal(t, "the query string is malformed", f.Error)
		}
	}
	// Keys that are not known, or not by this list, are ignored.
	for _, query := range []string{"foo=1&foo=2", "Status=x", "timeout=x&metadata=%7B&batch_id=x", "%ff=%ff", "=", "&&", "foo=%00"} {
		b.ok(t, http.StatusOK, "GET", "/batches?"+query, nil, nil)
	}
	for _, query := range []string{"foo=1&foo=2", "Status=x", "created_after=x&created_before=", "%ff=%ff", "=", "&&", "foo=%00"} {
		b.ok(t, http.StatusOK, "GET", "/task?"+query, nil, nil)
	}
}

// Reading a list page by page while rows are inserted shows every row that was there at the beginning once.
func TestCursorWhileRowsAreInserted(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/task", "/batches", "/task?status=Pending", "/task?status=Waiting", "/batches?status=Waiting"} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			for range 30 {
				b.submit(t, entry("a"), entry("b", "a"))
			}
			path, filter, _ := strings.Cut(path, "?")
			query, err := url.ParseQuery(filter)
			require.NoError(t, err)
			old := b.pages(t, path, query, 100)
			query.Set("page_size", "7")
			var seen []string
			for {
				ids, next := b.list(t, path, query)
				seen = append(seen, ids...)
				if next == "" {
					break
				}
				query.Set("cursor", next)
				for range 3 {
					b.submit(t, entry("a"), entry("b", "a"))
				}
			}
			require.Equal(t, old, seen)
			b.db.AssertInvariants(t)
		})
	}
}

// What is rare is found behind rows without number that do not pass: by the index of metadata, by status, by interval.
func TestRareRows(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var all []string
	for i := range 3 {
		e := entry("a")
		e["metadata"], e["kind"], e["name"] = object{"rare": i % 2, "list": []int{i}}, "rare", "rare one"
		one := b.submit(t, e)[0]
		all = append(all, one.ID.String())
	}
	b.start(t)
	b.ok(t, http.StatusOK, "PATCH", "/task/"+all[0], object{"status": "Failure", "failure_reason": "x"}, nil)
	b.ok(t, http.StatusOK, "PATCH", "/task/"+all[1], object{"status": "Failure", "failure_reason": "x"}, nil)
	// More than are tried before an index is asked, of those that wait and of those that failed.
	b.exec(t, `begin;
		set local session_replication_role = replica;
		insert into taskrunner.batch (name) select 'common' from generate_series(1, 4200);
		insert into taskrunner.task (batch_id, name, kind, metadata, status, ended_at)
		select b.id, 'n', 'k', '{"common": true}', case when b.seq % 2 = 0 then 'Failure' else 'Pending' end::taskrunner.status_kind, case when b.seq % 2 = 0 then now() end
		from taskrunner.batch b cross join generate_series(1, 10) where b.name = 'common';
		insert into taskrunner_private.ended_task (task_id, seq, created_at, ended_at, status, kind)
		select id, seq, created_at, ended_at, status, kind from taskrunner.task where kind = 'k' and status = 'Failure';
		insert into taskrunner_private.queued_task (task_id, seq, created_at, priority, state, kind)
		select id, seq, created_at, priority, 'ready', kind from taskrunner.task where kind = 'k' and status = 'Pending';
		commit`)
	slices.Reverse(all)
	find := func(path, query string) []string {
		q, err := url.ParseQuery(query)
		require.NoError(t, err)
		return b.pages(t, path, q, 2)
	}
	require.Equal(t, all, find("/task", `metadata={"list": []}&name=rare`))
	require.Equal(t, all, find("/task", `kind=rare`))
	require.Equal(t, []string{all[0], all[2]}, find("/task", `metadata={"rare": 0}`))
	require.Equal(t, []string{all[2]}, find("/task", `metadata={"rare": 0}&status=Failure`))
	require.Equal(t, all[:1], find("/task", `metadata={"list": [2]}&kind=ra&timeout=60`))
	require.Equal(t, all[:1], find("/task", `metadata={"list": [2]}&status=Running`))
	require.Empty(t, find("/task", `metadata={"list": [2]}&status=Failure`))
	require.Empty(t, find("/task", `metadata={"list": [2]}&status=Pending`))
	require.Empty(t, find("/task", `metadata={"rare": 2}`))
	var batches []string
	for _, id := range all {
		batches = append(batches, b.texts(t, "select batch_id::text from taskrunner.task where id = $1", id)...)
	}
	require.Equal(t, batches, find("/batches", "kind=rare"))
	require.Equal(t, batches[:1], find("/batches", "status=Running"))
	require.Equal(t, batches[1:], find("/batches", "status=Failure&name=rare"))
	require.Equal(t, batches[1:], find("/batches", "status=Failure&kind=rare"))
	until := b.texts(t, `select to_char(created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') from taskrunner.task where id = $1`, all[1])[0]
	require.Equal(t, batches[1:], find("/batches", "created_before="+until))
	require.Equal(t, batches[1:2], find("/batches", "created_before="+until+"&created_after="+until+"&status=Failure"))
	require.Empty(t, find("/batches", "created_before="+until+"&status=Running"))
	b.db.AssertInvariants(t)
}

func TestListBatches(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.zoo(t)
	moments := b.texts(t, `select to_char(created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') from taskrunner.task order by created_at`)
	random := rand.New(rand.NewPCG(5, 6))
	sizes, found := []int{1, 2, 50}, 0
	for i, query := range some([]string{"status", "name", "kind"}, 150) {
		condition := where(query)
		if i%4 == 3 {
			after, before := random.IntN(len(moments)), random.IntN(len(moments))
			query.Set("created_after", moments[min(after, before)])
			condition += " and t.created_at >= '" + moments[min(after, before)] + "'"
			if i%8 == 7 {
				query.Set("created_before", moments[max(after, before)])
				condition += " and t.created_at <= '" + moments[max(after, before)] + "'"
			}
		}
		want := b.texts(t, "select b.id::text from taskrunner.batch b where exists (select from taskrunner.task t where t.batch_id = b.id and "+condition+
			") order by b.created_at desc, b.seq desc")
		require.Equal(t, want, append([]string{}, b.pages(t, "/batches", query, sizes[i%len(sizes)])...), "%v", query)
		found += min(len(want), 1)

		// What each shows.
		var got []json.RawMessage
		b.ok(t, http.StatusOK, "GET", "/batches?"+query.Encode(), nil, &got)
		for _, batch := range got {
			var shown task.ListedBatch
			require.NoError(t, json.Unmarshal(batch, &shown))
			expected := b.texts(t, `select json_build_object('batch_id', b.id, 'batch_name', b.name, 'total_tasks', count(*),
				'first_created_at', to_char(min(t.created_at) at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
				'latest_updated_at', to_char(max(t.last_updated) at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
				'kinds', json_agg(distinct t.kind collate "C") filter (where `+condition+`),
				'status_counts', json_build_object(
					'waiting', count(*) filter (where status = 'Waiting'), 'pending', count(*) filter (where status = 'Pending'),
					'claimed', count(*) filter (where status = 'Claimed'), 'running', count(*) filter (where status = 'Running'),
					'success', count(*) filter (where status = 'Success'), 'failure', count(*) filter (where status = 'Failure'),
					'paused', count(*) filter (where status = 'Paused'), 'canceled', count(*) filter (where status = 'Canceled')))
				from taskrunner.task t join taskrunner.batch b on b.id = t.batch_id where b.id = $1 group by b.id`, shown.BatchID)[0]
			var normal task.ListedBatch
			require.NoError(t, json.Unmarshal([]byte(expected), &normal))
			raw, err := json.Marshal(normal)
			require.NoError(t, err)
			require.JSONEq(t, string(raw), string(batch))
		}
	}
	require.Greater(t, found, 80)
	require.NotContains(t, b.log.String(), "request failed")
}

// All filters must hold for one task.
func TestBatchFiltersMeetInOneTask(t *testing.T) {
	t.Parallel()
	b := setup(t)
	first, second := entry("a"), entry("b", "a")
	first["kind"], second["kind"], second["name"] = "extract", "load", "other"
	batch := b.submit(t, first, second)[0].BatchID.String()
	for query, listed := range map[string]bool{
		"":                                   true,
		"kind=extract":                       true,
		"kind=load":                          true,
		"status=Pending":                     true,
		"status=Waiting":                     true,
		"kind=extract&status=Pending":        true,
		"kind=extract&status=Waiting":        false,
		"kind=load&status=Waiting":           true,
		"kind=load&name=task":                false,
		"name=task&status=Pending":           true,
		"name=other&kind=load&status=Paused": false,
		"created_after=2100-01-01T00:00:00Z": false,
		"created_before=0001-01-01T00:00:00Z&kind=load":                                       false,
		"created_after=0000-01-01T00:00:00Z&created_before=9999-12-31T23:59:59.9999999-23:59": true,
	} {
		var got []task.ListedBatch
		b.ok(t, http.StatusOK, "GET", "/batches?"+query, nil, &got)
		require.Equal(t, listed, len(got) == 1, query)
		if !listed {
			continue
		}
		require.Equal(t, batch, got[0].BatchID.String())
		require.Equal(t, int64(2), got[0].TotalTasks)
		require.Equal(t, task.StatusCounts{Waiting: 1, Pending: 1}, got[0].StatusCounts)
		switch {
		case strings.Contains(query, "extract"), strings.Contains(query, "Pending"):
			require.Equal(t, []string{"extract"}, got[0].Kinds, query)
		case strings.Contains(query, "load"), strings.Contains(query, "Waiting"):
			require.Equal(t, []string{"load"}, got[0].Kinds, query)
		default:
			require.Equal(t, []string{"extract", "load"}, got[0].Kinds, query)
		}
	}
}

// Moments that no answer can show do not break a list, and the interval's ends count.
func TestBatchMoments(t *testing.T) {
	t.Parallel()
	b := setup(t)
	one := b.submit(t, entry("a"))[0]
	for moment, want := range map[string]string{"infinity": "9999-12-31T23:59:59.999999Z", "-infinity": "0001-01-01T00:00:00Z", "2026-01-02T03:04:05.6Z": "2026-01-02T03:04:05.6Z"} {
		b.exec(t, "update taskrunner.task set last_updated = '"+moment+"'")
		a := b.ok(t, http.StatusOK, "GET", "/batches", nil, nil)
		require.Contains(t, a.Body, `"latest_updated_at":"`+want+`"`)
		b.ok(t, http.StatusOK, "GET", "/task", nil, nil)
	}
	created := one.CreatedAt
	for query, n := range map[string]int{
		"created_after=" + created.Format(time.RFC3339Nano):                                                1,
		"created_before=" + created.Format(time.RFC3339Nano):                                               1,
		"created_after=" + created.Format("2006-01-02T15:04:05.000000") + "1Z":                             0,
		"created_before=" + created.Format("2006-01-02T15:04:05.000000") + "9Z":                            1,
		"created_after=" + created.Add(-time.Microsecond).Format("2006-01-02T15:04:05.000000") + "1Z":      1,
		"created_before=" + created.Add(-time.Microsecond).Format(time.RFC3339Nano):                        0,
		"created_after=" + url.QueryEscape(created.In(time.FixedZone("", 19800)).Format(time.RFC3339Nano)): 1,
	} {
		ids, _ := b.list(t, "/batches", func() url.Values { q, err := url.ParseQuery(query); require.NoError(t, err); return q }())
		require.Len(t, ids, n, query)
	}
}

// A list that takes too long is broken off, and says so.
func TestSlowReads(t *testing.T) {
	t.Parallel()
	b := setupStore(t, func(o *store.Options) { o.MaxConns, o.ReadTimeout = 1, time.Second }) // less may be too little where nothing is locked
	one := b.submit(t, entry("a"))[0]
	paths := []string{"/task", "/task?name=x", "/batches", "/batch/" + one.BatchID.String(), "/dag/" + one.BatchID.String()}
	for _, path := range paths {
		b.ok(t, http.StatusOK, "GET", path, nil, nil)
	}
	tx, err := b.db.Pool.Begin(t.Context())
	require.NoError(t, err)
	defer tx.Rollback(t.Context())
	_, err = tx.Exec(t.Context(), "lock table taskrunner.task in access exclusive mode")
	require.NoError(t, err)
	slow := func(path string) {
		a := b.do(t, "GET", path, nil)
		f := a.failure(t, http.StatusServiceUnavailable)
		require.Contains(t, f.Error, "took too long")
		require.NotEmpty(t, a.Header.Get("Retry-After"))
	}
	for _, path := range paths {
		slow(path)
	}
	// A new session waits already when it parses, before anything of the transaction is executed.
	_, err = tx.Exec(t.Context(), `select pg_terminate_backend(pid) from pg_stat_activity
		where datname = current_database() and pid <> pg_backend_pid() and query !~* 'listen'`)
	require.NoError(t, err)
	slow("/task")
	slow("/task/" + one.ID.String()) // has no statement_timeout
	require.NoError(t, tx.Rollback(t.Context()))
	b.ok(t, http.StatusOK, "GET", "/task", nil, nil)
}
