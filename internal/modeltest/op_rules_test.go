package modeltest

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/taskrunner/taskrunner/internal/task"
)

// setRules is one direct UPDATE of rules.
type setRules struct {
	base
	tasks []ref
	rules []rule
}

func (o *setRules) run(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, "update taskrunner.task set rules = $2::text::jsonb where id = any($1)", ids(o.tasks), rulesText(o.rules))
	return err
}

func (o *setRules) apply(m *model, _ observation) (verdict, error) {
	var refused verdict
	var changed []*node
	for _, t := range o.tasks {
		n := m.tasks[t.id]
		switch {
		case n == nil || slices.Equal(n.rules, o.rules):
		case n.status.Terminal():
			refused = refused.or(codeIllegal)
		case !fits(o.rules, n.data):
			refused = refused.or(codeRules)
		default:
			changed = append(changed, n)
		}
	}
	if refused != nil {
		return refused, nil
	}
	for _, n := range changed {
		n.setRules(o.rules)
	}
	return nil, nil
}

func (o *setRules) String() string {
	return fmt.Sprintf("%s gives %s rules %v", o.login, joined(o.tasks), o.rules)
}

// batchRules is set_batch_rules.
type batchRules struct {
	base
	batch uuid.UUID
	kind  string
	rules []rule
	count int64
}

func (o *batchRules) run(ctx context.Context, tx pgx.Tx) error {
	return tx.QueryRow(ctx, "select taskrunner.set_batch_rules($1, $2, $3::text::jsonb)", o.batch, o.kind, rulesText(o.rules)).Scan(&o.count)
}

func (o *batchRules) apply(m *model, seen observation) (verdict, error) {
	if !m.batches[o.batch] {
		return verdict{codeUnknown}, nil
	}
	matched := m.sorted(func(n *node) bool { return n.batch == o.batch && n.kind == o.kind && !n.status.Terminal() })
	if slices.ContainsFunc(matched, func(n *node) bool { return !slices.Equal(n.rules, o.rules) && !fits(o.rules, n.data) }) {
		return verdict{codeRules}, nil
	}
	for _, n := range matched {
		// Others may give a task rules, other ones than it had when this looked which tasks have to change.
		if _, written := seen.task(n.id); m.exact || written {
			n.setRules(o.rules)
		}
	}
	if m.exact && o.count != int64(len(matched)) {
		return nil, fmt.Errorf("%d tasks have the rules, want %d", o.count, len(matched))
	}
	return nil, nil
}

func (o *batchRules) String() string {
	return fmt.Sprintf("%s gives tasks of kind %s in batch %s rules %v", o.login, o.kind, o.batch, o.rules)
}

// setData is a direct UPDATE of metadata or expected_count.
type setData struct {
	base
	task     ref
	what     string
	data     metadata
	expected int64
}

func (o *setData) run(ctx context.Context, tx pgx.Tx) error {
	if o.what == "metadata" {
		_, err := tx.Exec(ctx, "update taskrunner.task set metadata = $2::text::jsonb where id = $1", o.task.id, o.data.String())
		return err
	}
	_, err := tx.Exec(ctx, "update taskrunner.task set expected_count = nullif($2::bigint, -1) where id = $1", o.task.id, o.expected)
	return err
}

func (o *setData) apply(m *model, _ observation) (verdict, error) {
	n := m.tasks[o.task.id]
	if n == nil {
		return nil, nil
	}
	data, expected := n.data, o.expected
	if o.what == "metadata" {
		data, expected = o.data, n.expected
	}
	switch changes := !n.data.equal(data) || n.expected != expected; {
	case n.status.Terminal() && changes:
		return verdict{codeIllegal}, nil
	case changes && !fits(n.rules, data):
		return verdict{codeRules}, nil
	}
	if n.setData(data, expected) {
		n.touch()
	}
	return nil, nil
}

func (o *setData) String() string {
	if o.what == "metadata" {
		return fmt.Sprintf("%s gives %s metadata %v", o.login, o.task, o.data)
	}
	return fmt.Sprintf("%s gives %s expected_count %d", o.login, o.task, o.expected)
}

// Chores of rules.
const (
	register = "register shape"
	wake     = "wake limits"
	recheck  = "recheck limits"
	prune    = "delete gates"
	again    = "pauses end" // of what was put off for a while
	drop     = "drop shape" // after hours without use
)

// endPauses makes due what a claim or a chore has put off.
const endPauses = `
	with due as (
		select q.task_id from taskrunner_private.queued_task q where q.put_off > 0 and q.state = 'scheduled' for update skip locked
	), tasks as (
		update taskrunner_private.queued_task q set run_at = now() - interval '1 second' from due where q.task_id = due.task_id
	), asked as (
		select r.id from taskrunner_private.shape_request r for update skip locked
	)
	update taskrunner_private.shape_request r set next_at = now() from asked where r.id = asked.id`

// limits is one of them.
type limits struct {
	base
	what     string
	counted  []shape
	repaired int
	worked   int // whether or how much there was to do
}

func (o *limits) run(ctx context.Context, tx pgx.Tx) (err error) {
	switch o.what {
	case again:
		_, err = tx.Exec(ctx, endPauses)
		return err
	case drop:
		_, err = tx.Exec(ctx, `
			update taskrunner_private.limit_shape s set used_at = now() - interval '2 hours'
			where s.id = any(array(select x.id from taskrunner_private.limit_shape x for update skip locked))`)
		if err == nil {
			err = tx.QueryRow(ctx, "select coalesce(taskrunner_private.drop_shape(), false)::integer").Scan(&o.worked)
		}
		if err == nil {
			o.counted, err = countedShapes(ctx, tx)
		}
		return err
	case wake:
		return tx.QueryRow(ctx, "select looked_at from taskrunner_private.wake_limits(500)").Scan(&o.worked)
	case recheck:
		return tx.QueryRow(ctx, "select repaired, progressed from taskrunner_private.recheck_limits(true)").Scan(&o.repaired, &o.worked)
	case prune:
		return tx.QueryRow(ctx, "select taskrunner_private.delete_gates(500)").Scan(&o.worked)
	}
	err = tx.QueryRow(ctx, "select case taskrunner_private.register_shape() when true then 1 when false then -1 else 0 end").Scan(&o.worked)
	if err == nil {
		o.counted, err = countedShapes(ctx, tx)
	}
	return err
}

// countedShapes reads which shapes are counted.
func countedShapes(ctx context.Context, tx pgx.Tx) ([]shape, error) {
	rows, err := tx.Query(ctx, "select kind, 'p' = any(fields), 'q' = any(fields) from taskrunner_private.limit_shape")
	if err != nil {
		return nil, err
	}
	var list []shape
	var kind string
	var p, q bool
	_, err = pgx.ForEachRow(rows, []any{&kind, &p, &q}, func() error {
		list = append(list, shape{kind, map[bool]int{true: fieldP}[p] | map[bool]int{true: fieldQ}[q]})
		return nil
	})
	return list, err
}

func (o *limits) apply(m *model, _ observation) (verdict, error) {
	if o.repaired > 0 {
		return nil, fmt.Errorf("%d limits had been forgotten", o.repaired)
	}
	if m.exact && o.worked < 0 {
		return nil, errors.New("a shape could not be counted, and nobody is at work")
	}
	if m.exact && (o.what == register || o.what == drop) {
		m.countedAre(o.counted)
	}
	return nil, nil
}

// countedAre: what is counted only the database knows.
func (m *model) countedAre(shapes []shape) {
	m.counted = map[shape]bool{}
	for _, s := range shapes {
		m.counted[s] = true
	}
}

func (o *limits) String() string {
	return fmt.Sprintf("chore %s: %d, repaired %d", o.what, o.worked, o.repaired)
}

// startAll lets the chores and a replica go on until nothing is left to do: then all that may start has started. Nobody else is
// at work.
type startAll struct {
	base
	replica uuid.UUID
	steps   []*limits
	calls   []*claimTasks
	counted []shape
}

func (o *startAll) run(ctx context.Context, tx pgx.Tx) error {
	do := func(what string) error {
		x := &limits{base: o.base, what: what}
		o.steps = append(o.steps, x)
		return x.run(ctx, tx)
	}
	const most = 1000
	for range most {
		if err := do(again); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "select taskrunner_private.release_scheduled(1000)"); err != nil {
			return err
		}
		for _, what := range []string{register, wake, recheck} {
			if err := do(what); err != nil {
				return err
			}
		}
		call := &claimTasks{base: o.base, replica: o.replica, limit: 1000, rescan: true}
		if err := call.run(ctx, tx); err != nil {
			return err
		}
		o.calls = append(o.calls, call)
		var left int
		err := tx.QueryRow(ctx, `
			select (select count(*) from taskrunner_private.wake) + (select count(*) from taskrunner_private.shape_request)
				+ (select count(*) from taskrunner_private.queued_task where state = 'ready' or state = 'scheduled' and put_off > 0)`).Scan(&left)
		if err != nil {
			return err
		}
		if left == 0 {
			o.counted, err = countedShapes(ctx, tx)
			return err
		}
	}
	return errors.New("the chores do not come to rest")
}

func (o *startAll) apply(m *model, _ observation) (verdict, error) {
	for _, n := range m.sorted(func(n *node) bool { return n.held && n.runAt == past }) {
		n.held = false
	}
	m.countedAre(o.counted)
	for _, x := range o.steps {
		if x.repaired > 0 {
			return nil, fmt.Errorf("%d limits had been forgotten", x.repaired)
		}
	}
	for _, call := range o.calls {
		if err := call.take(m); err != nil {
			return nil, err
		}
	}
	for _, n := range m.sorted((*node).ready) {
		if m.uncounted(n) {
			return nil, fmt.Errorf("rules of %s are not counted", n.name)
		}
		if m.mayStart(n) {
			return nil, fmt.Errorf("%s may start, and is left", n.name)
		}
	}
	return nil, nil
}

func (o *startAll) String() string {
	s := "all that may start:"
	for _, call := range o.calls {
		for _, c := range call.claims {
			s += " " + c.task.name
		}
	}
	return s
}

func (d *drawer) kind() string {
	if d.flat && d.chance(80) {
		return "ka"
	}
	return pick(d, []string{"ka", "ka", "kb", "kc"})
}

func (d *drawer) metadata() metadata {
	switch {
	case d.flat:
		return metadata{object: true, p: 1 + d.intn(2), q: 1}
	case d.chance(20):
		return metadata{}
	}
	value := func() int {
		if d.chance(85) {
			return 1 + d.intn(len(values)-1)
		}
		return 0
	}
	return metadata{object: true, p: value(), q: value()}
}

// rules draws rules of a task with this metadata.
func (d *drawer) rules(data metadata) []rule {
	if d.chance(map[bool]int{false: 45, true: 20}[d.flat]) {
		return nil
	}
	var list []rule
	for range 1 + d.intn(3) {
		r := rule{shape: shape{kind: d.kind(), fields: d.intn(4) & data.fields()}, maximum: 1 + int64(d.intn(3))}
		if d.chance(25) {
			r.capacity, r.maximum = true, 1+int64(d.intn(7))
		}
		list = append(list, r)
	}
	return list
}

func (d *drawer) expected() int64 {
	if d.chance(30) {
		return unknownCount
	}
	return int64(d.intn(6))
}

// spec draws what rules look at, valid for a new task.
func (d *drawer) spec() spec {
	s := spec{kind: d.kind(), data: d.metadata(), expected: d.expected()}
	s.rules = d.rules(s.data)
	if !s.valid() {
		s.expected = 2
	}
	return s
}

func (d *drawer) setRules() op {
	s, ok := d.target(task.Pending, task.Waiting, task.Running, task.Paused)
	if !ok {
		return nil
	}
	o := &setRules{base: d.by("producer", "admin"), tasks: []ref{s.ref}, rules: d.rules(s.data)}
	if !d.ordered && d.chance(30) {
		o.tasks, o.rules = refs(d.targets(4, task.Pending, task.Waiting)), d.rules(metadata{})
	}
	if d.chance(10) {
		o.rules = d.rules(metadata{object: true, p: 1, q: 1})
	}
	return o
}

func (d *drawer) batchRules() op {
	s, ok := d.target(task.Pending, task.Waiting, task.Running, task.Paused)
	if !ok || s.batch == uuid.Nil {
		return nil
	}
	o := &batchRules{base: d.by("producer", "admin"), batch: s.batch, kind: s.kind, rules: d.rules(metadata{})}
	if d.chance(20) {
		o.rules = d.rules(s.data)
	}
	if d.chance(5) {
		o.batch = d.newID()
	}
	return o
}

func (d *drawer) setData(what string) op {
	s, ok := d.target(task.Pending, task.Running, task.Claimed, task.Paused)
	if !ok {
		return nil
	}
	return &setData{base: d.by("producer", "worker", "admin"), what: what, task: s.ref, data: d.metadata(), expected: d.expected()}
}

// claimBySQL draws an UPDATE to Claimed.
func (d *drawer) claimBySQL() op {
	s, ok := d.target(task.Pending)
	if !ok {
		return nil
	}
	return &update{base: d.by("worker", "admin"), changes: []change{{task: s.ref, to: task.Claimed}}}
}

func (d *drawer) startAll() op {
	if !d.alone {
		return nil
	}
	return &startAll{base: base{"owner"}, replica: pick(d, d.k.replicas)}
}

func chore(what string) func(*drawer) op {
	login := map[bool]string{true: "owner", false: "service"}[what == again || what == drop]
	return func(*drawer) op { return &limits{base: base{login}, what: what} }
}
