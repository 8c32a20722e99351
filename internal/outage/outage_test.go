package outage_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/outage"
)

func TestAnOutageIsTwoLines(t *testing.T) {
	t.Parallel()
	var text bytes.Buffer
	l := outage.New(slog.New(slog.NewTextHandler(&text, nil)), "claim")
	l.Worked()
	for range 100 {
		l.Failed(errors.New("away"))
		require.True(t, l.Failing())
	}
	l.Worked()
	l.Worked()
	require.False(t, l.Failing())
	lines := strings.Split(strings.TrimSpace(text.String()), "\n")
	require.Len(t, lines, 2)
	require.Contains(t, lines[0], "level=WARN")
	require.Contains(t, lines[0], "operation=claim")
	require.Contains(t, lines[0], "error=away")
	require.Contains(t, lines[1], "level=INFO")
	require.Contains(t, lines[1], "tries=100")
}
