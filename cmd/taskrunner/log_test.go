package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/config"
)

func TestLogIsReadable(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	_, err = pgx.Connect(t.Context(), "postgres://u:hunter2@"+l.Addr().String()+"/d")
	require.Error(t, err)

	var text bytes.Buffer
	log := newLogger(&text, config.Log{LogLevel: "info", LogFormat: "json"})
	log.Info("x", "wait", 1500*time.Millisecond, "error", fmt.Errorf("claim: %w", err), "other", context.Canceled, "tasks", 3)
	var line map[string]any
	require.NoError(t, json.Unmarshal(text.Bytes(), &line))
	require.Equal(t, "1.5s", line["wait"])
	require.Equal(t, "claim: cannot connect to "+l.Addr().String()+": connect: connection refused", line["error"])
	require.Equal(t, "context canceled", line["other"])
	require.EqualValues(t, 3, line["tasks"])

	text.Reset()
	log = newLogger(&text, config.Log{LogLevel: "error", LogFormat: "text"})
	log.Warn("no")
	log.Error("yes", "wait", 2*time.Second)
	require.Regexp(t, `^time=\S+ level=ERROR msg=yes wait=2s\n$`, text.String())
}
