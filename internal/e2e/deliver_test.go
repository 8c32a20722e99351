package e2e

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/task"
)

// kill -9 right after the answer to PATCH: what the end of the tasks owes comes from somebody else, whether the dead replica had
// begun to call or not.
func TestKillOwesNothing(t *testing.T) {
	t.Parallel()
	const n = 20
	db := newDB(t)
	victim := startProcess(t, db, "--webhook-timeout-secs=1", "--webhook-delivery-concurrency=2")
	hooks := newHolding(t) // so that nothing is delivered while it lives
	start := newReceiver(t, nil)
	var entries []entry
	for i := range n {
		name := fmt.Sprintf("t%d", i)
		entries = append(entries, entry{"id": name, "name": name, "kind": "k", "timeout": 3600, "on_start": start.hook("/start"),
			"on_success": []any{hooks.hook("/success")}})
	}
	tasks := victim.submit(t, entries...)
	for _, created := range tasks {
		victim.await(t, created.ID, task.Running)
	}
	for _, created := range tasks {
		require.Equal(t, http.StatusOK, do(t, http.MethodPatch, victim.url+"/task/"+created.ID.String(), map[string]any{"status": "Success"}, nil))
	}
	require.NoError(t, victim.cmd.Process.Kill())
	<-victim.exited
	hooks.release()

	survivor := startReplica(t, db)
	want := map[string]bool{}
	for _, created := range tasks {
		want[created.ID.String()+":end:success"] = true
		d := survivor.awaitDelivery(t, created.ID, "End", "Delivered")
		require.Equal(t, created.ID.String()+":end:success", d.IdempotencyKey)
	}
	got := map[string]bool{}
	for _, c := range hooks.got("/success") {
		got[c.key] = true
	}
	require.Equal(t, want, got)
}

// Of two replicas only one sends a delivery at a time, and no more often than its tries need.
func TestTwoReplicasSendEachDeliveryOnce(t *testing.T) {
	t.Parallel()
	const n, tries = 150, 3
	db := newDB(t)
	flags := []string{"--webhook-backoff-secs=0", "--webhook-delivery-concurrency=10"}
	a, b := startReplica(t, db, flags...), startReplica(t, db, flags...)
	var mu sync.Mutex
	open, made := map[string]int{}, map[string]int{}
	hooks := newReceiver(t, func(w http.ResponseWriter, _ *http.Request, c call) {
		mu.Lock()
		open[c.key]++
		made[c.key]++
		if open[c.key] > 1 {
			t.Errorf("%s is being sent twice at the same time", c.key)
		}
		failed := made[c.key] < tries
		mu.Unlock()
		time.Sleep(5 * time.Millisecond)
		mu.Lock()
		open[c.key]--
		mu.Unlock()
		if failed {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	done := newReceiver(t, nil)
	var entries []entry
	for i := range n {
		name := fmt.Sprintf("t%d", i)
		entries = append(entries, entry{"id": name, "name": name, "kind": "k", "on_start": done.hook("/start"), "on_success": []any{hooks.hook("/success")}})
	}
	var ids []uuid.UUID
	for _, created := range a.submit(t, entries...) {
		ids = append(ids, created.ID)
		b.await(t, created.ID, task.Running)
	}
	_, err := db.Pool.Exec(t.Context(), "select count(*) from taskrunner.finish_tasks($1, 'Success')", ids) // all owed at once
	require.NoError(t, err)
	for _, id := range ids {
		d := b.awaitDelivery(t, id, "End", "Delivered")
		require.EqualValues(t, tries, d.Tries)
	}
	mu.Lock()
	defer mu.Unlock()
	require.Len(t, made, n)
	for key, count := range made {
		require.Equal(t, tries, count, key)
	}
}
