package chores

import (
	"context"
	"fmt"
	"time"

	"github.com/taskrunner/taskrunner/internal/outage"
	"github.com/taskrunner/taskrunner/internal/task"
)

const (
	pulseEvery   = time.Second
	pulseTimeout = 3 * time.Second
	// handOutAgain is how long the database does not hand out again a chore for which tasks wait (sql/functions/tick.sql).
	handOutAgain = 20 * time.Millisecond
	// late is how much later than the moment the database named it is asked again.
	late = 2 * time.Millisecond
	// shortest is the least pause between two pulses.
	shortest = 5 * time.Millisecond
	// hintPause is the least pause between the beginnings of two pulses when the second was asked for by a hint.
	hintPause = 20 * time.Millisecond
	// lookBack is how long after the chores went idle the database is asked once more: who made work before they were stamped as idle
	// notified nobody, and may have committed since.
	lookBack = 50 * time.Millisecond
)

// beat pulses until the context ends. A pulse that fails is logged and tried again in a second: the loops go on, and if
// this replica is given up by the others, its claims are fenced.
func (r *Chores) beat(ctx context.Context) {
	trouble := outage.New(r.log, "pulse")
	timer := time.NewTimer(0)
	defer timer.Stop()
	registered := false
	overdue := 0 // pulses in a row for whose due moment there was nothing to do
	toldBusy := false
	var began time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-r.calm:
			if !toldBusy {
				continue
			}
		case <-r.config.Notified:
			if early := hintPause - time.Since(began); early > 0 && !sleep(ctx, early) {
				return
			}
		}
		began = time.Now()
		idle := r.busy.Load() == 0
		agenda, err := r.pulse(ctx, idle)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			r.contact.lost()
			trouble.Failed(err)
			timer.Reset(r.pulseEvery)
			continue
		}
		trouble.Worked()
		r.contact.answered(time.Now())
		if !registered {
			registered = true
			close(r.registered)
		}
		if agenda.Ready {
			r.config.WakeStart()
		}
		if agenda.Deliveries {
			r.config.WakeDeliver()
		}
		now := time.Now()
		if r.handOut(agenda.DueChores) > 0 || agenda.NextDueAt == nil || agenda.NextDueAt.After(now) {
			overdue = 0
		} else {
			overdue++
		}
		next := nextPulse(began, now, agenda.NextDueAt, overdue, r.pulseEvery).Sub(now)
		if toldBusy && idle {
			next = min(next, lookBack)
		}
		toldBusy = !idle
		timer.Reset(next)
	}
}

func (r *Chores) pulse(ctx context.Context, idle bool) (task.Agenda, error) {
	ctx, cancel := context.WithTimeout(ctx, pulseTimeout)
	defer cancel()
	agenda, err := r.store.Pulse(ctx, task.Pulse{
		Replica:    r.config.Replica,
		Name:       r.config.Name,
		Version:    r.config.Version,
		FreeSlots:  r.config.FreeSlots(),
		IdleChores: idle,
		HeldHosts:  r.config.HeldHosts(),
	})
	if err != nil {
		return task.Agenda{}, fmt.Errorf("pulse: %w", err)
	}
	return agenda, nil
}

// nextPulse is a second (every) after the last one began, or earlier when something falls due before.
//
// A due moment that has passed means that the chore runs now, here or on another replica, or that our clock is ahead of
// the database's: it is asked again after the time for which it hands no chore out twice, and each time that there was
// nothing to do (overdue), later.
func nextPulse(began, now time.Time, due *time.Time, overdue int, every time.Duration) time.Time {
	next := began.Add(every)
	if due != nil {
		at := due.Add(late)
		if !due.After(now) {
			at = began.Add(handOutAgain << min(overdue, 6))
		}
		if at.Before(next) {
			next = at
		}
	}
	if soonest := now.Add(shortest); next.Before(soonest) {
		return soonest
	}
	return next
}

// sleep waits and reports whether ctx is still going on.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
