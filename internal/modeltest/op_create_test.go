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

// params is the webhook of an action.
func params(label string) map[string]any {
	return map[string]any{"url": "https://hooks.example.com/" + label, "verb": "Post"}
}

// dependency of an entry: on another entry, or on a task that exists.
type dependency struct {
	entry    int // used if the task is not given
	task     *ref
	required bool
}

type entry struct {
	name     string
	priority int
	barrier  bool
	attempts int
	runAt    moment
	spec
	needs    []dependency
	actions  []action  // ordered as in contract 1.4
	strategy []matcher // of deduplication
}

// submit is POST /task: a whole graph in one request, in any order of its entries.
type submit struct {
	base
	batch   uuid.UUID // of service, who gives the id himself
	object  bool
	says    *bool // of the object form: dead_end_cancel
	entries []entry
	created []ref
}

func (o *submit) body() string {
	list := make([]map[string]any, len(o.entries))
	for i, e := range o.entries {
		needs := make([]map[string]any, len(e.needs))
		for j, d := range e.needs {
			needs[j] = map[string]any{"requires_success": d.required}
			if d.task != nil {
				needs[j]["task_id"] = d.task.id
			} else {
				needs[j]["id"] = o.entries[d.entry].name
			}
		}
		list[i] = map[string]any{
			"id": e.name, "name": e.name, "kind": e.kind, "timeout": 3600, "priority": e.priority, "dependencies": needs,
			"dead_end_barrier": e.barrier,
			"retry":            map[string]any{"max_attempts": e.attempts, "initial_delay_secs": 0, "max_delay_secs": 0},
		}
		list[i]["metadata"], list[i]["rules"] = json.RawMessage(e.data.String()), json.RawMessage(rulesText(e.rules))
		if e.expected != unknownCount {
			list[i]["expected_count"] = e.expected
		}
		if e.strategy != nil {
			list[i]["dedupe_strategy"] = json.RawMessage("[" + strings.Join(texts(e.strategy), ", ") + "]")
		}
		switch e.runAt {
		case past:
			list[i]["run_at"] = "2000-01-01T00:00:00Z"
		case ahead:
			list[i]["run_at"] = "2200-01-01T00:00:00Z"
		}
		lists := map[event]string{onSuccess: "on_success", onFailure: "on_failure", onCancel: "on_cancel"}
		for on, field := range lists {
			hooks := []any{}
			for _, a := range e.actions {
				if a.on == on {
					hooks = append(hooks, map[string]any{"kind": "Webhook", "params": params(a.label)})
				}
			}
			list[i][field] = hooks
		}
		list[i]["on_start"] = map[string]any{"kind": "Webhook", "params": params(e.actions[0].label)}
	}
	if o.object {
		return toJSON(map[string]any{"name": "graph", "tasks": list, "dead_end_cancel": o.says})
	}
	return toJSON(list)
}

func (o *submit) run(ctx context.Context, tx pgx.Tx) error {
	if o.login == "service" {
		var names []string
		var given, created []uuid.UUID
		err := tx.QueryRow(ctx, "select local_ids, task_ids from taskrunner_private.submit($1, $2::jsonb)", o.batch, o.body()).
			Scan(&names, &given)
		if err == nil {
			// An entry that is left out has the id of its match.
			created, err = queryIDs(ctx, tx, "select id from taskrunner.task where batch_id = $1", o.batch)
		}
		for i, id := range given {
			if slices.Contains(created, id) && !slices.ContainsFunc(o.created, func(r ref) bool { return r.id == id }) {
				o.created = append(o.created, ref{id, names[i]})
			}
		}
		return err
	}
	rows, err := tx.Query(ctx, "select local_id, task_id, batch_id from taskrunner.submit_batch($1::jsonb) where not deduplicated", o.body())
	if err != nil {
		return err
	}
	var r ref
	_, err = pgx.ForEachRow(rows, []any{&r.name, &r.id, &o.batch}, func() error {
		o.created = append(o.created, r)
		return nil
	})
	return err
}

func (o *submit) apply(m *model, seen observation) (verdict, error) {
	same := m.dedupe(o.entries)
	created := o.created
	tasks := make([]ref, len(o.entries))
	for i, e := range o.entries {
		switch {
		case same[i] != nil:
			tasks[i] = same[i](tasks)
		case o.created == nil:
			tasks[i] = ref{uuid.New(), e.name} // it was refused
		case len(created) == 0 || created[0].name != e.name:
			return nil, fmt.Errorf("%s is left out, created are %v", e.name, o.created)
		default:
			tasks[i], created = created[0], created[1:]
		}
	}
	if len(created) > 0 {
		return nil, fmt.Errorf("%v are created, all are %v", created, o.created)
	}
	var own []ref // of the request, also when it was refused
	for i, t := range tasks {
		if same[i] == nil {
			own = append(own, t)
		}
	}
	var inside, outside []link
	for i, e := range o.entries {
		if same[i] != nil {
			continue
		}
		last := m.lastSeq
		n := m.create(tasks[i].id, e.name, o.batch, e.priority, e.spec, seen.seqOf(tasks[i].id))
		n.actions, n.barrier, n.maxAttempts, n.runAt = e.actions, e.barrier, e.attempts, e.runAt
		n.requeue()
		if n.seq <= last && m.exact {
			return nil, fmt.Errorf("insertion order of %s: %d after %d", n.name, n.seq, last)
		}
		m.newBatch(o.batch, o.says)
		for _, d := range e.needs {
			parent := d.task
			if parent == nil {
				parent = &tasks[d.entry]
			}
			l := &outside
			if slices.Contains(own, *parent) {
				l = &inside
			}
			*l = merged(*l, link{*parent, tasks[i], d.required})
		}
	}
	for _, l := range outside {
		if m.tasks[l.parent.id] == nil {
			return verdict{codeUnknown}, nil
		}
	}
	if v := m.insertLinks(inside); v != nil {
		return v, nil
	}
	return m.insertLinks(outside), nil
}

// merged adds a link, or makes the one that is there required as well.
func merged(links []link, l link) []link {
	for i := range links {
		if links[i].parent == l.parent && links[i].child == l.child {
			links[i].required = links[i].required || l.required
			return links
		}
	}
	return append(links, l)
}

func (o *submit) String() string {
	s := o.login + " submits" + saying(o.says)
	for _, e := range o.entries {
		s += fmt.Sprintf(" %s(p%d%s %v", e.name, e.priority, map[bool]string{true: " barrier"}[e.barrier], e.spec)
		for _, d := range e.needs {
			parent := ""
			if d.task != nil {
				parent = "^" + d.task.name
			} else {
				parent = o.entries[d.entry].name
			}
			if !d.required {
				parent += "?"
			}
			s += " <" + parent
		}
		s += fmt.Sprintf(" %v %v)", e.strategy, labels(e.actions))
	}
	return s
}

func labels(actions []action) []string {
	list := make([]string, len(actions))
	for i, a := range actions {
		list[i] = fmt.Sprintf("%s:%s%s", a.label, a.on.trigger, a.on.condition)
	}
	return list
}

// newBatch is an INSERT of a batch.
type newBatch struct {
	base
	batch uuid.UUID
	says  *bool // dead_end_cancel
}

func (o *newBatch) run(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, "insert into taskrunner.batch (id, name, dead_end_cancel) values ($1, 'by SQL', $2)", o.batch, o.says)
	return err
}

func (o *newBatch) apply(m *model, _ observation) (verdict, error) {
	m.newBatch(o.batch, o.says)
	return nil, nil
}

func (o *newBatch) String() string {
	return o.login + " inserts batch " + o.batch.String() + saying(o.says)
}

// newTasks is an INSERT of tasks without links or actions.
type newTasks struct {
	base
	batch    uuid.UUID // Nil: none
	tasks    []ref
	priority int
	barrier  bool
	spec
}

func (o *newTasks) run(ctx context.Context, tx pgx.Tx) error {
	var batch *uuid.UUID
	if o.batch != uuid.Nil {
		batch = &o.batch
	}
	names := make([]string, len(o.tasks))
	for i, t := range o.tasks {
		names[i] = t.name
	}
	_, err := tx.Exec(ctx, `
		insert into taskrunner.task (id, batch_id, name, kind, timeout, priority, dead_end_barrier, metadata, rules, expected_count)
		select n.id, $2, n.name, $6, 3600, $4, $5, $7::text::jsonb, $8::text::jsonb, nullif($9::bigint, -1)
		from unnest($1::uuid[], $3::text[]) with ordinality as n (id, name, n) order by n.n`,
		ids(o.tasks), batch, names, o.priority, o.barrier, o.kind, o.data.String(), rulesText(o.rules), o.expected)
	return err
}

func (o *newTasks) apply(m *model, seen observation) (verdict, error) {
	if !o.valid() {
		return verdict{codeRules}, nil
	}
	for _, t := range o.tasks {
		m.create(t.id, t.name, o.batch, o.priority, o.spec, seen.seqOf(t.id)).barrier = o.barrier
	}
	return nil, nil
}

func (o *newTasks) String() string {
	return fmt.Sprintf("%s inserts tasks %s (p%d, barrier %v, %v) into batch %v", o.login, joined(o.tasks), o.priority, o.barrier, o.spec, o.batch != uuid.Nil)
}

// newLinks is an INSERT of links.
type newLinks struct {
	base
	links []link
}

func (o *newLinks) run(ctx context.Context, tx pgx.Tx) error {
	var parents, children []uuid.UUID
	var required []bool
	for _, l := range o.links {
		parents, children, required = append(parents, l.parent.id), append(children, l.child.id), append(required, l.required)
	}
	_, err := tx.Exec(ctx, `
		insert into taskrunner.link (parent_id, child_id, requires_success)
		select * from unnest($1::uuid[], $2::uuid[], $3::boolean[])`, parents, children, required)
	return err
}

func (o *newLinks) apply(m *model, _ observation) (verdict, error) {
	return m.insertLinks(o.links), nil
}

func (o *newLinks) String() string {
	s := o.login + " links"
	for _, l := range o.links {
		s += fmt.Sprintf(" %s->%s%s", l.parent, l.child, map[bool]string{false: "?"}[l.required])
	}
	return s
}

// newAction is an INSERT of an action.
type newAction struct {
	base
	task   ref
	action action
}

func (o *newAction) run(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, `
		insert into taskrunner.action (task_id, trigger, condition, position, params)
		values ($1, $2, coalesce(nullif($3, ''), 'Success')::taskrunner.trigger_condition, $4, $5::jsonb)`,
		o.task.id, o.action.on.trigger, o.action.on.condition, o.action.position, toJSON(params(o.action.label)))
	return err
}

func (o *newAction) apply(m *model, _ observation) (verdict, error) {
	n := m.tasks[o.task.id]
	switch {
	case n == nil:
		return verdict{codeForeignKey}, nil
	case o.action.on == onStart && n.hasStart():
		return verdict{codeUnique}, nil
	case n.status.Terminal() && !n.created:
		return verdict{codeIllegal}, nil
	}
	n.actions = append(n.actions, o.action)
	if n.status == task.Failure {
		n.fire(onFailure)
	}
	if n.status == task.Success {
		n.fire(onSuccess)
	}
	return nil, nil
}

func (o *newAction) String() string {
	return fmt.Sprintf("%s adds action %v to %s at %d", o.login, labels([]action{o.action}), o.task, o.action.position)
}

// remove is a DELETE of a task.
type remove struct {
	base
	task ref
}

func (o *remove) run(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, "delete from taskrunner.task where id = $1", o.task.id)
	return err
}

func (o *remove) apply(m *model, _ observation) (verdict, error) {
	n := m.tasks[o.task.id]
	if n == nil {
		return nil, nil
	}
	if !n.status.Terminal() {
		return verdict{codeIllegal}, nil
	}
	m.remove(n.id)
	return nil, nil
}

func (o *remove) String() string { return fmt.Sprintf("%s deletes %s", o.login, o.task) }

// How a transaction of several operations treats one of them.
const (
	plainly = iota
	underSavepoint
	undone // rolled back to a savepoint, whatever it did
)

type step struct {
	op   op
	how  int
	code string // of an undone step
}

// several is a transaction of several statements.
type several struct {
	base
	steps []step
}

func (o *several) run(ctx context.Context, tx pgx.Tx) error {
	for i := range o.steps {
		s := &o.steps[i]
		if s.how == plainly {
			if err := s.op.run(ctx, tx); err != nil {
				return err
			}
			continue
		}
		nested, err := tx.Begin(ctx)
		if err != nil {
			return err
		}
		err = s.op.run(ctx, nested)
		if s.how == undone {
			if s.code = sqlstate(err); err != nil && s.code == "" {
				return err
			}
			if err := nested.Rollback(ctx); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		if err := nested.Commit(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (o *several) apply(m *model, seen observation) (verdict, error) {
	var open verdict // with which earlier steps may have been refused
	for _, s := range o.steps {
		on := m
		if s.how == undone {
			on = m.clone()
		}
		v, err := s.op.apply(on, seen)
		if err != nil {
			return nil, fmt.Errorf("%v: %w", s.op, err)
		}
		if s.how == undone {
			if !v.fits(s.code) {
				return nil, fmt.Errorf("%v: got %q, want %q", s.op, s.code, v)
			}
			continue
		}
		for _, code := range v {
			if code != "" {
				open = open.or(code)
			}
		}
		if !v.fits("") {
			return open, nil
		}
	}
	if open != nil {
		open = open.or("")
	}
	return open, nil
}

func (o *several) String() string {
	s := o.login + " in one transaction:"
	for _, x := range o.steps {
		s += "\n        " + map[int]string{underSavepoint: "(savepoint) ", undone: "(undone) "}[x.how] + x.op.String()
	}
	return s
}
