package main

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/testdb"
)

func TestPrune(t *testing.T) {
	db := testdb.New(t)
	_, err := db.Pool.Exec(t.Context(), `
		insert into taskrunner.batch (id) values ('00000000-0000-4000-8000-000000000001');
		insert into taskrunner.task (name, kind, batch_id) select 'ended', 'k', '00000000-0000-4000-8000-000000000001' from generate_series(1, 7);
		update taskrunner.task set status = 'Canceled';
		insert into taskrunner.task (name, kind) values ('live', 'k')`)
	require.NoError(t, err)
	prune := func(role string, args ...string) (code int, stdout, stderr string) {
		t.Setenv("DATABASE_URL", db.Login(t, role))
		var out, errs bytes.Buffer
		code = run(append([]string{"prune"}, args...), streams{out: &out, err: &errs})
		return code, out.String(), errs.String()
	}
	count := func() (n int) {
		require.NoError(t, db.Pool.QueryRow(t.Context(), "select count(*) from taskrunner.task").Scan(&n))
		return n
	}

	code, out, stderr := prune("taskrunner_service")
	require.Equal(t, exitOK, code, stderr)
	require.Equal(t, "removed: 0 batches, 0 tasks, 0 deliveries with 0 attempts\n", out)
	code, out, stderr = prune("taskrunner_service", "--days=0", "--dry-run")
	require.Equal(t, exitOK, code, stderr)
	require.Equal(t, "would be removed: 1 batches, 7 tasks, 0 deliveries with 0 attempts\n", out)
	require.Equal(t, 8, count())
	code, _, stderr = prune("taskrunner_admin", "--days=0")
	require.Equal(t, exitFailed, code)
	require.Contains(t, stderr, "grant taskrunner_service")
	code, _, stderr = prune("taskrunner_service", "--days=-1", "--batch-size=0")
	require.Equal(t, exitFailed, code)
	require.Equal(t, "taskrunner: --days (RETENTION_DAYS) must be from 0 to 36500, not -1\ntaskrunner: --batch-size (RETENTION_BATCH_SIZE) must be from 1 to 10000, not 0\n", stderr)
	require.Equal(t, 8, count())

	t.Setenv("RETENTION_DAYS", "0")
	code, out, stderr = prune("taskrunner_service", "--batch-size=2")
	require.Equal(t, exitOK, code, stderr)
	require.Equal(t, "removed: 1 batches, 7 tasks, 0 deliveries with 0 attempts\n", out)
	require.Equal(t, 1, count())
	db.AssertInvariants(t)
}
