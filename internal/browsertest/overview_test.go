package browsertest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/task"
)

// The overview has the numbers of the database, and keeps up with them.
func TestOverview(t *testing.T) {
	t.Parallel()
	hooks := newReceiver(t)
	s := startService(t)
	second := &service{t: t, db: s.db, at: "127.0.0.1:0"}
	second.start()
	made := scene(t, s, hooks)
	lost := hooks.task("reported", "etl", "/ok")
	refused := hooks.task("refused", "etl", "/gone/0") // its start is no dead letter
	lost["on_success"] = []any{hooks.hook("/gone/1"), hooks.hook("/gone/2")}
	limited := func(name string) entry {
		e := hooks.task(name, "limited", "/hold")
		e["rules"] = []any{map[string]any{"type": "Concurency", "max_concurency": 1, "matcher": map[string]any{"status": "Running", "kind": "limited", "fields": []any{}}}}
		return e
	}
	later := hooks.task("later", "k", "/hold")
	later["run_at"] = "2100-01-01T00:00:00Z"
	s.submit("more", lost, refused, limited("l1"), limited("l2"), limited("l3"), later)
	s.await("2", "select count(*)::text from taskrunner.delivery where status = 'Failed' and trigger <> 'Start'")
	s.await("true", "select exists (select from taskrunner.delivery where status = 'Failed' and trigger = 'Start')::text")
	s.await("1", "select count(*)::text from taskrunner.task where kind = 'limited' and status = 'Running'")

	b := newTab(t, s.url)
	b.open("/view")
	tile := func(name string, value any) {
		t.Helper()
		b.wait("document.querySelector(%s).innerText === %s", fmt.Sprintf(`[data-tile="%s"] dd`, name), fmt.Sprint(value))
	}
	counts := func() {
		t.Helper()
		for _, status := range []task.Status{task.Waiting, task.Pending, task.Claimed, task.Running, task.Paused} {
			tile(string(status), ask[int](s, "select count(*) from taskrunner.task where status::text = $1", string(status)))
		}
		tile("Dead letters", ask[int](s, "select count(*) from taskrunner.delivery where status = 'Failed' and trigger <> 'Start'"))
	}
	counts()
	tile("Dead letters", 2)
	tile("Replicas alive", 2)
	b.waitText("alerts", "2 webhooks were given up")
	text := b.text("overview")
	s.query("select kind, count(*) from taskrunner.task where status = 'Running' group by kind", nil, func(scan func(...any)) {
		var kind string
		var n int
		scan(&kind, &n)
		require.Contains(t, text, fmt.Sprintf("%s\t%d", kind, n))
	})
	held := b.text("overview")
	held = held[strings.Index(held, "Held back"):]
	require.Regexp(t, `(?s)limited.*\t2`, held, "two tasks wait for the limit of their kind")
	require.Regexp(t, `run_at|not before|later|time`, held)
	ended := eval[string](b, "document.querySelector(%s).getAttribute('aria-label')", by("overview")+" svg")
	sum := 0
	for _, n := range strings.Split(ended[strings.Index(ended, ":")+1:], ",") {
		var one int
		_, err := fmt.Sscan(n, &one)
		require.NoError(t, err)
		sum += one
	}
	require.Equal(t, ask[int](s, "select count(*) from taskrunner.task where ended_at is not null"), sum)

	eval[any](b, "window.untouched = true")
	s.exec("select taskrunner.finish_task($1, 'Success')", made.tasks["at work"].ID)
	s.exec("select taskrunner.resume_task($1)", made.tasks["held"].ID)
	s.awaitStatus(made.tasks["held"].ID, task.Running)
	counts()
	second.stop()
	tile("Replicas alive", 1)
	require.True(t, eval[bool](b, "window.untouched"))

	// The alert leads to the webhooks, where each can be sent again.
	b.clickOn(`[...document.querySelectorAll('[data-test="alerts"] a')].find(a => a.innerText.includes('Look at them'))`)
	b.wait("document.querySelectorAll('[data-test^=\"replay-\"]').length === 2")
	hooks.repair()
	id := ask[string](s, "select id::text from taskrunner.delivery where status = 'Failed' and trigger <> 'Start' limit 1")
	b.click("replay-" + id)
	b.click("confirm-ok")
	s.await("Delivered", "select status::text from taskrunner.delivery where id = $1::uuid", id)
	b.wait("document.querySelectorAll('[data-test^=\"replay-\"]').length === 1")
}
