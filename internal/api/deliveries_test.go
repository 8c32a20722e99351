package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/task"
)

// Keys of the delivery object, in the order of the wire (contract, section 4.13).
var deliveryKeys = []string{
	"id", "task_id", "batch_id", "trigger", "condition", "idempotency_key", "verb", "url", "status", "task_attempt", "tries",
	"max_tries", "next_try_at", "created_at", "finished_at", "last_status_code", "last_error",
}

// owes creates a task that has ended and owes a delivery of each of these on_success paths.
func (b *testBundle) owes(t *testing.T, paths ...string) task.Task {
	t.Helper()
	e := entry("a")
	actions := []object{}
	for _, path := range paths {
		actions = append(actions, action(path))
	}
	e["on_success"] = actions
	created := b.submit(t, e)[0]
	b.exec(t, "update taskrunner.task set status = 'Claimed' where id = $1", created.ID)
	b.exec(t, "update taskrunner.task set status = 'Success' where id = $1", created.ID)
	return created
}

// lease takes all due deliveries.
func (b *testBundle) lease(t *testing.T) []task.Delivery {
	t.Helper()
	leased, _, err := b.store.ClaimDeliveries(t.Context(), b.replica, 1000, time.Minute, time.Time{}, true, task.Rooms{})
	require.NoError(t, err)
	return leased
}

// settle reports a try of each delivery: by the last part of its URL's path delivered, failed or given_up; others are left
// in sending.
func (b *testBundle) settle(t *testing.T, leased []task.Delivery) {
	t.Helper()
	tries := []task.DeliveryTry{}
	for _, d := range leased {
		try := task.DeliveryTry{Delivery: d, Try: task.Try{At: time.Now(), Latency: 12 * time.Millisecond}}
		code := int32(503)
		switch try.Outcome = task.DeliveryOutcome(d.Webhook.URL[strings.LastIndex(d.Webhook.URL, "/")+1:]); try.Outcome {
		case task.DeliveryDelivered:
			code = 204
		case task.DeliveryFailed, task.DeliveryGivenUp:
			try.Error, try.Response = "HTTP 503", "so\xff\x00rry"
		default:
			continue
		}
		try.StatusCode = &code
		tries = append(tries, try)
	}
	require.NoError(t, b.store.SettleDeliveries(t.Context(), tries, task.Backoff{Base: time.Minute, Factor: 2, Max: time.Hour}))
}

func TestTaskDeliveries(t *testing.T) {
	t.Parallel()
	b := setup(t)
	e := entry("a")
	secret := "https://u:hush@jobs.example.com/s?api_key=hush&x=/failed"
	e["on_success"] = []object{{"kind": "Webhook", "params": object{"url": secret, "verb": "Put"}}, action("delivered")}
	created := b.submit(t, e)[0]
	path := "/task/" + created.ID.String() + "/deliveries"
	require.Equal(t, "[]", b.ok(t, http.StatusOK, "GET", path, nil, nil).Body)
	b.start(t)
	b.ok(t, http.StatusOK, "PATCH", "/task/"+created.ID.String(), `{"status": "Success"}`, nil)
	b.settle(t, b.lease(t))
	b.exec(t, "update taskrunner_private.due_delivery set next_try_at = now()")
	b.settle(t, b.lease(t))

	var raw []json.RawMessage
	a := b.ok(t, http.StatusOK, "GET", path, nil, &raw)
	require.NotContains(t, a.Body, "hush")
	require.Len(t, raw, 3)
	byKey := map[string]task.LoggedDelivery{}
	last := time.Time{}
	for _, r := range raw {
		require.Equal(t, append(append([]string{}, deliveryKeys...), "attempts"), keysOf(t, r))
		var d task.LoggedDelivery
		require.NoError(t, json.Unmarshal(r, &d))
		require.False(t, d.CreatedAt.Before(last), "oldest first")
		last = d.CreatedAt
		require.Equal(t, created.ID, d.TaskID)
		require.Equal(t, created.BatchID, d.BatchID)
		byKey[strings.TrimPrefix(d.IdempotencyKey, created.ID.String())] = d
	}
	start, failed, delivered := byKey[":start"], byKey[":end:success"], byKey[":end:success:2"]
	require.Equal(t, []any{"Start", "Delivered", (*string)(nil), int32(1)}, []any{start.Trigger, start.Status, start.Condition, start.Tries})
	require.Len(t, start.Attempts, 1)

	require.Equal(t, []any{"End", "Pending", "Success", int32(2), int32(10), "Put", "HTTP 503"},
		[]any{failed.Trigger, failed.Status, *failed.Condition, failed.Tries, failed.MaxTries, failed.Verb, *failed.LastError})
	require.Equal(t, "https://u:***@jobs.example.com/s?api_key=***&x=/failed", failed.URL)
	require.NotNil(t, failed.NextTryAt)
	require.Nil(t, failed.FinishedAt)
	require.Len(t, failed.Attempts, 2)
	for _, attempt := range failed.Attempts {
		require.Equal(t, []any{int32(503), int32(12), "HTTP 503", "so\ufffd\ufffdrry"},
			[]any{*attempt.StatusCode, attempt.LatencyMS, *attempt.Error, *attempt.Response})
		require.Equal(t, time.UTC, attempt.At.Location())
	}
	require.Equal(t, []any{"Delivered", int32(1), int32(204)}, []any{delivered.Status, delivered.Tries, *delivered.LastStatusCode})
	require.Nil(t, delivered.LastError)
	require.Nil(t, delivered.NextTryAt)
	require.NotNil(t, delivered.FinishedAt)
	require.Equal(t, []string{"at", "status_code", "latency_ms", "error", "response"}, keysOf(t, attemptsOf(t, raw[0])[0]))

	b.fails(t, http.StatusNotFound, "GET", "/task/"+uuid.NewString()+"/deliveries", nil)
	f := b.fails(t, http.StatusBadRequest, "GET", "/task/x/deliveries", nil)
	require.Equal(t, []string{"task_id: must be a UUID"}, f.Details)
}

// A task may have any number of actions, so even without a page_size its deliveries come in pages.
func TestManyTaskDeliveries(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const actions = 1002
	e := entry("a")
	var onSuccess []object
	for range actions {
		onSuccess = append(onSuccess, action("delivered"))
	}
	e["on_success"] = onSuccess
	id := b.submit(t, e)[0].ID
	b.exec(t, "update taskrunner.task set status = 'Claimed' where id = $1", id)
	b.ok(t, http.StatusOK, "PATCH", "/task/"+id.String(), `{"status": "Success"}`, nil)
	b.exec(t, "update taskrunner_private.delivery set created_at = now() + '1 s'::interval * ('x' || right(id::text, 4))::bit(16)::integer") // in another order

	path := "/task/" + id.String() + "/deliveries"
	first, next := b.list(t, path, nil)
	require.Len(t, first, 1000)
	rest, none := b.list(t, path, url.Values{"cursor": {next}})
	require.Len(t, rest, actions-1000)
	require.Empty(t, none)
	all := b.texts(t, "select id::text from taskrunner_private.delivery order by created_at, id")
	require.Equal(t, all, append(first, rest...))
	require.Equal(t, all, b.pages(t, path, nil, 100))

	_, other := b.list(t, "/deliveries", nil)
	f := b.fails(t, http.StatusBadRequest, "GET", path+"?cursor="+other, nil)
	require.Equal(t, []string{"cursor: is not the X-Next-Cursor of an answer to this list"}, f.Details)
}

func attemptsOf(t *testing.T, delivery json.RawMessage) []json.RawMessage {
	t.Helper()
	var d struct{ Attempts []json.RawMessage }
	require.NoError(t, json.Unmarshal(delivery, &d))
	return d.Attempts
}

// A next try that no timestamp can show is shown as the last moment that one can.
func TestDeliveryThatIsNeverDue(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.submit(t, entry("a"))[0].ID
	claims, _, err := b.store.ClaimTasks(t.Context(), b.replica, 1, time.Minute, nil, true, task.Rooms{})
	require.NoError(t, err)
	require.NoError(t, b.store.FailStarts(t.Context(), b.replica, []task.StartTry{{Claim: claims[0], Try: task.Try{At: time.Now(), Error: "timeout after 1s"}}}, time.Second))
	for _, moment := range []string{"infinity", "20000-01-01"} {
		b.exec(t, "update taskrunner.task set run_at = $2::text::timestamptz where id = $1", id, moment)
		var list []task.LoggedDelivery
		b.ok(t, http.StatusOK, "GET", "/task/"+id.String()+"/deliveries", nil, &list)
		require.Len(t, list, 1)
		require.Equal(t, 9999, list[0].NextTryAt.Year())
		require.Nil(t, list[0].LastStatusCode)
		require.Nil(t, list[0].Attempts[0].Response)
		b.ok(t, http.StatusOK, "GET", "/deliveries?status=Pending", nil, &list)
		require.Len(t, list, 1)
	}
	b.db.AssertInvariants(t)
}

func TestListDeliveries(t *testing.T) {
	t.Parallel()
	b := setup(t)
	first := b.owes(t, "1/delivered", "1/failed", "1/given_up", "1/sending")
	second := b.owes(t, "2/delivered", "2/given_up", "2/given_up")
	b.settle(t, b.lease(t))
	third := b.owes(t, "3/due")
	// A Start delivery that waits, one that is being sent again, one that failed, one that was canceled.
	states := []string{"waits", "sends", "failed", "canceled"}
	entries := []object{}
	for _, name := range states {
		entries = append(entries, entry(name))
	}
	starts := b.submit(t, entries...)
	claims, _, err := b.store.ClaimTasks(t.Context(), b.replica, 10, time.Minute, nil, true, task.Rooms{})
	require.NoError(t, err)
	require.Len(t, claims, 4)
	tries := []task.StartTry{}
	for _, c := range claims {
		tries = append(tries, task.StartTry{Claim: c, Permanent: c.TaskID == starts[2].ID, Try: task.Try{At: time.Now(), Error: "connection refused"}})
	}
	require.NoError(t, b.store.FailStarts(t.Context(), b.replica, tries, time.Hour))
	b.ok(t, http.StatusOK, "DELETE", "/task/"+starts[3].ID.String(), nil, nil)
	b.exec(t, "update taskrunner.task set run_at = now() where id = $1", starts[1].ID)
	_, _, err = b.store.ClaimTasks(t.Context(), b.replica, 10, time.Minute, nil, true, task.Rooms{})
	require.NoError(t, err)
	b.exec(t, `update taskrunner_private.delivery set created_at = '2024-05-01T12:00:00Z' where task_id = $1`, first.ID)
	b.exec(t, `update taskrunner_private.delivery set created_at = '2024-05-02T12:00:00.000001Z' where task_id = $1`, second.ID)
	b.exec(t, `delete from taskrunner_private.troubled_delivery`)
	b.exec(t, `insert into taskrunner_private.troubled_delivery select created_at, id from taskrunner_private.delivery where status = 'Failed' or trigger = 'Start' and status = 'Pending'`)
	b.db.AssertInvariants(t)

	for query, want := range map[string]int{
		"":                              12,
		"?unknown=1&host=":              12,
		"?status=Delivered":             2,
		"?status=Failed":                4,
		"?status=Pending":               3,
		"?status=Sending":               2,
		"?status=Canceled":              1,
		"?trigger=End":                  8,
		"?trigger=Start":                4,
		"?trigger=Cancel":               0,
		"?status=Pending&trigger=Start": 1,
		"?status=Sending&trigger=Start": 1,
		"?status=Failed&trigger=End":    3,
		"?task_id=" + first.ID.String(): 4,
		"?task_id=" + first.ID.String() + "&status=Failed":                          1,
		"?task_id=" + first.ID.String() + "&status=Sending":                         1,
		"?task_id=" + uuid.NewString():                                              0,
		"?batch_id=" + second.BatchID.String():                                      3,
		"?batch_id=" + second.BatchID.String() + "&status=Delivered":                1,
		"?batch_id=" + second.BatchID.String() + "&task_id=" + first.ID.String():    0,
		"?batch_id=" + uuid.NewString():                                             0,
		"?host=jobs.example.com":                                                    12,
		"?host=JOBS.example.com&status=Failed":                                      4,
		"?host=jobs.example.com:443":                                                0,
		"?host=example.com":                                                         0,
		"?from=2024-05-02T00:00:00Z&to=2024-05-03T00:00:00Z":                        3,
		"?from=2024-05-01T12:00:00Z&to=2024-05-01T12:00:00Z":                        4,
		"?from=2024-05-01T14:00:00%2B02:00&to=2024-05-02T12:00:00.000001Z":          7,
		"?to=2024-05-02T12:00:00.0000009Z":                                          4,
		"?from=2024-05-01T12:00:00.0000001Z&to=2024-05-02T12:00:00.000001Z&page=-3": 3,
		"?from=2024-05-01T12:00:00Z&to=2024-05-02T12:00:00.000001Z&status=Failed":   3,
		"?page=1":                    0,
		"?page=9223372036854775807":  0,
		"?page=92233720368547758070": -1,
		"?page_size=5&page=2":        2,
		"?page_size=0":               12,
	} {
		if want < 0 {
			b.fails(t, http.StatusBadRequest, "GET", "/deliveries"+query, nil)
			continue
		}
		var raw []json.RawMessage
		b.ok(t, http.StatusOK, "GET", "/deliveries"+query, nil, &raw)
		require.Len(t, raw, want, query)
		for _, r := range raw {
			require.Equal(t, deliveryKeys, keysOf(t, r))
		}
	}

	var all []task.DeliveryInfo
	b.ok(t, http.StatusOK, "GET", "/deliveries", nil, &all)
	for i := range all[1:] {
		require.False(t, all[i].CreatedAt.Before(all[i+1].CreatedAt), "newest first")
	}
	require.Equal(t, first.ID, all[11].TaskID)
	require.NotEqual(t, third.ID, all[11].TaskID)
	for _, filter := range []string{"", "&status=Failed", "&status=Pending", "&batch_id=" + second.BatchID.String()} {
		var whole []task.DeliveryInfo
		b.ok(t, http.StatusOK, "GET", "/deliveries?"+filter, nil, &whole)
		for size := 1; size <= 3; size++ {
			var paged []task.DeliveryInfo
			cursor := ""
			for {
				var page []task.DeliveryInfo
				a := b.ok(t, http.StatusOK, "GET", fmt.Sprintf("/deliveries?page_size=%d%s%s", size, filter, cursor), nil, &page)
				paged = append(paged, page...)
				next := a.Header.Get("X-Next-Cursor")
				require.Equal(t, len(paged) < len(whole), next != "")
				if next == "" {
					break
				}
				cursor = "&cursor=" + url.QueryEscape(next)
			}
			require.Equal(t, whole, paged)
		}
	}

	for query, detail := range map[string]string{
		"?status=Open":         "status: must be one of Pending, Sending, Delivered, Failed, Canceled",
		"?status=":             "status: must be one of Pending, Sending, Delivered, Failed, Canceled",
		"?trigger=start":       "trigger: must be one of Start, End, Cancel",
		"?task_id=x":           "task_id: must be a UUID",
		"?batch_id=":           "batch_id: must be a UUID",
		"?from=yesterday":      "from: must be a timestamp of RFC 3339",
		"?to=":                 "to: must be a timestamp of RFC 3339",
		"?host=a&host=b":       "host: must occur only once",
		"?host=%00":            "host: must not contain U+0000",
		"?page_size=many":      "page_size: must be an integer",
		"?cursor=x":            "cursor: is not the X-Next-Cursor of an answer to this list",
		"?status=Failed&page=": "page: must be an integer",
	} {
		f := b.fails(t, http.StatusBadRequest, "GET", "/deliveries"+query, nil)
		require.Equal(t, []string{detail}, f.Details, query)
	}
}

// deliveryOf returns the delivery whose URL ends so.
func (b *testBundle) deliveryOf(t *testing.T, path string) task.DeliveryInfo {
	t.Helper()
	var all []task.DeliveryInfo
	b.ok(t, http.StatusOK, "GET", "/deliveries?page_size=100", nil, &all)
	for _, d := range all {
		if strings.HasSuffix(d.URL, path) {
			return d
		}
	}
	require.FailNow(t, "no such delivery", path)
	return task.DeliveryInfo{}
}

func TestReplayDelivery(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.owes(t, "delivered", "failed", "given_up", "sending")
	b.settle(t, b.lease(t))
	for path, c := range map[string]struct {
		status int
		before string
		tries  int32
	}{
		"/delivered": {http.StatusAccepted, "Delivered", 1},
		"/failed":    {http.StatusAccepted, "Pending", 1},
		"/given_up":  {http.StatusAccepted, "Failed", 1},
		"/sending":   {http.StatusConflict, "Sending", 0},
	} {
		d := b.deliveryOf(t, path)
		require.Equal(t, c.before, d.Status)
		if c.status == http.StatusConflict {
			f := b.fails(t, c.status, "POST", "/delivery/"+d.ID.String()+"/replay", nil)
			require.Contains(t, f.Error, "is being sent")
			require.Equal(t, d, b.deliveryOf(t, path))
			continue
		}
		var got task.DeliveryInfo
		a := b.ok(t, c.status, "POST", "/delivery/"+d.ID.String()+"/replay", "no body is read", &got)
		require.Equal(t, deliveryKeys, keysOf(t, []byte(a.Body)))
		require.Equal(t, []any{"Pending", c.tries, c.tries + 10}, []any{got.Status, got.Tries, got.MaxTries})
		require.False(t, got.NextTryAt.After(time.Now()))
		require.Nil(t, got.FinishedAt)
		got.Status, got.MaxTries, got.NextTryAt, got.FinishedAt = d.Status, d.MaxTries, d.NextTryAt, d.FinishedAt
		require.Equal(t, d, got, "nothing else changes, the key least of all")
	}
	require.Len(t, b.lease(t), 3, "they are due")

	id := b.submit(t, entry("s"))[0].ID
	b.start(t)
	var starts []task.DeliveryInfo
	b.ok(t, http.StatusOK, "GET", "/deliveries?task_id="+id.String(), nil, &starts)
	f := b.fails(t, http.StatusConflict, "POST", "/delivery/"+starts[0].ID.String()+"/replay", nil)
	require.Contains(t, f.Error, "on_start")
	b.fails(t, http.StatusNotFound, "POST", "/delivery/"+uuid.NewString()+"/replay", nil)
	f = b.fails(t, http.StatusBadRequest, "POST", "/delivery/x/replay", nil)
	require.Equal(t, []string{"delivery_id: must be a UUID"}, f.Details)
	b.db.AssertInvariants(t)
}

func TestReplayDeliveries(t *testing.T) {
	t.Parallel()
	b := setup(t)
	first := b.owes(t, "delivered", "failed", "given_up", "sending", "given_up")
	second := b.owes(t, "given_up", "delivered")
	b.settle(t, b.lease(t))
	started := first.CreatedAt.Format(time.RFC3339Nano)
	for _, c := range []struct {
		body object
		want int
	}{
		{object{"task_id": uuid.New()}, 0},
		{object{"batch_id": uuid.New(), "from": nil}, 0},
		{object{"host": "elsewhere.example.com"}, 0},
		{object{"to": started}, 0},
		{object{"from": "2999-01-01T00:00:00Z"}, 0},
		{object{"task_id": first.ID, "trigger": "Cancel"}, 0},
		{object{"task_id": first.ID, "trigger": "Start", "status": "Delivered"}, 0},
		{object{"batch_id": second.BatchID, "unknown": 1}, 1},
		{object{"batch_id": second.BatchID}, 0}, // it is not Failed any more
		{object{"task_id": first.ID, "status": "Delivered", "trigger": "End", "host": "jobs.example.com", "from": started, "to": "2999-01-01T00:00:00+01:00"}, 1},
		{object{"from": started}, 2},
		{object{"from": started, "status": "Delivered"}, 1},
		{object{"from": started, "status": "Canceled"}, 0},
	} {
		a := b.ok(t, http.StatusAccepted, "POST", "/deliveries/replay", c.body, nil)
		require.JSONEq(t, fmt.Sprintf(`{"replayed": %d}`, c.want), a.Body, c.body)
		b.db.AssertInvariants(t)
	}
	require.Len(t, b.lease(t), 5)

	bound := "from: at least one of from, to, host, batch_id, task_id is required"
	for body, details := range map[string][]string{
		`{}`:                   {bound},
		`{"status": "Failed"}`: {bound},
		`{"trigger": "End", "from": null, "task_id": null}`: {bound},
		`{"Host": "a"}`: {bound},
		`[]`:            {"body: must be an object"},
		`"all"`:         {"body: must be an object"},
		`{"host": ""}`:  {"host: must not be empty"},
		`{"host": 1, "from": 2, "to": "now", "batch_id": "x", "task_id": [], "trigger": "end", "status": "Pending"}`: {
			"from: must be a string", "to: must be a timestamp of RFC 3339", "host: must be a string", "batch_id: must be a UUID",
			"task_id: must be a string", "trigger: must be one of Start, End, Cancel", "status: must be one of Failed, Delivered, Canceled"},
		`{"host": "a", "status": "Sending"}`: {"status: must be one of Failed, Delivered, Canceled"},
		`{"host": "\u0000"}`:                 {"host: must not contain U+0000"},
	} {
		f := b.fails(t, http.StatusBadRequest, "POST", "/deliveries/replay", body)
		require.Equal(t, details, f.Details, body)
	}
	b.fails(t, http.StatusBadRequest, "POST", "/deliveries/replay", `{`)
	b.fails(t, http.StatusUnsupportedMediaType, "POST", "/deliveries/replay", nil)
}

// More than one transaction takes.
func TestReplayManyDeliveries(t *testing.T) {
	t.Parallel()
	b := setup(t)
	paths := []string{}
	for range 2500 {
		paths = append(paths, "given_up")
	}
	owner := b.owes(t, paths...)
	for {
		leased := b.lease(t)
		if len(leased) == 0 {
			break
		}
		b.settle(t, leased)
	}
	for _, body := range []object{{"from": "2000-01-01T00:00:00Z"}, {"task_id": owner.ID, "status": "Failed"}} {
		var got struct{ Replayed int }
		b.ok(t, http.StatusAccepted, "POST", "/deliveries/replay", body, &got)
		require.Equal(t, 2500, got.Replayed)
		b.db.AssertInvariants(t)
		b.exec(t, "with d as (update taskrunner_private.delivery set status = 'Failed', finished_at = now() where trigger = 'End' returning *) insert into taskrunner_private.troubled_delivery select created_at, id from d")
		b.exec(t, "delete from taskrunner_private.due_delivery")
	}
}
