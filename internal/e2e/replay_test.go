package e2e

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/task"
)

// The receiver of a batch's webhooks was wrong about them; repaired, it gets them again at once, each with its own key. A
// sleeping loop is woken: no poll would come within the test.
func TestReplayedWebhooksComeAgain(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	r := startReplica(t, db, "--worker-loop-interval-ms=86400000")
	var repaired atomic.Bool
	var hooks *receiver
	hooks = newReceiver(t, func(w http.ResponseWriter, _ *http.Request, c call) {
		switch {
		case c.trigger == "start":
			hooks.report(t, c)
		case !repaired.Load():
			w.WriteHeader(http.StatusGone) // never again
		}
	})
	created := r.submit(t, entry{"id": "a", "name": "a", "kind": "k", "on_start": hooks.hook("/start"),
		"on_success": []any{hooks.hook("/one"), hooks.hook("/two")}})["a"]
	r.await(t, created.ID, task.Success)
	hooks.awaitCalls(t, "/one", 1)
	hooks.awaitCalls(t, "/two", 1)
	failed := func() (list []task.DeliveryInfo) {
		require.Equal(t, http.StatusOK, do(t, http.MethodGet, r.url+"/deliveries?status=Failed", nil, &list))
		return list
	}
	require.Eventually(t, func() bool { return len(failed()) == 2 }, patience, 5*time.Millisecond)
	repaired.Store(true)
	for _, d := range failed() {
		if strings.HasSuffix(d.URL, "/one") {
			require.Equal(t, http.StatusAccepted, do(t, http.MethodPost, r.url+"/delivery/"+d.ID.String()+"/replay", nil, nil))
		}
	}
	again := hooks.awaitCalls(t, "/one", 2)
	require.Equal(t, created.ID.String()+":end:success", again[1].key)
	var answer struct{ Replayed int }
	require.Equal(t, http.StatusAccepted, do(t, http.MethodPost, r.url+"/deliveries/replay", map[string]any{
		"host": strings.TrimPrefix(hooks.url, "http://"), "task_id": created.ID, "status": "Failed",
	}, &answer))
	require.Equal(t, 1, answer.Replayed)
	require.Equal(t, created.ID.String()+":end:success:2", hooks.awaitCalls(t, "/two", 2)[1].key)
	require.Eventually(t, func() bool {
		var log []task.LoggedDelivery
		require.Equal(t, http.StatusOK, do(t, http.MethodGet, r.url+"/task/"+created.ID.String()+"/deliveries", nil, &log))
		delivered := 0
		for _, d := range log {
			if d.Trigger == "End" && d.Status == task.DeliveryDone && len(d.Attempts) == 2 && *d.Attempts[0].StatusCode == 410 && d.Attempts[1].Error == nil {
				delivered++
			}
		}
		return delivered == 2
	}, patience, 5*time.Millisecond)
}
