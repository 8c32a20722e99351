package browsertest

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/task"
)

// changed returns the requests that were more than a look.
func (b *tab) changed() (requests []string) {
	for _, r := range b.sent() {
		if r.method != http.MethodGet {
			requests = append(requests, r.String())
		}
	}
	return requests
}

// Each action of a task has its effect, and is asked about first if it cannot be undone.
func TestActionsOfATask(t *testing.T) {
	t.Parallel()
	hooks := newReceiver(t)
	s := startService(t)
	made := s.submit("acts", hooks.task("a", "k", "/hold"), hooks.task("b", "k", "/hold"), hooks.task("c", "k", "/hold"), hooks.task("d", "k", "/hold"),
		hooks.task("later", "k", "/hold", "b"), hooks.task("after c", "k", "/hold", "c"))
	for _, name := range []string{"a", "b", "c", "d"} {
		s.awaitStatus(made.tasks[name].ID, task.Running)
	}
	status := func(name string) task.Status {
		return task.Status(ask[string](s, "select status::text from taskrunner.task where id = $1", made.tasks[name].ID))
	}
	b := newTab(t, s.url)

	b.openTask(made, "a")
	b.click("action-pause")
	s.awaitStatus(made.tasks["a"].ID, task.Paused)
	b.waitText("problems", "Held by somebody") // which moves the buttons
	b.click("action-resume")
	s.awaitStatus(made.tasks["a"].ID, task.Running)
	b.wait("!document.querySelector(%s).textContent.includes(%s)", by("problems"), "Held by somebody")

	b.click("action-cancel")
	b.click("confirm-cancel")
	b.waitGone("confirm-cancel")
	require.Len(t, b.changed(), 2, "pause and resume")
	require.Equal(t, task.Running, status("a"))
	b.click("action-cancel")
	b.click("confirm-ok")
	s.awaitStatus(made.tasks["a"].ID, task.Canceled)
	b.awaitShown(made, "a", task.Canceled)
	b.waitGone("action-cancel")

	b.openTask(made, "c")
	b.click("action-succeed")
	b.click("confirm-cancel")
	b.waitGone("confirm-cancel")
	require.Equal(t, task.Running, status("c"))
	b.click("action-succeed")
	b.click("confirm-ok")
	s.awaitStatus(made.tasks["c"].ID, task.Success)
	s.awaitStatus(made.tasks["after c"].ID, task.Running)

	b.openTask(made, "b")
	b.click("action-fail")
	b.fillIn("reason", "the disk is full")
	b.click("confirm-ok")
	s.awaitStatus(made.tasks["b"].ID, task.Failure)
	s.await("the disk is full", "select failure_reason from taskrunner.task where id = $1", made.tasks["b"].ID)
	s.awaitStatus(made.tasks["later"].ID, task.Failure)
	b.waitText("details", "the disk is full")

	b.openTask(made, "d")
	b.click("action-priority")
	b.fillIn("priority", "-17")
	b.click("confirm-ok")
	s.await("-17", "select priority::text from taskrunner.task where id = $1", made.tasks["d"].ID)
	b.waitText("details", "-17")
}

// What concerns a whole batch: its rules, and its end.
func TestActionsOfABatch(t *testing.T) {
	t.Parallel()
	hooks := newReceiver(t)
	s := startService(t)
	made := s.submit("whole", hooks.task("a", "k", "/hold"), hooks.task("b", "k", "/hold", "a"), hooks.task("other", "o", "/hold", "a"))
	s.awaitStatus(made.tasks["a"].ID, task.Running)
	b := newTab(t, s.url)
	b.openBatch(made, "")

	rules := `[{"type": "Concurency", "max_concurency": 3, "matcher": {"status": "Running", "kind": "k", "fields": []}}]`
	b.click("edit-rules")
	b.choose("rules-kind", "k")
	b.fillIn("rules", rules)
	b.click("confirm-ok")
	s.await("2", "select count(*)::text from taskrunner.task where batch_id = $1 and rules = $2::jsonb", made.id, rules)
	b.waitGone("confirm-ok")

	// A rule that the API refuses stays in the dialog, with what the API says, word for word.
	wrong := strings.Replace(rules, "3", "0", 1)
	b.allow(`^request: PATCH .*/rules: 400$`)
	b.click("edit-rules")
	b.fillIn("rules", wrong)
	b.click("confirm-ok")
	var said struct {
		Error   string
		Details []string
	}
	code := s.call(http.MethodPatch, "/batch/"+made.id.String()+"/rules", `{"kind": "k", "rules": `+wrong+`}`, &said)
	require.Equal(t, http.StatusBadRequest, code)
	require.NotEmpty(t, said.Details)
	for _, part := range append(said.Details, said.Error) {
		b.waitText("error", part)
	}
	b.click("confirm-cancel")
	b.waitGone("confirm-cancel")

	b.click("stop-batch")
	b.click("confirm-cancel")
	b.waitGone("confirm-cancel")
	s.awaitStatus(made.tasks["a"].ID, task.Running)
	b.click("stop-batch")
	b.click("confirm-ok")
	s.await("3", "select count(*)::text from taskrunner.task where batch_id = $1 and status = 'Canceled' and failure_reason = 'Batch stopped'", made.id)
	b.awaitCount(task.Canceled, 3)
	require.Len(t, b.changed(), 3)
}

// What the API refuses is shown as the API says it, and changes nothing.
func TestRefusedAction(t *testing.T) {
	t.Parallel()
	hooks := newReceiver(t)
	s := startService(t)
	made := s.submit("late", hooks.task("a", "k", "/hold"))
	id := made.tasks["a"].ID
	s.awaitStatus(id, task.Running)
	b := newTab(t, s.url)
	b.openTask(made, "a")
	b.click("action-succeed")
	s.exec("select taskrunner.cancel_task($1)", id)
	b.allow(`^request: PATCH .*: 409$`)
	b.click("confirm-ok")
	var said struct{ Error string }
	require.Equal(t, http.StatusConflict, s.call(http.MethodPatch, "/task/"+id.String(), `{"status": "Success"}`, &said))
	b.waitText("error", said.Error)
	s.awaitStatus(id, task.Canceled)
}

// A webhook that was given up is sent again from the details of its task.
func TestReplay(t *testing.T) {
	t.Parallel()
	hooks := newReceiver(t)
	s := startService(t)
	entry := hooks.task("a", "k", "/ok")
	entry["on_success"] = []any{hooks.hook("/gone")}
	made := s.submit("replay", entry)
	const failed = "select max(status::text) from taskrunner.delivery where task_id = $1 and trigger = 'End'"
	s.await("Failed", failed, made.tasks["a"].ID)
	id := ask[string](s, "select id::text from taskrunner.delivery where task_id = $1 and trigger = 'End'", made.tasks["a"].ID)

	b := newTab(t, s.url)
	b.openTask(made, "a")
	b.waitText("details", "410")
	b.click("replay-" + id)
	b.click("confirm-cancel")
	b.waitGone("confirm-cancel")
	require.Empty(t, b.changed())
	hooks.repair()
	b.click("replay-" + id)
	b.click("confirm-ok")
	s.await("Delivered", failed, made.tasks["a"].ID)
	require.Equal(t, 2, hooks.called("/gone"))
	b.wait("(d => d && d.innerText.includes('Delivered') && d.innerText.includes('410') && d.innerText.includes('200'))(document.querySelector(%s))",
		`[data-delivery="`+id+`"]`)
	s.awaitStatus(made.tasks["a"].ID, task.Success)
}

// call makes a request of its own and decodes the answer.
func (s *service) call(method, path, body string, answer any) (status int) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, strings.NewReader(body))
	require.NoError(s.t, err)
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	require.NoError(s.t, err)
	defer resp.Body.Close()
	require.NoError(s.t, json.NewDecoder(resp.Body).Decode(answer))
	return resp.StatusCode
}
