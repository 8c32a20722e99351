package view

import (
	"context"
	"sync"
	"time"

	"github.com/taskrunner/taskrunner/internal/task"
)

const (
	// overviewEvery is how often the overview is read at most, whoever asks.
	overviewEvery = time.Second
	// overviewShare bounds how much of its time a slow database spends on it: one part of so many.
	overviewShare = 20
	// overviewTimeout is how long it is waited for.
	overviewTimeout = 5 * time.Second
)

// Overview remembers for a while what goes on.
type Overview struct {
	read func(ctx context.Context, ended []task.MinuteCount) (task.Overview, error)

	mu    sync.Mutex
	last  task.Overview
	err   error     // why it could not be read
	until time.Time // so long is that good
}

// NewOverview returns one that reads by a function.
func NewOverview(read func(ctx context.Context, ended []task.MinuteCount) (task.Overview, error)) *Overview {
	return &Overview{read: read}
}

// Get returns what goes on. Who asks at the same time waits for the one that reads; so it is read to its end, whether or not he does.
func (o *Overview) Get(ctx context.Context) (task.Overview, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	began := time.Now()
	if began.Before(o.until) {
		return o.last, o.err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), overviewTimeout)
	defer cancel()
	seen, err := o.read(ctx, o.last.EndedPerMinute)
	pause := overviewEvery
	if err == nil {
		o.last, pause = seen, max(pause, overviewShare*time.Since(began))
	}
	o.err, o.until = err, time.Now().Add(pause)
	return o.last, err
}
