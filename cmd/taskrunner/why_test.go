package main

import (
	"bytes"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/testdb"
)

func TestWhy(t *testing.T) {
	db := testdb.New(t)
	_, err := db.Pool.Exec(t.Context(), `insert into taskrunner.task (id, name, kind, run_at)
		values ('00000000-0000-4000-8000-000000000001', 't', 'k', '2100-01-01T00:00:00Z')`)
	require.NoError(t, err)
	ask := func(role string, args ...string) (code int, stdout, stderr string) {
		t.Setenv("DATABASE_URL", db.Login(t, role))
		var out, errs bytes.Buffer
		code = run(append([]string{"why"}, args...), streams{out: &out, err: &errs})
		return code, out.String(), errs.String()
	}
	const id = "00000000-0000-4000-8000-000000000001"
	code, out, stderr := ask("taskrunner_reader", id)
	require.Equal(t, exitOK, code, stderr)
	require.Equal(t, "It is not to start before 2100-01-01T00:00:00.000Z.\nNo replica is alive, so nobody starts tasks.\n", out)
	code, out, stderr = ask("taskrunner_service", "--json", id)
	require.Equal(t, exitOK, code, stderr)
	require.Contains(t, out, `{"task_id":"`+id+`","reason":"No replica is alive, so nobody starts tasks.","detail":{`)

	_, err = db.Pool.Exec(t.Context(), `update taskrunner.task set run_at = null, expected_count = null,
		rules = '[{"type": "Capacity", "max_capacity": 5, "matcher": {"status": "Running", "kind": "k", "fields": []}}]'`)
	require.NoError(t, err)
	_, err = db.Pool.Exec(t.Context(), "select taskrunner_private.register_shape()")
	require.NoError(t, err)
	code, out, stderr = ask("taskrunner_reader", id)
	require.Equal(t, exitOK, code, stderr)
	require.Equal(t, "Rule 1 limits the work of tasks of kind \"k\", but it has no expected_count.\nNo replica is alive, so nobody starts tasks.\n", out)

	other := uuid.NewString()
	code, _, stderr = ask("taskrunner_reader", other)
	require.Equal(t, exitFailed, code)
	require.Equal(t, "taskrunner: task "+other+": unknown task\n", stderr)
	code, _, stderr = ask("", id)
	require.Equal(t, exitFailed, code)
	require.Contains(t, stderr, "grant taskrunner_reader")
	code, _, _ = ask("taskrunner_reader")
	require.Equal(t, exitUsage, code)
}
