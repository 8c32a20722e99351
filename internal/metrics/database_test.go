package metrics_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/metrics"
	"github.com/taskrunner/taskrunner/internal/task"
)

// counter is a database with so many parked tasks.
type counter struct {
	parked task.Parked
	err    error
	reads  int
}

func (c *counter) CountParked(context.Context) (task.Parked, error) {
	c.reads++
	return c.parked, c.err
}

func TestGaugesOfTheDatabase(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &counter{parked: task.Parked{ByRule: 3, ByRunAt: 4, ByHost: 5}}
		m := metrics.New()
		m.ReadDatabase(c, slog.New(slog.DiscardHandler))
		text := scrape(t, m)
		for _, line := range []string{`tasks_parked{reason="rule"} 3`, `tasks_parked{reason="run_at"} 4`, `tasks_parked{reason="host"} 5`} {
			require.Contains(t, text, line+"\n")
		}
		c.parked.ByRule = 30
		time.Sleep(5*time.Second - 1)
		require.Contains(t, scrape(t, m), `tasks_parked{reason="rule"} 3`+"\n")
		require.Equal(t, 1, c.reads, "whoever scrapes, it is read every 5 s")
		time.Sleep(1)
		require.Contains(t, scrape(t, m), `tasks_parked{reason="rule"} 30`+"\n")

		c.err = errors.New("away")
		time.Sleep(5 * time.Second)
		text = scrape(t, m)
		require.NotContains(t, text, "tasks_parked{", "old numbers would be wrong")
		require.Contains(t, text, "go_goroutines ", "the others are there")
		c.err = nil
		time.Sleep(5 * time.Second)
		require.Contains(t, scrape(t, m), `tasks_parked{reason="host"} 5`+"\n")
	})
}
