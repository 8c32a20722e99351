package modeltest

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/google/uuid"
)

// Limits under concurrency. Triggers log, with numbers from the sequence of commits, when tasks become active, what rules look at
// while they are, and when they cease to be (auditSchema). A start is logged under the locks of its decision, in the order of
// decisions. The judge asks of each start of a task with rules whether it was right. It counts what the decision must have seen:
// all that had ended before its operation began, and starts with rules before it, for whose locks it had to wait.

// entry of the log.
type logged struct {
	No    int64
	Xid   string
	What  string // start, data or leave
	Task  uuid.UUID
	Name  string
	Kind  string
	Rules string
	Data  string
	Work  int64
}

// decodeRules reads what rulesText writes.
func decodeRules(text string) ([]rule, error) {
	var list []struct {
		Type    string
		Count   int64 `json:"max_concurency"`
		Sum     int64 `json:"max_capacity"`
		Matcher struct {
			Kind   string
			Fields []string
		}
	}
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return nil, fmt.Errorf("rules %s: %w", text, err)
	}
	rules := make([]rule, len(list))
	for i, r := range list {
		s := shape{kind: r.Matcher.Kind}
		for _, f := range r.Matcher.Fields {
			s.fields |= map[string]int{"p": fieldP, "q": fieldQ}[f]
		}
		rules[i] = rule{capacity: r.Type == "Capacity", maximum: r.Count + r.Sum, shape: s}
	}
	return rules, nil
}

// decodeMetadata reads what metadata.String writes.
func decodeMetadata(text string) (d metadata, err error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &fields); err != nil || fields == nil {
		return d, err
	}
	place := func(field string) int {
		for i, v := range values {
			if v.text == string(fields[field]) {
				return i
			}
		}
		return 0
	}
	return metadata{object: true, p: place("p"), q: place("q")}, nil
}

// condition is what an active task is for a rule.
type condition struct {
	active bool
	kind   string
	data   metadata
	work   int64
}

// judge returns the starts that were wrong, and how many it has looked at.
func (h *history) judge(log []logged) (faults []string, judged int) {
	type span struct{ from, at int64 }
	spans := map[string]span{}
	for _, r := range h.done {
		spans[r.seen.Xid] = span{r.from, r.seen.Seq}
	}
	// What each task may have been at the moment of a start, as a decision could have seen it.
	past := map[uuid.UUID][]logged{}
	for _, l := range log {
		own, known := spans[l.Xid]
		rules, err := decodeRules(l.Rules)
		if err != nil || !known {
			return append(faults, fmt.Sprintf("a change of a transaction that nobody made: %+v: %v", l, err)), judged
		}
		if l.What == "start" && len(rules) > 0 {
			judged++
			data, err := decodeMetadata(l.Data)
			if err != nil {
				return append(faults, err.Error()), judged
			}
			certain := func(e logged) bool {
				return e.Xid == l.Xid || spans[e.Xid].at <= own.from || e.What == "start" && e.Rules != "[]"
			}
			for _, r := range rules {
				var used int64
				for task, events := range past {
					if task == l.Task {
						continue
					}
					n, err := leastUse(events, certain, r, data)
					if err != nil {
						return append(faults, err.Error()), judged
					}
					used += n
				}
				if used >= r.maximum {
					faults = append(faults, fmt.Sprintf("start %d of %s, metadata %s, in spite of %v: %d in use", l.No, l.Name, l.Data, r, used))
				}
			}
		}
		past[l.Task] = append(past[l.Task], l)
	}
	return faults, judged
}

// leastUse is the least that a task with this past may have counted for a rule of a task with this metadata.
func leastUse(past []logged, certain func(logged) bool, r rule, data metadata) (int64, error) {
	possible := []condition{{}}
	for _, e := range past {
		d, err := decodeMetadata(e.Data)
		if err != nil {
			return 0, err
		}
		if certain(e) {
			possible = nil
		}
		possible = append(possible, condition{e.What != "leave", e.Kind, d, e.Work})
	}
	uses := make([]int64, len(possible))
	for i, c := range possible {
		switch {
		case !c.active || c.kind != r.kind || !data.agrees(c.data, r.fields):
		case r.capacity:
			uses[i] = c.work
		default:
			uses[i] = 1
		}
	}
	return slices.Min(uses), nil
}
