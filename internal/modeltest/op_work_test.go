package modeltest

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/taskrunner/taskrunner/internal/task"
)

// held is a claim as its replica knows it, perhaps long after it was lost.
type held struct {
	task    ref
	replica uuid.UUID
	at      string
	attempt int
}

type mark struct {
	priority int
	seq      int64
}

// claimTasks is the claim of a replica (contract 5.3, row 6).
type claimTasks struct {
	base
	replica uuid.UUID
	limit   int
	marks   []mark // by priority, descending
	rescan  bool
	claims  []held
	keys    []string
	called  []bool // there is a webhook to call
	again   bool   // there may be more, though there was room for them
}

func (o *claimTasks) run(ctx context.Context, tx pgx.Tx) error {
	priorities, seqs := []int{}, []int64{}
	for _, k := range o.marks {
		priorities, seqs = append(priorities, k.priority), append(seqs, k.seq)
	}
	rows, err := tx.Query(ctx, `
		select coalesce(task_id, $6), claimed_at::text, attempt, idempotency_key, params is not null, again
		from taskrunner_private.claim_tasks($1, $2, 3600, $3, $4, $5)`, o.replica, o.limit, priorities, seqs, o.rescan, uuid.Nil)
	if err != nil {
		return err
	}
	h := held{replica: o.replica}
	var k string
	var called bool
	_, err = pgx.ForEachRow(rows, []any{&h.task.id, &h.at, &h.attempt, &k, &called, &o.again}, func() error {
		if h.task.id == uuid.Nil {
			return nil
		}
		o.claims, o.keys, o.called = append(o.claims, h), append(o.keys, k), append(o.called, called)
		return nil
	})
	if err != nil {
		return err
	}
	// In a statement of its own: the snapshot of the first may be older than the tasks.
	for i := range o.claims {
		t := &o.claims[i].task
		if err := tx.QueryRow(ctx, "select name from taskrunner.task where id = $1", t.id).Scan(&t.name); err != nil {
			return err
		}
	}
	return nil
}

// wanted lists the tasks without rules among which a claim chooses when nobody else is at work: the first ones behind the
// marks, or, when they do not fill the limit and the rest is looked at as well, the first of all (contract 7.3).
func (o *claimTasks) wanted(m *model) []*node {
	ready := m.sorted(func(n *node) bool { return n.ready() && len(n.rules) == 0 })
	slices.SortFunc(ready, byTurn)
	behind := slices.DeleteFunc(slices.Clone(ready), func(n *node) bool {
		return slices.ContainsFunc(o.marks, func(k mark) bool { return k.priority == n.priority && n.seq <= k.seq })
	})
	if o.rescan && len(behind) < o.limit {
		behind = ready
	}
	return behind[:min(len(behind), o.limit)]
}

// order checks that what was claimed comes first, when nobody else is at work. Tasks with rules may be among it.
func (o *claimTasks) order(m *model) error {
	wanted, places := o.wanted(m), o.limit
	for _, h := range o.claims {
		n := m.tasks[h.task.id]
		switch {
		case len(wanted) > 0 && wanted[0] == n:
			wanted = wanted[1:]
		case len(n.rules) == 0:
			return fmt.Errorf("claimed %s, which is not its turn", n.name)
		case len(wanted) > 0 && places == 1 && byTurn(wanted[0], n) < 0:
			return fmt.Errorf("claimed %s, but %s comes first", n.name, wanted[0].name)
		}
		places--
	}
	if places > 0 && len(wanted) > 0 && !o.again {
		return fmt.Errorf("%s is left", wanted[0].name)
	}
	return nil
}

func (o *claimTasks) apply(m *model, _ observation) (verdict, error) {
	if m.exact {
		if err := o.order(m); err != nil {
			return nil, err
		}
	}
	if len(o.claims) > o.limit {
		return nil, fmt.Errorf("%d claims, the limit is %d", len(o.claims), o.limit)
	}
	return nil, o.take(m)
}

// take does to the model what claims do.
func (o *claimTasks) take(m *model) error {
	for i, h := range o.claims {
		n := m.tasks[h.task.id]
		if !n.ready() {
			return fmt.Errorf("claimed %s, which is %s and not ready", n.name, n.status)
		}
		if want := n.id.String() + n.first(onStart).suffix(); o.keys[i] != want {
			return fmt.Errorf("key %s, want %s", o.keys[i], want)
		}
		if m.exact && (!m.mayStart(n) || m.uncounted(n)) {
			return fmt.Errorf("claimed %s, which a rule holds", n.name)
		}
		n.touch()
		n.contacted = true
		m.become(n, task.Claimed)
		n.claim = claim{replica: h.replica, at: h.at}
		calls := n.hasStart() && n.deliveries[n.first(onStart)].status != "Delivered"
		if calls != o.called[i] {
			return fmt.Errorf("%s: to be called %v, want %v", n.name, o.called[i], calls)
		}
		if !calls {
			m.started(n)
		}
	}
	return nil
}

func (o *claimTasks) String() string {
	names := make([]string, len(o.claims))
	for i, c := range o.claims {
		names[i] = c.task.name
	}
	return fmt.Sprintf("replica %s claims up to %d, marks %v, rescan %v: %s", short(o.replica), o.limit, o.marks, o.rescan, joined(names))
}

func short(id uuid.UUID) string { return id.String()[24:] }

// tryJSON is a try of on_start as the service reports it.
func tryJSON(h held, extra map[string]any) map[string]any {
	try := map[string]any{"task_id": h.task.id, "attempt": h.attempt, "claimed_at": h.at, "at": h.at, "latency_ms": 7}
	for k, v := range extra {
		try[k] = v
	}
	return try
}

// startTasks: on_start answered 2xx, perhaps after the claim was lost.
type startTasks struct {
	base
	claims []held
	offers []string // labels of the cancel actions in the answers, "" for none
}

func (o *startTasks) run(ctx context.Context, tx pgx.Tx) error {
	tries := make([]any, len(o.claims))
	for i, h := range o.claims {
		extra := map[string]any{"status_code": 200, "response": "ok"}
		if label := o.offers[i]; label != "" {
			extra["cancel_action"] = map[string]any{"kind": "Webhook", "params": params(label)}
		}
		tries[i] = tryJSON(h, extra)
	}
	_, err := tx.Exec(ctx, "select * from taskrunner_private.start_tasks($1::jsonb)", toJSON(tries))
	return err
}

func (o *startTasks) apply(m *model, _ observation) (verdict, error) {
	for i, h := range o.claims {
		if n := m.tasks[h.task.id]; n != nil {
			m.recordStart(n, h.attempt, "Delivered")
			if h.attempt == n.attempt {
				m.started(n)
			}
			if o.offers[i] != "" {
				n.register(h.attempt, o.offers[i])
			}
		}
	}
	return nil, nil
}

func (o *startTasks) String() string {
	return fmt.Sprintf("on_start delivered: %s, cancel actions %q", claimNames(o.claims), o.offers)
}

func claimNames(claims []held) string {
	names := make([]string, len(claims))
	for i, h := range claims {
		names[i] = h.task.name + "@" + short(h.replica)
	}
	return joined(names)
}

// failStarts: on_start failed.
type failStarts struct {
	base
	replica   uuid.UUID
	claims    []held
	permanent bool
	later     bool // the backoff is an hour, not nothing
}

func (o *failStarts) run(ctx context.Context, tx pgx.Tx) error {
	tries := make([]any, len(o.claims))
	for i, h := range o.claims {
		tries[i] = tryJSON(h, map[string]any{"status_code": 503, "error": "HTTP 503", "permanent": o.permanent})
	}
	backoff := map[bool]int{true: 3_600_000}[o.later]
	_, err := tx.Exec(ctx, "select * from taskrunner_private.fail_starts($1, $2::jsonb, $3)", o.replica, toJSON(tries), backoff)
	return err
}

func (o *failStarts) apply(m *model, _ observation) (verdict, error) {
	var tries []lost
	for _, h := range o.claims {
		n := m.tasks[h.task.id]
		if n != nil && n.effective() == task.Claimed && n.claim.replica == o.replica && n.claim.at == h.at {
			tries = append(tries, lost{n, "HTTP 503", o.permanent, o.later})
		}
	}
	m.startsFailed(tries)
	return nil, nil
}

func (o *failStarts) String() string {
	return fmt.Sprintf("on_start failed (permanent %v, later %v): %s", o.permanent, o.later, claimNames(o.claims))
}

// finish is finish_task.
type finish struct {
	base
	task    ref
	to      status
	reason  string // "": none
	attempt int    // 0: not given
}

func (o *finish) run(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, "select taskrunner.finish_task($1, $2::taskrunner.status_kind, nullif($3, ''), nullif($4, 0))",
		o.task.id, o.to, o.reason, o.attempt)
	return err
}

// givenReason is what a report by SQL leaves.
func givenReason(m *model, login string, to status, reason string) string {
	if reason == "" && to == task.Failure {
		return "Set to Failure by " + m.users[login]
	}
	return reason
}

func (o *finish) apply(m *model, _ observation) (verdict, error) {
	n := m.tasks[o.task.id]
	switch {
	case n == nil:
		return verdict{codeUnknown}, nil
	case o.attempt > n.attempt:
		return verdict{codeInvalid}, nil
	case o.attempt != 0 && o.attempt < n.attempt:
		return verdict{codeStale}, nil
	case !n.reportable():
		return verdict{codeIllegal}, nil
	}
	m.result(n, o.to, givenReason(m, o.login, o.to, o.reason))
	m.propagate(terminal([]*node{n}))
	return nil, nil
}

func (o *finish) String() string {
	return fmt.Sprintf("%s finishes %s as %s (reason %q, attempt %d)", o.login, o.task, o.to, o.reason, o.attempt)
}

// finishMany is finish_tasks.
type finishMany struct {
	base
	tasks []ref
	to    status
	done  []uuid.UUID
}

func (o *finishMany) run(ctx context.Context, tx pgx.Tx) (err error) {
	o.done, err = queryIDs(ctx, tx, "select id from taskrunner.finish_tasks($1, $2::taskrunner.status_kind)", ids(o.tasks), o.to)
	return err
}

func queryIDs(ctx context.Context, tx pgx.Tx, sql string, args ...any) ([]uuid.UUID, error) {
	rows, err := tx.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
}

func (o *finishMany) apply(m *model, _ observation) (verdict, error) {
	var ended []*node
	for _, t := range o.tasks {
		if n := m.tasks[t.id]; n != nil && n.reportable() {
			ended = append(ended, n)
		}
	}
	for _, n := range ended {
		m.result(n, o.to, givenReason(m, o.login, o.to, ""))
	}
	m.propagate(terminal(ended))
	return nil, sameIDs("finished", o.done, nodeIDs(ended))
}

// terminal are those that ended.
func terminal(nodes []*node) (ended []*node) {
	for _, n := range nodes {
		if n.status.Terminal() {
			ended = append(ended, n)
		}
	}
	return ended
}

func nodeIDs(nodes []*node) []uuid.UUID {
	list := make([]uuid.UUID, len(nodes))
	for i, n := range nodes {
		list[i] = n.id
	}
	return list
}

func (o *finishMany) String() string {
	return fmt.Sprintf("%s finishes %s as %s", o.login, joined(o.tasks), o.to)
}

// item is one of many reports in a group.
type item struct {
	task       ref
	to         status // "": none, a heartbeat with data
	reason     string
	newSuccess int
	priority   int
	data       *metadata
	expected   int64
	fenced     bool // by attempt 1
}

func (x item) String() string {
	return fmt.Sprintf("%s=%s(%s) +%d p%d %v expects %d", x.task, x.to, x.reason, x.newSuccess, x.priority, x.data, x.expected)
}

// reports is a group of PATCH requests.
type reports struct {
	base
	items    []item
	outcomes map[uuid.UUID]string
	before   map[uuid.UUID]status
}

func (o *reports) run(ctx context.Context, tx pgx.Tx) error {
	items := make([]map[string]any, len(o.items))
	for i, x := range o.items {
		items[i] = map[string]any{"task_id": x.task.id, "new_success": x.newSuccess}
		if x.fenced {
			items[i]["attempt"] = 1
		}
		if x.data != nil {
			items[i]["metadata"] = json.RawMessage(x.data.String())
		}
		if x.expected != unknownCount {
			items[i]["expected_count"] = x.expected
		}
		if x.to != "" {
			items[i]["status"] = x.to
			if x.reason != "" {
				items[i]["failure_reason"] = x.reason
			}
		} else {
			items[i]["priority"] = x.priority
		}
	}
	rows, err := tx.Query(ctx, "select task_id, outcome, coalesce(current_status::text, '') from taskrunner_private.report_tasks($1::jsonb)", toJSON(items))
	if err != nil {
		return err
	}
	o.outcomes, o.before = map[uuid.UUID]string{}, map[uuid.UUID]status{}
	var id uuid.UUID
	var outcome string
	var was status
	_, err = pgx.ForEachRow(rows, []any{&id, &outcome, &was}, func() error {
		o.outcomes[id], o.before[id] = outcome, was
		return nil
	})
	return err
}

func (o *reports) apply(m *model, _ observation) (verdict, error) {
	var ended []*node
	for _, x := range o.items {
		n, want, was := m.tasks[x.task.id], "done", status("")
		switch {
		case n == nil:
			want = "unknown"
		case x.fenced && n.attempt > 1:
			want = "stale"
		case x.to == "" && n.status.Terminal(), x.to != "" && !n.reportable():
			want = "state"
		case x.data != nil && !fits(n.rules, *x.data):
			want = "metadata"
		}
		if n != nil {
			was = n.status
		}
		got, _, _ := strings.Cut(o.outcomes[x.task.id], ":")
		if got != want || o.before[x.task.id] != was {
			return nil, fmt.Errorf("%s: got %s (was %s), want %s (was %s)", x.task, got, o.before[x.task.id], want, was)
		}
		if want != "done" {
			continue
		}
		n.success += int64(x.newSuccess)
		data, expected := n.data, n.expected
		if x.data != nil {
			data = *x.data
		}
		if x.expected != unknownCount {
			expected = x.expected
		}
		n.setData(data, expected)
		if x.to != "" {
			ended = append(ended, n)
			continue
		}
		n.touch()
		n.priority = x.priority
	}
	for _, n := range ended {
		for _, x := range o.items {
			if x.task.id == n.id {
				m.result(n, x.to, x.reason)
			}
		}
	}
	m.propagate(terminal(ended))
	return nil, nil
}

func (o *reports) String() string { return "reports " + joined(o.items) }

// progress is add_progress.
type progress struct {
	base
	task              ref
	success, failures int
}

func (o *progress) run(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, "select taskrunner.add_progress($1, $2, $3)", o.task.id, o.success, o.failures)
	return err
}

func (o *progress) apply(m *model, _ observation) (verdict, error) {
	n := m.tasks[o.task.id]
	switch {
	case o.success+o.failures == 0:
		return verdict{codeInvalid}, nil
	case n == nil:
		return verdict{codeUnknown}, nil
	}
	n.success += int64(o.success)
	n.failures += int64(o.failures)
	n.touch()
	return nil, nil
}

func (o *progress) String() string {
	return fmt.Sprintf("%s adds progress %d/%d to %s", o.login, o.success, o.failures, o.task)
}
