package bench

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/taskrunner/taskrunner/internal/api"
	"github.com/taskrunner/taskrunner/internal/egress"
	"github.com/taskrunner/taskrunner/internal/handle"
	"github.com/taskrunner/taskrunner/internal/metrics"
	"github.com/taskrunner/taskrunner/internal/task"
)

// serverSpec is a server that the service is compared with: the same HTTP, but nothing behind it, or (with a DSN) one
// transaction for each request.
type serverSpec struct {
	DSN   string `json:",omitempty"`
	Conns int
}

func (s *serverSpec) run(ctx context.Context, ready func(address string) error) error {
	var store api.Store = nothing{}
	if s.DSN != "" {
		config, err := pgxpool.ParseConfig(s.DSN)
		if err != nil {
			return err
		}
		config.MaxConns = int32(s.Conns)
		pool, err := pgxpool.NewWithConfig(ctx, config)
		if err != nil {
			return err
		}
		defer pool.Close()
		store = singly{pool: pool}
	}
	handles, err := handle.New("http://127.0.0.1:9", [][]byte{[]byte("bench")})
	if err != nil {
		return err
	}
	local, err := egress.New(egress.Options{Allow: []string{"127.0.0.1"}})
	if err != nil {
		return err
	}
	log := slog.New(slog.DiscardHandler)
	m := metrics.New()
	handler, err := api.New(api.Config{ // as internal/app makes it with the default settings
		Store: store, Handles: handles, Egress: local, MaxBodyBytes: 64 << 20, MaxInFlight: 1000, PageSize: 50, MaxPageSize: 1000,
		IdempotencyLife: time.Hour, Log: log, Metrics: m.Handler(), Observe: m.Request, InFlight: m.InFlight, Shed: m.Shed,
		AuthFailed: m.AuthFailed, DatabaseAway: func() bool { return false },
	})
	if err != nil {
		return err
	}
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := api.Server(handler, log)
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	if err := ready(socket.Addr().String()); err != nil {
		return err
	}
	if err := server.Serve(socket); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// nothing accepts every report and does nothing.
type nothing struct{ api.Store }

func (nothing) AddProgress(context.Context, task.Progress) error { return nil }

func (nothing) Report(_ context.Context, r task.Report) (task.Task, error) {
	now, batch := time.Now().UTC(), r.TaskID
	return task.Task{
		ID: r.TaskID, Name: "task 12345", Kind: "bench", Status: task.Success, Timeout: 86400, Rules: json.RawMessage("[]"),
		Metadata: json.RawMessage(`{"tenant": "a"}`), CreatedAt: now, LastUpdated: now, StartedAt: &now, EndedAt: &now, BatchID: &batch,
		Actions: []task.Action{{Kind: "Webhook", Trigger: "Start", Params: json.RawMessage(`{"url": "http://127.0.0.1:9/start", "verb": "Post"}`)}},
		Attempt: 1, MaxAttempts: 1,
	}, nil
}

// singly writes progress in a transaction of its own.
type singly struct {
	nothing
	pool *pgxpool.Pool
}

func (s singly) AddProgress(ctx context.Context, p task.Progress) error {
	batch := &pgx.Batch{}
	batch.Queue("select set_config('lock_timeout', '100ms', true)")
	batch.Queue("select taskrunner_private.progress_task($1, $2, $3, $4) is not null", p.TaskID, p.Attempt, p.NewSuccess, p.NewFailures).
		QueryRow(func(row pgx.Row) error {
			var done bool
			if err := row.Scan(&done); err != nil {
				return err
			}
			if !done {
				return errors.New("not written")
			}
			return nil
		})
	return s.pool.SendBatch(ctx, batch).Close()
}
