package e2e

import (
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/task"
)

// Of several completions at once, at two replicas, one is accepted; the others learn what the task has become.
func TestCompletionsAtOnce(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	replicas := []*replica{startReplica(t, db), startReplica(t, db)}
	for _, id := range replicas[0].running(t, 10) {
		type answer struct {
			code      int
			sent, now task.Status
		}
		answers := make([]answer, 6)
		var work sync.WaitGroup
		for i := range answers {
			work.Go(func() {
				a := &answers[i]
				a.sent = []task.Status{task.Success, task.Failure}[i/2%2]
				var body struct {
					CurrentStatus task.Status `json:"current_status"`
				}
				a.code = do(t, http.MethodPatch, replicas[i%2].url+"/task/"+id.String(), map[string]any{"status": a.sent, "failure_reason": "x"}, &body)
				a.now = body.CurrentStatus
			})
		}
		work.Wait()
		final := replicas[1].task(t, id).Status
		accepted := 0
		for _, a := range answers {
			if a.code == http.StatusOK {
				accepted++
				require.Equal(t, final, a.sent)
				continue
			}
			require.Equal(t, http.StatusConflict, a.code)
			require.Equal(t, final, a.now)
		}
		require.Equal(t, 1, accepted)
	}
}
