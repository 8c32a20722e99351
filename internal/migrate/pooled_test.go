package migrate_test

import (
	"errors"
	"io"
	"net"
	"net/url"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/migrate"
	"github.com/taskrunner/taskrunner/internal/testdb"
)

func TestPooledConnection(t *testing.T) {
	t.Parallel()
	db := testdb.NewEmpty(t)
	for name, tc := range map[string]struct {
		pooler *pooler
		pooled bool
	}{
		"transaction mode, last used first (PgBouncer's default)": {&pooler{size: 3}, true},
		"transaction mode, in turn":                               {&pooler{size: 3, inTurn: true}, true},
		"transaction mode, two in turn":                           {&pooler{size: 2, inTurn: true}, true},
		"session mode":                                            {&pooler{size: 3, session: true}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dsn := tc.pooler.start(t, db.DSN)
			pooled, err := migrate.IsPooled(t.Context(), dsn)
			require.NoError(t, err)
			require.Equal(t, tc.pooled, pooled)
		})
	}
	t.Run("direct", func(t *testing.T) {
		t.Parallel()
		pooled, err := migrate.IsPooled(t.Context(), db.DSN)
		require.NoError(t, err)
		require.False(t, pooled)
	})
}

func TestUpRefusesAPooledConnection(t *testing.T) {
	b := setup(t)
	dsn := (&pooler{size: 2}).start(t, b.db.DSN)
	_, err := b.upAs(dsn, nil)
	require.ErrorIs(t, err, migrate.ErrPooled)
	require.ErrorContains(t, err, "LISTEN_DATABASE_URL")

	// Looking is possible through a pooler, so a database that fits is no reason to refuse.
	b.mustUp(nil)
	res, err := b.upAs(dsn, nil)
	require.NoError(t, err)
	require.Equal(t, migrate.Unchanged, res.Outcome)
}

// pooler deals its few sessions out to its clients as PgBouncer does: per transaction, or for as long as a client stays
// if session is set. It greets clients with a process number of its own.
type pooler struct {
	size    int
	inTurn  bool // hand out the session that was idle longest, else the one that was used last
	session bool

	mu   sync.Mutex
	more *sync.Cond
	idle []*pgconn.HijackedConn
}

// start opens the sessions and listens; it returns dsn with the pooler's address.
func (p *pooler) start(t *testing.T, dsn string) string {
	t.Helper()
	p.more = sync.NewCond(&p.mu)
	for range p.size {
		conn, err := pgconn.Connect(t.Context(), dsn)
		require.NoError(t, err)
		hijacked, err := conn.Hijack()
		require.NoError(t, err)
		p.idle = append(p.idle, hijacked)
		t.Cleanup(func() { _ = hijacked.Conn.Close() })
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var clients sync.WaitGroup
	clients.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			clients.Go(func() {
				defer client.Close()
				if err := p.serve(client); err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Errorf("pooler: %v", err)
				}
			})
		}
	})
	t.Cleanup(func() { _ = listener.Close(); clients.Wait() })
	u, err := url.Parse(dsn)
	require.NoError(t, err)
	u.Host = listener.Addr().String()
	return u.String()
}

func (p *pooler) take() *pgconn.HijackedConn {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.idle) == 0 {
		p.more.Wait()
	}
	at := len(p.idle) - 1
	if p.inTurn {
		at = 0
	}
	s := p.idle[at]
	p.idle = append(p.idle[:at], p.idle[at+1:]...)
	return s
}

func (p *pooler) give(s *pgconn.HijackedConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.idle = append(p.idle, s)
	p.more.Signal()
}

// serve relays one client's messages, in groups that end with ReadyForQuery.
func (p *pooler) serve(client net.Conn) error {
	b := pgproto3.NewBackend(client, client)
	if _, err := b.ReceiveStartupMessage(); err != nil {
		return err
	}
	b.Send(&pgproto3.AuthenticationOk{})
	b.Send(&pgproto3.ParameterStatus{Name: "client_encoding", Value: "UTF8"})
	b.Send(&pgproto3.ParameterStatus{Name: "standard_conforming_strings", Value: "on"})
	b.Send(&pgproto3.BackendKeyData{ProcessID: 1, SecretKey: []byte{1, 2, 3, 4}})
	b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
	if err := b.Flush(); err != nil {
		return err
	}
	var s *pgconn.HijackedConn
	defer func() {
		if s != nil {
			p.give(s)
		}
	}()
	for {
		msg, err := b.Receive()
		if err != nil {
			return err
		}
		if _, ok := msg.(*pgproto3.Terminate); ok {
			return nil
		}
		if s == nil {
			s = p.take()
		}
		s.Frontend.Send(msg)
		switch msg.(type) {
		case *pgproto3.Query, *pgproto3.Sync:
		default:
			continue
		}
		status, err := relay(s, b)
		if err != nil {
			return err
		}
		if status == 'I' && !p.session {
			p.give(s)
			s = nil
		}
	}
}

// relay sends what is pending to the session and its answers to the client, up to the session's transaction status.
func relay(s *pgconn.HijackedConn, b *pgproto3.Backend) (status byte, err error) {
	if err := s.Frontend.Flush(); err != nil {
		return 0, err
	}
	for {
		msg, err := s.Frontend.Receive()
		if err != nil {
			return 0, err
		}
		b.Send(msg)
		if ready, ok := msg.(*pgproto3.ReadyForQuery); ok {
			return ready.TxStatus, b.Flush()
		}
	}
}
