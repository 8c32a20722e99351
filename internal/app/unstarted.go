package app

import (
	"log/slog"
	"sync"
	"time"
)

// unstartedEvery is how often failed starts are logged at most.
const unstartedEvery = time.Second

// unstarted counts tasks that failed while they were being started, nearly always because on_start was refused for good
// or too often. They get one line for all of a second, however many there are.
type unstarted struct {
	log *slog.Logger

	mu    sync.Mutex
	count int64
	timer *time.Timer // nil: none is waiting
}

// add notes that n tasks failed.
func (u *unstarted) add(n int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.count += n
	if u.timer == nil {
		u.timer = time.AfterFunc(unstartedEvery, u.flush)
	}
}

// flush logs what has not been logged.
func (u *unstarted) flush() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.timer != nil {
		u.timer.Stop()
		u.timer = nil
	}
	if u.count > 0 {
		u.log.Warn("tasks failed before they ran; failure_reason of each says why", "tasks", u.count)
		u.count = 0
	}
}
