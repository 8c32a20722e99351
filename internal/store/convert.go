package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/taskrunner/taskrunner/internal/db"
	"github.com/taskrunner/taskrunner/internal/task"
)

// fullTask turns a row into the task of the API.
func fullTask(r db.FullTaskRow) (task.Task, error) {
	actions := []task.Action{}
	if r.Actions != nil {
		if err := json.Unmarshal(r.Actions, &actions); err != nil {
			return task.Task{}, fmt.Errorf("actions of task %s: %w", r.ID, err)
		}
	}
	return task.Task{
		ID:             r.ID,
		Name:           r.Name,
		Kind:           r.Kind,
		Status:         r.Status,
		Timeout:        r.Timeout,
		Rules:          r.Rules,
		Metadata:       r.Metadata,
		Actions:        actions,
		CreatedAt:      r.CreatedAt.UTC(),
		LastUpdated:    finite(r.LastUpdated),
		StartedAt:      utc(r.StartedAt),
		EndedAt:        utc(r.EndedAt),
		WaitFinished:   r.WaitFinished,
		WaitSuccess:    r.WaitSuccess,
		Success:        r.Success,
		Failures:       r.Failures,
		ExpectedCount:  r.ExpectedCount,
		FailureReason:  r.FailureReason,
		BatchID:        r.BatchID,
		BatchName:      r.BatchName,
		DeadEndBarrier: r.DeadEndBarrier,
		Priority:       r.Priority,
		Attempt:        r.Attempt,
		MaxAttempts:    r.MaxAttempts,
		RunAt:          finitePointer(r.RunAt),
	}, nil
}

func basicTask(r db.BasicTasksRow) task.Basic {
	b := task.Basic(r)
	b.CreatedAt, b.StartedAt, b.EndedAt = r.CreatedAt.UTC(), utc(r.StartedAt), utc(r.EndedAt)
	return b
}

func utc(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	u := t.UTC()
	return &u
}

// The years that RFC 3339 can write.
var (
	earliest = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)
	latest   = time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC)
)

// finite brings infinity and years beyond the four digits of RFC 3339 to the nearest moment that can be shown.
func finite(t pgtype.Timestamptz) time.Time {
	switch {
	case t.InfinityModifier == pgtype.Infinity, t.InfinityModifier == pgtype.Finite && t.Time.After(latest):
		return latest
	case t.InfinityModifier == pgtype.NegativeInfinity, t.Time.Before(earliest):
		return earliest
	}
	return t.Time.UTC()
}

func finitePointer(t pgtype.Timestamptz) *time.Time {
	if !t.Valid {
		return nil
	}
	f := finite(t)
	return &f
}

// parseCounts reads what take_counts returns: lines as in sql/triggers/task_800_count.sql and sql/functions/add_count.sql.
func parseCounts(counts string) (task.Counts, error) {
	var c task.Counts
	for line := range strings.Lines(counts) {
		var t task.Transition
		fields := []any{&t.From, &t.To, &t.Kind, &t.Count, &t.Cause, &t.Retried, &t.Seconds}
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			return c, fmt.Errorf("counted status change %q: %w", line, err)
		}
		switch {
		case t.From != "":
			c.Transitions = append(c.Transitions, t)
		case t.To == "blocked":
			c.Blocked += t.Count
		case t.To == "delivered":
			c.Delivered += t.Count
		case t.To == "linked":
			c.Linked += t.Count
		default:
			return c, fmt.Errorf("counted what nobody knows: %q", line)
		}
	}
	return c, nil
}

// webhook reads the params of an action. Keys count as they are written, while encoding/json would take "URL" for
// "url".
func webhook(params []byte) (task.Webhook, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(params, &fields); err != nil {
		return task.Webhook{}, fmt.Errorf("params of an action: %w", err)
	}
	var w task.Webhook
	for key, target := range map[string]any{"url": &w.URL, "verb": &w.Verb, "headers": &w.Headers} {
		raw, ok := fields[key]
		if !ok {
			continue
		}
		if err := json.Unmarshal(raw, target); err != nil {
			return task.Webhook{}, fmt.Errorf("params of an action: %s: %w", key, err)
		}
	}
	if body := fields["body"]; string(body) != "null" {
		w.Body = body
	}
	return w, nil
}

// startTry is a try of on_start as the engine reads it.
type startTry struct {
	TaskID         uuid.UUID       `json:"task_id"`
	Attempt        int32           `json:"attempt"`
	ClaimedAt      time.Time       `json:"claimed_at"`
	Permanent      bool            `json:"permanent"`
	RetryAfterSecs float64         `json:"retry_after_secs"`
	CancelAction   json.RawMessage `json:"cancel_action,omitempty"`
	loggedTry
}

// deliveryTry is a try of an End or Cancel delivery as the engine reads it.
type deliveryTry struct {
	DeliveryID     uuid.UUID            `json:"delivery_id"`
	Number         int32                `json:"number"`
	LeasedUntil    time.Time            `json:"leased_until"`
	Outcome        task.DeliveryOutcome `json:"outcome"`
	RetryAfterSecs float64              `json:"retry_after_secs"`
	loggedTry
}

// loggedTry is what the log of a delivery keeps of a try.
type loggedTry struct {
	At         time.Time `json:"at"`
	LatencyMS  int32     `json:"latency_ms"`
	StatusCode *int32    `json:"status_code"`
	Error      *string   `json:"error"` // null on success
	Response   *string   `json:"response"`
}

// storable replaces what a text of PostgreSQL cannot hold.
func storable(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

func newLoggedTry(t task.Try, failed bool) loggedTry {
	l := loggedTry{At: t.At.UTC(), LatencyMS: clampInt32(t.Latency.Milliseconds()), StatusCode: t.StatusCode}
	if failed {
		text := storable(t.Error)
		l.Error = &text
	}
	if t.StatusCode != nil {
		text := storable(t.Response)
		l.Response = &text
	}
	return l
}

// wholeSeconds rounds up, so that a short duration does not become none.
func wholeSeconds(d time.Duration) int32 { return clampInt32(int64(math.Ceil(d.Seconds()))) }

func clampInt32(n int64) int32 { return int32(max(math.MinInt32, min(n, math.MaxInt32))) }

// found turns "no rows" into the error that it means.
func found(err, missing error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return missing
	}
	return err
}

// optional returns the first element of a list that holds one or none.
func optional[T any](list []T) *T {
	if len(list) == 0 {
		return nil
	}
	return &list[0]
}

// encode is json.Marshal without the escapes for HTML, which PostgreSQL would only undo.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
