package chores

import (
	"context"
	"time"
)

// recheckAllEvery is how often all gates are looked at, as a safety net; those of Capacity limits with every run.
const recheckAllEvery = 10 * time.Second

// registerShapes begins to count the shapes that rules name for the first time.
func (r *Chores) registerShapes(ctx context.Context) (int, error) {
	return whileDue(ctx, r.store.RegisterShape)
}

// dropShapes ceases to count those that nobody needs any more.
func (r *Chores) dropShapes(ctx context.Context) (int, error) {
	return whileDue(ctx, r.store.DropShape)
}

func whileDue(ctx context.Context, one func(context.Context) (due bool, err error)) (worked int, err error) {
	for {
		due, err := one(ctx)
		if err != nil || !due {
			return worked, err
		}
		worked++
	}
}

// recheckLimits finds tasks for which progress has made room. Whatever else it finds had been forgotten, which is a fault of the
// engine: it says so.
func (r *Chores) recheckLimits(ctx context.Context) (worked int, err error) {
	all := time.Since(r.recheckedAll) >= recheckAllEvery
	repaired, progressed, err := r.store.RecheckLimits(ctx, all)
	if err != nil {
		return 0, err
	}
	if repaired > 0 {
		r.log.Error("parked tasks had been forgotten", "limits", repaired)
	}
	if all {
		r.recheckedAll = time.Now()
		for deleted := chunk; deleted == chunk; {
			if deleted, err = r.store.DeleteGates(ctx, chunk); err != nil {
				return repaired + progressed, err
			}
		}
	}
	return repaired + progressed, nil
}
