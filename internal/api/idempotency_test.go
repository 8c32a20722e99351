package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/api"
	"github.com/taskrunner/taskrunner/internal/task"
)

// keyed sends a request with an Idempotency-Key; several are several lines of the header.
func (b *testBundle) keyed(t *testing.T, method, path, body string, keys ...string) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, b.server.URL+path, strings.NewReader(body))
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/json")
	for _, key := range keys {
		r.Header.Add("Idempotency-Key", key)
	}
	return b.send(t, r)
}

// requireReplay requires the answer of an earlier request, with tasks as they are now.
func requireReplay(t *testing.T, first, again answer) {
	t.Helper()
	require.Equal(t, first.Status, again.Status, again.Body)
	require.Equal(t, first.Header.Get("X-Batch-ID"), again.Header.Get("X-Batch-ID"))
	require.Empty(t, first.Header.Get("Idempotent-Replayed"))
	require.Equal(t, "true", again.Header.Get("Idempotent-Replayed"))
}

func text(t *testing.T, value any) string {
	t.Helper()
	raw, err := json.Marshal(value)
	require.NoError(t, err)
	return string(raw)
}

func count(t *testing.T, b *testBundle, table string) (n int) {
	t.Helper()
	require.NoError(t, b.db.Pool.QueryRow(t.Context(), "select count(*) from "+table).Scan(&n))
	return n
}

func TestIdempotencyKeyRepeats(t *testing.T) {
	t.Parallel()
	b := setup(t)
	body := text(t, []object{entry("c", "a", "b"), entry("a"), entry("b")})
	first := b.keyed(t, "POST", "/task", body, "nightly 2024-05-01")
	require.Equal(t, http.StatusCreated, first.Status, first.Body)
	again := b.keyed(t, "POST", "/task", body, "nightly 2024-05-01")
	requireReplay(t, first, again)
	require.Equal(t, first.Body, again.Body, "nothing has changed since")

	// Values are those of now, the order that of the request; what joined the batch later was not in the request.
	var tasks, now []task.Task
	require.NoError(t, json.Unmarshal([]byte(first.Body), &tasks))
	b.exec(t, "insert into taskrunner.task (batch_id, name, kind) values ($1, 'late', 'k')", tasks[0].BatchID)
	b.ok(t, http.StatusOK, "DELETE", "/task/"+tasks[1].ID.String(), nil, nil)
	again = b.keyed(t, "POST", "/task", body, "nightly 2024-05-01")
	requireReplay(t, first, again)
	require.NoError(t, json.Unmarshal([]byte(again.Body), &now))
	require.Len(t, now, 3)
	for i := range tasks {
		require.Equal(t, tasks[i].ID, now[i].ID)
	}
	require.Equal(t, []task.Status{task.Failure, task.Canceled, task.Pending}, []task.Status{now[0].Status, now[1].Status, now[2].Status})

	// Another body, be it only by a space, is another request.
	f := b.keyed(t, "POST", "/task", body+" ", "nightly 2024-05-01").failure(t, http.StatusUnprocessableEntity)
	require.Contains(t, f.Error, "Idempotency-Key")
	require.Nil(t, f.BatchID)
	require.Equal(t, http.StatusCreated, b.keyed(t, "POST", "/task", body, "nightly 2024-05-02").Status)
	require.Equal(t, 2, count(t, b, "taskrunner.batch"))
	require.Equal(t, 6, b.created, "a replay creates nothing")

	// Its tasks are gone, the key is not.
	b.exec(t, "update taskrunner.task set status = 'Canceled' where batch_id = $1 and status not in ('Canceled', 'Failure')", tasks[0].BatchID)
	b.exec(t, "delete from taskrunner.task where batch_id = $1", tasks[0].BatchID)
	again = b.keyed(t, "POST", "/task", body, "nightly 2024-05-01")
	requireReplay(t, first, again)
	require.Equal(t, "[]", again.Body)
	b.db.AssertInvariants(t)
}

// A request that creates nothing is a success like any other.
func TestIdempotencyKeyOfNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	first := b.keyed(t, "POST", "/task", "[]", "k")
	require.Equal(t, http.StatusNoContent, first.Status)
	again := b.keyed(t, "POST", "/task", "[]", "k")
	requireReplay(t, first, again)
	require.Empty(t, again.Body)
	b.keyed(t, "POST", "/task", `{"tasks": []}`, "k").failure(t, http.StatusUnprocessableEntity)
}

func TestIdempotencyKeyShape(t *testing.T) {
	t.Parallel()
	b := setup(t)
	body := text(t, []object{entry("a")})
	for i, key := range []string{"x", "a key, with = signs; and \"quotes\" ~", strings.Repeat("k", 255), uuid.NewString()} {
		require.Equal(t, http.StatusCreated, b.keyed(t, "POST", "/task", body, key).Status, i)
	}
	for _, key := range []string{"", strings.Repeat("k", 256), "é", "a\tb", "caf\xc3\xa9", "\xff"} {
		f := b.keyed(t, "POST", "/task", body, key).failure(t, http.StatusBadRequest)
		require.Equal(t, "Validation failed", f.Error)
		require.Equal(t, []string{"Idempotency-Key: must be 1 to 255 printable ASCII characters"}, f.Details)
		require.NotNil(t, f.BatchID)
	}
	for _, keys := range [][]string{{"a", "b"}, {"a", "a"}, {"", ""}} {
		f := b.keyed(t, "POST", "/task", body, keys...).failure(t, http.StatusBadRequest)
		require.Equal(t, []string{"Idempotency-Key: must occur only once"}, f.Details)
	}
	require.Equal(t, 4, count(t, b, "taskrunner.batch"))

	// It means nothing elsewhere.
	id := b.submit(t, entry("a"))[0].ID.String()
	for range 2 {
		require.Equal(t, http.StatusAccepted, b.keyed(t, "PUT", "/task/"+id, `{"new_success": 1}`, "x", "y").Status)
	}
	var got task.Task
	b.ok(t, http.StatusOK, "GET", "/task/"+id, nil, &got)
	require.EqualValues(t, 2, got.Success)
}

// Only successes are kept: what was refused, for whatever reason, leaves the key free.
func TestIdempotencyKeyOfAFailureIsFree(t *testing.T) {
	t.Parallel()
	b := setup(t)
	good := text(t, []object{entry("a")})
	tooMany := "[" + strings.Repeat("{},", 100_000) + "{}]"
	for status, bad := range map[int]string{
		http.StatusBadRequest:            `[{"id": "a"}]`,
		http.StatusRequestEntityTooLarge: tooMany,
	} {
		key := fmt.Sprint("key ", status)
		b.keyed(t, "POST", "/task", bad, key).failure(t, status)
		b.keyed(t, "POST", "/task", `{"tasks`, key).failure(t, http.StatusBadRequest)
		first := b.keyed(t, "POST", "/task", good, key)
		require.Equal(t, http.StatusCreated, first.Status)
		requireReplay(t, first, b.keyed(t, "POST", "/task", good, key))
	}
	require.Equal(t, 2, count(t, b, "taskrunner_private.idempotency_key"))
}

// The same body is the same bytes, also where one value hides another that is not looked at.
func TestIdempotencyKeyOfHiddenValues(t *testing.T) {
	t.Parallel()
	b := setup(t)
	body := func(hidden string) string {
		return strings.Replace(text(t, []object{entry("a")}), `"id":"a"`, `"id":"a","timeout":`+hidden+`,"timeout":50`, 1)
	}
	require.Equal(t, http.StatusCreated, b.keyed(t, "POST", "/task", body("1e2"), "k").Status)
	b.keyed(t, "POST", "/task", body("9e9"), "k").failure(t, http.StatusUnprocessableEntity)
}

// An expired key is free at once, by the database's clock, whether or not anybody removed it.
func TestIdempotencyKeyExpires(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *api.Config) { c.IdempotencyLife = time.Hour })
	body := text(t, []object{entry("a")})
	first := b.keyed(t, "POST", "/task", body, "k")
	b.exec(t, "update taskrunner_private.idempotency_key set created_at = now() - interval '59 minutes'")
	requireReplay(t, first, b.keyed(t, "POST", "/task", body, "k"))
	b.exec(t, "update taskrunner_private.idempotency_key set created_at = now() - interval '61 minutes'")
	second := b.keyed(t, "POST", "/task", text(t, []object{entry("other")}), "k")
	require.Equal(t, http.StatusCreated, second.Status, second.Body)
	require.Empty(t, second.Header.Get("Idempotent-Replayed"))
	require.NotEqual(t, first.Header.Get("X-Batch-ID"), second.Header.Get("X-Batch-ID"))
	b.keyed(t, "POST", "/task", body, "k").failure(t, http.StatusUnprocessableEntity)
	b.exec(t, "update taskrunner_private.idempotency_key set created_at = now() - interval '61 minutes'")
	require.Equal(t, http.StatusNoContent, b.keyed(t, "POST", "/task", "[]", "k").Status)
	b.exec(t, "update taskrunner_private.idempotency_key set created_at = now() - interval '61 minutes'")
	require.Equal(t, http.StatusCreated, b.keyed(t, "POST", "/task", body, "k").Status, "what the key had meant is forgotten")
}

// Of many at once, one creates, and all get its batch. There are more of them than connections.
func TestIdempotencyKeyConcurrently(t *testing.T) {
	t.Parallel()
	b := setup(t)
	body := text(t, []object{entry("a"), entry("b", "a")})
	const many = 20
	answers := make([]answer, many)
	var group sync.WaitGroup
	for i := range answers {
		group.Go(func() { answers[i] = b.keyed(t, "POST", "/task", body, "k") })
	}
	group.Wait()
	created := 0
	for _, a := range answers {
		require.Equal(t, http.StatusCreated, a.Status, a.Body)
		require.Equal(t, answers[0].Header.Get("X-Batch-ID"), a.Header.Get("X-Batch-ID"))
		require.Equal(t, answers[0].Body, a.Body)
		if a.Header.Get("Idempotent-Replayed") == "" {
			created++
		}
	}
	require.Equal(t, 1, created)
	require.Equal(t, 2, count(t, b, "taskrunner.task"))
	b.db.AssertInvariants(t)
}

// Those who wait for a key keep nobody else from the database, though they are more than its connections.
func TestWaitingForAKeyHoldsNoConnection(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.submit(t, entry("a"))[0].ID.String()
	body := text(t, []object{entry("b")})
	conn := b.db.Connect(t)
	tx, err := conn.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), "select taskrunner_private.take_idempotency_key('', 'k', sha256('x'), $1, 60)", uuid.New())
	require.NoError(t, err)
	const many = 8
	answers := make(chan answer, many)
	for range many {
		go func() { answers <- b.keyed(t, "POST", "/task", body, "k") }()
	}
	for range 20 {
		b.ok(t, http.StatusOK, "GET", "/task/"+id, nil, nil)
	}
	require.Empty(t, answers, "they wait")
	require.NoError(t, tx.Rollback(t.Context()))
	batches := map[string]int{}
	for range many {
		a := <-answers
		require.Equal(t, http.StatusCreated, a.Status, a.Body)
		batches[a.Header.Get("X-Batch-ID")]++
	}
	require.Len(t, batches, 1)
	require.Equal(t, 2, count(t, b, "taskrunner.batch"))
}

// The connection of a request dies in the middle: what it had begun is undone, so the call is made again, and a repeat of
// the request finds what that created.
func TestIdempotencyKeySurvivesLostConnections(t *testing.T) {
	t.Parallel()
	b := setup(t)
	entries := []object{}
	for i := range 3000 {
		entries = append(entries, entry(fmt.Sprint(i)))
	}
	body := text(t, entries)
	done := make(chan answer, 1)
	go func() { done <- b.keyed(t, "POST", "/task", body, "k") }()
	killed := 0
	for len(done) == 0 && killed < 2 { // a call is tried three times
		tag, err := b.db.Pool.Exec(t.Context(), `select pg_terminate_backend(pid) from pg_stat_activity
			where datname = current_database() and state = 'active' and query like '%taskrunner_private.submit(%' and pid <> pg_backend_pid()`)
		require.NoError(t, err)
		killed += int(tag.RowsAffected())
	}
	first := <-done
	require.Positive(t, killed)
	require.Equal(t, http.StatusCreated, first.Status, first.Body)
	requireReplay(t, first, b.keyed(t, "POST", "/task", body, "k"))
	require.Equal(t, 3000, count(t, b, "taskrunner.task"))
	require.Equal(t, 3000, b.created)
	b.db.AssertInvariants(t)
}

// Keys of one token say nothing to another.
func TestIdempotencyKeysBelongToTokens(t *testing.T) {
	t.Parallel()
	b := setup(t, withTokens(t))
	send := func(token, body string) answer {
		r, err := http.NewRequestWithContext(t.Context(), "POST", b.server.URL+"/task", strings.NewReader(body))
		require.NoError(t, err)
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Idempotency-Key", "k")
		r.Header.Set("Authorization", "Bearer "+secrets[token])
		return b.send(t, r)
	}
	body := text(t, []object{entry("a")})
	first, other := send("write", body), send("admin", text(t, []object{entry("b")}))
	require.Equal(t, http.StatusCreated, first.Status, first.Body)
	require.Equal(t, http.StatusCreated, other.Status, other.Body)
	requireReplay(t, first, send("write", body))
	send("admin", body).failure(t, http.StatusUnprocessableEntity)
	send("read", body).failure(t, http.StatusForbidden)
	require.Equal(t, 2, count(t, b, "taskrunner.batch"))
}
