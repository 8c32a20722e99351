package worker

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/taskrunner/taskrunner/internal/task"
)

const (
	maxGroup     = 500
	firstPause   = 100 * time.Millisecond
	longestPause = time.Second
	latePause    = 10 * time.Second // the longest of results that are late
)

// result is what came of a call, waiting to be written back.
type result[R any] struct {
	value   R
	key     uuid.UUID     // of the task or delivery; a group has each once
	lane    int           // results of different lanes are written by different statements
	expires time.Time     // from here on it is late: somebody else may have the claim
	lasting bool          // it is of use even then
	alone   bool          // a group with it failed: it goes by itself
	after   time.Time     // not before
	pause   time.Duration // since its last failure
}

// backlog are the results to write back. A group is what has come in while the one before was being written, so there is
// no timer and a lone result goes at once. It belongs to the loop's goroutine.
type backlog[R any] struct {
	waiting []result[R]
	group   []result[R] // being written
	paused  time.Time   // nothing is written before
	pause   time.Duration
	turn    bool // the last group was one result alone
}

func (b *backlog[R]) add(r result[R]) { b.waiting = append(b.waiting, r) }

// size counts the results that are not written yet.
func (b *backlog[R]) size() int { return len(b.waiting) + len(b.group) }

// keys are those of all results that are not written yet.
func (b *backlog[R]) keys() (keys []uuid.UUID) {
	for _, r := range b.waiting {
		keys = append(keys, r.key)
	}
	for _, r := range b.group {
		keys = append(keys, r.key)
	}
	return keys
}

// late reports whether the group that is being written holds a result that has become late.
func (b *backlog[R]) late(now time.Time) bool {
	return slices.ContainsFunc(b.group, func(r result[R]) bool { return !r.expires.After(now) })
}

// expire drops what is of no use any more and returns it. Of what lasts it keeps so many that are late, the newest.
func (b *backlog[R]) expire(now time.Time, most int) (dropped []result[R]) {
	late := 0
	for _, r := range b.waiting {
		if r.lasting && !r.expires.After(now) {
			late++
		}
	}
	kept := b.waiting[:0]
	for _, r := range b.waiting {
		switch {
		case r.expires.After(now):
			kept = append(kept, r)
		case r.lasting && late <= most:
			kept = append(kept, r)
		default:
			if r.lasting {
				late--
			}
			dropped = append(dropped, r)
		}
	}
	clear(b.waiting[len(kept):])
	b.waiting = kept
	return dropped
}

// next takes the next group out, if there is one now and none is being written. Else it says when to look again; zero:
// when something changes.
func (b *backlog[R]) next(now time.Time) (group []result[R], again time.Time) {
	if len(b.group) > 0 || len(b.waiting) == 0 {
		return nil, time.Time{}
	}
	if b.paused.After(now) {
		return nil, b.paused
	}
	single, picked, keys := -1, []int(nil), map[uuid.UUID]bool{}
	for i, r := range b.waiting {
		switch {
		case r.alone && r.after.After(now):
			if again.IsZero() || r.after.Before(again) {
				again = r.after
			}
		case r.alone:
			if single < 0 {
				single = i
			}
		case len(picked) < maxGroup && !keys[r.key] && (len(picked) == 0 || r.lane == b.waiting[picked[0]].lane):
			keys[r.key] = true
			picked = append(picked, i)
		}
	}
	// Those that failed take turns with the others, so that neither holds the other up.
	if single >= 0 && (len(picked) == 0 || !b.turn) {
		picked = []int{single}
	}
	if len(picked) == 0 {
		return nil, again
	}
	kept := b.waiting[:0]
	for i, r := range b.waiting {
		if len(picked) > 0 && picked[0] == i {
			picked = picked[1:]
			b.group = append(b.group, r)
		} else {
			kept = append(kept, r)
		}
	}
	clear(b.waiting[len(kept):])
	b.waiting = kept
	b.turn = b.group[0].alone
	return b.group, time.Time{}
}

// done notes how writing the group ended. If the database was not to be reached, everything waits a little; after another
// error the members go one by one, so that what is wrong with one does not hold up the rest.
func (b *backlog[R]) done(err error, now time.Time) {
	group := b.group
	b.group = nil
	switch {
	case err == nil:
		b.pause = 0
		return
	case unavailable(err):
		b.pause = min(max(2*b.pause, firstPause), longestPause)
		b.paused = now.Add(b.pause)
	case len(group) == 1:
		r := &group[0]
		r.alone = true
		longest := longestPause
		if !r.expires.After(now) {
			longest = latePause
		}
		r.pause = min(max(2*r.pause, firstPause), longest)
		r.after = now.Add(r.pause)
	default:
		for i := range group {
			group[i].alone = true
		}
	}
	b.waiting = append(group, b.waiting...)
}

// isHeld reports that somebody else holds what is to be written.
func isHeld(err error) bool {
	var e *task.Error
	return errors.As(err, &e) && e.Code == task.CodeBusy
}

// unavailable reports that the database could not be reached, as opposed to that it refused something.
func unavailable(err error) bool {
	var e *task.Error
	return errors.As(err, &e) && e.Code == task.CodeUnavailable ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}
