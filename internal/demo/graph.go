package demo

import (
	"encoding/json"
	"fmt"

	"github.com/taskrunner/taskrunner/internal/task"
)

// Work tells the receiver what to do for a task; it is the body of the task's on_start webhook. Anybody may send it, so
// own graphs can use the receiver too.
type Work struct {
	Step    string  `json:"step,omitempty"`    // name for the log
	Seconds float64 `json:"seconds,omitempty"` // how long the work takes; 0: one second
	Items   int64   `json:"items,omitempty"`   // progress is reported in so many items; 0: no progress
	Bad     int64   `json:"bad,omitempty"`     // how many of the items are counted as failures
	Reason  string  `json:"reason,omitempty"`  // ends as Failure with this reason; empty: Success
	Refuse  int     `json:"refuse,omitempty"`  // answer so many first tries of on_start with 503
}

// step is a task of the demo graph.
type step struct {
	name  string
	kind  string
	needs []string // parents that must succeed
	after []string // parents that must only have ended
	work  Work
}

// outlived is the step that runs far longer than all others. Nobody waits for its result: when the others have ended it
// is canceled, as an impatient user would.
const outlived = "soak-test"

// release is the demo graph: from checkout to production. Two steps are made to go wrong. lint fails, which stops what
// needs it (quality-badge) and nothing else; and the start of integration-tests is refused once.
var release = []step{
	{name: "checkout", kind: "git", work: Work{Seconds: 1.5, Items: 3}},
	{name: "build", kind: "build", needs: []string{"checkout"}, work: Work{Seconds: 4, Items: 48}},
	{name: "lint", kind: "check", needs: []string{"checkout"}, work: Work{Seconds: 3, Items: 60, Bad: 3, Reason: "3 findings"}},
	{name: "docs", kind: "build", needs: []string{"checkout"}, work: Work{Seconds: 2.5, Items: 12}},
	{name: "quality-badge", kind: "publish", needs: []string{"lint"}, work: Work{Seconds: 1, Items: 1}},
	{name: "unit-tests", kind: "test", needs: []string{"build"}, work: Work{Seconds: 5, Items: 420}},
	{name: "integration-tests", kind: "test", needs: []string{"build"}, work: Work{Seconds: 6, Items: 64, Refuse: 1}},
	{name: "license-scan", kind: "check", needs: []string{"build"}, work: Work{Seconds: 3, Items: 90, Bad: 1}},
	{name: outlived, kind: "test", needs: []string{"build"}, work: Work{Seconds: 60, Items: 600}},
	{name: "package", kind: "build", needs: []string{"unit-tests", "integration-tests", "license-scan"}, after: []string{"lint"},
		work: Work{Seconds: 2.5, Items: 5}},
	{name: "deploy-staging", kind: "deploy", needs: []string{"package", "docs"}, work: Work{Seconds: 2.5, Items: 4}},
	{name: "smoke-test", kind: "test", needs: []string{"deploy-staging"}, work: Work{Seconds: 2, Items: 20}},
	{name: "deploy-production", kind: "deploy", needs: []string{"smoke-test"}, work: Work{Seconds: 3, Items: 6}},
}

// plan returns how each step ends if nothing interferes.
func plan() map[string]task.Status {
	ends := make(map[string]task.Status, len(release))
	for _, s := range release { // parents come first
		end := task.Success
		if s.work.Reason != "" {
			end = task.Failure
		}
		for _, parent := range s.needs {
			if ends[parent] != task.Success {
				end = task.Failure
			}
		}
		ends[s.name] = end
	}
	ends[outlived] = task.Canceled
	return ends
}

// The wire form of POST /task (contract, section 4.1), as far as the demo uses it.
type (
	newBatch struct {
		Name     string         `json:"name"`
		Metadata map[string]any `json:"metadata,omitempty"`
		Tasks    []newTask      `json:"tasks"`
	}
	newTask struct {
		ID            string          `json:"id"`
		Name          string          `json:"name"`
		Kind          string          `json:"kind"`
		Timeout       int             `json:"timeout,omitempty"`
		ExpectedCount int64           `json:"expected_count,omitempty"`
		Metadata      map[string]any  `json:"metadata,omitempty"`
		Dependencies  []newDependency `json:"dependencies,omitempty"`
		OnStart       newAction       `json:"on_start"`
		OnSuccess     []newAction     `json:"on_success,omitempty"`
		OnFailure     []newAction     `json:"on_failure,omitempty"`
		OnCancel      []newAction     `json:"on_cancel,omitempty"`
	}
	newDependency struct {
		ID              string `json:"id"`
		RequiresSuccess bool   `json:"requires_success"`
	}
	newAction struct {
		Kind   string    `json:"kind"`
		Params newParams `json:"params"`
	}
	newParams struct {
		URL  string `json:"url"`
		Verb string `json:"verb"`
		Body Work   `json:"body"`
	}
)

// call is a webhook of the receiver.
func call(receiver, path string, body Work) newAction {
	return newAction{Kind: "Webhook", Params: newParams{URL: receiver + path, Verb: "Post", Body: body}}
}

// inactivity is the timeout of the demo's tasks in seconds. The receiver reports progress several times a second; when
// it is stopped in the middle, its tasks end that soon after.
const inactivity = 15

// Graph returns the body of POST /task that creates the demo graph, worked on by the receiver at the given URL. Work is
// speed times faster than normal, about 25 seconds in all.
func Graph(receiver string, speed float64) ([]byte, error) {
	batch := newBatch{Name: "release 2.4.0", Metadata: map[string]any{"branch": "main", "demo": true}}
	for _, s := range release {
		work := s.work
		work.Step = s.name
		if s.name != outlived {
			work.Seconds /= speed
		}
		hook := Work{Step: s.name}
		t := newTask{
			ID: s.name, Name: s.name, Kind: s.kind, Timeout: inactivity, ExpectedCount: work.Items,
			Metadata:  map[string]any{"service": "shop", "step": s.name},
			OnStart:   call(receiver, startPath, work),
			OnSuccess: []newAction{call(receiver, hookPath+onSuccess, hook)},
			OnFailure: []newAction{call(receiver, hookPath+onFailure, hook)},
			OnCancel:  []newAction{call(receiver, hookPath+onCancel, hook)},
		}
		for _, parent := range s.needs {
			t.Dependencies = append(t.Dependencies, newDependency{ID: parent, RequiresSuccess: true})
		}
		for _, parent := range s.after {
			t.Dependencies = append(t.Dependencies, newDependency{ID: parent})
		}
		batch.Tasks = append(batch.Tasks, t)
	}
	body, err := json.Marshal(batch)
	if err != nil {
		return nil, fmt.Errorf("demo: graph: %w", err)
	}
	return body, nil
}
