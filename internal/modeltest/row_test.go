package modeltest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"
)

// row is a task as the database shows it, with its rows in the private tables.
type row struct {
	ID            uuid.UUID `json:"id"`
	Name          string    `json:"name"`
	Batch         uuid.UUID `json:"batch"`
	Seq           int64     `json:"seq"`
	Status        status    `json:"status"`
	PausedFrom    status    `json:"paused_from"`
	WaitFinished  int       `json:"wait_finished"`
	WaitSuccess   int       `json:"wait_success"`
	Contacted     bool      `json:"contacted"`
	Attempt       int       `json:"attempt"`
	MaxAttempts   int       `json:"max_attempts"`
	Started       bool      `json:"started"`
	Ended         bool      `json:"ended"`
	Reason        string    `json:"reason"`
	Priority      int       `json:"priority"`
	Success       int64     `json:"success"`
	Failures      int64     `json:"failures"`
	RunAt         moment    `json:"run_at"`
	Kind          string    `json:"kind"`
	Metadata      string    `json:"metadata"`
	Rules         string    `json:"rules"`
	Expected      int64     `json:"expected"`
	Blocked       string    `json:"blocked"` // the rules that hold it, when the whole database is read
	Queue         string    `json:"queue"`   // state in queued_task, "" without a row; parked and put off are ready as well
	QueuePriority int       `json:"queue_priority"`
	QueueMine     bool      `json:"queue_mine"` // that row was written by the transaction that looks
	Active        bool      `json:"active"`     // has a row in active_task
	Replica       uuid.UUID `json:"replica"`
	Due           bool      `json:"due"`
	InEnded       bool      `json:"in_ended"` // has a row in ended_task
	Touched       bool      `json:"touched"`  // last_updated is the time of the transaction that looks
	StartedNow    bool      `json:"started_now"`
	EndedNow      bool      `json:"ended_now"`
}

type deliveryRow struct {
	Task      uuid.UUID `json:"task"`
	Trigger   string    `json:"trigger"`
	Condition string    `json:"condition"`
	Number    int       `json:"number"`
	Attempt   int       `json:"attempt"`
	Label     string    `json:"label"`
	Status    string    `json:"status"`
	Tries     int       `json:"tries"`
	Due       bool      `json:"due"`   // has a row in due_delivery
	Later     bool      `json:"later"` // its next try lies ahead
	Lease     uuid.UUID `json:"lease"`
}

func (d deliveryRow) key() key { return key{event{d.Trigger, d.Condition}, d.Number, d.Attempt} }

// auditSchema is what the tests add to a database: the order of commits, and a look at what a transaction has changed.
// SECURITY DEFINER, because most logins may not read private tables.
const auditSchema = `
create schema audit;
grant usage on schema audit to public;
create sequence audit.commit_seq;
grant usage on sequence audit.commit_seq to public;
create table audit.dead_end (xid xid8 not null default pg_current_xact_id(), task_id uuid not null, taken boolean not null);
create function audit.dead_end_check() returns trigger language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  insert into audit.dead_end (task_id, taken) values (coalesce(new.task_id, old.task_id), tg_op = 'DELETE');
  return null;
end $$;
create trigger audit after insert or delete on taskrunner_private.dead_end_check
for each row execute function audit.dead_end_check();
create table audit.activity (
  no bigint not null default nextval('audit.commit_seq'), xid xid8 not null default pg_current_xact_id(), what text not null,
  task_id uuid not null, name text not null, kind text not null, rules jsonb not null, metadata jsonb not null, work bigint not null
);
create function audit.become_active() returns trigger language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  insert into audit.activity (what, task_id, name, kind, rules, metadata, work)
  select 'start', t.id, t.name, t.kind, t.rules, t.metadata, taskrunner_private.work_left(t.expected_count, t.success, t.failures)
  from (select t.* from new_rows n join taskrunner.task t on t.id = n.task_id order by t.priority desc, t.seq) t;
  return null;
end $$;
create trigger audit_start after insert on taskrunner_private.active_task
referencing new table as new_rows for each statement execute function audit.become_active();
create function audit.be_active() returns trigger language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  insert into audit.activity (what, task_id, name, kind, rules, metadata, work)
  select case when taskrunner_private.is_active(n.status, n.paused_from) then 'data' else 'leave' end,
    n.id, n.name, n.kind, n.rules, n.metadata, taskrunner_private.work_left(n.expected_count, n.success, n.failures)
  from new_rows n
  join old_rows o on o.id = n.id
  where taskrunner_private.is_active(o.status, o.paused_from)
    and (taskrunner_private.is_active(n.status, n.paused_from), n.metadata::text, n.expected_count, n.success, n.failures)
      is distinct from (true, o.metadata::text, o.expected_count, o.success, o.failures);
  return null;
end $$;
create trigger audit after update on taskrunner.task
referencing new table as new_rows old table as old_rows for each statement execute function audit.be_active();
create function audit.observe(p_all boolean) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp set jit = off set plan_cache_mode = force_generic_plan as $$
declare
  v_xid xid := pg_current_xact_id()::xid;
begin
  return jsonb_build_object(
    'xid', pg_current_xact_id()::text,
    'tasks', (
      select jsonb_agg(jsonb_build_object(
        'id', t.id, 'name', t.name, 'batch', t.batch_id, 'seq', t.seq, 'status', t.status,
        'paused_from', coalesce(t.paused_from::text, ''), 'wait_finished', t.wait_finished, 'wait_success', t.wait_success,
        'contacted', t.contacted, 'attempt', t.attempt, 'max_attempts', t.max_attempts, 'started', t.started_at is not null, 'ended', t.ended_at is not null,
        'reason', coalesce(t.failure_reason, ''), 'priority', t.priority, 'success', t.success, 'failures', t.failures,
        'kind', t.kind, 'metadata', t.metadata::text, 'rules', t.rules::text, 'expected', coalesce(t.expected_count, -1),
        'blocked', case when p_all and t.rules <> '[]' and t.status = 'Pending' then (
          select string_agg(format('%s: %s, %s', b.v -> 'rule', b.v ->> 'reason', b.v ->> 'current'), '; ' order by b.n)
          from jsonb_array_elements(taskrunner_private.blocked_by(t.id)) with ordinality b (v, n)) end,
        'run_at', case when t.run_at is null then '' when t.run_at > clock_timestamp() then 'ahead' else 'past' end,
        'queue', case when q.state = 'parked' or q.put_off > 0 then 'ready' else coalesce(q.state::text, '') end, 'queue_priority', q.priority, 'queue_mine', q.xmin = v_xid,
        'active', a.task_id is not null, 'replica', a.replica_id, 'due', a.due_at <= clock_timestamp(),
        'in_ended', e.task_id is not null, 'touched', t.last_updated = now(), 'started_now', t.started_at = now(),
        'ended_now', t.ended_at = greatest(now(), t.started_at)) order by t.seq)
      from taskrunner.task t
      left join taskrunner_private.queued_task q on q.task_id = t.id
      left join taskrunner_private.active_task a on a.task_id = t.id
      left join taskrunner_private.ended_task e on e.task_id = t.id
      where p_all or t.xmin = v_xid),
    'deliveries', (
      select jsonb_agg(jsonb_build_object(
        'task', d.task_id, 'trigger', d.trigger, 'condition', coalesce(d.condition::text, ''), 'number', d.number, 'attempt', d.task_attempt,
        'label', substring(a.params ->> 'url' from '[^/]*$'), 'status', d.status, 'tries', d.tries,
        'due', q.delivery_id is not null, 'later', q.next_try_at > clock_timestamp(),
        'lease', case when q.leased_until > clock_timestamp() then q.leased_by end))
      from taskrunner_private.delivery d
      join taskrunner.action a on a.id = d.action_id
      left join taskrunner_private.due_delivery q on q.delivery_id = d.id
      where p_all or d.xmin = v_xid),
    'released', (
      select jsonb_agg(q.task_id) from taskrunner_private.queued_task q where q.xmin = v_xid and q.state = 'ready'),
    'noted', (select jsonb_agg(d.task_id) from audit.dead_end d where d.xid = pg_current_xact_id() and not d.taken),
    'taken', (select jsonb_agg(d.task_id) from audit.dead_end d where d.xid = pg_current_xact_id() and d.taken),
    'seq', nextval('audit.commit_seq'));
end $$;
grant execute on function audit.observe(boolean) to public;`

// row is what the database has to show of a task.
func (n *node) row() row {
	r := row{
		ID: n.id, Name: n.name, Batch: n.batch, Seq: n.seq, Status: n.status, PausedFrom: n.pausedFrom,
		WaitFinished: n.waitFinished, WaitSuccess: n.waitSuccess, Contacted: n.contacted, Attempt: n.attempt, MaxAttempts: n.maxAttempts, Started: n.started,
		Ended: n.status.Terminal(), Reason: n.reason, Priority: n.priority, Success: n.success, Failures: n.failures,
		Kind: n.kind, Metadata: n.data.String(), Rules: rulesText(n.rules), Expected: n.expected,
		RunAt: n.runAt, Active: n.active(), Replica: n.claim.replica, Due: n.claim.due, InEnded: n.status.Terminal(),
		Touched: n.touched, StartedNow: n.startedNow, EndedNow: n.endedNow,
	}
	switch {
	case r.Ended || r.Active:
	case n.status == "Waiting":
		r.Queue = "waiting"
	case n.status == "Paused":
		r.Queue = "paused"
	case n.held:
		r.Queue = "scheduled"
	default:
		r.Queue = "ready"
	}
	if r.Queue != "" {
		r.QueuePriority = n.priority
	}
	return r
}

func (n *node) deliveryRow(k key) deliveryRow {
	d := n.deliveries[k]
	return deliveryRow{
		Task: n.id, Trigger: k.on.trigger, Condition: k.on.condition, Number: k.number, Attempt: k.attempt, Label: d.label, Status: d.status,
		Tries: d.tries, Due: k.on != onStart && d.status == "Pending", Later: d.later, Lease: d.lease,
	}
}

// look says how much of a row can be compared.
type look struct {
	fresh  bool // timestamps: this transaction changed the rows
	queue  bool // queue rows that others can change: nobody is at work
	due    bool
	leases bool
	rules  bool // what holds it: nobody is at work, and the whole database was read
}

// differ compares a row with the model, "" if they are equal. A reason that the contract leaves open is taken over.
func (m *model) differ(n *node, got row, l look) string {
	if slices.ContainsFunc(n.reasons, func(p uuid.UUID) bool { return requiredParentFailed(p) == got.Reason }) {
		n.reason, n.reasons = got.Reason, nil
	}
	want := n.row()
	if l.rules {
		want.Blocked = m.blockedBy(n)
	}
	if !l.fresh {
		got.Touched, got.StartedNow, got.EndedNow = want.Touched, want.StartedNow, want.EndedNow
	}
	if !l.due {
		got.Due = want.Due
	}
	if !l.queue && !got.QueueMine && (got.Queue == "") == (want.Queue == "") {
		got.Queue, got.QueuePriority = want.Queue, want.QueuePriority
	}
	got.QueueMine = false
	if got == want {
		return ""
	}
	return fmt.Sprintf("task %s\n    database %+v\n    model    %+v", n.name, got, want)
}

// differAll compares the whole database with the model.
func (m *model) differAll(o observation, l look) []string {
	var faults []string
	rows := map[uuid.UUID]bool{}
	for _, r := range o.Tasks {
		rows[r.ID] = true
		n := m.tasks[r.ID]
		if n == nil {
			faults = append(faults, fmt.Sprintf("task %s is in the database only: %+v", r.Name, r))
		} else if d := m.differ(n, r, l); d != "" {
			faults = append(faults, d)
		}
	}
	for _, n := range m.sorted(func(n *node) bool { return !rows[n.id] }) {
		faults = append(faults, fmt.Sprintf("task %s is in the model only", n.name))
	}
	type place struct {
		task uuid.UUID
		key  key
	}
	found := map[place]bool{}
	for _, d := range o.Deliveries {
		found[place{d.Task, d.key()}] = true
		faults = append(faults, m.differDelivery(d, l)...)
	}
	for _, n := range m.sorted(func(*node) bool { return true }) {
		for k := range n.deliveries {
			if !found[place{n.id, k}] {
				faults = append(faults, fmt.Sprintf("delivery %s%s is in the model only: %+v", n.name, k.suffix(), n.deliveries[k]))
			}
		}
	}
	return faults
}

func (m *model) differDelivery(got deliveryRow, l look) []string {
	n := m.tasks[got.Task]
	if n == nil {
		return []string{fmt.Sprintf("delivery of an unknown task: %+v", got)}
	}
	if _, ok := n.deliveries[got.key()]; !ok {
		return []string{fmt.Sprintf("delivery %s%s is in the database only: %+v", n.name, got.key().suffix(), got)}
	}
	want := n.deliveryRow(got.key())
	if !l.leases {
		got.Lease, got.Later = want.Lease, want.Later
	}
	if got != want {
		return []string{fmt.Sprintf("delivery %s%s\n    database %+v\n    model    %+v", n.name, got.key().suffix(), got, want)}
	}
	return nil
}

// differChanged compares what a transaction has changed with what the model says it changed.
func (m *model) differChanged(before *model, o observation) []string {
	var faults []string
	changed := map[uuid.UUID]bool{}
	for _, r := range o.Tasks {
		changed[r.ID] = true
		n := m.tasks[r.ID]
		if n == nil {
			faults = append(faults, fmt.Sprintf("task %s is in the database only: %+v", r.Name, r))
		} else if d := m.differ(n, r, look{fresh: true}); d != "" {
			faults = append(faults, d)
		}
	}
	for _, n := range m.sorted(func(n *node) bool { return !changed[n.id] }) {
		old := before.tasks[n.id]
		if old == nil || !sameTaskRow(old.row(), n.row()) {
			faults = append(faults, fmt.Sprintf("task %s: the database left it as it was, the model changed it to %+v", n.name, n.row()))
		}
	}
	written := map[uuid.UUID]map[key]bool{}
	for _, d := range o.Deliveries {
		if written[d.Task] == nil {
			written[d.Task] = map[key]bool{}
		}
		written[d.Task][d.key()] = true
		faults = append(faults, m.differDelivery(d, look{})...)
	}
	for _, n := range m.tasks {
		old := before.tasks[n.id]
		for k, d := range n.deliveries {
			was, existed := delivery{}, false
			if old != nil {
				was, existed = old.deliveries[k]
			}
			if !written[n.id][k] && (!existed || was.status != d.status || was.tries != d.tries) {
				faults = append(faults, fmt.Sprintf("delivery %s%s: the database did not write it, the model says %+v", n.name, k.suffix(), d))
			}
		}
	}
	slices.SortFunc(faults, strings.Compare)
	return faults
}

// sameTaskRow compares what stands in the row of task itself.
func sameTaskRow(a, b row) bool {
	a.Queue, b.Queue, a.QueuePriority, b.QueuePriority, a.Due, b.Due, a.Replica, b.Replica = "", "", 0, 0, false, false, uuid.Nil, uuid.Nil
	a.Touched, a.StartedNow, a.EndedNow, b.Touched, b.StartedNow, b.EndedNow = false, false, false, false, false, false
	return a == b
}

// graph prints the tasks and links of the model; ? marks a child that does not require success.
func (m *model) graph() string {
	var b strings.Builder
	for _, n := range m.sorted(func(*node) bool { return true }) {
		fmt.Fprintf(&b, "  %-5s %s %-8s", n.name, n.id, n.status)
		if n.pausedFrom != "" {
			fmt.Fprintf(&b, " from %s", n.pausedFrom)
		}
		fmt.Fprintf(&b, " %d/%d", n.waitFinished, n.waitSuccess)
		children := slices.SortedFunc(slices.Values(m.children[n.id]), func(a, b uuid.UUID) int {
			return cmp.Compare(m.tasks[a].seq, m.tasks[b].seq)
		})
		if len(children) > 0 {
			b.WriteString(" ->")
		}
		for _, c := range children {
			b.WriteString(" " + m.tasks[c].name)
			if !m.links[edge{n.id, c}] {
				b.WriteByte('?')
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}
