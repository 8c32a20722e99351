package sqltest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// concurency and capacity are rules as JSON, for tasks of a kind that are alike in these fields.
func concurency(most int, kind string, fields ...string) string {
	return fmt.Sprintf(`{"type": "Concurency", "max_concurency": %d, "matcher": {"status": "Running", "kind": %q, "fields": %s}}`, most, kind, list(fields))
}

func capacity(most int, kind string, fields ...string) string {
	return fmt.Sprintf(`{"type": "Capacity", "max_capacity": %d, "matcher": {"status": "Running", "kind": %q, "fields": %s}}`, most, kind, list(fields))
}

func list(fields []string) string {
	if fields == nil {
		return "[]"
	}
	b, err := json.Marshal(fields)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// ruled inserts tasks of kind "k" with these rules; each name is followed by its metadata after a blank: `a {"p": 1}`.
func (e *engine) ruled(rules []string, tasks ...string) {
	e.t.Helper()
	e.exec(insertRuled("k", rules, tasks...))
}

func insertRuled(kind string, rules []string, tasks ...string) string {
	var rows []string
	for _, t := range tasks {
		name, metadata, _ := strings.Cut(t, " ")
		if metadata == "" {
			metadata = "null"
		}
		rows = append(rows, fmt.Sprintf("('%s', '%s', '%s', '[%s]', '%s', 0)", id(name), name, kind, strings.Join(rules, ", "), metadata))
	}
	return "insert into taskrunner.task (id, name, kind, rules, metadata, expected_count) values " + strings.Join(rows, ", ")
}

// wakes does what chores do at once: counts new shapes, wakes limits, until nothing is left.
func (e *engine) wakes() {
	e.t.Helper()
	for range 1000 {
		if e.line("select taskrunner_private.register_shape() is null and (select looked_at from taskrunner_private.wake_limits(500)) = 0") == "t" {
			return
		}
	}
	require.FailNow(e.t, "chores do not come to an end")
}

// queues requires where tasks stand in the queue: "name: state".
func (e *engine) queues(states ...string) {
	e.t.Helper()
	for _, want := range states {
		name, state, _ := strings.Cut(want, ": ")
		require.Equal(e.t, state, e.line("select coalesce((select state::text from taskrunner_private.queued_task where task_id = $1), 'none')", id(name)), name)
	}
}

// all claims until nothing more is to be had, and returns the names in order.
func (e *engine) all() []string {
	e.t.Helper()
	names := []string{}
	for range 1000 {
		rows := e.lines(`select coalesce(t.name, ''), c.again from taskrunner_private.claim_tasks($1::uuid, 100, 30, '{}', '{}', true) c
			left join taskrunner.task t on t.id = c.task_id order by t.priority desc, t.seq`, id("r"))
		again := false
		for _, row := range rows {
			name, more, _ := strings.Cut(row, "|")
			if name != "" {
				names = append(names, name)
			}
			again = again || more == "t"
		}
		if !again {
			return names
		}
	}
	require.FailNow(e.t, "claims do not come to an end")
	return nil
}

// blockedBy is what GET /task/{id} shows: "<type> <current> <reason>" per rule.
func (e *engine) blockedBy(task string) []string {
	e.t.Helper()
	return e.lines(`select b -> 'rule' ->> 'type' || ' ' || (b -> 'current')::text || ' ' || (b ->> 'reason')
		from jsonb_array_elements(taskrunner_private.blocked_by($1)) b`, id(task))
}

// counted makes tasks that nobody claims have these shapes counted, so that no test has to wait for a first use.
func (e *engine) counted(kind string, shapes ...[]string) {
	e.t.Helper()
	for i, fields := range shapes {
		name := fmt.Sprintf("shape %d of %s", i, kind)
		metadata := map[string]int{}
		for _, f := range fields {
			metadata[f] = 1
		}
		b, err := json.Marshal(metadata)
		require.NoError(e.t, err)
		e.exec("insert into taskrunner.task (id, name, kind, rules, metadata) values ($1, $2, 'other', $3, $4)",
			id(name), name, "["+concurency(1, kind, fields...)+"]", string(b))
		e.move(name, "Canceled")
	}
	e.wakes()
}

// What a claim counts is said by one row of it, also if it only parks.
func TestClaimSaysWhatItCounted(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.counted("k", nil)
	e.replica("r")
	claim := func() []string {
		return e.lines(`select c.counts from taskrunner_private.claim_tasks($1::uuid, 10, 30, '{}', '{}', true) c where c.counts <> ''`, id("r"))
	}
	e.ruled([]string{concurency(1, "k")}, "a", "b", "c")
	both := claim()
	require.Len(t, both, 1)
	require.Contains(t, both[0], `["Pending", "Claimed", "k", 1, "claim", false, [`)
	require.Contains(t, both[0], `["", "blocked", "", 2]`)
	require.Empty(t, claim())
	e.ruled([]string{concurency(1, "k")}, "d")
	require.Equal(t, []string{`["", "blocked", "", 1]`}, trimmed(claim()))
}

func trimmed(lines []string) (list []string) {
	for _, l := range lines {
		list = append(list, strings.TrimSpace(l))
	}
	return list
}

// A worker in SQL needs no replica: his claim begins to count what it needs, unless somebody starts or ends tasks of the kind at this
// moment; also when he has written the rule in the same transaction.
func TestFirstUseBySQL(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.tasks("unruled")
	e.move("unruled", "Claimed")
	e.ruled([]string{concurency(2, "k")}, "a", "b")
	other := e.session("other")
	other.script("begin; " + set("Running", "unruled"))
	require.Contains(t, e.fails("TR008", set("Claimed", "a")).Message, "for the first time")
	other.run(rollback)
	e.exec(set("Claimed", "a"))
	require.Contains(t, e.fails("TR008", set("Claimed", "b")).Message, "held by its rule")
	e.move("unruled", "Success")
	e.exec(set("Claimed", "b"))

	other.script("begin; " + insertRuled("l", []string{concurency(1, "l"), concurency(1, "k", "p")}, `c {"p": 1}`, `d {"p": 1}`) + "; " + set("Claimed", "c"))
	_, err := other.try(set("Claimed", "d"))
	requireCode(t, err, "TR008")
	other.run(rollback)
	other.script("begin; " + insertRuled("l", []string{concurency(1, "l")}, "c", "d") + "; " + set("Claimed", "c") + "; " + commit)
	e.fails("TR008", set("Claimed", "d"))
	e.wakes()
	require.Equal(t, "0", e.line("select count(*) from taskrunner_private.shape_request"), "what is counted is not asked for")
	e.forgetsNobody()
}

// Names of any length can be counted; so many different sets of fields that each start would have to look at them cannot.
func TestManyShapes(t *testing.T) {
	t.Parallel()
	e := setup(t)
	long := e.line("select string_agg(md5(i::text), '') from generate_series(1, 400) i")
	e.ruled([]string{concurency(1, long), concurency(1, "k", long)}, `long {"`+long+`": 1}`)
	e.wakes()
	require.Equal(t, []string{"long"}, e.all())

	fields := make([]string, 101)
	rules := make([]string, 101)
	for i := range fields {
		fields[i] = fmt.Sprintf(`"f%d": %d`, i, i)
		rules[i] = concurency(1, "k", fmt.Sprintf("f%d", i))
	}
	all := "{" + strings.Join(fields, ", ") + "}"
	refused := e.fails("TR004", insertRuled("other", rules, "many "+all))
	require.Contains(t, refused.Detail, "rules: name more than 100 different sets of fields")
	e.exec(insertRuled("other", rules[:99], "many "+all))
	e.wakes()
	require.Equal(t, []string{"many"}, e.all())
	e.fails("TR004", insertRuled("other", rules[99:100], "more "+all))
	e.exec(insertRuled("other", rules[:1], "same "+all))
	e.forgetsNobody()
}

func TestFirstUse(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.tasks("unruled")
	e.move("unruled", "Claimed")
	e.ruled([]string{concurency(2, "k")}, "a", "b", "c")
	require.Empty(t, e.all(), "the shape is not counted yet")
	e.queues("a: scheduled", "b: scheduled", "c: scheduled")
	e.wakes()
	require.Equal(t, "1", e.line("select count(*) from taskrunner_private.limit_shape"), "asked for twice, counted once")
	e.pausesOver()
	require.Equal(t, []string{"a"}, e.all(), "what started before counts")
	e.queues("b: parked", "c: parked")
	require.Equal(t, []string{"Concurency 2 limit reached"}, e.blockedBy("b"))
}

// pausesOver makes put-off tasks ready as if their pause were over.
func (e *engine) pausesOver() {
	e.t.Helper()
	e.exec("update taskrunner_private.queued_task set run_at = now() - interval '1 second' where put_off > 0")
	e.line("select taskrunner_private.release_scheduled(1000)")
}

// Which tasks are alike (contract 7.1).
func TestMatching(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		fields      []string
		first, then string // metadata
		alike       bool
	}{
		"numbers by value":           {[]string{"p"}, `{"p": 1}`, `{"p": 1.0}`, true},
		"number and text":            {[]string{"p"}, `{"p": 1}`, `{"p": "1"}`, false},
		"null is a value":            {[]string{"p"}, `{"p": null}`, `{"p": null, "q": 1}`, true},
		"null and absent":            {[]string{"p"}, `{}`, `{"p": null}`, false},
		"true and 1":                 {[]string{"p"}, `{"p": true}`, `{"p": 1}`, false},
		"order of keys":              {[]string{"p"}, `{"p": {"a": 1, "b": [1, 2]}}`, `{"p": {"b": [1, 2], "a": 1}}`, true},
		"order of elements":          {[]string{"p"}, `{"p": [1, 2]}`, `{"p": [2, 1]}`, false},
		"an array is not its values": {[]string{"p"}, `{"p": [1]}`, `{"p": 1}`, false},
		"arrays nest":                {[]string{"p"}, `{"p": [[1]]}`, `{"p": 1}`, false},
		"arrays of other lengths":    {[]string{"p"}, `{"p": [[1, 2], [3]]}`, `{"p": [[1], [2, 3]]}`, false},
		"empty arrays":               {[]string{"p"}, `{"p": [[], [1]]}`, `{"p": [[1], []]}`, false},
		"objects nest":               {[]string{"p"}, `{"p": {"a": {"b": 1}, "c": 1}}`, `{"p": {"a": {"b": 1, "c": 1}}}`, false},
		"another field nests":        {[]string{"p", "q"}, `{"p": [[1]], "q": 1}`, `{"p": 1, "q": [[1]]}`, false},
		"nested numbers by value":    {[]string{"p"}, `{"p": [[1, -2e2], {"x]\"[": true}]}`, `{"p": [[1.00, -200], {"x]\"[": true}]}`, true},
		"nested text":                {[]string{"p"}, `{"p": [["],["]]}`, `{"p": [["", ""]]}`, false},
		"all fields":                 {[]string{"p", "q"}, `{"p": 1, "q": 2}`, `{"q": 2, "p": 1}`, true},
		"one field differs":          {[]string{"p", "q"}, `{"p": 1, "q": 2}`, `{"p": 1, "q": 3}`, false},
		"values do not swap":         {[]string{"p", "q"}, `{"p": 1, "q": 2}`, `{"p": 2, "q": 1}`, false},
		"true, false and null, true": {[]string{"a", "b"}, `{"a": true, "b": false}`, `{"a": null, "b": true}`, false},
		"more than four fields":      {[]string{"a", "b", "c", "d", "e"}, `{"a": 1, "b": 1, "c": 1, "d": 1, "e": 1}`, `{"a": 1, "b": 1, "c": 1, "d": 1, "e": 2}`, false},
		"a field named twice":        {[]string{"p", "p"}, `{"p": 1}`, `{"p": 1}`, true},
		"no fields":                  {nil, `null`, `{"p": 1}`, true},
		"no fields, no object":       {nil, `[1]`, `"x"`, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := setup(t)
			e.counted("k", tc.fields)
			e.exec("insert into taskrunner.task (id, name, kind, metadata) values ($1, 'first', 'k', $2), ($3, 'same', 'K', $2)", id("first"), tc.first, id("same"))
			require.ElementsMatch(t, []string{"first", "same"}, e.all(), "without rules")
			e.ruled([]string{concurency(1, "k", tc.fields...)}, "then "+tc.then)
			if tc.alike {
				require.Empty(t, e.all())
				e.move("first", "Running", "Failure")
				e.wakes()
			}
			require.Equal(t, []string{"then"}, e.all())
		})
	}
}

func TestConcurency(t *testing.T) {
	t.Parallel()
	e := setup(t)
	one := []string{concurency(2, "k", "p")}
	e.ruled(one, `a {"p": 1}`, `b {"p": 1.0}`, `c {"p": 1, "q": 2}`, `d {"p": "1"}`, `e {"p": null}`)
	e.wakes()
	require.Equal(t, []string{"a", "b", "d", "e"}, e.all())
	e.queues("c: parked")
	require.Equal(t, []string{"Concurency 2 limit reached"}, e.blockedBy("c"))
	require.Empty(t, e.blockedBy("a"))
	e.move("d", "Running", "Success")
	e.wakes()
	require.Empty(t, e.all(), "another value")
	e.move("a", "Running", "Success")
	e.queues("c: parked")
	e.wakes()
	e.queues("c: ready")
	require.Equal(t, []string{"c"}, e.all())
	e.forgetsNobody()
}

// forgetsNobody requires that there is nothing to repair.
func (e *engine) forgetsNobody() {
	e.t.Helper()
	require.Equal(e.t, "0|0", e.line("select repaired, progressed from taskrunner_private.recheck_limits(true)"))
}

// A claim decides about what stands in front of the tasks that it may start, and not about what stands behind them: with few slots and
// many probes that would be done again and again.
func TestNothingBehindTheLastPlaceIsDecided(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.counted("k", []string{"p"})
	rules := []string{concurency(1, "k", "p")}
	e.ruled(rules, `a {"p": 1}`, `b {"p": 2}`, `c {"p": 3}`, `d {"p": 4}`, `full {"p": 5}`)
	require.Len(t, e.all(), 5)
	e.ruled(rules, `front {"p": 5}`, `a2 {"p": 1}`, `b2 {"p": 2}`, `c2 {"p": 3}`, `d2 {"p": 4}`)
	require.Empty(t, e.all())
	e.exec("update taskrunner.task set priority = 200 where name = 'front'")
	for _, name := range []string{"a", "b", "c", "d"} {
		e.move(name, "Success")
	}
	e.wakes()
	e.ruled(rules, `behind {"p": 5}`)
	e.queues("front: ready", "a2: ready", "d2: ready", "behind: ready")
	require.Equal(t, []string{"a2", "b2"}, e.claim("r", 2))
	e.queues("front: parked", "c2: ready", "d2: ready", "behind: ready")
	require.Equal(t, []string{"c2", "d2"}, e.all())
	e.queues("behind: parked")
	e.forgetsNobody()
}

// Everything by which a task stops being counted frees its slot for the next one; what does not, does not.
func TestFreedSlots(t *testing.T) {
	t.Parallel()
	rule := concurency(1, "k", "p")
	for name, tc := range map[string]struct {
		how   func(e *engine)
		freed bool
	}{
		"success":       {func(e *engine) { e.move("a", "Running", "Success") }, true},
		"failure":       {func(e *engine) { e.exec(finishTask("a", "Failure")) }, true},
		"cancel":        {func(e *engine) { e.exec(call("cancel_task", "a")) }, true},
		"stop":          {func(e *engine) { e.exec(call("stop_batch", "b")) }, true},
		"timeout":       {func(e *engine) { e.move("a", "Running"); e.overdue("a") }, true},
		"a retry":       {func(e *engine) { e.exec(finishTask("retried", "Failure")) }, true},
		"a stale claim": {func(e *engine) { e.overdue("a") }, true},
		"metadata":      {func(e *engine) { e.exec(`update taskrunner.task set metadata = '{"p": 2}' where id = $1`, id("a")) }, true},
		"metadata elsewhere": {func(e *engine) {
			e.exec(`update taskrunner.task set metadata = '{"p": 1, "q": 2}' where id = $1`, id("a"))
		}, false},
		"metadata without it": {func(e *engine) {
			e.exec(`update taskrunner.task set metadata = '{}', rules = '[]' where id = $1`, id("a"))
		}, true},
		"running":              {func(e *engine) { e.move("a", "Running") }, false},
		"paused while running": {func(e *engine) { e.move("a", "Running"); e.exec(call("pause_task", "a")) }, false},
		"paused and resumed": {func(e *engine) {
			e.move("a", "Running")
			e.exec(call("pause_task", "a"))
			e.exec(call("resume_task", "a"))
		}, false},
		"paused while claimed":             {func(e *engine) { e.exec(call("pause_task", "a")) }, false},
		"paused while claimed, then stale": {func(e *engine) { e.exec(call("pause_task", "a")); e.overdue("a") }, true},
		"other rules for the first":        {func(e *engine) { e.exec("update taskrunner.task set rules = '[]' where id = $1", id("a")) }, false},
		"other rules for the second":       {func(e *engine) { e.exec("update taskrunner.task set rules = '[]' where id = $1", id("c")) }, true},
		"a higher limit for the second": {func(e *engine) {
			e.exec("update taskrunner.task set rules = $2 where id = $1", id("c"), "["+concurency(2, "k", "p")+"]")
		}, true},
		"the batch's rules":      {func(e *engine) { e.exec(setRules("c", "'k'", "'[]'")) }, true},
		"metadata of the second": {func(e *engine) { e.exec(`update taskrunner.task set metadata = '{"p": 7}' where id = $1`, id("c")) }, true},
		"priority of the second": {func(e *engine) { e.exec("update taskrunner.task set priority = 7 where id = $1", id("c")) }, false},
		"progress":               {func(e *engine) { e.exec("select taskrunner.add_progress($1, 5, 5)", id("a")) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := setup(t)
			e.counted("k", []string{"p"})
			e.exec("insert into taskrunner.batch (id) values ($1), ($2)", id("b"), id("c"))
			first := "a"
			if name == "a retry" {
				first = "retried"
			}
			e.exec(`insert into taskrunner.task (id, name, kind, batch_id, rules, metadata, max_attempts) values ($1, $2, 'k', $3, $4, '{"p": 1}', $5)`,
				id(first), first, id("b"), "["+rule+"]", map[string]int{"a": 1, "retried": 2}[first])
			e.action(first, "Start", "start")
			require.Equal(t, []string{first}, e.all())
			e.exec(`insert into taskrunner.task (id, name, kind, batch_id, rules, metadata) values ($1, 'c', 'k', $2, $3, '{"p": 1}')`, id("c"), id("c"), "["+rule+"]")
			require.Empty(t, e.all())
			e.queues("c: parked")
			tc.how(e)
			e.wakes()
			if name == "a stale claim" {
				require.Equal(t, []string{"a"}, e.all(), "it comes first again")
				return
			}
			if tc.freed {
				require.Equal(t, []string{"c"}, e.all())
			} else {
				require.Empty(t, e.all())
				e.queues("c: parked")
			}
			e.forgetsNobody()
		})
	}
}

// overdue lets a task's time pass, and the sweep see it.
func (e *engine) overdue(task string) {
	e.t.Helper()
	e.exec("update taskrunner.task set last_updated = now() - interval '1 day' where id = $1", id(task))
	e.exec("update taskrunner_private.active_task set due_at = now() - interval '1 second', claimed_at = now() - interval '1 day'")
	e.exec("select * from taskrunner_private.sweep_active(10, 30)")
}

func TestCapacity(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.counted("k", []string{"p"})
	sized := func(name string, size int) {
		e.ruled([]string{capacity(500, "k", "p")}, name+` {"p": 1}`)
		e.exec("update taskrunner.task set expected_count = $2 where id = $1", id(name), size)
	}
	sized("a", 200)
	sized("b", 2000)
	sized("c", 0)
	require.Equal(t, []string{"a", "b"}, e.all(), "its own size does not count")
	require.Equal(t, []string{"Capacity 2200 limit reached"}, e.blockedBy("c"))
	e.exec("select taskrunner.add_progress($1, 1000, 700)", id("b"))
	require.Empty(t, e.all())
	require.Equal(t, []string{"Capacity 500 limit reached"}, e.blockedBy("c"), "less than, not up to")
	require.Equal(t, "0|0", e.line("select repaired, progressed from taskrunner_private.recheck_limits(false)"))
	e.exec("select taskrunner.add_progress($1, 1, 0)", id("b"))
	require.Equal(t, "0|1", e.line("select repaired, progressed from taskrunner_private.recheck_limits(false)"), "progress made room")
	require.Equal(t, []string{"c"}, e.all())

	// More done than expected is nothing left, also at the end of the range.
	e.exec("select taskrunner.add_progress($1, 9223372036854770000, 9223372036854770000)", id("b"))
	sized("d", 400)
	require.Equal(t, []string{"d"}, e.all())
	sized("e", 1)
	require.Empty(t, e.all(), "200 and 400 are 600")
	e.exec("update taskrunner.task set expected_count = 100 where id = $1", id("d"))
	e.wakes()
	require.Equal(t, []string{"e"}, e.all(), "a change of expected_count is seen at once")

	// Without expected_count it waits until it has one.
	e.ruled([]string{capacity(1000, "k", "p"), concurency(50, "k", "p")}, `f {"p": 1}`)
	e.exec("update taskrunner.task set expected_count = null where id = $1", id("f"))
	require.Empty(t, e.all())
	require.Equal(t, []string{"Capacity 301 expected_count missing"}, e.blockedBy("f"))
	e.queues("f: parked")
	e.exec("update taskrunner.task set expected_count = 0 where id = $1", id("f"))
	require.Equal(t, []string{"f"}, e.all())
	e.forgetsNobody()
}

func TestSeveralRules(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.counted("k", []string{"p"}, []string{}, []string{"q"})
	e.counted("j", []string{})
	e.exec("insert into taskrunner.task (id, name, kind) values ($1, 'j', 'j')", id("j"))
	e.tasks("unruled")
	require.ElementsMatch(t, []string{"j", "unruled"}, e.all())
	e.ruled([]string{concurency(1, "k", "p"), concurency(2, "k"), concurency(1, "j")}, `a {"p": 1}`)
	require.Empty(t, e.all())
	require.Equal(t, []string{"Concurency 1 limit reached"}, e.blockedBy("a"))
	e.ruled([]string{concurency(1, "k", "p")}, `b {"p": 1}`)
	require.Equal(t, []string{"b"}, e.all())
	require.Equal(t, []string{"Concurency 1 limit reached", "Concurency 2 limit reached", "Concurency 1 limit reached"}, e.blockedBy("a"))
	for _, done := range []string{"j", "unruled"} {
		e.move(done, "Running", "Success")
		e.wakes()
		require.Empty(t, e.all())
	}
	e.move("b", "Running", "Success")
	e.wakes()
	require.Equal(t, []string{"a"}, e.all())
	e.forgetsNobody()
}

// The best one is released, wherever it stands and whenever it became the best (contract 7.3).
func TestReleaseOrder(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.counted("k", []string{"p"})
	one, two := []string{concurency(1, "k", "p")}, []string{concurency(1, "k", "p"), concurency(9, "k", "p")}
	e.ruled(one, `a {"p": 1}`, `b {"p": 1}`, `c {"p": 1}`)
	e.ruled(two, `d {"p": 1}`, `e {"p": 1}`)
	e.exec("update taskrunner.task set priority = 5 where id = $1", id("d"))
	require.Equal(t, []string{"d"}, e.all())
	e.exec("update taskrunner.task set priority = 3 where id = $1", id("c"))
	for _, next := range []string{"c", "a", "b", "e"} {
		e.exec("update taskrunner.task set status = 'Success' where status = 'Running'")
		e.wakes()
		require.Equal(t, []string{next}, e.all())
	}
	e.forgetsNobody()
	require.Equal(t, "2", e.line("select taskrunner_private.delete_gates(10)"), "nobody waits there any more")
}

// What is held stands in nobody's way, however much it is.
func TestHeldTasksDelayNobody(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.counted("h", []string{})
	e.exec(insertRuled("h", []string{concurency(1, "h")}, "first"))
	require.Equal(t, []string{"first"}, e.all())
	e.exec(`insert into taskrunner.task (name, kind, rules, priority) select 'held', 'h', $1, 9 from generate_series(1, 1000)`, "["+concurency(1, "h")+"]")
	e.tasks("free")
	e.ruled([]string{concurency(1, "elsewhere")}, "ruled")
	e.wakes()
	require.Equal(t, []string{"free"}, e.claim("r", 1), "without rules at once")
	require.Equal(t, []string{"ruled"}, e.all())
	require.Equal(t, "1000", e.line("select count(*) from taskrunner_private.queued_task where state = 'parked'"))
	require.Equal(t, "1", e.line("select count(*) from taskrunner_private.gate"))
	require.Equal(t, "1000", e.line("select cardinality(array(select taskrunner_private.list_tasks('Pending', null, null, null, null, null, null, null, 0, 2000)))"))
	e.move("first", "Running", "Success")
	e.wakes()
	require.Equal(t, "1", e.line("select count(*) from taskrunner_private.queued_task where state = 'ready'"), "one, not all")
	require.Equal(t, []string{"held"}, e.all())
	e.forgetsNobody()
}

// A worker in SQL passes the same check, after the whole statement, and nothing is parked (contract 13.1).
func TestClaimBySQL(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.counted("k", []string{"p"})
	e.ruled([]string{concurency(2, "k", "p")}, `a {"p": 1}`, `b {"p": 1}`, `c {"p": 1}`, `d {"p": 2}`)
	refused := e.fails("TR008", set("Claimed", "a", "b", "c"))
	require.Contains(t, refused.Message, `held by its rule {"type": "Concurency"`)
	require.Equal(t, "Pending", refused.Detail)
	e.queues("a: ready", "b: ready", "c: ready")
	e.exec(set("Claimed", "a", "b", "d"))
	e.fails("TR008", set("Claimed", "c"))
	require.Empty(t, e.all())
	e.fails("TR008", set("Claimed", "c"))
	e.move("a", "Success")
	e.move("c", "Claimed")
	e.wakes()
	e.queues("c: none")
	worker := e.sessionAs("worker", e.Login(t, "taskrunner_worker"))
	e.ruled([]string{concurency(2, "k", "p")}, `e {"p": 1}`)
	_, err := worker.try(set("Claimed", "e"))
	requireCode(t, err, "TR008")
	e.forgetsNobody()
}

// What holds is asked after the whole statement: it may end or move one task and start the next in its place (contract 13.1).
func TestClaimBySQLInPlaceOfAnother(t *testing.T) {
	t.Parallel()
	for name, others := range map[string]string{
		"ends":  "status = case name when 'a' then 'Success' else 'Claimed' end::taskrunner.status_kind",
		"moves": `status = case name when 'a' then status else 'Claimed' end, metadata = case name when 'a' then '{"p": 2}' else metadata end`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := setup(t)
			e.counted("k", []string{"p"})
			e.ruled([]string{concurency(1, "k", "p")}, `a {"p": 1}`, `b {"p": 1}`, `c {"p": 1}`)
			require.Equal(t, []string{"a"}, e.all())
			e.fails("TR008", "update taskrunner.task set "+others+" where name in ('a', 'b', 'c')")
			e.exec("update taskrunner.task set " + others + " where name in ('a', 'b')")
			require.Equal(t, "Claimed 0/0", e.state("b"))
			e.wakes()
			require.Empty(t, e.all())
			e.queues("c: parked")
			e.forgetsNobody()
		})
	}
}

// Limits are conditions on starting: what runs goes on (contract 7.2).
func TestLoweredLimit(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.counted("k", []string{})
	e.ruled([]string{concurency(3, "k")}, "a", "b", "c")
	require.Len(t, e.all(), 3)
	e.exec("update taskrunner.task set rules = $1", "["+concurency(1, "k")+"]")
	e.requireStates("a: Running 0/0", "b: Running 0/0", "c: Running 0/0")
	e.ruled([]string{concurency(3, "k")}, "d")
	e.ruled([]string{concurency(1, "k")}, "e")
	require.Empty(t, e.all())
	e.move("a", "Success")
	e.wakes()
	require.Equal(t, []string{"d"}, e.all(), "each by its own limit")
	e.move("b", "Success")
	e.move("c", "Success")
	e.wakes()
	require.Empty(t, e.all())
	e.move("d", "Success")
	e.wakes()
	require.Equal(t, []string{"e"}, e.all())
	e.forgetsNobody()
}

// Rules are stored and shown in one spelling, whatever way they come; metadata must have their fields.
func TestRulesAreWritten(t *testing.T) {
	t.Parallel()
	e := setup(t)
	const given = `[{"type": "Concurrency", "max_concurrency": 2, "max_concurency": null, "x": 1, "matcher": {"status": "Running", "kind": "k", "fields": ["p", "p"], "y": 2}},
		{"type": "Capacity", "max_capacity": 9223372036854775807, "max_concurency": "x", "matcher": {"status": "Running", "kind": "k", "fields": []}}]`
	const want = `[{"type": "Concurency", "matcher": {"kind": "k", "fields": ["p", "p"], "status": "Running"}, "max_concurency": 2}, ` +
		`{"type": "Capacity", "matcher": {"kind": "k", "fields": [], "status": "Running"}, "max_capacity": 9223372036854775807}]`
	e.exec("insert into taskrunner.batch (id) values ($1)", id("b"))
	e.exec(`insert into taskrunner.task (id, batch_id, name, kind, rules, metadata, expected_count) values ($1, $2, 'a', 'k', $3, '{"p": 1}', 0)`, id("a"), id("b"), given)
	require.Equal(t, want, e.line("select rules from taskrunner.task where id = $1", id("a")))
	e.exec("update taskrunner.task set rules = '[]' where id = $1", id("a"))
	e.exec("update taskrunner.task set rules = $2 where id = $1", id("a"), given)
	require.Equal(t, want, e.line("select rules from taskrunner.task where id = $1", id("a")))
	require.Equal(t, "1", e.line(setRules("b", "'k'", "'"+given+"'")))
	require.Equal(t, want, e.line("select rules from taskrunner.task where id = $1", id("a")))
	e.exec(`select taskrunner.submit_batch(jsonb_build_object('tasks', jsonb_build_array(jsonb_build_object('id', 'a', 'name', 'posted', 'kind', 'k', 'expected_count', 0,
		'metadata', '{"p": 1}'::jsonb, 'rules', $1::jsonb, 'on_start', '{"kind": "Webhook", "params": {"url": "https://e.com", "verb": "Get"}}'::jsonb))))`, given)
	require.Equal(t, want, e.line("select rules from taskrunner.task where name = 'posted'"))
	requireDetails(t, e.fails("TR004", "update taskrunner.task set metadata = '{}' where id = $1", id("a")).Detail, "rules[0].matcher.fields")
	requireDetails(t, e.fails("TR004", "update taskrunner.task set metadata = '[\"p\"]' where id = $1", id("a")).Detail, "rules[0].matcher.fields")
	e.exec("update taskrunner.task set metadata = '{\"p\": null}' where id = $1", id("a"))
	require.Equal(t, id("a")+"|metadata: \"p\" is not a top-level key of the task's metadata (rules[0].matcher.fields)", e.line(
		`select task_id, outcome from taskrunner_private.report_tasks(jsonb_build_array(jsonb_build_object('task_id', $1::text, 'metadata', '{"q": 1}'::jsonb)))`, id("a")))
	// No task of the batch gets rules that one of them does not fit.
	e.exec(`insert into taskrunner.task (id, batch_id, name, kind, metadata) values ($1, $2, 'c', 'k', '{"q": 1}')`, id("c"), id("b"))
	refused := e.fails("TR004", setRules("b", "'k'", "'["+concurency(1, "k", "q", "p")+"]'"))
	require.JSONEq(t, fmt.Sprintf(`["rules[0].matcher.fields: \"p\" is not a top-level key of the metadata of task %s", "rules[0].matcher.fields: \"q\" is not a top-level key of the metadata of task %s"]`,
		id("c"), id("a")), sorted(t, refused.Detail))
	require.Equal(t, want, e.line("select rules from taskrunner.task where id = $1", id("a")))
}

func sorted(t *testing.T, detail string) string {
	t.Helper()
	var details []string
	require.NoError(t, json.Unmarshal([]byte(detail), &details))
	slices.Sort(details)
	b, err := json.Marshal(details)
	require.NoError(t, err)
	return string(b)
}
