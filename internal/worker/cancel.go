package worker

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/taskrunner/taskrunner/internal/strictjson"
	"github.com/taskrunner/taskrunner/internal/webhook"
)

// maxCancelAction bounds a cancel action in an answer, for whoever lets answers be longer than that.
const maxCancelAction = 1 << 20

// URLPolicy says which URLs webhooks may have (contract, section 9.3).
type URLPolicy interface {
	// Check returns what is wrong with a URL, without repeating it.
	Check(rawURL string) error
}

// maskedAction stands in the log of deliveries for an answer that is an action: its headers and its URL may hold secrets. What was
// registered is shown with the task, masked.
const maskedAction = `{"kind":"Webhook","params":"***"}`

// cancelAction is the action that an on_start answer consists of (contract, section 8.7): one JSON object with the members
// kind and params, whatever the content type. Anything else is no action, and nil. An error says what is wrong with an
// action as far as it is known here; the database looks at the rest.
func cancelAction(r webhook.Result, policy URLPolicy) (json.RawMessage, error) {
	if r.Class != webhook.Delivered || !r.Whole || !strictjson.IsObject(r.Body) {
		return nil, nil
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(r.Body, &members) != nil {
		return nil, nil
	}
	kind, params := members["kind"], members["params"]
	if kind == nil || params == nil {
		return nil, nil
	}
	result, err := strictjson.Check(r.Body, "", maxCancelAction)
	if err != nil {
		return nil, err
	}
	if len(result.Faults) > 0 {
		return nil, errors.New(result.Faults[0].String())
	}
	var url string
	if policy != nil && json.Unmarshal(strictjson.Member(params, "url"), &url) == nil {
		if err := policy.Check(url); err != nil {
			return nil, fmt.Errorf("params: url %w", err)
		}
	}
	return json.Marshal(map[string]json.RawMessage{"kind": kind, "params": params})
}

const (
	refusalsEvery = time.Second // how often refused cancel actions are logged at most
	maxFault      = 1000        // bytes of what is logged about one
)

// refusals logs cancel actions that were dropped: the first of a second, and then how many others there were.
type refusals struct {
	log *slog.Logger // may be nil

	mu     sync.Mutex
	logged time.Time
	others int
}

func (r *refusals) note(id uuid.UUID, fault string) {
	if r.log == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	if now.Sub(r.logged) < refusalsEvery {
		r.others++
		return
	}
	r.log.Warn("the cancel action in an on_start answer is invalid and was dropped",
		"task_id", id, "fault", strings.ToValidUTF8(fault[:min(len(fault), maxFault)], ""), "others_since_the_last_line", r.others)
	r.logged, r.others = now, 0
}
