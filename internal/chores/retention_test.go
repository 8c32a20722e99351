package chores_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/chores"
	"github.com/taskrunner/taskrunner/internal/task"
)

// Prune fails when the store is broken.
func (s *testStore) Prune(ctx context.Context, days, limit int, chunk []byte) (task.Pruned, []byte, error) {
	if s.broken.Load() {
		return task.Pruned{}, nil, errBroken
	}
	return s.Store.Prune(ctx, days, limit, chunk)
}

// A replica removes what has ended, run after run, the first after a whole interval, and says how each went.
func TestRetention(t *testing.T) {
	t.Parallel()
	const every = time.Second
	var removed, good, bad, early atomic.Int64
	began := time.Now()
	b := setupWith(t, nil, func(c *chores.Chores) {
		c.SetRetention(chores.Retention{
			Days: 0, Every: every, Chunk: 2, Removed: func(tasks int64) { removed.Add(tasks) },
			Ran: func(err error, took time.Duration) {
				if time.Since(began) < every {
					early.Add(1)
				}
				if err != nil {
					bad.Add(1)
				} else if took > 0 {
					good.Add(1)
				}
			},
		})
	})
	live := b.submit(t)
	const ended = 7
	for range ended {
		_, err := b.store.Cancel(t.Context(), b.submit(t))
		require.NoError(t, err)
	}
	require.Eventually(t, func() bool { return removed.Load() == ended }, patience, 5*time.Millisecond)
	require.Eventually(t, func() bool { return good.Load() > 1 }, patience, 5*time.Millisecond)
	_, err := b.store.Task(t.Context(), live)
	require.NoError(t, err)
	require.Zero(t, bad.Load())
	require.Zero(t, early.Load())

	b.store.broken.Store(true)
	require.Eventually(t, func() bool { return bad.Load() > 0 }, patience, 5*time.Millisecond)
	b.store.broken.Store(false)
	before := good.Load()
	require.Eventually(t, func() bool { return good.Load() > before }, patience, 5*time.Millisecond)
	require.EqualValues(t, ended, removed.Load())
	b.stop()
	b.db.AssertInvariants(t)
}
