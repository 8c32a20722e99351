package app

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestFailedStartsAreOneLineASecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var text bytes.Buffer
		u := unstarted{log: slog.New(slog.NewTextHandler(&text, nil))}
		u.flush()
		for range 1000 {
			u.add(2)
		}
		time.Sleep(unstartedEvery)
		synctest.Wait()
		u.add(3)
		u.flush() // at the end of the process
		time.Sleep(2 * unstartedEvery)
		lines := strings.Split(strings.TrimSpace(text.String()), "\n")
		require.Len(t, lines, 2)
		require.Contains(t, lines[0], "level=WARN")
		require.Contains(t, lines[0], "tasks=2000")
		require.Contains(t, lines[1], "tasks=3")
	})
}
