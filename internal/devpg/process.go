package devpg

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// spawn starts the server process. Settings go on its command line, so that each start's are the ones in force.
func (s *Server) spawn(bins binaries, acct account, settings map[string]string) error {
	if err := os.Rename(s.layout.log, s.layout.log+".old"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("devpg: %w", err)
	}
	logFile, err := os.OpenFile(s.layout.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("devpg: %w", err)
	}
	defer logFile.Close() // the child has its own

	all := map[string]string{"timezone": "UTC", "log_timezone": "UTC"}
	maps.Copy(all, settings)
	all["listen_addresses"] = "127.0.0.1"
	all["port"] = strconv.Itoa(s.port)
	all["unix_socket_directories"] = ""
	args := []string{"-D", s.layout.data}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		args = append(args, "-c", name+"="+all[name])
	}
	cmd := acct.command(context.Background(), bins.postgres(), args...)
	cmd.Stdout, cmd.Stderr = logFile, logFile
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("devpg: start %s: %w", bins.postgres(), err)
	}
	done := make(chan struct{})
	s.process, s.done = cmd.Process, done
	go func() {
		_ = cmd.Wait() // how it ended stands in its log
		close(done)
	}()
	return nil
}

// endOrphan shuts down a server that still runs on this folder although its owner died (the guardian was killed too, or
// is at it). We hold the folder's lock, so no live owner exists. The process number in postmaster.pid may belong to
// somebody else by now: only a server that accepts this folder's password and names this folder is signalled. Whatever
// else holds the number is left to PostgreSQL, which knows its own stale files.
func (s *Server) endOrphan(ctx context.Context) error {
	const patience = 15 * time.Second
	deadline := time.Now().Add(patience)
	refused, signalled := 0, false
	for {
		pid, port, ok := s.postmaster()
		if !ok || errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			return nil
		}
		ours, err := s.answersAt(ctx, port)
		switch {
		case ours && !signalled:
			s.log.Info("ending a PostgreSQL server whose owner died", "pid", pid, "dir", s.layout.dir)
			if err := syscall.Kill(pid, syscall.SIGINT); err != nil {
				return fmt.Errorf("devpg: end the server that was left behind (process %d): %w", pid, err)
			}
			signalled = true
		case errors.Is(err, syscall.ECONNREFUSED) && !signalled:
			if refused++; refused == 20 { // nobody serves: not a server
				return nil
			}
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

// postmaster reads the process number and port from PostgreSQL's own lock file.
func (s *Server) postmaster() (pid, port int, ok bool) {
	b, err := os.ReadFile(filepath.Join(s.layout.data, "postmaster.pid"))
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

// answersAt reports whether the server on the port accepts our password and serves our data folder.
func (s *Server) answersAt(ctx context.Context, port int) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(superuser, s.password), Path: "/postgres",
		Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), RawQuery: "sslmode=disable",
	}
	conn, err := pgx.Connect(ctx, u.String())
	if err != nil {
		var pgErr *pgconn.PgError
		if errors.As(err, &pgErr) && pgErr.Code == "28P01" { // another server with another password
			return false, syscall.ECONNREFUSED
		}
		return false, err
	}
	defer conn.Close(ctx)
	var dir string
	if err := conn.QueryRow(ctx, "select current_setting('data_directory')").Scan(&dir); err != nil {
		return false, err
	}
	return sameFile(dir, s.layout.data), nil
}

func sameFile(a, b string) bool {
	ia, err1 := os.Stat(a)
	ib, err2 := os.Stat(b)
	return err1 == nil && err2 == nil && os.SameFile(ia, ib)
}
