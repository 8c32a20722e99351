package devpg

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestBlockedAt(t *testing.T) {
	t.Parallel()
	stranger := account{name: "stranger", uid: 4_000_000_001, gid: 4_000_000_002, switched: true}
	dir := openDir(t)
	inner := filepath.Join(dir, "closed", "inner")
	require.NoError(t, stranger.mkdirAll(inner))
	require.Empty(t, stranger.blockedAt(inner))

	closed := filepath.Join(dir, "closed")
	require.NoError(t, os.Chmod(closed, 0o700))
	require.Equal(t, closed, stranger.blockedAt(inner), "the folder that is closed, not the one that was asked for")
	require.Empty(t, account{}.blockedAt(inner), "the present user needs no check")

	owner := account{uid: uint32(os.Geteuid()), gid: 4_000_000_002, switched: true}
	require.Empty(t, owner.blockedAt(inner))
	require.NoError(t, os.Chmod(closed, 0o077))
	require.Equal(t, closed, owner.blockedAt(inner), "the owner's bits count for the owner, not everybody's")
	require.NoError(t, os.Chmod(closed, 0o755))

	require.Equal(t, filepath.Join(dir, "missing"), stranger.blockedAt(filepath.Join(dir, "missing")))
}

func TestServerFolderThatTheAccountCannotEnter(t *testing.T) {
	t.Parallel()
	stranger := account{name: "stranger", uid: 4_000_000_001, gid: 4_000_000_002, switched: true}
	home := filepath.Join(openDir(t), "home")
	require.NoError(t, os.Mkdir(home, 0o700))
	_, err := prepareDir(filepath.Join(home, "project", "pg"), stranger)
	require.ErrorContains(t, err, `user "stranger"`)
	require.ErrorContains(t, err, "may not enter "+home+":")
}

func TestCommandHidesTheEnvironment(t *testing.T) {
	t.Setenv("PGDATA", "/somewhere/else")
	t.Setenv("PGPORT", "1")
	t.Setenv("LC_MESSAGES", "de_DE.UTF-8")
	t.Setenv("KEPT", "yes")
	env := account{}.command(t.Context(), "true").Env
	require.NotContains(t, env, "PGDATA=/somewhere/else")
	require.NotContains(t, env, "PGPORT=1")
	require.NotContains(t, env, "LC_MESSAGES=de_DE.UTF-8")
	require.Contains(t, env, "LC_ALL=C")
	require.Contains(t, env, "KEPT=yes")
}

func TestMkdirAll(t *testing.T) {
	old := syscall.Umask(0o077) // of the whole process, so this test is not parallel
	defer syscall.Umask(old)
	dir := openDir(t)
	path := filepath.Join(dir, "a", "b")
	me := account{uid: uint32(os.Geteuid()), gid: uint32(os.Getegid()), switched: true}
	require.NoError(t, me.mkdirAll(path))
	require.NoError(t, me.mkdirAll(path))
	for _, p := range []string{filepath.Join(dir, "a"), path} {
		info, err := os.Stat(p)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o755), info.Mode().Perm())
	}
}
