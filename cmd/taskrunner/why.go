package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"

	"github.com/taskrunner/taskrunner/internal/config"
	"github.com/taskrunner/taskrunner/internal/screen"
)

// whyCmd asks the database, because no endpoint of the service tells it: whoever may read tasks by SQL may know.
type whyCmd struct {
	config.File
	config.Database
	config.Log
	IDs  []uuid.UUID `arg:"" name:"id" help:"Ids of tasks."`
	JSON bool        `name:"json" help:"A JSON object per line instead: task_id, reason, detail."`
}

// Run prints what keeps the tasks from running, a sentence each.
func (c *whyCmd) Run(ctx context.Context, std streams) error {
	s, err := openOnce(ctx, c.File, c.Database, c.Log)
	if err != nil {
		return err
	}
	defer s.Close()
	for _, id := range c.IDs {
		reasons, err := s.Why(ctx, id)
		if err != nil {
			return explain(err, "read tasks", "taskrunner_reader")
		}
		if c.JSON {
			for _, r := range reasons {
				err := json.NewEncoder(std.out).Encode(struct {
					TaskID uuid.UUID       `json:"task_id"`
					Reason string          `json:"reason"`
					Detail json.RawMessage `json:"detail"`
				}{id, r.Sentence, r.Detail})
				if err != nil {
					return err
				}
			}
			continue
		}
		if len(c.IDs) > 1 {
			fmt.Fprintln(std.out, id)
		}
		for _, r := range reasons {
			fmt.Fprintln(std.out, screen.Clean(r.Sentence))
		}
		if len(reasons) == 0 {
			fmt.Fprintln(std.out, "Nothing keeps it from running.")
		}
	}
	return nil
}
