package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// signalEcho is how long after the first signal others are taken for the same one: timeout(1) signals its child and then
// the whole group it is in, and so do some terminals and shells.
const signalEcho = time.Second

// forceAtSecondSignal calls force at a signal that comes while everything is being stopped, that is after the end of the
// context. Signals before that are left to others. The returned function takes it back.
func forceAtSecondSignal(ctx context.Context, force func()) func() {
	// From the start: when nobody is notified any more, the next signal ends the process.
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	quit, finished := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(finished)
		defer signal.Stop(signals)
		select {
		case <-ctx.Done():
		case <-quit:
			return
		}
		if secondSignal(signals, time.After(signalEcho), quit) {
			force()
		}
	}()
	return func() {
		close(quit)
		<-finished
	}
}

// secondSignal waits for a signal after the echo of the first, and reports false when it is told to quit before.
func secondSignal(signals <-chan os.Signal, echo <-chan time.Time, quit <-chan struct{}) bool {
	over := false
	for {
		select {
		case <-signals:
			if over {
				return true
			}
		case <-echo:
			over = true
		case <-quit:
			return false
		}
	}
}
