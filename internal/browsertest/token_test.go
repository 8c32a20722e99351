package browsertest

import (
	"crypto/sha256"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/task"
)

// authTokens is a setting with a token for each scope, whose secret is "the <scope> secret".
func authTokens(scopes ...string) string {
	flag := "--auth-tokens="
	for i, scope := range scopes {
		if i > 0 {
			flag += ","
		}
		flag += fmt.Sprintf("%s:%s:%x", scope, scope, sha256.Sum256([]byte("the "+scope+" secret")))
	}
	return flag
}

// With tokens configured the page asks for one, keeps it in its tab, and says what it is not good enough for.
func TestToken(t *testing.T) {
	t.Parallel()
	hooks := newReceiver(t)
	s := startService(t, authTokens("read", "write"))
	made := batch{tasks: map[string]task.Task{}}
	s.query(`select batch_id, task_id from taskrunner.submit_batch(jsonb_build_object('name', 'locked', 'tasks', jsonb_build_array($1::jsonb)))`,
		[]any{hooks.task("a", "k", "/hold")}, func(scan func(...any)) {
			var created task.Task
			scan(&made.id, &created.ID)
			made.tasks["a"] = created
		})
	s.awaitStatus(made.tasks["a"].ID, task.Running)

	b := newTab(t, s.url)
	b.allow(`^request: GET .*: 401$`)
	b.open(made.view() + "&task=" + made.tasks["a"].ID.String())
	b.fillIn("token", "not the secret")
	b.click("token-save")
	b.wait("document.querySelector('dialog')?.innerText.includes('does not know this token')")
	b.fillIn("token", "the read secret")
	b.click("token-save")
	b.awaitDetails(made, "a")
	b.waitText("connection", "Live")

	b.allow(`^request: PATCH .*/task/pause/.*: 403$`)
	b.click("action-pause")
	b.waitText("error", "403")
	require.Equal(t, "Running", ask[string](s, "select status::text from taskrunner.task where id = $1", made.tasks["a"].ID))

	// It is where no other tab and no later day finds it.
	require.Equal(t, []string{}, eval[[]string](b, "Object.values(localStorage).filter(v => v.includes('secret'))"))
	require.Equal(t, "", eval[string](b, "document.cookie"))
	require.NotContains(t, eval[string](b, "location.href"), "secret")
	other := b.newSibling()
	other.allow(`^request: GET .*: 401$`)
	other.open("/view")
	other.wait("document.querySelector(%s)?.checkVisibility()", by("token"))
	b.open("/view")
	b.waitText("batches-table", "locked")
	for _, r := range append(b.sent(), other.sent()...) {
		require.NotContains(t, r.url, "secret")
	}

	// Another token is good enough.
	b.open(made.view() + "&task=" + made.tasks["a"].ID.String())
	b.awaitDetails(made, "a")
	b.click("token-forget")
	b.fillIn("token", "the write secret")
	b.click("token-save")
	b.awaitDetails(made, "a")
	b.click("action-pause")
	s.awaitStatus(made.tasks["a"].ID, task.Paused)
}

// Whoever looks at a batch when tokens come to be needed, and has none, is told so, and not that there is no connection.
func TestTokenIsNeededLater(t *testing.T) {
	t.Parallel()
	hooks := newReceiver(t)
	s := startService(t)
	made := s.submit("open until now", hooks.task("a", "k", "/hold"))
	s.awaitStatus(made.tasks["a"].ID, task.Running)
	b := newTab(t, s.url)
	b.openBatch(made, "")
	b.allow(`^request: GET .*: (401|503|net::.*)$`)
	s.stop()
	s.start(authTokens("read"))
	b.click("confirm-cancel")
	b.waitText("connection", "A token is needed")

	// With one it goes on.
	b.open(made.view())
	b.fillIn("token", "the read secret")
	b.click("token-save")
	b.waitText("connection", "Live")
	b.resize(400, 800, 1)
	require.LessOrEqual(t, eval[float64](b, "document.documentElement.scrollWidth"), 400., "all of the head is in sight on a phone")
}
