package demo

import (
	"encoding/json"
	"fmt"

	"github.com/google/uuid"

	"github.com/taskrunner/taskrunner/internal/screen"
)

// Guide is what there is to look at and to try when the demo graph has ended.
type Guide struct {
	Service  string // URL of the API
	Receiver string // URL of the receiver
	Batch    uuid.UUID
	Task     uuid.UUID
	PSQL     string // command line that opens the database, up to further options
	Command  string // command line that calls the service, up to the command: bin/taskrunner
}

// longWork is the step of the graph in the guide that runs long enough to be canceled by hand.
const longWork = "nap"

// NapGraph returns the body of POST /task in the guide: two tasks, the first of which takes a minute.
func (g Guide) NapGraph() string {
	action := func(path string, w Work) string {
		b, err := json.Marshal(call(g.Receiver, path, w))
		if err != nil {
			panic(err) // strings and numbers only
		}
		return string(b)
	}
	return fmt.Sprintf(`[
  {"id": "a", "name": "%[1]s", "kind": "demo", "expected_count": 60,
   "on_start": %[2]s,
   "on_cancel": [%[3]s]},
  {"id": "b", "name": "after-%[1]s", "kind": "demo", "dependencies": [{"id": "a", "requires_success": true}],
   "on_start": %[4]s,
   "on_failure": [%[5]s]}]`,
		longWork,
		action(startPath, Work{Step: longWork, Seconds: 60, Items: 60}),
		action(hookPath+onCancel, Work{Step: longWork}),
		action(startPath, Work{Step: "after-" + longWork, Seconds: 1}),
		action(hookPath+onFailure, Work{Step: "after-" + longWork}))
}

// WatchSQL shows the counters of what runs.
const WatchSQL = "select name, status, success, expected_count, wait_finished from taskrunner.task " +
	"where status not in ('Success', 'Failure', 'Canceled') order by seq"

// CancelSQL cancels the first task of the graph in the guide.
const CancelSQL = "update taskrunner.task set status = 'Canceled' where name = '" + longWork + "' and status = 'Running' " +
	"returning name, status, failure_reason"

// Lines writes the guide for the screen.
func (g Guide) Lines(s *screen.Screen) []string {
	return []string{
		"",
		s.Strong("Look at it"),
		"  " + g.Command + " status " + g.Batch.String(),
		"  " + g.Service + "/view?batch=" + g.Batch.String(),
		"  " + g.Service + "/swagger-ui/",
		"  " + g.Service + "/batch/" + g.Batch.String(),
		"  " + g.Service + "/dag/" + g.Batch.String(),
		"  " + g.Service + "/task/" + g.Task.String(),
		"  " + g.Service + "/health",
		"  " + g.Service + "/metrics",
		"  " + g.PSQL,
		"",
		s.Strong("Try next") + " (in another terminal; what reaches the receiver is shown here)",
		"",
		"# the same graph once more, and how it goes",
		fmt.Sprintf("curl -s %s | %s submit - --watch", g.Receiver+graphPath, g.Command),
		"",
		"# a graph of your own: a task of one minute, and one that needs its success",
		fmt.Sprintf("curl -s %s/task -H 'Content-Type: application/json' -d '%s'", g.Service, g.NapGraph()),
		"",
		"# watch its counters",
		fmt.Sprintf(`echo "%s \watch 1" | %s`, WatchSQL, g.PSQL),
		"",
		"# cancel it by SQL: its child fails with it, and both webhooks arrive here",
		fmt.Sprintf(`%s -c "%s"`, g.PSQL, CancelSQL),
		"",
		"# what this process counted",
		fmt.Sprintf("curl -s %s/metrics | grep ^tasks_completed_total", g.Service),
		"",
	}
}
