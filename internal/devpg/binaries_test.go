package devpg

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// fakeBinaries makes a folder with programs that look like those of a version.
func fakeBinaries(t *testing.T, version string) string {
	t.Helper()
	dir := openDir(t)
	script := fmt.Sprintf("#!/bin/sh\necho 'postgres (PostgreSQL) %s'\n", version)
	for _, name := range []string{"postgres", "initdb"} {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(script), 0o755))
		require.NoError(t, os.Chmod(path, 0o755)) // whatever the umask
	}
	return dir
}

func TestFindBinaries(t *testing.T) {
	acct, err := serverAccount()
	require.NoError(t, err)
	v16 := fakeBinaries(t, "16.4 (Debian 16.4-1.pgdg120+1)")
	v17 := fakeBinaries(t, "17.0")
	v14 := fakeBinaries(t, "14.9")
	v18 := fakeBinaries(t, "18beta1")
	old := installedPatterns
	t.Cleanup(func() { installedPatterns = old })
	t.Setenv(BinEnv, "")
	find := func(cfg Config, major string) (binaries, error) {
		cfg.Search = SearchLocal // a failing test downloads nothing
		return findBinaries(t.Context(), cfg, major, acct)
	}

	t.Run("the newest of the usual folders", func(t *testing.T) {
		t.Setenv("PATH", "/nowhere")
		installedPatterns = []string{v16, v17, v14}
		b, err := find(Config{}, "")
		require.NoError(t, err)
		require.Equal(t, binaries{dir: v17, major: "17"}, b)
	})
	t.Run("the wanted version", func(t *testing.T) {
		t.Setenv("PATH", v17)
		installedPatterns = []string{v18, v16}
		b, err := find(Config{}, "16")
		require.NoError(t, err)
		require.Equal(t, v16, b.dir)
	})
	t.Run("PATH before the usual folders, through a link", func(t *testing.T) {
		links := openDir(t)
		require.NoError(t, os.Symlink(filepath.Join(v16, "postgres"), filepath.Join(links, "postgres")))
		t.Setenv("PATH", links)
		installedPatterns = []string{v17}
		b, err := find(Config{}, "")
		require.NoError(t, err)
		require.Equal(t, v16, b.dir)
	})
	t.Run("an old one in PATH is passed over", func(t *testing.T) {
		t.Setenv("PATH", v14)
		installedPatterns = []string{v18}
		b, err := find(Config{}, "")
		require.NoError(t, err)
		require.Equal(t, binaries{dir: v18, major: "18"}, b)
	})
	t.Run("none installed", func(t *testing.T) {
		t.Setenv("PATH", v14)
		installedPatterns = nil
		_, err := find(Config{}, "")
		require.ErrorContains(t, err, "no PostgreSQL 15 to 18 is installed")
		require.ErrorContains(t, err, BinEnv)
	})
	t.Run("the environment's folder", func(t *testing.T) {
		t.Setenv(BinEnv, v18)
		b, err := find(Config{}, "")
		require.NoError(t, err)
		require.Equal(t, v18, b.dir)
		b, err = find(Config{BinDir: v17}, "")
		require.NoError(t, err)
		require.Equal(t, v17, b.dir, "the caller's setting wins")
		_, err = find(Config{}, "16")
		require.ErrorContains(t, err, "it is version 18, wanted is 16")
	})
	t.Run("an explicit folder with an old version", func(t *testing.T) {
		_, err := find(Config{BinDir: v14}, "")
		require.ErrorContains(t, err, "it is version 14, wanted is 15 to 18")
	})
}

func TestFinishFetch(t *testing.T) {
	t.Parallel()
	dir := openDir(t)
	unpacked, dest := filepath.Join(dir, "unpacked"), filepath.Join(dir, "dest")
	require.NoError(t, os.MkdirAll(filepath.Join(unpacked, "bin"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(unpacked, "bin", "postgres"), nil, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(unpacked, "README"), nil, 0o600))
	require.NoError(t, os.Symlink("README", filepath.Join(unpacked, "link")))
	require.NoError(t, os.MkdirAll(filepath.Join(dest, "leftover"), 0o755))

	require.NoError(t, finishFetch(unpacked, dest))
	for name, mode := range map[string]os.FileMode{"bin": 0o755, "bin/postgres": 0o755, "README": 0o644} {
		info, err := os.Stat(filepath.Join(dest, name))
		require.NoError(t, err)
		require.Equal(t, mode, info.Mode().Perm(), name)
	}
	require.NoDirExists(t, filepath.Join(dest, "leftover"))
	require.NoDirExists(t, unpacked)
}

func TestFetchLock(t *testing.T) {
	t.Parallel()
	dir := openDir(t)
	free, err := lockCache(t.Context(), dir)
	require.NoError(t, err)
	got := make(chan error)
	go func() {
		second, err := lockCache(t.Context(), dir)
		if err == nil {
			second()
		}
		got <- err
	}()
	select {
	case <-got:
		require.Fail(t, "two processes would fetch at once")
	default:
	}
	free()
	require.NoError(t, <-got)
}
