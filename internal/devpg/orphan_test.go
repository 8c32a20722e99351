package devpg

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// A process number in postmaster.pid that belongs to somebody else by now is neither signalled nor in the way.
func TestStaleProcessNumber(t *testing.T) {
	t.Parallel()
	stranger := exec.Command("sleep", "600")
	require.NoError(t, stranger.Start())
	t.Cleanup(func() { _ = stranger.Process.Kill(); _ = stranger.Wait() })

	port, err := freePort()
	require.NoError(t, err)
	l := layoutOf(openDir(t))
	require.NoError(t, os.Mkdir(l.data, 0o755))
	lines := fmt.Sprintf("%d\n%s\n1700000000\n%d\n\n127.0.0.1\n", stranger.Process.Pid, l.data, port)
	require.NoError(t, os.WriteFile(l.pidFile(), []byte(lines), 0o600))
	s := &Server{log: slog.New(slog.DiscardHandler), layout: l, password: "x"}

	require.NoError(t, s.endOrphan(t.Context()))
	require.NoError(t, stranger.Process.Signal(syscall.Signal(0)), "the stranger lives")
	if _, known := l.servedBy(stranger.Process.Pid); known {
		require.NoFileExists(t, l.pidFile())
	}
}

// Where the system does not tell which folder a process works in, the server has to prove itself by our password.
func TestAnswersAt(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Settings: fast})
	ours, err := s.answersAt(context.Background(), s.Port())
	require.NoError(t, err)
	require.True(t, ours)

	other := &Server{layout: s.layout, password: "another"}
	ours, err = other.answersAt(context.Background(), s.Port())
	require.Error(t, err)
	require.False(t, ours)

	elsewhere := &Server{layout: layoutOf(openDir(t)), password: s.password}
	require.NoError(t, os.Mkdir(elsewhere.layout.data, 0o755))
	ours, err = elsewhere.answersAt(context.Background(), s.Port())
	require.NoError(t, err)
	require.False(t, ours)
}

func TestPostmasterFile(t *testing.T) {
	t.Parallel()
	l := layoutOf(openDir(t))
	require.NoError(t, os.Mkdir(l.data, 0o755))
	for _, text := range []string{"", "12", "x\n/d\n1\n5432\n", "0\n/d\n1\n5432\n", "1\n/d\n1\n5432\n", "12\n/d\n1\nx\n"} {
		require.NoError(t, os.WriteFile(l.pidFile(), []byte(text), 0o600))
		_, _, ok := l.postmaster()
		require.False(t, ok, "%q", text)
	}
	require.NoError(t, os.WriteFile(l.pidFile(), []byte("12\n/d\n1\n5432\n\n127.0.0.1\n"), 0o600))
	pid, port, ok := l.postmaster()
	require.True(t, ok)
	require.Equal(t, 12, pid)
	require.Equal(t, 5432, port)
}
