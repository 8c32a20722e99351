// Package notify hears the database's hints that there is work and wakes the loops of this process. A hint
// may get lost: every loop polls as well, and everything is woken once after each connect.
package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/taskrunner/taskrunner/internal/connect"
	"github.com/taskrunner/taskrunner/internal/outage"
)

// The payloads of the channel taskrunner: which loop has work (sql/functions/notify_if_idle.sql).
const (
	Start   = "start"
	Deliver = "deliver"
	Wake    = "wake"
	Chores  = "chores"
	Watch   = "watch" // a batch that somebody looks at has changed (sql/functions/notify_watchers.sql)
)

const (
	sendTimeout  = 5 * time.Second // of one statement
	firstPause   = 100 * time.Millisecond
	longestPause = 5 * time.Second // between tries; polling is slower than being notified
)

// ErrDeaf means that a connection is fine but no notification comes through it, as through a pooler in transaction mode.
var ErrDeaf = errors.New("no notification came back: LISTEN_DATABASE_URL must be a direct connection, not one through a pooler in transaction mode")

// Observer is told what the metrics show. Its methods must not block.
type Observer interface {
	ListenerConnected(connected bool)
	ListenerReconnected()
}

// Options of a [Listener]. Zero values mean the defaults.
type Options struct {
	Log         *slog.Logger
	Observer    Observer
	ProveEvery  time.Duration // how often it is tested that notifications come through; 30 s
	ProveWithin time.Duration // how long one may take; 5 s
}

// Listener keeps a connection of its own that listens.
type Listener struct {
	dsn       string
	o         Options
	signals   map[string]Signal // by payload; written before Run only
	connected atomic.Bool
}

// New makes a listener on a direct connection.
func New(dsn string, o Options) *Listener {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Log = o.Log.With("component", "listener")
	if o.ProveEvery == 0 {
		o.ProveEvery = 30 * time.Second
	}
	if o.ProveWithin == 0 {
		o.ProveWithin = 5 * time.Second
	}
	return &Listener{dsn: dsn, o: o, signals: map[string]Signal{}}
}

// Subscribe returns the signal of a payload. It must be called before Run.
func (l *Listener) Subscribe(payload string) Signal {
	s, ok := l.signals[payload]
	if !ok {
		s = NewSignal()
		l.signals[payload] = s
	}
	return s
}

// Connected reports whether notifications come through, as far as was last proven.
func (l *Listener) Connected() bool { return l.connected.Load() }

// Run listens until the context ends. A lost or deaf connection is replaced after a growing, jittered pause.
func (l *Listener) Run(ctx context.Context) error {
	l.o.Log.Debug("listener started")
	defer l.o.Log.Debug("listener stopped")
	trouble := outage.New(l.o.Log, "listen; loops poll meanwhile")
	pause := firstPause
	for again := false; ; {
		proven, err := l.listen(ctx, trouble, again)
		l.setConnected(false)
		if ctx.Err() != nil {
			return nil
		}
		if proven {
			pause, again = firstPause, true
		}
		wait := pause/2 + rand.N(pause)
		trouble.Failed(err)
		pause = min(2*pause, longestPause)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

// listen opens a connection and hears it until it breaks, turns deaf, or the context ends. proven says whether it ever
// worked. again: an earlier one did.
func (l *Listener) listen(ctx context.Context, trouble *outage.Log, again bool) (proven bool, err error) {
	conn, err := l.connect(ctx, "taskrunner listener")
	if err != nil {
		return false, fmt.Errorf("connect: %w", err)
	}
	defer closeConn(conn)
	if err := exec(ctx, conn, "listen taskrunner"); err != nil {
		return false, fmt.Errorf("listen: %w", err)
	}
	for {
		if err := l.prove(ctx, conn); err != nil {
			return proven, err
		}
		if !proven {
			proven = true
			l.setConnected(true)
			trouble.Worked()
			l.o.Log.Debug("listening", "again", again)
			if again && l.o.Observer != nil {
				l.o.Observer.ListenerReconnected()
			}
			l.wakeAll() // what was notified before is lost
		}
		_, err := l.hear(ctx, conn, time.Now().Add(l.o.ProveEvery), "")
		if err != nil {
			return proven, err
		}
	}
}

// prove sends a notification to this very listener and waits for it. It goes through a session of its own: one that a
// session sends to itself comes back with the statement's answer, through any pooler, and proves nothing.
func (l *Listener) prove(ctx context.Context, conn *pgx.Conn) error {
	proof := "self " + uuid.NewString()
	sender, err := l.connect(ctx, "taskrunner listener test")
	if err != nil {
		return fmt.Errorf("connect to test the listener: %w", err)
	}
	err = exec(ctx, sender, "notify taskrunner, '"+proof+"'")
	closeConn(sender)
	if err != nil {
		return fmt.Errorf("test the listener: %w", err)
	}
	heard, err := l.hear(ctx, conn, time.Now().Add(l.o.ProveWithin), proof)
	if err == nil && !heard {
		return ErrDeaf
	}
	return err
}

// hear passes notifications on until the given time, or until it hears the proof, if there is one.
func (l *Listener) hear(ctx context.Context, conn *pgx.Conn, until time.Time, proof string) (heard bool, err error) {
	waiting, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	for {
		n, err := conn.WaitForNotification(waiting)
		switch {
		case err != nil && ctx.Err() == nil && waiting.Err() != nil && !conn.IsClosed():
			return false, nil
		case err != nil:
			return false, fmt.Errorf("wait for notifications: %w", err)
		case proof != "" && n.Payload == proof:
			return true, nil
		}
		if s, ok := l.signals[n.Payload]; ok {
			s.Set()
		}
	}
}

func (l *Listener) wakeAll() {
	for _, s := range l.signals {
		s.Set()
	}
}

func (l *Listener) setConnected(connected bool) {
	l.connected.Store(connected)
	if l.o.Observer != nil {
		l.o.Observer.ListenerConnected(connected)
	}
}

func (l *Listener) connect(ctx context.Context, name string) (*pgx.Conn, error) {
	config, err := connect.Parse(l.dsn)
	if err != nil {
		return nil, err
	}
	// The server's own notices are of no use here, and the name shows a DBA what this session is for.
	config.RuntimeParams["application_name"] = name
	config.OnNotice = func(*pgconn.PgConn, *pgconn.Notice) {}
	return pgx.ConnectConfig(ctx, config)
}

// exec runs one statement by the simple protocol, which needs no prepared statement of a pooler.
func exec(ctx context.Context, conn *pgx.Conn, sql string) error {
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	_, err := conn.PgConn().Exec(ctx, sql).ReadAll()
	return err
}

// closeConn says good-bye, also when the context of the listener has ended.
func closeConn(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = conn.Close(ctx) // the server notices a broken connection by itself
}
