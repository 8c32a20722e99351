package view_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/task"
	"github.com/taskrunner/taskrunner/internal/view"
)

// A graph is placed once, whoever asks, until its tasks or links change, or too many others came after it.
func TestPlacesAreKept(t *testing.T) {
	t.Parallel()
	graph := func(tasks int) task.ViewGraph {
		g := task.ViewGraph{BatchID: uuid.New(), Tasks: make([]task.ViewTask, tasks)}
		for i := range tasks - 1 {
			g.Links = append(g.Links, [2]int32{int32(i), int32(i + 1)})
		}
		return g
	}
	l, g := view.NewLayouts(), graph(3000)
	first := l.Of(g)
	require.Equal(t, int32(2999), first.Layer[2999])
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if again := l.Of(g); &again.X[0] != &first.X[0] {
				t.Error("placed again")
			}
		})
	}
	all.Wait()
	changed := g
	changed.Revision.Links++
	other := l.Of(changed)
	require.NotSame(t, &first.X[0], &other.X[0])
	for range 10 {
		large := graph(1)
		large.Tasks, large.Links = make([]task.ViewTask, 50_000), nil
		l.Of(large)
	}
	again := l.Of(g)
	require.NotSame(t, &first.X[0], &again.X[0])
}

// Many who ask cost one look a second, and so do failures; a slow database is asked less often.
func TestOverviewIsKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		looks, slow := 0, time.Duration(0)
		var fails error
		o := view.NewOverview(func(context.Context, []task.MinuteCount) (task.Overview, error) {
			looks++
			time.Sleep(slow)
			return task.Overview{OldestPendingAge: float64(looks)}, fails
		})
		ask := func(want float64) {
			t.Helper()
			for range 50 {
				seen, err := o.Get(t.Context())
				require.ErrorIs(t, err, fails)
				if fails == nil {
					require.InDelta(t, want, seen.OldestPendingAge, 0)
				}
			}
		}
		ask(1)
		time.Sleep(999 * time.Millisecond)
		ask(1)
		time.Sleep(time.Millisecond)
		slow = time.Second
		ask(2)
		time.Sleep(19 * time.Second)
		ask(2)
		time.Sleep(time.Second)
		fails = errors.New("away")
		ask(0)
		require.Equal(t, 3, looks)
		time.Sleep(time.Second)
		fails = nil
		ask(4)
	})
}
