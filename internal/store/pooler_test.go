package store_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/store"
	"github.com/taskrunner/taskrunner/internal/task"
	"github.com/taskrunner/taskrunner/internal/testpooler"
)

// Through a pooler in transaction mode each transaction may run in another session, so a store that relies on anything
// in its session breaks.
func TestThroughAPooler(t *testing.T) {
	t.Parallel()
	t.Run("PgBouncer", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		throughAPooler(t, b, testpooler.Start(t, []string{b.dsn}, "server_round_robin = 1", "min_pool_size = 3").DSN(b.dsn))
	})
	// Stricter than any pooler: no two transactions in a row run in the same session.
	t.Run("dealt out in turn", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		u, err := url.Parse(b.dsn)
		require.NoError(t, err)
		sessions := &sessionPool{}
		u.Host = sessions.start(t, b.dsn, 3)
		throughAPooler(t, b, u.String())
		sessions.requireUsed(t)
	})
}

func throughAPooler(t *testing.T, b *testBundle, dsn string) {
	t.Helper()
	b.dsn = dsn
	b.Store = b.open(t, store.Options{MaxConns: 2, PreparedStatements: false, AcquireTimeout: 20 * time.Second})

	for round := range 4 { // each query occurs in each session
		parent := entry("a")
		parent["on_success"], parent["metadata"] = []any{webhookAction("done")}, map[string]any{"round": round}
		tasks := b.submit(t, parent, entry("b", "a"), entry("c"))
		_, err := b.Pulse(t.Context(), task.Pulse{Replica: b.replica, Name: "r"})
		require.NoError(t, err)
		claims, _, err := b.ClaimTasks(t.Context(), b.replica, 1, time.Minute, []task.Mark{{Priority: -1000}, {Priority: -999}}, true, task.Rooms{})
		require.NoError(t, err)
		require.Len(t, claims, 1)
		_, startErr := b.StartTasks(t.Context(), []task.StartTry{{Claim: claims[0], Try: okTry()}})
		require.NoError(t, startErr)
		claims = b.claim(t)
		require.Len(t, claims, 1)
		require.NoError(t, b.FailStarts(t.Context(), b.replica, []task.StartTry{
			{Claim: claims[0], Permanent: true, Try: task.Try{At: time.Now(), Error: "x"}}}, time.Second))
		require.NoError(t, b.AddProgress(t.Context(), task.Progress{TaskID: tasks[0].ID, NewSuccess: 1}))
		got, err := b.Report(t.Context(), task.Report{TaskID: tasks[0].ID, Status: ptr(task.Success)})
		require.NoError(t, err)
		require.JSONEq(t, fmt.Sprintf(`{"round": %d}`, round), string(got.Metadata))
		deliveries, _, err := b.ClaimDeliveries(t.Context(), b.replica, 10, time.Minute, time.Time{}, true, task.Rooms{})
		require.NoError(t, err)
		require.Len(t, deliveries, 1)
		require.NoError(t, b.SettleDeliveries(t.Context(), []task.DeliveryTry{
			{Delivery: deliveries[0], Outcome: task.DeliveryDelivered, Try: okTry()}}, task.Backoff{Base: time.Second}))
		_, err = b.Cancel(t.Context(), tasks[1].ID)
		require.NoError(t, err)
		g, err := b.Graph(t.Context(), *tasks[0].BatchID)
		require.NoError(t, err)
		require.Len(t, g.Tasks, 3)
		batch, err := b.Batch(t.Context(), *tasks[0].BatchID)
		require.NoError(t, err)
		require.Equal(t, task.StatusCounts{Success: 1, Failure: 1, Canceled: 1}, batch.StatusCounts)
		list, next, err := b.ListTasks(t.Context(), task.Filter{Status: ptr(task.Success), Kind: "etl", Timeout: ptr(int32(60)),
			Metadata: json.RawMessage(`{}`), BatchID: tasks[0].BatchID}, task.Page{Size: 1})
		require.NoError(t, err)
		require.Equal(t, []uuid.UUID{tasks[0].ID}, []uuid.UUID{list[0].ID})
		require.Nil(t, next)
		_, next, err = b.ListTasks(t.Context(), task.Filter{}, task.Page{Size: 1, After: &task.Position{CreatedAt: time.Now(), Seq: 1}})
		require.NoError(t, err)
		require.NotNil(t, next)
		batches, _, err := b.ListBatches(t.Context(), task.BatchFilter{Name: "a", CreatedAfter: &batch.CreatedAt}, task.Page{Size: 9})
		require.NoError(t, err)
		require.Equal(t, tasks[0].BatchID, &batches[0].BatchID)
		_, err = b.Submit(t.Context(), uuid.New(), []byte(`[1]`))
		requireCode(t, task.CodeInvalid, err)
		for _, sweep := range []func() (int, error){
			func() (int, error) { return b.SweepActive(t.Context(), 10, time.Minute) },
			func() (int, error) { return b.SweepReplicas(t.Context(), 10, time.Minute) },
			func() (int, error) { return b.ReleaseScheduled(t.Context(), 10) },
		} {
			_, err = sweep()
			require.NoError(t, err)
		}
		_, err = b.HandleKey(t.Context())
		require.NoError(t, err)
		require.NoError(t, b.Ping(t.Context()))
	}
	require.NoError(t, b.Leave(t.Context(), b.replica))
	b.Close()
	b.db.AssertInvariants(t)
}

// sessionPool deals sessions out to its clients in turn, one per transaction.
type sessionPool struct {
	idle chan *pgconn.HijackedConn
	used sync.Map // process number of each session that was dealt out
}

// start opens sessions and listens; it returns the address.
func (p *sessionPool) start(t *testing.T, dsn string, size int) string {
	t.Helper()
	p.idle = make(chan *pgconn.HijackedConn, size)
	for range size {
		conn, err := pgconn.Connect(t.Context(), dsn)
		require.NoError(t, err)
		session, err := conn.Hijack()
		require.NoError(t, err)
		t.Cleanup(func() { _ = session.Conn.Close() })
		p.idle <- session
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
				p.serve(client)
			})
		}
	})
	t.Cleanup(func() { _ = listener.Close(); clients.Wait() })
	return listener.Addr().String()
}

// requireUsed makes sure that the pool has done its work: every session was dealt out.
func (p *sessionPool) requireUsed(t *testing.T) {
	t.Helper()
	n := 0
	p.used.Range(func(any, any) bool { n++; return true })
	require.Equal(t, cap(p.idle), n)
}

// serve relays a client's messages until it leaves.
func (p *sessionPool) serve(client net.Conn) {
	b := pgproto3.NewBackend(client, client)
	if _, err := b.ReceiveStartupMessage(); err != nil {
		return
	}
	b.Send(&pgproto3.AuthenticationOk{})
	b.Send(&pgproto3.ParameterStatus{Name: "client_encoding", Value: "UTF8"})
	b.Send(&pgproto3.ParameterStatus{Name: "standard_conforming_strings", Value: "on"})
	b.Send(&pgproto3.BackendKeyData{ProcessID: 1, SecretKey: []byte{1, 2, 3, 4}})
	b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
	if b.Flush() != nil {
		return
	}
	for {
		msg, err := b.Receive()
		if err != nil {
			return
		}
		if _, ok := msg.(*pgproto3.Terminate); ok {
			return
		}
		session := <-p.idle
		p.used.Store(session.PID, true)
		if !relay(session, b, msg) {
			return
		}
		p.idle <- session
	}
}

// relay carries one transaction, which begins with msg, and reports whether it came to its end.
func relay(session *pgconn.HijackedConn, b *pgproto3.Backend, msg pgproto3.FrontendMessage) bool {
	for {
		session.Frontend.Send(msg)
		switch msg.(type) {
		case *pgproto3.Query, *pgproto3.Sync:
			if session.Frontend.Flush() != nil {
				return false
			}
			for ready := false; !ready; {
				answer, err := session.Frontend.Receive()
				if err != nil {
					return false
				}
				b.Send(answer)
				end, ok := answer.(*pgproto3.ReadyForQuery)
				if ready = ok; ok && end.TxStatus == 'I' {
					return b.Flush() == nil
				}
			}
			if b.Flush() != nil {
				return false
			}
		}
		var err error
		if msg, err = b.Receive(); err != nil {
			return false
		}
	}
}
