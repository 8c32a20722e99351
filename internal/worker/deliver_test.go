package worker

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/task"
)

// silent is a database that leases deliveries and whose answer never comes.
type silent struct{ DeliverStore }

func (silent) ClaimDeliveries(
	ctx context.Context, _ uuid.UUID, _ int, _ time.Duration, _ time.Time, _ bool, _ task.Rooms,
) ([]task.Delivery, task.Left, error) {
	<-ctx.Done()
	return nil, task.Left{}, ctx.Err()
}

// Nobody hears of a lease so late that a call would go on when somebody else may have the delivery.
func TestLeasesAreNotHeardOfLate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := NewDeliverLoop(DeliverConfig{Slots: 1, CallTimeout: time.Minute, Interval: time.Second}, silent{}, nil)
		began := time.Now()
		_, err := d.claim(t.Context(), 1, false)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Less(t, time.Since(began), leaseMargin)
	})
}
