package store

import (
	"context"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/taskrunner/taskrunner/internal/db"
	"github.com/taskrunner/taskrunner/internal/migrate"
)

// Settings are those that the engine itself needs, whoever works with it.
type Settings struct {
	DeadEndCancel      bool // default of batches that do not say
	WebhookMaxAttempts int  // tries of an End or Cancel delivery, > 0
	StartMaxAttempts   int  // tries of on_start per attempt, > 0
}

// SaveSettings stores settings and returns those that were there before.
func (s *Store) SaveSettings(ctx context.Context, settings Settings) (Settings, error) {
	args := db.SaveSettingsParams{
		DeadEndCancel:      settings.DeadEndCancel,
		WebhookMaxAttempts: clampInt32(int64(settings.WebhookMaxAttempts)),
		StartMaxAttempts:   clampInt32(int64(settings.StartMaxAttempts)),
	}
	var row db.SaveSettingsRow
	err := s.do(ctx, call{op: "save settings"}, func(ctx context.Context, conn *pgxpool.Conn) (err error) {
		row, err = s.queries.SaveSettings(ctx, conn, args)
		return err
	})
	return Settings{
		DeadEndCancel:      row.DeadEndCancel,
		WebhookMaxAttempts: int(row.WebhookMaxAttempts),
		StartMaxAttempts:   int(row.StartMaxAttempts),
	}, err
}

// HandleKey returns the key of handle tokens that was made with the database.
func (s *Store) HandleKey(ctx context.Context) ([]byte, error) {
	var key []byte
	err := s.do(ctx, call{op: "handle key", reads: true, idempotent: true},
		func(ctx context.Context, conn *pgxpool.Conn) (err error) {
			key, err = s.queries.HandleKey(ctx, conn)
			return err
		})
	return key, err
}

// CheckSchema compares the database with this program.
func (s *Store) CheckSchema(ctx context.Context) (migrate.Status, error) {
	var status migrate.Status
	err := s.do(ctx, call{op: "check schema", reads: true, idempotent: true},
		func(ctx context.Context, conn *pgxpool.Conn) (err error) {
			status, err = migrate.Check(ctx, conn)
			return err
		})
	return status, err
}
