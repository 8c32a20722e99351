package metrics

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/taskrunner/taskrunner/internal/outage"
	"github.com/taskrunner/taskrunner/internal/task"
)

const (
	// readEvery is how often gauges are read from the database at most, whoever scrapes.
	readEvery   = 5 * time.Second
	readTimeout = 5 * time.Second
)

// Database is where gauges come from that show what all replicas and SQL clients have done.
type Database interface {
	CountParked(ctx context.Context) (task.Parked, error)
}

// ReadDatabase adds the gauges that are read from the database when somebody scrapes. While it is away they are missing.
func (m *Metrics) ReadDatabase(db Database, log *slog.Logger) {
	m.registry.MustRegister(&databaseGauges{
		db: db, trouble: outage.New(log.With("component", "metrics"), "read gauges"),
		parked: prometheus.NewDesc("tasks_parked", "Pending tasks that cannot start, by what keeps them.", []string{"reason"}, nil),
	})
}

// databaseGauges is a collector.
type databaseGauges struct {
	db     Database
	parked *prometheus.Desc

	mu      sync.Mutex
	trouble *outage.Log
	readAt  time.Time
	values  []prometheus.Metric
}

// Describe implements prometheus.Collector.
func (g *databaseGauges) Describe(descs chan<- *prometheus.Desc) { descs <- g.parked }

// Collect implements prometheus.Collector. Who scrapes at the same time waits for the one that reads.
func (g *databaseGauges) Collect(metrics chan<- prometheus.Metric) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.readAt.IsZero() || time.Since(g.readAt) >= readEvery {
		g.values = g.read()
		g.readAt = time.Now()
	}
	for _, v := range g.values {
		metrics <- v
	}
}

func (g *databaseGauges) read() []prometheus.Metric {
	ctx, cancel := context.WithTimeout(context.Background(), readTimeout)
	defer cancel()
	parked, err := g.db.CountParked(ctx)
	if err != nil {
		g.trouble.Failed(err)
		return nil
	}
	g.trouble.Worked()
	gauge := func(desc *prometheus.Desc, value int64, label string) prometheus.Metric {
		return prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, float64(value), label)
	}
	return []prometheus.Metric{
		gauge(g.parked, parked.ByRule, "rule"), gauge(g.parked, parked.ByRunAt, "run_at"), gauge(g.parked, parked.ByHost, "host"),
	}
}
