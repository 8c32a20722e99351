package devpg

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// orphanPatience is how long a server whose owner died may take to shut down, the guardian's work included.
const orphanPatience = 30 * time.Second

// endOrphan shuts down a server that still runs on this folder although its owner died (the guardian was killed too, or
// is at it). We hold the folder's lock, so no live owner exists.
//
// The process number in postmaster.pid may have been given to another process since, after a crash or in a container
// that was started anew. Such a process must not be signalled, and PostgreSQL, which knows no more than that the number
// is in use, would refuse to start: then the file is removed. A process that ended but was never collected by its parent
// counts as in use as well, which happens in containers whose first process collects nobody.
func (s *Server) endOrphan(ctx context.Context) error {
	deadline := time.Now().Add(orphanPatience)
	refused, signalled := 0, false
	for {
		pid, port, ok := s.layout.postmaster()
		if !ok || errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			return nil // PostgreSQL removes its stale file itself
		}
		ours, known := s.layout.servedBy(pid)
		switch {
		case known && !ours:
			s.log.Info("removing a stale postmaster.pid", "pid", pid, "dir", s.layout.dir)
			if err := os.Remove(s.layout.pidFile()); !errors.Is(err, os.ErrNotExist) { // the server may have ended since it was asked
				return err
			}
			return nil
		case !known:
			var err error
			if ours, err = s.answersAt(ctx, port); errors.Is(err, syscall.ECONNREFUSED) && !signalled {
				if refused++; refused == 20 { // for a second: no server; PostgreSQL has the last word
					return nil
				}
			}
		}
		if ours && !signalled {
			s.log.Info("ending a PostgreSQL server whose owner died", "pid", pid, "dir", s.layout.dir)
			if err := syscall.Kill(pid, syscall.SIGINT); err != nil {
				return fmt.Errorf("devpg: end the server that was left behind (process %d): %w", pid, err)
			}
			signalled = true
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("devpg: the server that was left behind in %s (process %d) does not end", s.layout.dir, pid)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// pidFile is PostgreSQL's own lock file.
func (l layout) pidFile() string { return filepath.Join(l.data, "postmaster.pid") }

// postmaster reads the process number and port from PostgreSQL's lock file; ok is false if there is none.
func (l layout) postmaster() (pid, port int, ok bool) {
	b, err := os.ReadFile(l.pidFile())
	if err != nil {
		return 0, 0, false
	}
	lines := strings.Split(string(b), "\n")
	if len(lines) < 4 {
		return 0, 0, false
	}
	pid, err1 := strconv.Atoi(strings.TrimSpace(lines[0]))
	port, err2 := strconv.Atoi(strings.TrimSpace(lines[3]))
	return pid, port, err1 == nil && err2 == nil && pid > 1
}

// servedBy reports whether the process works in our data folder, as a server does. known is false where the system does
// not tell, on macOS for one.
func (l layout) servedBy(pid int) (ours, known bool) {
	if _, err := os.Stat("/proc/self/cwd"); err != nil {
		return false, false
	}
	dir, err := os.Stat(fmt.Sprintf("/proc/%d/cwd", pid))
	if errors.Is(err, os.ErrPermission) {
		return false, false
	}
	if err != nil {
		return false, true // it ended, collected or not
	}
	data, err := os.Stat(l.data)
	return err == nil && os.SameFile(dir, data), err == nil
}

// answersAt reports whether the server on the port accepts our password and serves our data folder. A server with
// another password is like none: ECONNREFUSED.
func (s *Server) answersAt(ctx context.Context, port int) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, dsn(port, s.password, "postgres"))
	if err != nil {
		var pgErr *pgconn.PgError
		if errors.As(err, &pgErr) && pgErr.Code == "28P01" {
			return false, syscall.ECONNREFUSED
		}
		return false, err
	}
	defer conn.Close(ctx)
	var dir string
	if err := conn.QueryRow(ctx, "select current_setting('data_directory')").Scan(&dir); err != nil {
		return false, err
	}
	there, err := os.Stat(dir)
	if err != nil {
		return false, err
	}
	here, err := os.Stat(s.layout.data)
	return err == nil && os.SameFile(there, here), err
}
