package app

import (
	"context"
	"time"

	"github.com/taskrunner/taskrunner/internal/outage"
)

// schemaInterval is how often a replica that works looks whether the database is still its own: about as long it goes on
// claiming beside a newer version.
const schemaInterval = 5 * time.Second

// watchSchema ends the work when a newer version has migrated the database: its functions may answer in other words, and a
// claim that is not understood is lost for the time of a stale one. Requests are served on, so that clients see nothing of
// an upgrade.
func (r *replica) watchSchema(work context.Context, end context.CancelFunc) {
	trouble := outage.New(r.log, "look at the schema")
	ticker := time.NewTicker(schemaInterval)
	defer ticker.Stop()
	for {
		select {
		case <-work.Done():
			return
		case <-ticker.C:
		}
		switch status, err := r.store.CheckSchema(work); {
		case work.Err() != nil:
			return
		case err != nil:
			trouble.Failed(err)
		// The functions are newer, which may answer in words that this program does not know. Before that, while tables are migrated, which
		// may take long, its own still stand.
		case status.DatabaseRevision > status.Revision:
			r.log.Warn("this process claims nothing any more", "reason", status.String())
			end()
			return
		default:
			trouble.Worked()
		}
	}
}
