package worker

import (
	"context"

	"github.com/google/uuid"

	"github.com/taskrunner/taskrunner/internal/task"
)

// SleepStore is where a loop says that it sleeps.
type SleepStore interface {
	FallAsleep(ctx context.Context, replica uuid.UUID, loop string, horizon string) (task.Sleep, error)
	StayAwake(ctx context.Context, replica uuid.UUID, loop string) error
}

// sleep is what a loop knows of its stamp in the database (sql/functions/fall_asleep.sql). While the stamp stands, whoever makes work for the
// loop notifies it. It is used by the one claim that is open.
type sleep struct {
	store   SleepStore
	replica uuid.UUID
	loop    string
	horizon string // "": the stamp does not stand, or nobody knows
	quiet   bool   // whoever saw no stamp has ended
}

// fall sets the stamp unless it stands. A look at the queue that begins afterwards finds what was made while it did not stand, if the loop is
// quiet then.
func (s *sleep) fall(ctx context.Context) error {
	for range 2 { // the first call may only set it
		told, err := s.store.FallAsleep(ctx, s.replica, s.loop, s.horizon)
		if err != nil {
			s.forget()
			return err
		}
		s.horizon, s.quiet = told.Horizon, told.Quiet
		if told.Stood {
			return nil
		}
	}
	return nil // there is no row to stamp: the pulse has not written it again yet
}

// end takes the stamp back.
func (s *sleep) end(ctx context.Context) error {
	s.forget()
	return s.store.StayAwake(ctx, s.replica, s.loop)
}

// forget is for when it is not known what the database did.
func (s *sleep) forget() { s.horizon, s.quiet = "", false }

func (s *sleep) stands() bool { return s.horizon != "" }
