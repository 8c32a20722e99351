package modeltest

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/taskrunner/taskrunner/internal/task"
)

// one is cancel_task, pause_task or resume_task.
type one struct {
	base
	what string
	task ref
}

func (o *one) run(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, "select taskrunner."+o.what+"_task($1)", o.task.id)
	return err
}

func (o *one) apply(m *model, _ observation) (verdict, error) {
	n := m.tasks[o.task.id]
	if n == nil {
		return verdict{codeUnknown}, nil
	}
	paused := n.status == task.Paused
	if n.status.Terminal() || o.what == "pause" && paused || o.what == "resume" && !paused {
		return verdict{codeIllegal}, nil
	}
	switch o.what {
	case "pause":
		m.pause(n)
	case "resume":
		m.resume(n)
	case "cancel":
		m.cancel(n, "Canceled")
		m.propagate([]*node{n})
	}
	return nil, nil
}

func (o *one) String() string { return fmt.Sprintf("%s %ss %s", o.login, o.what, o.task) }

// cancelMany is cancel_tasks.
type cancelMany struct {
	base
	tasks []ref
	done  []uuid.UUID
}

func (o *cancelMany) run(ctx context.Context, tx pgx.Tx) (err error) {
	o.done, err = queryIDs(ctx, tx, "select id from taskrunner.cancel_tasks($1)", ids(o.tasks))
	return err
}

func (o *cancelMany) apply(m *model, _ observation) (verdict, error) {
	var ended []*node
	for _, t := range o.tasks {
		if n := m.tasks[t.id]; n != nil && !n.status.Terminal() {
			m.cancel(n, "Canceled")
			ended = append(ended, n)
		}
	}
	m.propagate(ended)
	return nil, sameIDs("canceled", o.done, nodeIDs(ended))
}

func (o *cancelMany) String() string { return fmt.Sprintf("%s cancels %s", o.login, joined(o.tasks)) }

// stop is stop_batch.
type stop struct {
	base
	batch  uuid.UUID
	counts map[status]int // Success stands for all that had ended
}

func (o *stop) run(ctx context.Context, tx pgx.Tx) error {
	var waiting, pending, claimed, running, paused, ended int
	err := tx.QueryRow(ctx, `
		select canceled_waiting, canceled_pending, canceled_claimed, canceled_running, canceled_paused, already_terminal
		from taskrunner.stop_batch($1)`, o.batch).Scan(&waiting, &pending, &claimed, &running, &paused, &ended)
	o.counts = map[status]int{
		task.Waiting: waiting, task.Pending: pending, task.Claimed: claimed, task.Running: running, task.Paused: paused,
		task.Success: ended,
	}
	return err
}

func (o *stop) apply(m *model, _ observation) (verdict, error) {
	if !m.batches[o.batch] {
		return verdict{codeUnknown}, nil
	}
	want := map[status]int{}
	var ended []*node
	for _, n := range m.tasks {
		if n.batch != o.batch {
			continue
		}
		if n.status.Terminal() {
			want[task.Success]++
			continue
		}
		want[n.status]++
		ended = append(ended, n)
	}
	for s, n := range o.counts {
		if want[s] != n {
			return nil, fmt.Errorf("%s: counted %d, want %d (Success: ended before)", s, n, want[s])
		}
	}
	for _, n := range ended {
		m.cancel(n, "Batch stopped")
	}
	for _, n := range m.spread(ended) {
		n.quiet = true
	}
	return nil, nil
}

func (o *stop) String() string { return fmt.Sprintf("%s stops batch %s", o.login, o.batch) }

// change is what a direct UPDATE does to one task.
type change struct {
	task   ref
	to     status
	reason string // "": not set
}

func (c change) String() string { return fmt.Sprintf("%s=%s(%s)", c.task, c.to, c.reason) }

// update is one direct UPDATE of status.
type update struct {
	base
	changes []change
}

func (o *update) run(ctx context.Context, tx pgx.Tx) error {
	if len(o.changes) == 1 {
		c := o.changes[0]
		sql := "update taskrunner.task set status = $2::taskrunner.status_kind where id = $1"
		args := []any{c.task.id, c.to}
		if c.reason != "" {
			sql = "update taskrunner.task set status = $2::taskrunner.status_kind, failure_reason = $3 where id = $1"
			args = append(args, c.reason)
		}
		_, err := tx.Exec(ctx, sql, args...)
		return err
	}
	var tasks []uuid.UUID
	var states, reasons []string
	for _, c := range o.changes {
		tasks, states, reasons = append(tasks, c.task.id), append(states, string(c.to)), append(reasons, c.reason)
	}
	_, err := tx.Exec(ctx, `
		update taskrunner.task t
		set status = c.status::taskrunner.status_kind, failure_reason = coalesce(nullif(c.reason, ''), t.failure_reason)
		from unnest($1::uuid[], $2::text[], $3::text[]) as c (id, status, reason)
		where t.id = c.id`, tasks, states, reasons)
	return err
}

// refusal is the code with which a direct UPDATE of one task is refused (contract 13.1).
func (n *node) refusal(c change) string {
	legal := false
	switch {
	case c.to == n.status:
		legal = c.reason == ""
	case n.status.Terminal():
	case c.to == task.Canceled:
		legal = true
	case c.to == task.Success, c.to == task.Failure:
		legal = n.reportable()
	case c.to == task.Paused:
		legal = true
	case n.status == task.Paused:
		legal = c.to == n.resumesTo()
	case c.to == task.Claimed && n.status == task.Pending:
		if n.runAt == ahead {
			return codeNotYet
		}
		legal = true
	case c.to == task.Running:
		legal = n.status == task.Claimed
	}
	if legal {
		return ""
	}
	return codeIllegal
}

func (o *update) apply(m *model, _ observation) (verdict, error) {
	var refused verdict
	for _, c := range o.changes {
		n := m.tasks[c.task.id]
		if n == nil {
			continue
		}
		if code := n.refusal(c); code != "" {
			refused = refused.or(code)
		}
	}
	if refused != nil {
		return refused, nil
	}
	var ended, claimed []*node
	for _, c := range o.changes {
		n := m.tasks[c.task.id]
		if n == nil || n.status == c.to {
			continue
		}
		switch {
		case c.to == task.Canceled:
			m.cancel(n, orElse(c.reason, "Canceled"))
			ended = append(ended, n)
		case c.to.Terminal():
			m.report(n, c.to, givenReason(m, o.login, c.to, c.reason))
			ended = append(ended, n)
		case c.to == task.Paused:
			m.pause(n)
		case n.status == task.Paused:
			m.resume(n)
		case c.to == task.Claimed:
			claimed = append(claimed, n)
		case c.to == task.Running:
			m.started(n)
		}
	}
	m.propagate(ended)
	return m.claimBySQL(claimed), nil
}

// claimBySQL starts tasks that an UPDATE has set to Claimed, all or none: rules are asked after the whole statement. What
// others do at this moment the model does not know: then it leaves the decision to the judge.
func (m *model) claimBySQL(claimed []*node) verdict {
	slices.SortFunc(claimed, byTurn)
	var v verdict
	for _, n := range claimed {
		for _, r := range n.rules {
			m.counted[r.shape] = true // from now on, if not before
		}
		switch {
		case m.exact && !m.mayStart(n):
			return verdict{codeNotYet}
		case !m.exact && len(n.rules) > 0:
			v = verdict{"", codeNotYet}
		}
		n.contacted = true
		n.touch()
		m.become(n, task.Claimed)
		n.claim = claim{due: true} // the sweep sets the moment
	}
	return v
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

func (o *update) String() string { return fmt.Sprintf("%s updates %v", o.login, o.changes) }

// prioritize is a direct UPDATE of priority.
type prioritize struct {
	base
	task     ref
	priority int
}

func (o *prioritize) run(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, "update taskrunner.task set priority = $2 where id = $1", o.task.id, o.priority)
	return err
}

func (o *prioritize) apply(m *model, _ observation) (verdict, error) {
	n := m.tasks[o.task.id]
	if n == nil || n.priority == o.priority {
		return nil, nil
	}
	if n.status.Terminal() {
		return verdict{codeIllegal}, nil
	}
	n.touch()
	n.priority = o.priority
	return nil, nil
}

func (o *prioritize) String() string {
	return fmt.Sprintf("%s gives %s priority %d", o.login, o.task, o.priority)
}

// setRunAt is a direct UPDATE of run_at.
type setRunAt struct {
	base
	task ref
	to   moment
}

func (o *setRunAt) run(ctx context.Context, tx pgx.Tx) error {
	value := map[moment]string{never: "null", past: "now() - interval '1 hour'", ahead: "now() + interval '1 hour'"}[o.to]
	_, err := tx.Exec(ctx, "update taskrunner.task set run_at = "+value+" where id = $1", o.task.id)
	return err
}

func (o *setRunAt) apply(m *model, _ observation) (verdict, error) {
	n := m.tasks[o.task.id]
	if n == nil || n.runAt == never && o.to == never {
		return nil, nil
	}
	if n.status.Terminal() {
		return verdict{codeIllegal}, nil
	}
	n.runAt = o.to
	n.requeue()
	return nil, nil
}

func (o *setRunAt) String() string {
	return fmt.Sprintf("%s sets run_at of %s: %q", o.login, o.task, o.to)
}
