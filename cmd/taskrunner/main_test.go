package main

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/testdb"
)

func TestExitCodes(t *testing.T) {
	good := []string{"--host-url=http://127.0.0.1:9", "--database-url=postgres://127.0.0.1:9/d"}
	for name, tc := range map[string]struct {
		args []string
		env  map[string]string
		code int
		says string
	}{
		"version":              {[]string{"version"}, nil, exitOK, ""},
		"no command":           {nil, nil, exitUsage, "expected one of"},
		"unknown command":      {[]string{"fly"}, nil, exitUsage, "fly"},
		"unknown flag":         {[]string{"serve", "--fast"}, nil, exitUsage, "--fast"},
		"malformed flag":       {append([]string{"serve", "--port=http"}, good...), nil, exitFailed, "--port"},
		"malformed variable":   {append([]string{"serve"}, good...), map[string]string{"POOL_MAX_SIZE": "many"}, exitFailed, "POOL_MAX_SIZE"},
		"missing setting":      {[]string{"serve", good[1]}, nil, exitFailed, "HOST_URL is required"},
		"inconsistent setting": {append([]string{"serve", "--pool-min-idle=99"}, good...), nil, exitFailed, "POOL_MIN_IDLE"},
		"failure":              {append([]string{"serve", "--database-startup-timeout-secs=0"}, good...), nil, exitFailed, "DATABASE_STARTUP_TIMEOUT_SECS"},
		"migrate":              {[]string{"migrate"}, nil, exitFailed, "DATABASE_URL is required"},
		"check":                {[]string{"check"}, nil, exitFailed, "DATABASE_URL is required"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("DATABASE_URL", "")
			t.Setenv("HOST_URL", "")
			for key, value := range tc.env {
				t.Setenv(key, value)
			}
			var stderr bytes.Buffer
			require.Equal(t, tc.code, run(tc.args, &stderr), stderr.String())
			require.Contains(t, stderr.String(), tc.says)
		})
	}
}

func TestMigrateAndCheck(t *testing.T) {
	db := testdb.NewEmpty(t)
	t.Setenv("DATABASE_URL", db.DSN)
	var stderr bytes.Buffer
	require.Equal(t, exitFailed, run([]string{"check"}, &stderr), "nothing to check")
	for range 2 {
		require.Equal(t, exitOK, run([]string{"migrate", "--log-level=error"}, &stderr), stderr.String())
	}
	require.Equal(t, exitOK, run([]string{"check"}, &stderr), stderr.String())

	_, err := db.Pool.Exec(t.Context(), `insert into taskrunner_private.queued_task (task_id, seq, created_at, priority, state, kind)
		values (gen_random_uuid(), 1, now(), 0, 'ready', 'stray')`)
	require.NoError(t, err)
	stderr.Reset()
	require.Equal(t, exitFailed, run([]string{"check"}, &stderr))
	require.Contains(t, stderr.String(), "broken invariants: 1")
}
