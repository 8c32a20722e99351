package main

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSecondSignal(t *testing.T) {
	t.Parallel()
	signals, echo, quit := make(chan os.Signal), make(chan time.Time), make(chan struct{})
	forced := make(chan bool)
	wait := func() { forced <- secondSignal(signals, echo, quit) }
	go wait()
	for range 3 {
		signals <- os.Interrupt // the first one and its echoes
	}
	echo <- time.Time{}
	signals <- os.Interrupt
	require.True(t, <-forced)

	go wait()
	signals <- os.Interrupt
	close(quit)
	require.False(t, <-forced)
}
