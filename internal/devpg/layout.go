package devpg

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// layout names what lies in a server's folder.
type layout struct {
	dir      string
	data     string // PostgreSQL's data folder
	password string // the superuser's password, readable by its owner only
	log      string // the server's log of this run; that of the run before has ".old" behind it
	lock     string // held with flock by the process that owns the server; its existence marks the folder as ours
}

func layoutOf(dir string) layout {
	return layout{
		dir:      dir,
		data:     filepath.Join(dir, "data"),
		password: filepath.Join(dir, "password"),
		log:      filepath.Join(dir, "server.log"),
		lock:     filepath.Join(dir, "devpg.lock"),
	}
}

// major returns the major version of the data, "" if there is none yet.
func (l layout) major() (string, error) {
	b, err := os.ReadFile(filepath.Join(l.data, "PG_VERSION"))
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("devpg: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}

// prepareDir makes the server's folder, or a temporary one if dir is empty, and gives it to the account that the server
// runs under. It refuses a folder with other contents, because it would change that folder's owner.
func prepareDir(dir string, acct account) (layout, error) {
	if dir == "" {
		return tempDir(acct)
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return layout{}, fmt.Errorf("devpg: %w", err)
	}
	l := layoutOf(dir)
	// Parents must let the server's account pass, the folder itself is private.
	if err := acct.mkdirAll(filepath.Dir(dir)); err != nil {
		return layout{}, fmt.Errorf("devpg: %w", err)
	}
	if blocked := acct.blockedAt(filepath.Dir(dir)); blocked != "" {
		return layout{}, fmt.Errorf("devpg: PostgreSQL runs as user %q, because it refuses to run as root, and that user may not enter %s: "+
			"choose a server folder outside it, or run as an ordinary user", acct.name, blocked)
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return layout{}, fmt.Errorf("devpg: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return layout{}, fmt.Errorf("devpg: %w", err)
	}
	if len(entries) > 0 {
		if _, err := os.Stat(l.lock); err != nil {
			return layout{}, fmt.Errorf("devpg: %s is not empty and holds no server of ours: choose another folder", dir)
		}
	}
	return l, acct.own(dir)
}

// tempDir makes a temporary server folder, in the usual place unless the server's account cannot get there.
func tempDir(acct account) (layout, error) {
	base := os.TempDir()
	if acct.blockedAt(base) != "" {
		base = "/tmp"
	}
	dir, err := os.MkdirTemp(base, "taskrunner-pg-")
	if err != nil {
		return layout{}, fmt.Errorf("devpg: %w", err)
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return layout{}, fmt.Errorf("devpg: %w", err)
	}
	return layoutOf(dir), acct.own(dir)
}

// lockDir makes this process the owner of the folder, until unlock is called for the returned file or the process dies.
// Programs that this process starts do not inherit the lock.
func lockDir(l layout) (*os.File, error) {
	f, err := os.OpenFile(l.lock, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("devpg: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		owner, _ := os.ReadFile(l.lock)
		_ = f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("devpg: %s: %w (process %s)", l.dir, ErrInUse, strings.TrimSpace(string(owner)))
		}
		return nil, fmt.Errorf("devpg: lock %s: %w", l.lock, err)
	}
	// The number is for the message above only; the lock decides.
	_ = f.Truncate(0)
	_, _ = fmt.Fprintf(f, "%d\n", os.Getpid())
	return f, nil
}

// unlock frees a lock taken with flock. Closing the file alone would leave it to a child that is just being started by
// another goroutine: between fork and exec it has a copy of every open file.
func unlock(f *os.File) {
	_ = syscall.Flock(int(f.Fd()), syscall.LOCK_UN) // closing frees it too, a moment later
	_ = f.Close()
}
