// Package metrics defines what GET /metrics shows (contract, section 11). Counters and histograms count what this
// process did; what other SQL clients change is not in them.
package metrics

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/taskrunner/taskrunner/internal/task"
)

// Metrics are the metrics of one process, in a registry of their own. The methods may be called by many goroutines.
type Metrics struct {
	registry *prometheus.Registry

	httpRequests *prometheus.CounterVec   // endpoint, method, status
	httpDuration *prometheus.HistogramVec // endpoint, method, status
	requests     cache[request, requestSeries]

	inProgress    prometheus.Gauge
	shed          *prometheus.CounterVec // reason
	authFailures  *prometheus.CounterVec // code
	poolExhausted prometheus.Counter
	breakerStates *prometheus.CounterVec // to_state
	breakerNos    prometheus.Counter

	tasks

	queryDuration *prometheus.HistogramVec // query
	slowQueries   *prometheus.CounterVec   // query
	queries       cache[string, querySeries]
	saveFailures  prometheus.Counter
	batchFailures prometheus.Counter

	loopIterations prometheus.Counter
	loopDuration   prometheus.Histogram
	loopProcessed  prometheus.Histogram
	wakeups        *prometheus.CounterVec // source

	attempts *prometheus.CounterVec   // trigger, outcome
	duration *prometheus.HistogramVec // trigger
	inFlight *prometheus.GaugeVec     // phase

	executions  *prometheus.CounterVec // trigger, outcome
	deadLetters *prometheus.CounterVec // trigger
	replayed    prometheus.Counter
	skips       *prometheus.CounterVec // trigger
	conflicts   prometheus.Counter

	retentionCleaned  prometheus.Counter
	retentionRuns     *prometheus.CounterVec // outcome
	retentionDuration prometheus.Histogram

	circuitsOpen *prometheus.GaugeVec   // loop
	circuits     *prometheus.CounterVec // loop, to_state

	listenerConnected  prometheus.Gauge
	listenerReconnects prometheus.Counter
}

// New makes the metrics, all at zero.
func New() *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		httpRequests: counters("api_http_requests_total", "HTTP requests answered, by route pattern.",
			"endpoint", "method", "status"),
		httpDuration: histograms("api_http_requests_duration_seconds", "Time from a request's header to the end of its answer.",
			prometheus.DefBuckets, "endpoint", "method", "status"),
		inProgress: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "requests_in_flight", Help: "API requests in progress, those that are never refused for load aside."}),
		shed:          counters("requests_shed_total", "Requests refused with 503 to keep the others going.", "reason"),
		authFailures:  counters("auth_failures_total", "Requests refused for who sent them.", "code"),
		poolExhausted: counter("pool_exhausted_total", "Tries to get a database connection that found all in use."),
		breakerStates: counters("circuit_breaker_state_transitions_total", "Changes of the breaker's state.", "to_state"),
		breakerNos:    counter("circuit_breaker_rejections_total", "Requests refused because the database was away."),
		tasks:         newTasks(),
		queryDuration: histograms("db_query_duration_seconds", "Duration of a query of the database, by its name; other: begin and commit. Of queries that are sent together the first has the time of all.",
			[]float64{.001, .005, .01, .025, .05, .1, .25, .5, 1}, "query"),
		slowQueries:    counters("slow_queries_total", "Queries that took longer than SLOW_QUERY_THRESHOLD_MS.", "query"),
		saveFailures:   counter("tasks_db_save_failures_total", "Write transactions that failed, after their repetitions."),
		batchFailures:  counter("batch_update_failures_total", "Commits of counters (PUT /task) that failed; the reports in them are tried again one by one."),
		loopIterations: counter("worker_loop_iterations_total", "Claims of the start loop, empty ones included."),
		loopDuration: histogram("worker_loop_duration_seconds", "Duration of a claim of the start loop.",
			.001, .005, .01, .05, .1, .25, .5, 1),
		loopProcessed: histogram("tasks_processed_per_loop", "Tasks got by one claim.", 0, 1, 5, 10, 25, 50, 100),
		wakeups:       counters("notify_wakeups_total", "What woke a loop: a notification, or its own timer.", "source"),
		attempts:      counters("webhook_attempts_total", "Webhook tries.", "trigger", "outcome"),
		duration: histograms("webhook_duration_seconds", "Duration of a webhook try.",
			[]float64{.01, .05, .1, .25, .5, 1, 2.5, 5, 10}, "trigger"),
		inFlight: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "webhooks_in_flight", Help: "Open webhook calls."},
			[]string{"phase"}),
		executions:       counters("webhook_executions_total", "Deliveries finished: delivered, or failed for good.", "trigger", "outcome"),
		deadLetters:      counters("dead_letters_total", "Deliveries that failed for good.", "trigger"),
		replayed:         counter("deliveries_replayed_total", "Deliveries that a request made due again."),
		skips:            counters("webhook_idempotent_skips_total", "Calls not made, because the same had been delivered already.", "trigger"),
		conflicts:        counter("webhook_idempotent_conflicts_total", "Failed calls not repeated, because another worker was sending the same."),
		retentionCleaned: counter("retention_tasks_cleaned_total", "Ended tasks that retention removed."),
		retentionRuns:    counters("retention_cleanup_runs_total", "Runs of retention.", "outcome"),
		retentionDuration: histogram("retention_cleanup_duration_seconds", "Duration of a run of retention.",
			.1, .5, 1, 5, 10, 30, 60),
		circuitsOpen: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "webhook_circuits_open", Help: "Webhook hosts that get no calls because their last ones failed, but one now and then."},
			[]string{"loop"}),
		circuits: counters("webhook_circuit_state_transitions_total", "Changes of the circuits of webhook hosts.", "loop", "to_state"),
		listenerConnected: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "listener_connected", Help: "1 while notifications of the database come through."}),
		listenerReconnects: counter("listener_reconnects_total", "Times that the listener found back after a loss."),
	}
	m.registry.MustRegister(m.httpRequests, m.httpDuration, m.inProgress, m.shed, m.authFailures, m.poolExhausted,
		m.breakerStates, m.breakerNos, m.queryDuration, m.slowQueries, m.saveFailures, m.batchFailures,
		m.executions, m.deadLetters, m.replayed, m.skips, m.conflicts,
		m.loopIterations, m.loopDuration, m.loopProcessed, m.wakeups, m.attempts, m.duration, m.inFlight,
		m.retentionCleaned, m.retentionRuns, m.retentionDuration, m.circuitsOpen, m.circuits,
		m.listenerConnected, m.listenerReconnects,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))

	m.registry.MustRegister(m.tasks.all()...)
	m.requests.make = func(r request) requestSeries {
		status := strconv.Itoa(r.status)
		return requestSeries{m.httpRequests.WithLabelValues(r.endpoint, r.method, status), m.httpDuration.WithLabelValues(r.endpoint, r.method, status)}
	}
	m.queries.make = func(query string) querySeries {
		return querySeries{m.queryDuration.WithLabelValues(query), m.slowQueries.WithLabelValues(query)}
	}

	// What has a known set of labels is there from the start, so that a rate has a beginning.
	for _, trigger := range []string{"start", "end", "cancel"} {
		m.attempts.WithLabelValues(trigger, outcome(true))
		m.attempts.WithLabelValues(trigger, outcome(false))
		m.executions.WithLabelValues(trigger, outcome(true))
		m.executions.WithLabelValues(trigger, outcome(false))
		m.deadLetters.WithLabelValues(trigger)
		m.duration.WithLabelValues(trigger)
		m.inFlight.WithLabelValues(trigger)
	}
	for _, trigger := range []string{"start", "end_success", "end_failure", "cancel"} {
		m.skips.WithLabelValues(trigger)
	}
	for _, reason := range []string{shedInFlight, shedDatabase} {
		m.shed.WithLabelValues(reason)
	}
	for _, code := range []string{"401", "403"} {
		m.authFailures.WithLabelValues(code)
	}
	for _, state := range []string{"open", "half_open", "closed"} {
		m.breakerStates.WithLabelValues(state)
		m.circuits.WithLabelValues("start", state)
		m.circuits.WithLabelValues("deliver", state)
	}
	m.circuitsOpen.WithLabelValues("start")
	m.circuitsOpen.WithLabelValues("deliver")
	for _, outcome := range []string{cleanupSuccess, cleanupError} {
		m.retentionRuns.WithLabelValues(outcome)
	}
	for _, source := range []string{"notify", "poll"} {
		m.wakeups.WithLabelValues(source)
	}
	return m
}

// maxScrapes is how many are answered at once: each takes some MB, and nobody has to say who he is where the metrics are public.
const maxScrapes = 5

// Handler serves the metrics in Prometheus' text format. One that cannot be collected keeps none of the others away.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Registry: m.registry, ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: maxScrapes})
}

// Request counts an answered HTTP request. endpoint is the route's pattern, "" for a path that has none.
func (m *Metrics) Request(endpoint, method string, status int, took time.Duration) {
	if endpoint == "" {
		endpoint = "unmatched"
	}
	series := m.requests.get(request{endpoint, knownMethod(method), status})
	series.count.Inc()
	series.duration.Observe(took.Seconds())
}

// request is what requests are told apart by.
type request struct {
	endpoint, method string
	status           int
}

type requestSeries struct {
	count    prometheus.Counter
	duration prometheus.Observer
}

// InFlight counts requests that begin, and those that end as -1.
func (m *Metrics) InFlight(delta int) { m.inProgress.Add(float64(delta)) }

// Reasons why requests are shed.
const (
	shedInFlight = "in_flight"
	shedDatabase = "database"
)

// Shed counts a request that was refused to keep the others going: in_flight or database.
func (m *Metrics) Shed(reason string) {
	m.shed.WithLabelValues(reason).Inc()
	if reason == shedDatabase {
		m.breakerNos.Inc()
	}
}

// AuthFailed counts a request that was refused for who sent it: 401 or 403.
func (m *Metrics) AuthFailed(status int) { m.authFailures.WithLabelValues(strconv.Itoa(status)).Inc() }

// PoolExhausted counts a try to get a database connection that found all of them in use.
func (m *Metrics) PoolExhausted() { m.poolExhausted.Inc() }

// BreakerChanged counts a change of the breaker to open, half_open or closed.
func (m *Metrics) BreakerChanged(to string) { m.breakerStates.WithLabelValues(to).Inc() }

// Queried counts a query of the database.
func (m *Metrics) Queried(query string, slow bool, took time.Duration) {
	series := m.queries.get(query)
	series.duration.Observe(took.Seconds())
	if slow {
		series.slow.Inc()
	}
}

type querySeries struct {
	duration prometheus.Observer
	slow     prometheus.Counter
}

// WriteFailed counts a write transaction that failed; progress: of counters.
func (m *Metrics) WriteFailed(progress bool) {
	m.saveFailures.Inc()
	if progress {
		m.batchFailures.Inc()
	}
}

// Counted counts what a committed transaction has done to tasks.
func (m *Metrics) Counted(c task.Counts) {
	m.tasks.counted(c)
	m.skips.WithLabelValues("start").Add(float64(c.Delivered))
	for _, t := range c.Transitions {
		if t.Cause == task.CauseStartFailed && (t.Retried || t.To == task.Failure && t.From == task.Claimed) {
			m.Settled("start", 0, t.Count)
		}
	}
}

// Settled counts deliveries of a trigger that have been delivered, and those that have failed for good.
func (m *Metrics) Settled(trigger string, delivered, failed int64) {
	m.executions.WithLabelValues(trigger, outcome(true)).Add(float64(delivered))
	m.executions.WithLabelValues(trigger, outcome(false)).Add(float64(failed))
	m.deadLetters.WithLabelValues(trigger).Add(float64(failed))
}

// Overtaken counts failed tries that others make up for: they have delivered the same, or are sending it.
func (m *Metrics) Overtaken(trigger string, delivered, sending int64) {
	m.skips.WithLabelValues(trigger).Add(float64(delivered))
	m.conflicts.Add(float64(sending))
}

// Replayed counts deliveries that a request made due again.
func (m *Metrics) Replayed(deliveries int64) { m.replayed.Add(float64(deliveries)) }

// Claimed counts a claim of the start loop that got n tasks.
func (m *Metrics) Claimed(n int, took time.Duration) {
	m.loopIterations.Inc()
	m.loopDuration.Observe(took.Seconds())
	m.loopProcessed.Observe(float64(n))
}

// Woken counts what woke a loop: notify or poll.
func (m *Metrics) Woken(source string) { m.wakeups.WithLabelValues(source).Inc() }

// CallStarted counts an open webhook call; trigger is start, end or cancel.
func (m *Metrics) CallStarted(trigger string) { m.inFlight.WithLabelValues(trigger).Inc() }

// CallEnded counts a try.
func (m *Metrics) CallEnded(trigger string, success bool, took time.Duration) {
	m.inFlight.WithLabelValues(trigger).Dec()
	m.attempts.WithLabelValues(trigger, outcome(success)).Inc()
	m.duration.WithLabelValues(trigger).Observe(took.Seconds())
}

// Outcomes of a run of retention.
const (
	cleanupSuccess = "success"
	cleanupError   = "error"
)

// Cleaned counts tasks that retention removed.
func (m *Metrics) Cleaned(tasks int64) { m.retentionCleaned.Add(float64(tasks)) }

// CleanupRan counts a run of retention.
func (m *Metrics) CleanupRan(err error, took time.Duration) {
	result := cleanupSuccess
	if err != nil {
		result = cleanupError
	}
	m.retentionRuns.WithLabelValues(result).Inc()
	m.retentionDuration.Observe(took.Seconds())
}

// CircuitChanged counts that the circuit of a webhook host is now open, half_open or closed; open is how many of the loop (start,
// deliver) are not closed.
func (m *Metrics) CircuitChanged(loop, to string, open int) {
	m.circuits.WithLabelValues(loop, to).Inc()
	m.circuitsOpen.WithLabelValues(loop).Set(float64(open))
}

// ListenerConnected says whether notifications come through.
func (m *Metrics) ListenerConnected(connected bool) {
	if connected {
		m.listenerConnected.Set(1)
	} else {
		m.listenerConnected.Set(0)
	}
}

// ListenerReconnected counts a new connection after a loss.
func (m *Metrics) ListenerReconnected() { m.listenerReconnects.Inc() }

func outcome(success bool) string {
	if success {
		return "success"
	}
	return "failure"
}

func counter(name, help string) prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
}

func counters(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
}

func histogram(name, help string, buckets ...float64) prometheus.Histogram {
	return prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets})
}

func histograms(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels)
}
