package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/testdb"
)

func TestRunStartsAndStopsAServer(t *testing.T) {
	t.Setenv(testdb.URLEnv, "")
	file := filepath.Join(t.TempDir(), "url")
	code, err := run([]string{"/bin/sh", "-c", `printf %s "$TEST_DATABASE_URL" >"$0"; exit 7`, file})
	require.NoError(t, err)
	require.Equal(t, 7, code)
	url, err := os.ReadFile(file)
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(string(url), "postgres://"))
	_, err = pgx.Connect(t.Context(), string(url))
	require.Error(t, err, "the server is stopped")
}

func TestRunExitCodes(t *testing.T) {
	t.Setenv(testdb.URLEnv, "postgres://somewhere/else")
	for name, tc := range map[string]struct {
		script string
		code   int
	}{
		"success":            {`test "$TEST_DATABASE_URL" = postgres://somewhere/else`, 0},
		"failure":            {"exit 3", 3},
		"killed by a signal": {"kill -KILL $$", 128 + int(syscall.SIGKILL)},
	} {
		t.Run(name, func(t *testing.T) {
			code, err := run([]string{"/bin/sh", "-c", tc.script})
			require.NoError(t, err)
			require.Equal(t, tc.code, code)
		})
	}
	_, err := run([]string{"/nonexistent"})
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestRunPassesSignalsOn(t *testing.T) {
	t.Setenv(testdb.URLEnv, "postgres://somewhere/else")
	ready := filepath.Join(t.TempDir(), "ready")
	codes := make(chan int, 1)
	go func() {
		code, err := run([]string{"/bin/sh", "-c", `trap 'exit 9' TERM; : >"$0"; while :; do sleep 0.05; done`, ready})
		if err != nil {
			code = -1
		}
		codes <- code
	}()
	require.Eventually(t, func() bool { _, err := os.Stat(ready); return err == nil }, 10*time.Second, 10*time.Millisecond)
	require.NoError(t, syscall.Kill(os.Getpid(), syscall.SIGTERM))
	require.Equal(t, 9, <-codes)
}
