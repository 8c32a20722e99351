package demo

import (
	"bytes"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/screen"
	"github.com/taskrunner/taskrunner/internal/task"
)

// While the demo runs only its own webhooks are written, those included that came before its batch was known; later all.
func TestOnlyTheDemosWebhooksAreWritten(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	h := NewHooks(screen.NewPlain(&out))
	earlier, batch := uuid.Must(uuid.NewV7()), uuid.Must(uuid.NewV7())
	later := uuid.Must(uuid.NewV7())
	call := func(id uuid.UUID, step string) {
		h.Webhook(Event{Kind: onSuccess, Step: step, BatchID: id.String(), Status: http.StatusNoContent})
	}
	lines := func() []string {
		defer out.Reset()
		return strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	}

	call(earlier, "old")
	call(batch, "swift")
	require.Empty(t, out.String())
	h.begin(batch)
	require.Equal(t, []string{"         swift              on_success answered 204"}, lines())
	call(earlier, "old")
	call(later, "own")
	h.Webhook(Event{Kind: onStart, Step: "build", BatchID: batch.String(), Status: http.StatusAccepted})
	require.Empty(t, out.String(), "and a start that is accepted shows by itself")
	call(batch, "build")
	require.Equal(t, []string{"         build              on_success answered 204"}, lines())
	h.ShowAll()
	call(earlier, "old")
	call(later, "own")
	h.Webhook(Event{Kind: onSuccess, Step: "nobatch", Status: http.StatusNoContent})
	require.Equal(t, []string{
		"00:00:00  old                on_success answered 204 (earlier batch)",
		"00:00:00  own                on_success answered 204",
		"00:00:00  nobatch            on_success answered 204",
	}, lines())
	require.Equal(t, "1 on_start, 2 on_success, 0 on_failure, 0 on_cancel", h.summary(batch))
	require.Equal(t, 3, h.count(earlier, onSuccess))
}

func TestTroubleIsToldAtOnceButNotAllOfIt(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	h := NewHooks(screen.NewPlain(&out))
	for range 3 {
		h.Trouble("build", "progress not reported: refused")
	}
	require.Equal(t, 1, strings.Count(out.String(), "build              progress not reported: refused\n"))

	l := limit{every: time.Second}
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for i, want := range []struct {
		after  time.Duration
		untold int
		ok     bool
	}{{0, 0, true}, {0, 0, false}, {999 * time.Millisecond, 0, false}, {time.Second, 2, true}, {3 * time.Second, 0, true}} {
		untold, ok := l.pass(now.Add(want.after))
		require.Equal(t, []any{want.untold, want.ok}, []any{untold, ok}, i)
	}
}

func TestUnplanned(t *testing.T) {
	t.Parallel()
	var r Result
	for name, status := range plan() {
		r.Tasks = append(r.Tasks, task.Basic{Name: name, Status: status})
	}
	require.Len(t, r.Tasks, len(release))
	require.Empty(t, r.Unplanned())
	for i, s := range r.Tasks {
		if s.Name == "build" {
			r.Tasks[i].Status = task.Failure
		}
	}
	require.Equal(t, []string{"build Failure instead of Success"}, r.Unplanned())
	for name, want := range map[string]task.Status{"lint": task.Failure, "quality-badge": task.Failure, "soak-test": task.Canceled, "package": task.Success} {
		require.Equal(t, want, plan()[name], name)
	}
}
