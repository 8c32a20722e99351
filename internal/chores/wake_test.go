package chores

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/task"
)

// Work is followed by another look soon; who waits for others waits longer each time; who is idle looks twice more and then sleeps.
func TestPausesBetweenLooks(t *testing.T) {
	t.Parallel()
	work, busy, idle := task.Woken{Limits: 1}, task.Woken{}, task.Woken{Idle: true}
	looks := wakeLooks{}
	for i, step := range []struct {
		found task.Woken
		pause time.Duration
	}{
		{work, 3 * time.Millisecond}, {work, 3 * time.Millisecond},
		{busy, 6 * time.Millisecond}, {busy, 12 * time.Millisecond}, {busy, 24 * time.Millisecond}, {busy, 48 * time.Millisecond},
		{busy, 50 * time.Millisecond}, {busy, 50 * time.Millisecond},
		{work, 3 * time.Millisecond}, {busy, 6 * time.Millisecond}, {idle, 10 * time.Millisecond}, {idle, 50 * time.Millisecond}, {idle, 0},
		{idle, 10 * time.Millisecond}, {work, 3 * time.Millisecond}, {idle, 10 * time.Millisecond}, {idle, 50 * time.Millisecond}, {idle, 0},
	} {
		require.Equal(t, step.pause, looks.next(step.found), i)
	}
}
