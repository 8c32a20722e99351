package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/taskrunner/taskrunner/internal/task"
)

// newStatus stands for the state of a task before it is created.
const newStatus = "(new)"

// tasks are the metrics of what became of tasks.
type tasks struct {
	kinds *kinds

	created         prometheus.Counter
	linked          prometheus.Counter
	transitions     *prometheus.CounterVec // from_status, to_status
	completed       *prometheus.CounterVec // outcome, kind
	cancelled       prometheus.Counter
	timedOut        prometheus.Counter
	deadEnds        prometheus.Counter
	unblocked       prometheus.Counter
	failedByParents prometheus.Counter
	propagations    *prometheus.CounterVec   // parent_outcome
	duration        *prometheus.HistogramVec // kind, outcome
	wait            *prometheus.HistogramVec // kind
	blocked         prometheus.Counter
	retries         *prometheus.CounterVec // cause
}

func newTasks() tasks {
	t := tasks{
		kinds:           &kinds{},
		created:         counter("tasks_created_total", "Tasks created by requests to this process; committed ones only."),
		linked:          counter("tasks_with_dependencies_total", "Tasks created with dependencies; committed ones only."),
		transitions:     counters("task_status_transitions_total", "Status changes committed by this process; (new): creations.", "from_status", "to_status"),
		completed:       counters("tasks_completed_total", "Tasks ended by this process, those that failed with a parent included.", "outcome", "kind"),
		cancelled:       counter("tasks_cancelled_total", "Tasks canceled by DELETE of a task or a batch."),
		timedOut:        counter("tasks_timed_out_total", "Attempts that timed out, those that are retried included."),
		deadEnds:        counter("tasks_canceled_dead_end_total", "Tasks canceled because all their children had ended."),
		unblocked:       counter("tasks_unblocked_total", "Tasks that became Pending because their parents had ended."),
		failedByParents: counter("tasks_failed_by_dependency_total", "Waiting or paused tasks that failed because a required parent did."),
		propagations:    counters("dependency_propagations_total", "Ended tasks whose end was passed on to their children.", "parent_outcome"),
		duration: histograms("task_duration_seconds", "From the start of a task to its end.",
			[]float64{1, 5, 10, 30, 60, 300, 600, 1800, 3600}, "kind", "outcome"),
		wait:    histograms("task_wait_seconds", "From the creation of a task to a claim.", []float64{.1, .5, 1, 2, 5, 10, 30, 60, 300}, "kind"),
		blocked: counter("tasks_blocked_by_concurrency_total", "Attempts to claim a task that a rule stopped."),
		retries: counters("task_retries_total", "Attempts that failed and are followed by another.", "cause"),
	}
	for _, outcome := range []task.Status{task.Success, task.Failure, task.Canceled} {
		t.propagations.WithLabelValues(string(outcome))
	}
	for _, cause := range retryCauses {
		t.retries.WithLabelValues(cause)
	}
	return t
}

// retryCauses are the values of the label cause, by what the engine calls them.
var retryCauses = map[string]string{task.CauseTimeout: "timeout", task.CauseStartFailed: "on_start", task.CauseReport: "report"}

func (t *tasks) all() []prometheus.Collector {
	return []prometheus.Collector{t.created, t.linked, t.transitions, t.completed, t.cancelled, t.timedOut, t.deadEnds, t.unblocked,
		t.failedByParents, t.propagations, t.duration, t.wait, t.blocked, t.retries}
}

// TasksCreated counts the tasks of a committed request.
func (t *tasks) TasksCreated(list []task.Task) {
	t.created.Add(float64(len(list)))
	for _, created := range list {
		t.transitions.WithLabelValues(newStatus, string(created.Status)).Inc()
		if created.Status.Terminal() {
			t.ended(created.Status, t.kinds.label(created.Kind), 1)
		}
	}
}

// counted counts what a committed transaction has done.
func (t *tasks) counted(c task.Counts) {
	t.linked.Add(float64(c.Linked))
	t.blocked.Add(float64(c.Blocked))
	for _, change := range c.Transitions {
		t.changed(change)
	}
}

func (t *tasks) changed(c task.Transition) {
	n := float64(c.Count)
	if c.Retried {
		if cause, ok := retryCauses[c.Cause]; ok {
			t.retries.WithLabelValues(cause).Add(n)
		}
		if c.Cause == task.CauseTimeout {
			t.timedOut.Add(n)
		}
	}
	if c.From == c.To {
		return // it stays paused
	}
	t.transitions.WithLabelValues(string(c.From), string(c.To)).Add(n)
	kind := ""
	if c.To.Terminal() || c.To == task.Claimed {
		kind = t.kinds.label(c.Kind)
	}
	switch {
	case c.To == task.Claimed:
		observe(t.wait.WithLabelValues(kind), c.Seconds)
	case c.To.Terminal():
		t.ended(c.To, kind, n)
		observe(t.duration.WithLabelValues(kind, string(c.To)), c.Seconds)
	case c.From == task.Waiting && c.To == task.Pending:
		t.unblocked.Add(n)
	}
	switch {
	case c.To == task.Failure && c.Cause == task.CauseTimeout:
		t.timedOut.Add(n)
	case c.To == task.Failure && c.Cause == task.CausePropagate:
		t.failedByParents.Add(n)
	case c.To == task.Canceled && c.Cause == task.CauseDeadEnd:
		t.deadEnds.Add(n)
	case c.To == task.Canceled && (c.Cause == task.CauseUser || c.Cause == task.CauseStop):
		t.cancelled.Add(n)
	}
}

func (t *tasks) ended(outcome task.Status, kind string, n float64) {
	t.completed.WithLabelValues(string(outcome), kind).Add(n)
	t.propagations.WithLabelValues(string(outcome)).Add(n)
}

func observe(o prometheus.Observer, seconds []float64) {
	for _, s := range seconds {
		o.Observe(s)
	}
}
