package chores

import (
	"context"
	"log/slog"
	"time"

	"github.com/taskrunner/taskrunner/internal/outage"
	"github.com/taskrunner/taskrunner/internal/task"
)

const (
	// wakeChunk is how many limits one transaction looks at: many small ends free as many, and taking few at a time it would fall behind.
	wakeChunk = 5000
	// While limits are freed again and again it is looked again after wakePause, and nobody notifies this replica meanwhile.
	wakePause     = 3 * time.Millisecond
	mostWakePause = 50 * time.Millisecond
)

// wakeAgain are the pauses after which limits are looked at again though there was nothing: who made room before he could see that
// this replica is idle has notified nobody, and has committed since.
var wakeAgain = [...]time.Duration{10 * time.Millisecond, 50 * time.Millisecond}

// wakeParked gives freed slots to parked tasks until ctx ends. The notification of room comes straight here and not by a pulse,
// because a task waits for it; a pulse hands out what was missed.
func (r *Chores) wakeParked(ctx context.Context) {
	trouble := outage.New(r.log, "wake_limits")
	timer := time.NewTimer(0)
	defer timer.Stop()
	looks := wakeLooks{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.config.Freed:
		case <-r.wake:
		case <-timer.C:
		}
		timer.Stop()
		woken, err := r.wakeLimits(ctx)
		if err != nil {
			if ctx.Err() == nil {
				trouble.Failed(err)
			}
			continue // with the next pulse
		}
		trouble.Worked()
		if woken.Tasks > 0 {
			r.config.WakeStart()
		}
		if woken.Limits > 0 {
			r.log.Log(ctx, slog.LevelDebug, "chore done", "chore", "wake_limits", "rows", woken.Limits, "tasks", woken.Tasks)
		}
		if pause := looks.next(woken); pause > 0 {
			timer.Reset(pause)
		}
	}
}

func (r *Chores) wakeLimits(ctx context.Context) (task.Woken, error) {
	ctx, cancel := context.WithTimeout(ctx, chunkTimeout)
	defer cancel()
	return r.store.WakeLimits(ctx, r.config.Replica, wakeChunk, r.ownRoom())
}

// ownRoom is how many tasks made ready this replica starts at once by itself. It may have made others ready which it has not claimed yet,
// and some of its slots are kept for hosts that have none; if it holds tasks of a host up, it cannot know.
func (r *Chores) ownRoom() int {
	if len(r.config.HeldHosts()) > 0 {
		return 0
	}
	return r.config.FreeSlots() / 4
}

// wakeLooks are the looks in a row that found nothing.
type wakeLooks struct {
	busy int // and others were at work, or the replica's row was
	idle int
}

// next is the pause before the next look; 0: not before somebody says so.
func (l *wakeLooks) next(w task.Woken) time.Duration {
	switch {
	case w.Limits > 0:
		*l = wakeLooks{}
		return wakePause
	case !w.Idle:
		l.busy++
		return min(wakePause<<min(l.busy, 10), mostWakePause)
	case l.idle < len(wakeAgain):
		l.idle++
		return wakeAgain[l.idle-1]
	}
	*l = wakeLooks{}
	return 0
}
