package main

import (
	"io"
	"log/slog"
	"strings"

	"github.com/taskrunner/taskrunner/internal/config"
	"github.com/taskrunner/taskrunner/internal/connect"
)

// newLogger makes a logger as the settings say.
func newLogger(w io.Writer, c config.Log) *slog.Logger {
	options := &slog.HandlerOptions{Level: c.Level(), ReplaceAttr: readable}
	if c.LogFormat == "text" {
		return slog.New(slog.NewTextHandler(w, options))
	}
	return slog.New(slog.NewJSONHandler(w, options))
}

// libraryLog is where lines of libraries go that know the standard logger only. net/http quotes there what a peer sent, which may be the
// URL that it was called by, with its handle: nothing from the first quotation mark on is written.
type libraryLog struct{ log *slog.Logger }

// Write implements io.Writer.
func (l libraryLog) Write(line []byte) (int, error) {
	text, _, _ := strings.Cut(string(line), `"`)
	l.log.Debug(strings.TrimSpace(text), "component", "library")
	return len(line), nil
}

// readable writes durations with their unit, where JSON would have bare nanoseconds, and failed connections with their
// cause only.
func readable(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		a.Value = slog.StringValue(a.Value.Duration().String())
	}
	if err, ok := a.Value.Any().(error); ok {
		a.Value = slog.StringValue(connect.Text(err))
	}
	return a
}
