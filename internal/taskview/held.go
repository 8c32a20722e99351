package taskview

import (
	"encoding/json"
	"fmt"

	"github.com/taskrunner/taskrunner/internal/screen"
)

// Hold is a rule that keeps a task from starting.
type Hold struct {
	Rule struct {
		MaxConcurency *int64 `json:"max_concurency"`
		MaxCapacity   *int64 `json:"max_capacity"`
		Matcher       struct {
			Kind string `json:"kind"`
		} `json:"matcher"`
	} `json:"rule"`
	Current int64  `json:"current"`
	Reason  string `json:"reason"`
}

// Holds reads them from the answer of GET /task/{task_id}.
func Holds(answer json.RawMessage) []Hold {
	var t struct {
		BlockedBy []Hold `json:"blocked_by"`
	}
	_ = json.Unmarshal(answer, &t) // what cannot be read is not shown
	return t.BlockedBy
}

// String is a Hold in words.
func (h Hold) String() string {
	text := fmt.Sprintf("a rule about kind %q: ", h.Rule.Matcher.Kind)
	switch {
	case h.Reason != "limit reached":
		text += h.Reason
	case h.Rule.MaxCapacity != nil:
		text += fmt.Sprintf("%d left to do, less than %d must be", h.Current, *h.Rule.MaxCapacity)
	case h.Rule.MaxConcurency != nil:
		text += fmt.Sprintf("%d of %d at work", h.Current, *h.Rule.MaxConcurency)
	}
	return screen.Clean(text)
}
