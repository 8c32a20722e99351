package store

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/taskrunner/taskrunner/internal/db"
	"github.com/taskrunner/taskrunner/internal/task"
)

// Submit creates the graph that body describes (POST /task) as one batch of the given id and returns its tasks in
// request order; none when there was nothing to create, and then there is no batch either. body must be JSON that
// PostgreSQL can hold; everything else about it is judged by the engine.
// Errors: CodeInvalid with details, CodeTooMany, CodeBusy, CodeUnavailable.
func (s *Store) Submit(ctx context.Context, batchID uuid.UUID, body []byte) ([]task.Task, error) {
	var created db.SubmitRow
	var rows []db.BatchTasksRow
	err := s.do(ctx, call{op: "submit", patience: patience}, func(ctx context.Context, conn *pgxpool.Conn) error {
		batch := bounded()
		one(batch, &created, db.Submit, batchID, body)
		many(batch, &rows, db.BatchTasks, batchID)
		return send(ctx, conn, batch)
	})
	if err != nil {
		return nil, err
	}
	s.transitions("submit", created.Counts)
	tasks := make([]task.Task, 0, len(rows))
	for _, row := range rows {
		t, err := fullTask(db.FullTaskRow(row))
		if err != nil {
			return nil, mapError("submit", err)
		}
		tasks = append(tasks, t)
	}
	return tasks, nil
}
