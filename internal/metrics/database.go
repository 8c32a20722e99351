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
	// readShare bounds how much of its time a slow database spends on the gauges: one part of so many.
	readShare = 20
)

// Database is where gauges come from that show what all replicas and SQL clients have done.
type Database interface {
	Gauges(ctx context.Context) ([]task.Gauge, error)
}

// databaseMetrics are the gauges that the database knows, with their labels. The SQL function read_gauges has their values.
var databaseMetrics = []struct {
	name, help string
	labels     []string
}{
	{"tasks_by_status", "Tasks that have not ended, by their status.", []string{"status"}},
	{"running_tasks_by_kind", "Running tasks, by their kind.", []string{"kind"}},
	{"queue_depth", "Pending tasks, those that cannot start yet included.", nil},
	{"oldest_pending_age_seconds", "Age of the oldest task that could start now; 0 if there is none.", nil},
	{"tasks_parked", "Pending tasks that cannot start, by what keeps them.", []string{"reason"}},
	{"deliveries_by_status", "Deliveries that are owed, are being sent or have failed for good; beyond 10,000 their triggers are estimated.", []string{"trigger", "status"}},
	{"deliveries_oldest_due_age_seconds", "How long the delivery has been due that has waited longest; 0 if none is due.", nil},
}

// ReadDatabase adds the gauges that are read from the database when somebody scrapes. While it is away they are missing.
func (m *Metrics) ReadDatabase(db Database, log *slog.Logger) {
	g := &databaseGauges{
		db: db, trouble: outage.New(log.With("component", "metrics"), "read gauges"), kinds: m.tasks.kinds,
		descs: map[string]*prometheus.Desc{}, labels: map[string]int{},
	}
	for _, d := range databaseMetrics {
		g.descs[d.name], g.labels[d.name] = prometheus.NewDesc(d.name, d.help, d.labels, nil), len(d.labels)
	}
	m.registry.MustRegister(g)
}

// databaseGauges is a collector.
type databaseGauges struct {
	db     Database
	kinds  *kinds
	descs  map[string]*prometheus.Desc
	labels map[string]int // how many

	mu      sync.Mutex
	trouble *outage.Log
	next    time.Time // not before it are they read again
	values  []prometheus.Metric
}

// Describe implements prometheus.Collector.
func (g *databaseGauges) Describe(descs chan<- *prometheus.Desc) {
	for _, d := range g.descs {
		descs <- d
	}
}

// Collect implements prometheus.Collector. Who scrapes at the same time waits for the one that reads.
func (g *databaseGauges) Collect(metrics chan<- prometheus.Metric) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if began := time.Now(); !began.Before(g.next) {
		g.values = g.read()
		g.next = began.Add(max(readEvery, readShare*time.Since(began)))
	}
	for _, v := range g.values {
		metrics <- v
	}
}

func (g *databaseGauges) read() (values []prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), readTimeout)
	defer cancel()
	list, err := g.db.Gauges(ctx)
	if err != nil {
		g.trouble.Failed(err)
		return nil
	}
	g.trouble.Worked()
	sums := map[[3]string]float64{} // by metric and labels
	for _, v := range list {
		if g.descs[v.Metric] == nil {
			continue // of a newer version of the engine
		}
		switch {
		case v.Metric == "running_tasks_by_kind" && v.First == "":
			v.First = other
		case v.Metric == "running_tasks_by_kind":
			v.First = g.kinds.label(v.First)
		case v.Metric == "tasks_by_status" && v.First == string(task.Pending):
			sums[[3]string{"queue_depth"}] += v.Value
		}
		sums[[3]string{v.Metric, v.First, v.Second}] += v.Value
	}
	for series, sum := range sums {
		name := series[0]
		values = append(values, prometheus.MustNewConstMetric(
			g.descs[name], prometheus.GaugeValue, sum, series[1:1+g.labels[name]]...))
	}
	return values
}
