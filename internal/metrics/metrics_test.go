package metrics_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/metrics"
	"github.com/taskrunner/taskrunner/internal/task"
)

func scrape(t *testing.T, m *metrics.Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	require.Equal(t, http.StatusOK, w.Code)
	require.Contains(t, w.Header().Get("Content-Type"), "text/plain; version=0.0.4")
	return w.Body.String()
}

func TestEveryMetricMoves(t *testing.T) {
	t.Parallel()
	m := metrics.New()
	m.Request("/task/{task_id}", http.MethodGet, 404, 20*time.Millisecond)
	m.Request("", "BREW", 404, time.Millisecond)
	m.InFlight(1)
	m.InFlight(1)
	m.InFlight(-1)
	m.Shed("in_flight")
	m.Shed("database")
	m.Shed("database")
	m.AuthFailed(403)
	m.PoolExhausted()
	m.BreakerChanged("half_open")
	m.TasksCreated([]task.Task{{Status: task.Pending, Kind: "etl"}, {Status: task.Pending, Kind: "etl"}, {Status: task.Failure, Kind: "etl"}})
	m.Counted(task.Counts{Linked: 2, Blocked: 5, Delivered: 1, Transitions: []task.Transition{
		{From: task.Pending, To: task.Claimed, Kind: "etl", Count: 2, Cause: "claim", Seconds: []float64{.2, 200}},
		{From: task.Running, To: task.Failure, Kind: "etl", Count: 1, Cause: "timeout", Seconds: []float64{7}},
		{From: task.Running, To: task.Pending, Kind: "etl", Count: 2, Cause: "timeout", Retried: true},
		{From: task.Claimed, To: task.Pending, Kind: "etl", Count: 1, Cause: "start_failed", Retried: true},
		{From: task.Claimed, To: task.Failure, Kind: "etl", Count: 1, Cause: "start_failed"},
		{From: task.Claimed, To: task.Pending, Kind: "etl", Count: 1, Cause: "start_failed"}, // the same attempt goes on
		{From: task.Paused, To: task.Paused, Kind: "etl", Count: 1, Cause: "report", Retried: true},
		{From: task.Waiting, To: task.Pending, Kind: "etl", Count: 3, Cause: "propagate"},
		{From: task.Waiting, To: task.Failure, Kind: "etl", Count: 4, Cause: "propagate"},
		{From: task.Running, To: task.Canceled, Kind: "etl", Count: 1},
		{From: task.Running, To: task.Canceled, Kind: "etl", Count: 2, Cause: "stop"},
		{From: task.Running, To: task.Canceled, Kind: "etl", Count: 4, Cause: "dead_end"},
	}})
	m.Settled("end", 2, 1)
	m.Overtaken("end_failure", 1, 2)
	m.Replayed(3)
	m.Queried("ClaimTasks", true, 200*time.Millisecond)
	m.Queried("ClaimTasks", false, 2*time.Millisecond)
	m.WriteFailed(false)
	m.WriteFailed(true)
	m.Claimed(2, 3*time.Millisecond)
	m.Woken("notify")
	m.CallStarted("end")
	m.CallStarted("end")
	m.CallEnded("end", false, time.Second)
	m.CircuitChanged("deliver", "open", 2)
	m.Cleaned(7)
	m.CleanupRan(nil, 2*time.Second)
	m.CleanupRan(errors.New("broken"), time.Minute)
	m.ListenerConnected(true)
	m.ListenerReconnected()
	text := scrape(t, m)
	for _, line := range []string{
		`api_http_requests_total{endpoint="/task/{task_id}",method="GET",status="404"} 1`,
		`api_http_requests_total{endpoint="unmatched",method="other",status="404"} 1`,
		`api_http_requests_duration_seconds_count{endpoint="/task/{task_id}",method="GET",status="404"} 1`,
		`requests_in_flight 1`,
		`requests_shed_total{reason="in_flight"} 1`,
		`requests_shed_total{reason="database"} 2`,
		`auth_failures_total{code="401"} 0`,
		`auth_failures_total{code="403"} 1`,
		`pool_exhausted_total 1`,
		`circuit_breaker_state_transitions_total{to_state="open"} 0`,
		`circuit_breaker_state_transitions_total{to_state="half_open"} 1`,
		`circuit_breaker_rejections_total 2`,
		`tasks_created_total 3`,
		`task_status_transitions_total{from_status="Pending",to_status="Claimed"} 2`,
		`tasks_completed_total{kind="etl",outcome="Failure"} 7`,
		`task_status_transitions_total{from_status="(new)",to_status="Pending"} 2`,
		`task_status_transitions_total{from_status="(new)",to_status="Failure"} 1`,
		`tasks_with_dependencies_total 2`,
		`tasks_blocked_by_concurrency_total 5`,
		`tasks_timed_out_total 3`,
		`task_retries_total{cause="timeout"} 2`,
		`task_retries_total{cause="on_start"} 1`,
		`task_retries_total{cause="report"} 1`,
		`tasks_unblocked_total 3`,
		`tasks_failed_by_dependency_total 4`,
		`tasks_cancelled_total 3`,
		`tasks_canceled_dead_end_total 4`,
		`dependency_propagations_total{parent_outcome="Failure"} 7`,
		`dependency_propagations_total{parent_outcome="Canceled"} 7`,
		`task_wait_seconds_bucket{kind="etl",le="0.5"} 1`,
		`task_duration_seconds_bucket{kind="etl",outcome="Failure",le="10"} 1`,
		`webhook_executions_total{outcome="success",trigger="end"} 2`,
		`webhook_executions_total{outcome="failure",trigger="start"} 2`,
		`dead_letters_total{trigger="end"} 1`,
		`dead_letters_total{trigger="start"} 2`,
		`webhook_idempotent_skips_total{trigger="start"} 1`,
		`webhook_idempotent_skips_total{trigger="end_failure"} 1`,
		`webhook_idempotent_conflicts_total 2`,
		`deliveries_replayed_total 3`,
		`db_query_duration_seconds_bucket{query="ClaimTasks",le="0.1"} 1`,
		`slow_queries_total{query="ClaimTasks"} 1`,
		`tasks_db_save_failures_total 2`,
		`batch_update_failures_total 1`,
		`worker_loop_iterations_total 1`,
		`worker_loop_duration_seconds_bucket{le="0.005"} 1`,
		`tasks_processed_per_loop_bucket{le="1"} 0`,
		`tasks_processed_per_loop_sum 2`,
		`notify_wakeups_total{source="notify"} 1`,
		`notify_wakeups_total{source="poll"} 0`,
		`webhook_attempts_total{outcome="failure",trigger="end"} 1`,
		`webhook_attempts_total{outcome="success",trigger="cancel"} 0`,
		`webhook_duration_seconds_bucket{trigger="end",le="0.5"} 0`,
		`webhooks_in_flight{phase="end"} 1`,
		`retention_tasks_cleaned_total 7`,
		`retention_cleanup_runs_total{outcome="success"} 1`,
		`retention_cleanup_runs_total{outcome="error"} 1`,
		`retention_cleanup_duration_seconds_bucket{le="1"} 0`,
		`retention_cleanup_duration_seconds_bucket{le="5"} 1`,
		`retention_cleanup_duration_seconds_bucket{le="60"} 2`,
		`webhook_circuits_open{loop="deliver"} 2`,
		`webhook_circuit_state_transitions_total{loop="deliver",to_state="open"} 1`,
		`webhook_circuit_state_transitions_total{loop="start",to_state="half_open"} 0`,
		`listener_connected 1`,
		`listener_reconnects_total 1`,
	} {
		require.Contains(t, text, line+"\n")
	}
	require.Contains(t, text, "go_goroutines ")
	require.Contains(t, text, "process_cpu_seconds_total ")
	require.NotContains(t, text, `outcome="Claimed"`)
}

// Kinds are chosen by callers, and a series is never forgotten.
func TestKindsAreBounded(t *testing.T) {
	t.Parallel()
	m := metrics.New()
	for i := range 250 {
		m.Counted(task.Counts{Transitions: []task.Transition{{From: task.Running, To: task.Success, Kind: fmt.Sprintf("kind-%d", i), Count: 1}}})
	}
	m.Counted(task.Counts{Transitions: []task.Transition{{From: task.Running, To: task.Success, Kind: "kind-0", Count: 1}}})
	text := scrape(t, m)
	require.Equal(t, 201, strings.Count(text, "\ntasks_completed_total{"))
	require.Contains(t, text, `tasks_completed_total{kind="other",outcome="Success"} 50`)
	require.Contains(t, text, `tasks_completed_total{kind="kind-0",outcome="Success"} 2`)
}
