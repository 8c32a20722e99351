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

// counter is a database with such gauges, which takes a while.
type counter struct {
	gauges []task.Gauge
	err    error
	takes  time.Duration
	reads  int
}

func (c *counter) Gauges(context.Context) ([]task.Gauge, error) {
	c.reads++
	time.Sleep(c.takes)
	return c.gauges, c.err
}

func gauge(metric, first, second string, value float64) task.Gauge {
	return task.Gauge{Metric: metric, First: first, Second: second, Value: value}
}

func TestGaugesOfTheDatabase(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &counter{gauges: []task.Gauge{
			gauge("tasks_parked", "rule", "", 3), gauge("tasks_by_status", "Pending", "", 9), gauge("tasks_by_status", "Running", "", 2), gauge("tasks_by_status", "Paused", "", 3), gauge("tasks_by_status", "Paused", "", 4),
			gauge("running_tasks_by_kind", "etl", "", 2), gauge("running_tasks_by_kind", "", "", 7), gauge("running_tasks_by_kind", "other", "", 1),
			gauge("oldest_pending_age_seconds", "", "", 1.5), gauge("deliveries_by_status", "end", "Failed", 4), gauge("of_a_newer_version", "", "", 1),
		}}
		m := metrics.New()
		m.ReadDatabase(c, slog.New(slog.DiscardHandler))
		text := scrape(t, m)
		for _, line := range []string{
			`tasks_parked{reason="rule"} 3`, `tasks_by_status{status="Pending"} 9`, `tasks_by_status{status="Running"} 2`, `queue_depth 9`, `tasks_by_status{status="Paused"} 7`,
			`running_tasks_by_kind{kind="etl"} 2`, `running_tasks_by_kind{kind="other"} 8`, `oldest_pending_age_seconds 1.5`,
			`deliveries_by_status{status="Failed",trigger="end"} 4`,
		} {
			require.Contains(t, text, line+"\n")
		}
		c.gauges[0].Value = 30
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
		require.Contains(t, scrape(t, m), `tasks_parked{reason="rule"} 30`+"\n")

		// A database that takes long is read less often.
		time.Sleep(5 * time.Second)
		c.takes = time.Second
		scrape(t, m)
		reads := c.reads
		time.Sleep(19*time.Second - 1)
		scrape(t, m)
		require.Equal(t, reads, c.reads)
		time.Sleep(1)
		scrape(t, m)
		require.Equal(t, reads+1, c.reads)
	})
}
