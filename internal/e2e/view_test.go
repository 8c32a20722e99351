package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/task"
)

// stream is one of GET /view/events.
type stream struct {
	t     *testing.T
	lines *bufio.Scanner
}

func (r *replica) stream(t *testing.T, batch string) *stream {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url+"/view/events?batch="+batch, nil)
	require.NoError(t, err)
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	require.NoError(t, err)
	t.Cleanup(func() { _ = resp.Body.Close() })
	require.Equal(t, http.StatusOK, resp.StatusCode)
	return &stream{t, bufio.NewScanner(resp.Body)}
}

// until reads states until the first task is in one of these, and returns all that it was in. It is empty when the stream has ended.
func (s *stream) until(status ...task.Status) (seen []task.Status) {
	s.t.Helper()
	for s.lines.Scan() {
		data, ok := strings.CutPrefix(s.lines.Text(), "data: ")
		if !ok {
			continue
		}
		var states struct{ Index, Status []int }
		require.NoError(s.t, json.Unmarshal([]byte(data), &states))
		if i := slices.Index(states.Index, 0); i >= 0 {
			seen = append(seen, task.ViewStatuses[states.Status[i]])
			if slices.Contains(status, seen[len(seen)-1]) {
				return seen
			}
		}
	}
	require.NoError(s.t, s.lines.Err())
	return nil
}

// A page of one replica is told what another one does, also when the database has been away in between.
// A drain ends its stream, which does not count as a request in progress.
func TestPagesAreToldWhatHappens(t *testing.T) {
	t.Parallel()
	db, hooks := newDB(t), newReceiver(t, nil)
	works, shows := startReplica(t, db), startReplica(t, db, "--worker-enabled=0", "--drain-timeout-secs=300")
	both := startReplica(t, db, "--drain-timeout-secs=300") // far longer than the test waits for an end
	created := works.submit(t, entry{"name": "a", "kind": "k", "id": "a", "on_start": hooks.hook("/start")})["a"]
	streams := []*stream{shows.stream(t, created.BatchID.String()), both.stream(t, created.BatchID.String())}
	for _, s := range streams {
		require.NotEmpty(t, s.until(task.Running))
	}
	require.Regexp(t, `(?m)^requests_in_flight 0$`, shows.metrics(t))

	_, err := db.Pool.Exec(t.Context(), `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()`)
	require.NoError(t, err)
	require.Eventually(t, func() bool { // it may meet a connection that was ended
		return do(t, http.MethodPatch, works.url+"/task/"+created.ID.String(), map[string]any{"status": "Success"}, nil) == http.StatusOK
	}, patience, 50*time.Millisecond)
	for _, s := range streams {
		require.NotEmpty(t, s.until(task.Success))
	}

	shows.stop()
	both.stop()
	for _, s := range streams {
		require.Empty(t, s.until(task.Canceled), "it has ended")
	}
}
