// Package testpooler runs a real PgBouncer for tests: in transaction mode, and without prepared statements, whatever its version.
package testpooler

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// patience bounds the start and the end of the program.
const patience = 20 * time.Second

// Pooler is a PgBouncer that runs until the test ends.
type Pooler struct {
	dir     string
	address string
	program program
	cmd     *exec.Cmd
	ended   chan struct{}
	log     bytes.Buffer // written by the process; read when it has ended
}

// Start starts a PgBouncer for users of one server, whose DSNs are given: URLs with a password. Settings are added to its own.
func Start(t testing.TB, dsns []string, settings ...string) *Pooler {
	t.Helper()
	found, err := find()
	if err != nil {
		t.Fatal(err)
	}
	p := &Pooler{program: found, address: freeAddress(t)}
	// Not t.TempDir, which lets nobody else in: PgBouncer refuses to run as root.
	if p.dir, err = os.MkdirTemp("", "taskrunner-pgbouncer-"); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(p.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.end(os.Interrupt)
		if t.Failed() {
			t.Logf("log of PgBouncer:\n%s", p.log.String())
		}
		_ = os.RemoveAll(p.dir)
	})
	var server *url.URL
	var users strings.Builder
	for _, dsn := range dsns {
		if server, err = url.Parse(dsn); err != nil {
			t.Fatal("testpooler: a DSN must be a URL")
		}
		password, _ := server.User.Password()
		fmt.Fprintf(&users, "%q %q\n", server.User.Username(), password)
	}
	host, port, err := net.SplitHostPort(p.address)
	if err != nil {
		t.Fatal(err)
	}
	if found.keeps {
		settings = append([]string{"max_prepared_statements = 0"}, settings...)
	}
	p.write(t, "users.txt", users.String())
	p.write(t, "pgbouncer.ini", fmt.Sprintf(`[databases]
* = host=%s port=%s
[pgbouncer]
listen_addr = %s
listen_port = %s
unix_socket_dir =
auth_type = scram-sha-256
auth_file = %s
pool_mode = transaction
max_client_conn = 1000
%s
`, server.Hostname(), server.Port(), host, port, filepath.Join(p.dir, "users.txt"), strings.Join(settings, "\n")))
	p.Run(t, dsns[0])
	return p
}

func (p *Pooler) write(t testing.TB, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(p.dir, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// Run starts it, again after Kill, and waits until a user of the server gets through.
func (p *Pooler) Run(t testing.TB, dsn string) {
	t.Helper()
	args := []string{filepath.Join(p.dir, "pgbouncer.ini")}
	if os.Geteuid() == 0 {
		args = append([]string{"--user=nobody"}, args...)
	}
	p.cmd = p.program.command(context.Background(), args...)
	p.cmd.Stderr = &p.log
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	p.ended = ended
	go func() {
		_ = p.cmd.Wait() // how it ended stands in its log
		close(ended)
	}()
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		conn, err := pgx.Connect(ctx, p.DSN(dsn))
		if err == nil {
			_ = conn.Close(ctx)
			cancel()
			return
		}
		cancel()
		select {
		case <-ended:
			t.Fatalf("PgBouncer has ended:\n%s", p.log.String())
		default:
		}
		if time.Since(began) > patience {
			t.Fatalf("PgBouncer lets nobody through: %v", err)
		}
	}
}

// DSN is the way through the pooler to where a DSN leads.
func (p *Pooler) DSN(dsn string) string {
	u, err := url.Parse(dsn)
	if err != nil {
		panic("testpooler: a DSN must be a URL")
	}
	u.Host = p.address
	return u.String()
}

// Kill ends it at once; Run starts it again at the same address.
func (p *Pooler) Kill() { p.end(os.Kill) }

func (p *Pooler) end(signal os.Signal) {
	if p.cmd == nil || p.cmd.Process == nil {
		return
	}
	_ = p.cmd.Process.Signal(signal) // it may have ended
	select {
	case <-p.ended:
	case <-time.After(patience):
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
}

func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
