package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/task"
)

// quick are tasks that are done as soon as they are started, and owe a webhook each.
func quick(r *receiver, n int) (entries []entry) {
	for i := range n {
		id := fmt.Sprint(i)
		entries = append(entries, entry{"id": id, "name": id, "kind": "k", "on_start": r.hook("/start"), "on_success": []any{r.hook("/done")}})
	}
	return entries
}

// At info a process says how it is, however much it does: no line for each of hundreds of tasks, requests and webhooks.
func TestLogAtLoad(t *testing.T) {
	t.Parallel()
	const n = 300
	p := startProcess(t, newDB(t), "--log-level=info")
	hooks := succeeding(t)
	p.submit(t, quick(hooks, 1)...)
	hooks.awaitCalls(t, "/done", 1)
	hooks.work.Wait()
	before := len(p.log())
	p.submit(t, quick(hooks, n)...)
	hooks.awaitCalls(t, "/done", n+1)
	hooks.work.Wait()
	require.Equal(t, http.StatusNotFound, do(t, http.MethodGet, p.url+"/nowhere", nil, nil))
	during := p.log()[before:]
	require.Less(t, len(during), n/30, "%s", during) // a busy machine may give reason for some
	for _, line := range during {
		require.NotRegexp(t, "task_id|batch_id|delivery_id", line)
	}
	p.end(t)
}

// At debug each request and each call has a line of JSON. What it is about stands in it by one name, whoever writes the line, and so
// does its trace.
func TestLogOfARequest(t *testing.T) {
	t.Parallel()
	p := startProcess(t, newDB(t), "--log-level=debug")
	hooks := continuing(t)
	var tasks []task.Task
	require.NoError(t, json.Unmarshal(sendTraced(t, http.MethodPost, p.url+"/task", chain(hooks), "00-"+clientTrace+"-"+clientSpan+"-01"), &tasks))
	hooks.awaitCalls(t, "/done", 1)
	hooks.work.Wait()
	batch := *tasks[0].BatchID
	require.Equal(t, http.StatusOK, do(t, http.MethodGet, p.url+"/batch/"+batch.String(), nil, nil))
	delivery := uuid.New()
	require.Equal(t, http.StatusNotFound, do(t, http.MethodPost, p.url+"/delivery/"+delivery.String()+"/replay", nil, nil))
	p.end(t)

	names := map[string]string{batch.String(): "batch_id", delivery.String(): "delivery_id"}
	for _, created := range tasks {
		names[created.ID.String()] = "task_id"
	}
	said := map[string]int{} // lines of the trace by what they say and what they are about
	for _, line := range p.log() {
		var attributes map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &attributes), line)
		for _, name := range []string{"time", "level", "msg"} {
			require.NotEmpty(t, attributes[name], line)
		}
		about := ""
		for name, value := range attributes {
			text, _ := value.(string)
			if known := names[text]; known != "" {
				require.Equal(t, known, name, line)
				if about != "task_id" {
					about = known
				}
			}
		}
		what := fmt.Sprint(attributes["msg"], " ", about)
		if attributes["trace_id"] == clientTrace {
			what = "traced " + what
		}
		said[what]++
	}
	require.Equal(t, 1, said["traced request batch_id"], "POST /task")
	require.Equal(t, 4, said["traced webhook called task_id"])
	require.Equal(t, 3, said["traced request task_id"], "PATCH /task/{task_id}")
	require.Equal(t, 1, said["request batch_id"])
	require.Equal(t, 1, said["request delivery_id"])
}
