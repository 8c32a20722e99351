// Package devpg runs a private PostgreSQL server for development and tests: no container, no installation, nothing
// shared with a server that already runs on the machine.
//
// [Start] finds server binaries (or fetches them once), creates the data folder if there is none, and starts the server
// on a port of the loopback interface. It has one superuser, "postgres", with a random password; there is no Unix
// socket, because the length of its path is limited to about 100 bytes and project folders are longer than that.
//
// Life and death. The server is a child of this process, in a process group of its own, so that Ctrl-C in a terminal
// reaches the caller only and [Server.Stop] can shut it down cleanly. A small guardian process (guardian.go) ends it if
// the caller dies without calling Stop, by SIGKILL for instance.
//
// As root, which PostgreSQL refuses to run as, everything runs under the account "postgres" or "nobody" (account.go).
// Linux and macOS are supported.
package devpg

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// superuser is the only role of a new server.
const superuser = "postgres"

// startTimeout bounds how long Start waits for the server to accept connections, recovery after a crash included. The
// context given to Start may end the wait earlier.
const startTimeout = 2 * time.Minute

// ErrInUse is returned by [Start] when another live process serves the folder.
var ErrInUse = errors.New("the server folder is in use by another process")

// Config says which server to start. The zero value is a temporary server of the newest version found.
type Config struct {
	// Dir is the folder of a named server: a later Start with the same Dir finds the data of the earlier one. It must be
	// empty, missing, or made by Start. Empty means a temporary folder that Stop removes.
	Dir string

	// Port on 127.0.0.1; 0 takes a free one.
	Port int

	// Log gets a line for what takes long or goes wrong; nil discards. The server's own log is <Dir>/server.log.
	Log *slog.Logger

	// Major is the wanted major version, "15" to "18". Empty takes that of the existing data, or else the first found.
	Major string

	// BinDir is the folder that holds initdb and postgres. Empty takes the environment's TASKRUNNER_PG_BIN, or else
	// searches (binaries.go).
	BinDir string

	// Search says where to look for binaries if neither BinDir nor TASKRUNNER_PG_BIN names them.
	Search Search

	// Settings are server settings (postgresql.conf names), applied at every start. With fsync = off the creation of the
	// data folder is not flushed to disk either.
	Settings map[string]string

	// StandbyOf makes a new server a copy of another one that follows it by streaming replication, until Promote.
	StandbyOf *Server
}

// Search says where binaries may come from.
type Search int

const (
	// SearchAll takes installed binaries, or else fetched ones. It is the default.
	SearchAll Search = iota
	// SearchLocal takes installed binaries only.
	SearchLocal
	// Fetch takes fetched binaries only, even if BinDir or TASKRUNNER_PG_BIN names others.
	Fetch
)

// Server is a running PostgreSQL server. Its methods may be called from any goroutine.
type Server struct {
	log       *slog.Logger
	layout    layout
	binDir    string
	port      int
	password  string
	reused    bool
	temporary bool

	process  *os.Process
	done     chan struct{} // closed by the goroutine that waits for the process
	guardian *guardian
	lock     *os.File

	stopping sync.Once
	stopErr  error
}

// Start starts a server and returns when it accepts connections. The context bounds the start only; the server lives
// until Stop. A folder that is served by another live process is refused with [ErrInUse], a server left behind by a
// process that died is shut down first, and data left by a crash is recovered.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	acct, err := serverAccount()
	if err != nil {
		return nil, err
	}
	s := &Server{log: cfg.Log, temporary: cfg.Dir == "", port: cfg.Port}
	if s.layout, err = prepareDir(cfg.Dir, acct); err != nil {
		return nil, err
	}
	ok := false
	defer func() {
		if !ok {
			s.release()
		}
	}()
	if s.lock, err = lockDir(s.layout); err != nil {
		return nil, err
	}
	major, err := s.layout.major()
	if err != nil {
		return nil, err
	}
	if major != "" && cfg.Major != "" && major != cfg.Major {
		return nil, fmt.Errorf("devpg: the data in %s is of PostgreSQL %s, not %s: remove the folder or ask for %s",
			s.layout.dir, major, cfg.Major, major)
	}
	if major == "" {
		major = cfg.Major
	}
	if cfg.StandbyOf != nil {
		cfg.BinDir, cfg.Search = cfg.StandbyOf.binDir, SearchAll
	}
	bins, err := findBinaries(ctx, cfg, major, acct)
	if err != nil {
		return nil, err
	}
	s.binDir = bins.dir
	if s.password, s.reused, err = ensureCluster(ctx, s.layout, bins, acct, cfg); err != nil {
		return nil, err
	}
	if s.reused {
		if err := s.endOrphan(ctx); err != nil {
			return nil, err
		}
	}
	if err := s.launch(ctx, bins, acct, cfg); err != nil {
		return nil, err
	}
	ok = true
	cfg.Log.Debug("PostgreSQL started", "version", bins.major, "port", s.port, "dir", s.layout.dir, "reused", s.reused)
	return s, nil
}

// launch starts the server process and waits until it answers. It tries again when somebody else took the port that was
// free a moment before, and while processes of a server that was killed are still at their end.
func (s *Server) launch(ctx context.Context, bins binaries, acct account, cfg Config) error {
	const (
		tries = 20
		pause = 250 * time.Millisecond
	)
	for try := 1; ; try++ {
		if cfg.Port == 0 {
			port, err := freePort()
			if err != nil {
				return err
			}
			s.port = port
		}
		if err := s.spawn(bins, acct, cfg.Settings); err != nil {
			return err
		}
		err := s.awaitReady(ctx)
		if err == nil {
			break
		}
		_ = s.end(context.Background(), syscall.SIGQUIT)
		portTaken := cfg.Port == 0 && !portFree(s.port)
		// PostgreSQL names this state in its log only.
		dying := s.reused && strings.Contains(tail(s.layout.log), "pre-existing shared memory block")
		if !portTaken && !dying || try == tries || ctx.Err() != nil {
			return fmt.Errorf("devpg: PostgreSQL on port %d: %w", s.port, err)
		}
		time.Sleep(pause)
	}
	g, err := startGuardian(s.layout, s.process.Pid, s.temporary, acct)
	if err != nil {
		_ = s.end(context.Background(), syscall.SIGQUIT)
		return err
	}
	s.guardian = g
	return nil
}

// DSN returns the connection URL of a database of this server, as its superuser. The database need not exist; a new
// server has "postgres" only.
func (s *Server) DSN(database string) string { return dsn(s.port, s.password, database) }

func dsn(port int, password, database string) string {
	u := url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword(superuser, password),
		Host:     net.JoinHostPort("127.0.0.1", strconv.Itoa(port)),
		Path:     "/" + database,
		RawQuery: "sslmode=disable",
	}
	return u.String()
}

// Port returns the TCP port on 127.0.0.1.
func (s *Server) Port() int { return s.port }

// BinDir returns the folder of the server's binaries; psql may be missing there.
func (s *Server) BinDir() string { return s.binDir }

// LogFile returns the path of the server's own log.
func (s *Server) LogFile() string { return s.layout.log }

// Reused reports whether the data of an earlier server was found.
func (s *Server) Reused() bool { return s.reused }

// Done is closed when the server process has ended, whoever ended it.
func (s *Server) Done() <-chan struct{} { return s.done }

// Stop shuts the server down: open transactions are rolled back, and data is written out (PostgreSQL's "fast" mode).
// When the context ends before that, the server is ended at once and recovers at its next start, which is an error
// here. A temporary folder is removed. Further calls return the first one's result.
func (s *Server) Stop(ctx context.Context) error {
	s.stopping.Do(func() {
		s.guardian.dismiss()
		s.stopErr = s.end(ctx, syscall.SIGINT)
		s.release()
	})
	return s.stopErr
}

// end signals the server and waits until it is gone, with increasing force: the given signal until the context ends,
// an immediate shutdown for some seconds, SIGKILL.
func (s *Server) end(ctx context.Context, signal syscall.Signal) error {
	const patience = 5 * time.Second
	_ = s.process.Signal(signal) // an error means that it ended already
	if signal == syscall.SIGINT {
		select {
		case <-s.done:
			return nil
		case <-ctx.Done():
		}
		_ = s.process.Signal(syscall.SIGQUIT)
	}
	select {
	case <-s.done:
	case <-time.After(patience):
		_ = s.process.Kill()
		<-s.done
	}
	if signal == syscall.SIGINT {
		return fmt.Errorf("devpg: PostgreSQL did not shut down in time and was ended by force: %w", context.Cause(ctx))
	}
	return nil
}

// release gives the folder back; a temporary one is removed.
func (s *Server) release() {
	if s.temporary {
		if err := os.RemoveAll(s.layout.dir); err != nil {
			s.log.Warn("temporary server folder not removed", "dir", s.layout.dir, "error", err)
		}
	}
	if s.lock != nil {
		unlock(s.lock)
	}
}

// awaitReady polls until the server answers a query, its process ends, or the context ends.
func (s *Server) awaitReady(ctx context.Context) error {
	for {
		err := ping(ctx, s.DSN("postgres"))
		if err == nil {
			return nil
		}
		select {
		case <-s.done:
			return fmt.Errorf("the server did not start; the end of %s:\n%s", s.layout.log, tail(s.layout.log))
		case <-ctx.Done():
			return fmt.Errorf("the server did not answer in time (%w); the end of %s:\n%s", err, s.layout.log, tail(s.layout.log))
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// ping opens a connection and closes it.
func ping(ctx context.Context, dsn string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

// freePort asks the kernel for a port that is free now.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("devpg: no free port: %w", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// portFree reports whether a server could listen on the port.
func portFree(port int) bool {
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return false
	}
	_ = l.Close()
	return true
}

// tail returns the last lines of a log file, for error messages.
func tail(path string) string {
	const keep = 2048
	b, err := os.ReadFile(filepath.Clean(path))
	if err != nil {
		return err.Error()
	}
	if len(b) > keep {
		b = b[len(b)-keep:]
	}
	return string(b)
}
