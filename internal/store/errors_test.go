package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/task"
	"github.com/taskrunner/taskrunner/internal/testdb"
)

// Every SQLSTATE is raised by a server, so that the way through the protocol is part of the test.
func TestMapEngineErrors(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	for _, c := range []struct {
		name, state, detail string // after the state, the constraint if it has one
		want                task.Error
	}{
		{"TR001", "TR001", "Canceled", task.Error{Code: task.CodeState, Status: task.Canceled}},
		{"TR001 without a task", "TR001", "", task.Error{Code: task.CodeState}},
		{"TR002", "TR002", "", task.Error{Code: task.CodeUnknown}},
		{"TR002 in a dependency", "TR002", `["tasks[0].dependencies[1].task_id: unknown task x"]`,
			task.Error{Code: task.CodeInvalid, Details: []string{"tasks[0].dependencies[1].task_id: unknown task x"}}},
		{"TR003", "TR003", `["dependencies: dependency cycle: a -> a"]`,
			task.Error{Code: task.CodeInvalid, Details: []string{"dependencies: dependency cycle: a -> a"}}},
		{"TR003 without a list", "TR003", "", task.Error{Code: task.CodeInvalid, Details: []string{"said so"}}},
		{"TR004", "TR004", `["rules: must be an array"]`,
			task.Error{Code: task.CodeInvalid, Details: []string{"rules: must be an array"}}},
		{"TR005", "TR005", "Running", task.Error{Code: task.CodeStale, Status: task.Running}},
		{"TR006", "TR006", `["name: must be at most 255 characters", "kind: x"]`,
			task.Error{Code: task.CodeInvalid, Details: []string{"name: must be at most 255 characters", "kind: x"}}},
		{"TR006, too many", "TR006 request_size", `["tasks: must be at most 100000"]`,
			task.Error{Code: task.CodeTooMany, Details: []string{"tasks: must be at most 100000"}}},
		{"TR006, overflow", "TR006 counter_range", `["new_success, new_failures: the counter would overflow"]`,
			task.Error{Code: task.CodeOverflow, Details: []string{"new_success, new_failures: the counter would overflow"}}},
		{"TR007", "TR007", `["tasks[0].name: must not be blank"]`,
			task.Error{Code: task.CodeInvalid, Details: []string{"tasks[0].name: must not be blank"}}},
		{"TR008", "TR008", "Pending", task.Error{Code: task.CodeState, Status: task.Pending}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var got *task.Error
			require.ErrorAs(t, mapError("op", raise(t, db, c.state, c.detail)), &got)
			require.Equal(t, "said so", got.Message)
			require.Equal(t, c.want.Code, got.Code)
			require.Equal(t, c.want.Details, got.Details)
			require.Equal(t, c.want.Status, got.Status)
			var pgErr *pgconn.PgError
			require.ErrorAs(t, got, &pgErr)
		})
	}
	for _, state := range []string{"TR009", "TR999", "42501", "XX000"} {
		t.Run(state, func(t *testing.T) {
			t.Parallel()
			err := mapError("op", raise(t, db, state, ""))
			var known *task.Error
			require.NotErrorAs(t, err, &known)
			require.ErrorContains(t, err, "store: op: ")
		})
	}
	for state, code := range map[string]task.Code{
		"40001": task.CodeUnavailable, "40P01": task.CodeUnavailable, // after the last repetition
		"53300": task.CodeUnavailable, "53100": task.CodeUnavailable, "57014": task.CodeUnavailable,
		"55P03": task.CodeBusy, "25006": task.CodeUnavailable, "57P01": task.CodeUnavailable,
		"08006": task.CodeUnavailable, "22P05": task.CodeInvalid, "54000": task.CodeInvalid,
	} {
		t.Run(state, func(t *testing.T) {
			t.Parallel()
			var got *task.Error
			require.ErrorAs(t, mapError("op", raise(t, db, state, "")), &got)
			require.Equal(t, code, got.Code)
			require.NotContains(t, got.Message, "said so")
		})
	}
}

func raise(t *testing.T, db *testdb.DB, state, detail string) error {
	t.Helper()
	state, constraint, _ := strings.Cut(state, " ")
	_, err := db.Pool.Exec(t.Context(), fmt.Sprintf(
		"do $$ begin raise exception 'said so' using errcode = '%s', constraint = '%s', detail = '%s'; end $$", state, constraint, detail))
	require.Error(t, err)
	return err
}

func TestMapOtherErrors(t *testing.T) {
	t.Parallel()
	require.NoError(t, mapError("op", nil))

	known := &task.Error{Code: task.CodeUnknown}
	require.Equal(t, error(known), mapError("op", known))

	var got *task.Error
	require.ErrorAs(t, mapError("op", &acquireError{err: errors.New("no route")}), &got)
	require.Equal(t, task.CodeUnavailable, got.Code)
	require.ErrorAs(t, mapError("op", fmt.Errorf("read: %w", io.ErrUnexpectedEOF)), &got)
	require.Equal(t, task.CodeUnavailable, got.Code)

	gone := mapError("op", &acquireError{err: context.Canceled})
	require.NotErrorAs(t, gone, new(*task.Error))
	require.ErrorIs(t, gone, context.Canceled)

	require.ErrorContains(t, mapError("op", &pgconn.PgError{Code: "26000"}), "POOL_PREPARED_STATEMENTS=0")
}

func TestParseCounts(t *testing.T) {
	t.Parallel()
	c, err := parseCounts(`["Pending", "Claimed", "a\nb", 3, "claim", false, [0.5, 20]]
		["Running", "Pending", "etl", 1, "timeout", true, []]
		["", "blocked", "", 4]
		["", "delivered", "", 1]
		["", "linked", "", 2]
		["", "blocked", "", 1]`)
	require.NoError(t, err)
	require.Equal(t, task.Counts{
		Transitions: []task.Transition{
			{From: task.Pending, To: task.Claimed, Kind: "a\nb", Count: 3, Cause: "claim", Seconds: []float64{.5, 20}},
			{From: task.Running, To: task.Pending, Kind: "etl", Count: 1, Cause: task.CauseTimeout, Retried: true, Seconds: []float64{}},
		},
		Blocked: 5, Delivered: 1, Linked: 2,
	}, c)
	c, err = parseCounts("[\"Running\",\"Success\",\"etl\",1]\nnonsense\n")
	require.Error(t, err)
	require.Len(t, c.Transitions, 1)
	_, err = parseCounts(`["", "lost", "", 1]`)
	require.Error(t, err)
}

func TestWebhookKeysAreExact(t *testing.T) {
	t.Parallel()
	w, err := webhook([]byte(`{"URL": "x", "url": "https://a", "Url": "y", "verb": "Get", "body": null, "headers": {"A": "b"}}`))
	require.NoError(t, err)
	require.Equal(t, task.Webhook{URL: "https://a", Verb: "Get", Headers: map[string]string{"A": "b"}}, w)
	w, err = webhook([]byte(`{"url": "https://a", "verb": "Get", "headers": null, "body": {"a": [1, 2]}}`))
	require.NoError(t, err)
	require.JSONEq(t, `{"a": [1, 2]}`, string(w.Body))
	_, err = webhook([]byte(`{"url": 7}`))
	require.Error(t, err)
}
