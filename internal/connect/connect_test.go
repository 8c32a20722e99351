package connect_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/connect"
	"github.com/taskrunner/taskrunner/internal/testdb"
	"github.com/taskrunner/taskrunner/internal/testpooler"
)

func TestMain(m *testing.M) { testdb.Main(m) }

// away returns an address where nobody listens.
func away(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	return l.Addr().String()
}

// change returns the URL with other parts.
func change(t *testing.T, dsn string, f func(*url.URL)) string {
	t.Helper()
	u, err := url.Parse(dsn)
	require.NoError(t, err)
	f(u)
	return u.String()
}

func withoutTLSMode(u *url.URL) { u.RawQuery = "" } // prefer

// A server that refuses is not waited for, and its answer is told once.
func TestRefusalEndsTheWait(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	const secret = "hunter2"
	for name, c := range map[string]struct {
		change func(*url.URL)
		codes  []string
	}{
		// A server that trusts everybody does not ask for the password; it has no such user then.
		"user":     {func(u *url.URL) { u.User = url.UserPassword("nobody", secret) }, []string{"28P01", "28000"}},
		"database": {func(u *url.URL) { u.Path = "/nowhere" }, []string{"3D000"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dsn := change(t, change(t, db.DSN, withoutTLSMode), c.change)
			_, err := connect.Wait(t.Context(), "LISTEN_DATABASE_URL", dsn, time.Hour, slog.New(slog.DiscardHandler))
			var pgErr *pgconn.PgError
			require.ErrorAs(t, err, &pgErr)
			require.Contains(t, c.codes, pgErr.Code)
			u, parseErr := url.Parse(dsn)
			require.NoError(t, parseErr)
			require.Equal(t, "LISTEN_DATABASE_URL: cannot connect to "+u.Host+": "+pgErr.Error(), err.Error())
			require.NotContains(t, err.Error(), secret)
		})
	}

	login := db.Login(t, "")
	u, err := url.Parse(login)
	require.NoError(t, err)
	_, err = db.Pool.Exec(t.Context(), "revoke connect on database "+db.Name+" from public; alter role "+u.User.Username()+" noinherit")
	require.NoError(t, err)
	_, err = connect.Wait(t.Context(), "DATABASE_URL", login, time.Hour, slog.New(slog.DiscardHandler))
	require.ErrorContains(t, err, "SQLSTATE 42501")
}

// A database that is not there is waited for, with one line in the log.
func TestWaits(t *testing.T) {
	t.Parallel()
	var text bytes.Buffer
	log := slog.New(slog.NewTextHandler(&text, nil))
	address := away(t)
	dsn := "postgres://u:hunter2@" + address + "/d"
	began := time.Now()
	_, err := connect.Wait(t.Context(), "DATABASE_URL", dsn, time.Second, log)
	require.GreaterOrEqual(t, time.Since(began), time.Second)
	cause := "cannot connect to " + address + ": connect: connection refused"
	require.EqualError(t, err, "DATABASE_URL: no connection within DATABASE_STARTUP_TIMEOUT_SECS = 1: "+cause)
	lines := strings.Split(strings.TrimSpace(text.String()), "\n")
	require.Len(t, lines, 1, "though it tried more than once")
	require.Contains(t, lines[0], "level=WARN")
	require.Contains(t, lines[0], "setting=DATABASE_URL")
	require.Contains(t, lines[0], cause)
	require.NotContains(t, text.String()+err.Error(), "hunter2")

	_, err = connect.Wait(t.Context(), "DATABASE_URL", dsn, 0, log)
	require.EqualError(t, err, "DATABASE_URL: "+cause)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = connect.Wait(ctx, "DATABASE_URL", dsn, time.Hour, log)
	require.ErrorIs(t, err, context.Canceled)
	_, err = connect.Wait(t.Context(), "DATABASE_URL", "postgres://u:hunter2@h:port/d", time.Hour, log)
	require.EqualError(t, err, "DATABASE_URL: not a connection URL or string of PostgreSQL")
}

// The wait ends with a connection when the server comes.
func TestWaitsForTheServer(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	address := away(t)
	u, err := url.Parse(db.DSN)
	require.NoError(t, err)
	server := u.Host
	told := make(chan struct{})
	relayed := make(chan error, 1)
	go func() {
		<-told
		relayed <- relay(address, server)
	}()
	dsn := change(t, db.DSN, func(u *url.URL) { u.Host, u.RawQuery = address, "sslmode=disable" })
	conn, err := connect.Wait(t.Context(), "DATABASE_URL", dsn, time.Minute, slog.New(slog.NewTextHandler(closing{told}, nil)))
	require.NoError(t, err)
	require.NoError(t, conn.Ping(t.Context()))
	require.NoError(t, conn.Close(t.Context()))
	require.NoError(t, <-relayed)
}

// A server that cannot be written to is waited for: a standby may be promoted.
func TestReadOnlyServerIsNone(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	_, err := db.Pool.Exec(t.Context(), "alter database "+db.Name+" set default_transaction_read_only = on")
	require.NoError(t, err)
	u, err := url.Parse(db.DSN)
	require.NoError(t, err)
	_, err = connect.Wait(t.Context(), "DATABASE_URL", db.DSN, time.Second, slog.New(slog.DiscardHandler))
	require.ErrorIs(t, err, connect.ErrReadOnly)
	require.EqualError(t, err, "DATABASE_URL: no connection within DATABASE_STARTUP_TIMEOUT_SECS = 1: cannot connect to "+u.Host+": "+connect.ErrReadOnly.Error())
}

// The first of two servers takes connections and says nothing, as one does that hangs: that leaves time for the second.
func TestSecondServer(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	mute, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer mute.Close()
	dsn := change(t, db.DSN, func(u *url.URL) { u.Host = mute.Addr().String() + "," + u.Host })
	conn, err := connect.Wait(t.Context(), "DATABASE_URL", dsn, 0, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	require.NoError(t, conn.Close(t.Context()))
}

// A name may stand for many addresses: each has its time, but not any number of them, and the look-up has its own.
func TestAddressesOfAName(t *testing.T) {
	t.Parallel()
	parse := func(lookup func(ctx context.Context, host string) ([]string, error)) *pgx.ConnConfig {
		config, err := pgx.ParseConfig("postgres://u:p@db.invalid/d?sslmode=disable")
		require.NoError(t, err)
		config.ConnectTimeout, config.LookupFunc = 50*time.Millisecond, lookup
		connect.Prepare(&config.Config)
		return config
	}
	var found []string
	for range 100 {
		found = append(found, away(t))
	}
	config := parse(func(context.Context, string) ([]string, error) { return found, nil })
	dial, dialed := config.DialFunc, 0
	config.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		dialed++
		return dial(ctx, network, address)
	}
	_, err := pgx.ConnectConfig(t.Context(), config)
	require.Error(t, err)
	require.Equal(t, 16, dialed)

	_, err = pgx.ConnectConfig(t.Context(), parse(func(ctx context.Context, _ string) ([]string, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}))
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

// A connection that is lost while prepared statements are tested says nothing about them: the test is made again.
func TestWaitForPoolOutlivesALostConnection(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	pooled := testpooler.Start(t, []string{db.DSN}).DSN(db.DSN)
	log := slog.New(slog.DiscardHandler)
	want := connect.WaitForPool(t.Context(), pooled, true, time.Minute, log)
	if want != nil {
		require.ErrorIs(t, want, connect.ErrStatements)
	}
	u, err := url.Parse(pooled)
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	came := 0
	var work sync.WaitGroup
	work.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			if came++; came == 2 {
				_ = client.Close()
				continue
			}
			work.Go(func() { _ = pass(client, u.Host) })
		}
	})
	err = connect.WaitForPool(t.Context(), change(t, pooled, func(u *url.URL) { u.Host = l.Addr().String() }), true, time.Minute, log)
	require.NoError(t, l.Close())
	work.Wait()
	require.Greater(t, came, 3, "once more, two connections")
	require.Equal(t, want == nil, err == nil, "%v", err)
	if want != nil {
		require.ErrorIs(t, err, connect.ErrStatements)
	}
	require.NoError(t, connect.WaitForPool(t.Context(), db.DSN, true, time.Minute, log))
}

// closing closes a channel at the first write.
type closing struct{ c chan struct{} }

func (c closing) Write(b []byte) (int, error) {
	close(c.c)
	return len(b), nil
}

// relay passes one connection on.
func relay(address, server string) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	defer l.Close()
	client, err := l.Accept()
	if err != nil {
		return err
	}
	return pass(client, server)
}

// pass passes a connection on to a server until one of both ends.
func pass(client net.Conn, server string) error {
	defer client.Close()
	backend, err := net.Dial("tcp", server)
	if err != nil {
		return err
	}
	defer backend.Close()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = backend.(*net.TCPConn).ReadFrom(client)
		_ = backend.Close()
	}()
	_, _ = client.(*net.TCPConn).ReadFrom(backend)
	_ = client.Close()
	<-ended
	return nil
}

func TestText(t *testing.T) {
	t.Parallel()
	require.Equal(t, "plain", connect.Text(errors.New("plain")))
	one, two := away(t), away(t)
	_, err := pgx.Connect(t.Context(), "postgres://u:p@"+one+","+two+"/d")
	require.Equal(t, "claim: cannot connect to "+one+", "+two+": connect: connection refused", connect.Text(fmt.Errorf("claim: %w", err)))
	_, err = pgx.Connect(t.Context(), "postgres://u:p@nowhere.invalid/d")
	require.Regexp(t, `^cannot connect to nowhere\.invalid:5432: [^:]*$`, connect.Text(err))
	_, err = pgx.Connect(t.Context(), "host="+t.TempDir()+" user=u")
	require.Regexp(t, `^cannot connect to .*/\.s\.PGSQL\.5432: connect: no such file or directory$`, connect.Text(err))

	// What refuses TLS is told if that is the reason.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Write([]byte("N"))
			_, _ = c.Read(make([]byte, 1024))
			_ = c.Close()
		}
	}()
	_, err = pgx.Connect(t.Context(), "postgres://u:p@"+l.Addr().String()+"/d?sslmode=require")
	require.Equal(t, "cannot connect to "+l.Addr().String()+": tls error: server refused TLS connection", connect.Text(err))
	require.NoError(t, l.Close())
	<-done
}
