package sqltest

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestWhatFires plays the table of the contract's section 8.8 with a task "t", a child that fails with it, and a child
// of that; every task has one action of each kind.
func TestWhatFires(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		do      func(e *engine)
		t       []string // deliveries of t, without the path, which is the trigger's name
		cascade bool     // whether the descendants fail and have their on_failure delivered
	}{
		{"report of success", func(e *engine) { e.move("t", "Claimed"); e.finish("t", "Success") }, []string{"end:success"}, false},
		{"update to success", func(e *engine) { e.move("t", "Claimed", "Running", "Success") }, []string{"end:success"}, false},
		{"report of failure", func(e *engine) { e.move("t", "Claimed", "Running"); e.finish("t", "Failure") }, []string{"end:failure"}, true},
		{"update to failure", func(e *engine) { e.move("t", "Claimed", "Failure") }, []string{"end:failure"}, true},
		{"report while paused", func(e *engine) { e.move("t", "Claimed", "Running", "Paused"); e.finish("t", "Failure") }, []string{"end:failure"}, true},
		{
			"on_start failed", func(e *engine) {
				require.Equal(e.t, []string{"t"}, e.claim("r", 1))
				e.failedStart("r", "t", `, "permanent": true`)
			}, []string{"end:failure", "start Failed"}, true,
		},
		{
			"timeout", func(e *engine) {
				e.move("t", "Claimed", "Running")
				e.exec("update taskrunner.task set last_updated = last_updated - interval '61 seconds' where id = $1", id("t"))
				require.Equal(e.t, "1|0|1", e.line(sweepActive))
			}, []string{"cancel", "end:failure"}, true,
		},
		{"canceled before contact", func(e *engine) { e.line("select status from taskrunner.cancel_task($1)", id("t")) }, nil, true},
		{"canceled when claimed", func(e *engine) {
			e.move("t", "Claimed")
			e.line("select status from taskrunner.cancel_task($1)", id("t"))
		}, []string{"cancel"}, true},
		{"canceled when running, by update", func(e *engine) { e.move("t", "Claimed", "Running", "Canceled") }, []string{"cancel"}, true},
		{"canceled when paused from running", func(e *engine) { e.move("t", "Claimed", "Running", "Paused", "Canceled") }, []string{"cancel"}, true},
		{"canceled when paused from claimed", func(e *engine) { e.move("t", "Claimed", "Paused", "Canceled") }, []string{"cancel"}, true},
		{"canceled when paused before contact", func(e *engine) { e.move("t", "Paused", "Canceled") }, nil, true},
		{
			"canceled after a failed try", func(e *engine) {
				require.Equal(e.t, []string{"t"}, e.claim("r", 1))
				e.failedStart("r", "t", "")
				e.move("t", "Canceled")
			}, []string{"cancel", "start Canceled"}, true,
		},
		{
			"canceled after a lost try", func(e *engine) {
				require.Equal(e.t, []string{"t"}, e.claim("r", 1))
				e.goneStale("t")
				e.line(sweepActive)
				e.move("t", "Paused", "Canceled")
			}, []string{"cancel", "start Canceled"}, true,
		},
		{"paused and resumed", func(e *engine) { e.move("t", "Claimed", "Running", "Paused", "Running", "Paused") }, nil, false},
		{"claimed, started, progress", func(e *engine) {
			e.move("t", "Claimed", "Running")
			e.exec("select taskrunner.add_progress($1, 1, 1)", id("t"))
		}, nil, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			e := setup(t)
			e.tasks("t", "child", "grandchild")
			for _, task := range []string{"t", "child", "grandchild"} {
				for _, trigger := range []string{"Start", "Cancel", "Success", "Failure"} {
					e.action(task, trigger, trigger)
				}
			}
			e.links("t>child", "child>grandchild")
			tc.do(e)
			want := []string{}
			for _, key := range tc.t {
				key, status, ok := strings.Cut(key, " ")
				if !ok {
					status = "Pending"
				}
				path := map[string]string{"end:success": "Success", "end:failure": "Failure", "cancel": "Cancel", "start": "Start"}[key]
				want = append(want, key+" "+path+" "+status)
			}
			require.Equal(t, want, e.deliveries("t"))
			below := []string{}
			if tc.cascade {
				below = []string{"end:failure Failure Pending"}
			}
			require.Equal(t, below, e.deliveries("child"))
			require.Equal(t, below, e.deliveries("grandchild"))
			// All are due at once, with the default budget.
			require.Equal(t, "0", e.line(`select count(*) from taskrunner_private.delivery d join taskrunner_private.due_delivery q on q.delivery_id = d.id
				where q.next_try_at > clock_timestamp() or q.leased_by is not null or d.max_tries <> 10 or d.tries <> 0 or q.host <> 'hooks.example.com'`))
		})
	}
}

// finish reports a result.
func (e *engine) finish(task, status string) {
	e.t.Helper()
	require.Equal(e.t, status, e.line("select status from taskrunner.finish_task($1, $2::text::taskrunner.status_kind)", id(task), status))
}

// Keys count the actions of an event by position and insertion, registered cancel actions last.
func TestIdempotencyKeys(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.batch("b", "t", "u")
	position := func(task, trigger, path string, position int) {
		sql := strings.Replace(insertAction(task, trigger, path), "params)", "params, position)", 1)
		e.exec(strings.Replace(sql, "}')", fmt.Sprintf("}', %d)", position), 1))
	}
	position("t", "Failure", "third", 2)
	position("t", "Failure", "first", -1)
	position("t", "Failure", "fourth", 2)
	position("t", "Failure", "second", 0)
	position("t", "Success", "never", 0)
	e.move("t", "Claimed", "Failure")
	require.Equal(t, []string{
		"end:failure first Pending", "end:failure:2 second Pending", "end:failure:3 third Pending", "end:failure:4 fourth Pending",
	}, e.deliveries("t"))

	position("u", "Cancel", "own2", 1)
	position("u", "Cancel", "own1", 0)
	// As an on_start answer registers it: the owner says so, which no client can.
	e.exec("begin; set local taskrunner.cause = 'start'; " +
		strings.Replace(strings.Replace(insertAction("u", "Cancel", "registered"), "params)", "params, position, attempt)", 1), "}')", "}', -5, 1)", 1) + "; commit")
	e.move("u", "Claimed", "Running", "Canceled")
	require.Equal(t, []string{"cancel own1 Pending", "cancel:2 own2 Pending", "cancel:3 registered Pending"}, e.deliveries("u"))
	require.Equal(t, []string{id("b") + "|Cancel||1|0|10|Post"}, e.lines(`
		select distinct batch_id, trigger, condition, task_attempt, tries, max_tries, verb from taskrunner.delivery where task_id = $1`, id("u")))
}

// leases are deliveries that a replica takes: the paths of their URLs, oldest first, and the numbers of the tries.
func (e *engine) leases(replica string, limit, seconds int) []string {
	e.t.Helper()
	return e.lines(`select substr(params ->> 'url', 27) || ' ' || number
		from taskrunner_private.claim_deliveries($1, $2, $3, '-infinity', true) order by next_try_at`, id(replica), limit, seconds)
}

// settle reports a try of the delivery with this path, by its last lease unless extra names one.
func (e *engine) settle(path string, number int, outcome, extra string) []string {
	e.t.Helper()
	return e.lines(`
		select status from taskrunner_private.settle_deliveries((
			select jsonb_build_array(jsonb_build_object('delivery_id', d.id, 'number', $2::integer,
				'leased_until', (select q.leased_until from taskrunner_private.due_delivery q where q.delivery_id = d.id), 'outcome', $3::text, 'at', now(), 'latency_ms', 7,
				'status_code', case when $3 = 'delivered' then 200 else 503 end,
				'error', case when $3 <> 'delivered' then 'HTTP 503' end, 'response', 'body') || $4::jsonb)
			from taskrunner_private.delivery d join taskrunner.action a on a.id = d.action_id
			where a.params ->> 'url' = 'https://hooks.example.com/' || $1), 10, 3, 200)`, path, number, outcome, "{"+extra+"}")
}

// due makes the delivery with this path due now.
func (e *engine) due(path string) {
	e.t.Helper()
	e.exec(`update taskrunner_private.due_delivery q set next_try_at = clock_timestamp() - interval '1 millisecond'
		from taskrunner.delivery d where d.id = q.delivery_id and d.url = 'https://hooks.example.com/' || $1`, path)
}

// requireWait requires that the next try of the delivery with this path is due in so many seconds from its last settled
// one, which was at most 5 seconds ago.
func (e *engine) requireWait(path string, least, most float64) {
	e.t.Helper()
	where := " from taskrunner.delivery where url = 'https://hooks.example.com/' || $1"
	require.Equal(e.t, "t", e.line("select extract(epoch from next_try_at - clock_timestamp()) between $2::float8 and $3::float8"+where,
		path, least-5, most), "%s waits %s", path, e.line("select next_try_at - clock_timestamp()"+where, path))
}

func TestDeliveryTries(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.exec("update taskrunner_private.server_setting set webhook_max_attempts = 5")
	e.tasks("t")
	for _, path := range []string{"a", "b", "c"} {
		e.action("t", "Success", path)
	}
	e.move("t", "Claimed", "Success")
	require.Equal(t, []string{"a 1", "b 1"}, e.leases("r", 2, 100))
	require.Equal(t, []string{"c 1"}, e.leases("s", 2, 100), "what one has leased no other gets")
	require.Empty(t, e.leases("r", 2, 100))
	require.Equal(t, []string{"end:success a Sending", "end:success:2 b Sending", "end:success:3 c Sending"}, e.deliveries("t"))

	require.Equal(t, []string{"Delivered"}, e.settle("a", 1, "delivered", ""))
	require.Empty(t, e.settle("a", 1, "delivered", ""), "a try is settled once")
	require.Equal(t, []string{"Failed"}, e.settle("b", 1, "given_up", ""), "410: never again")
	require.Equal(t, "Delivered|1|200||t", e.line("select status, tries, last_status_code, last_error, finished_at is not null from taskrunner.delivery where url like '%/a'"))
	require.Equal(t, "Failed|1|503|HTTP 503|t", e.line("select status, tries, last_status_code, last_error, finished_at is not null from taskrunner.delivery where url like '%/b'"))

	// c: 10 s, 30 s, 90 s and at most 200 s, each times [0.9, 1.1), and then no more.
	for number, wait := range []float64{10, 30, 90, 200} {
		if number > 0 {
			require.Empty(t, e.leases("r", 1, 100), "not due")
			e.due("c")
			require.Equal(t, []string{fmt.Sprint("c ", number+1)}, e.leases("r", 1, 100))
		}
		require.Equal(t, []string{"Pending"}, e.settle("c", number+1, "failed", ""))
		e.requireWait("c", wait*0.9, wait*1.1)
	}
	e.due("c")
	require.Equal(t, []string{"c 5"}, e.leases("r", 1, 100))
	require.Equal(t, []string{"Failed"}, e.settle("c", 5, "failed", `"retry_after_secs": 7`))
	require.Equal(t, "0", e.line("select count(*) from taskrunner_private.due_delivery"))
	require.Equal(t, "5|5|", e.line("select tries, max_tries, next_try_at from taskrunner.delivery where url like '%/c'"))
	// The log: the first try in the delivery itself, the others in rows of their own.
	require.Equal(t, []string{"1|503|7|HTTP 503|body"}, e.lines(`select 1, first_status_code, first_latency_ms, first_error, first_response
		from taskrunner_private.delivery where tries = 5 and first_try_at is not null`))
	require.Equal(t, []string{"2|503", "3|503", "4|503", "5|503"}, e.lines("select number, status_code from taskrunner_private.delivery_try order by 1"))
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.tasks("t")
	for _, path := range []string{"short", "long", "endless"} {
		e.action("t", "Success", path)
	}
	e.move("t", "Claimed", "Success")
	require.Len(t, e.leases("r", 3, 100), 3)
	e.settle("short", 1, "failed", `"retry_after_secs": 2`)
	e.settle("long", 1, "failed", `"retry_after_secs": 500`)
	e.settle("endless", 1, "failed", `"retry_after_secs": 1e9`)
	e.requireWait("short", 9, 11)
	e.requireWait("long", 500, 500)
	e.requireWait("endless", 86400, 86400)
}

// A lease that runs out counts as none, and what its holder reports late is not counted twice.
func TestLeases(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.tasks("t")
	e.action("t", "Success", "x")
	e.move("t", "Claimed", "Success")
	overdue := func() {
		e.exec("update taskrunner_private.due_delivery set leased_until = clock_timestamp() - interval '1 second'")
	}
	require.Equal(t, []string{"x 1"}, e.leases("slow", 1, 100))
	overdue()
	require.Equal(t, []string{"end:success x Pending"}, e.deliveries("t"))
	require.Equal(t, []string{"x 1"}, e.leases("quick", 1, 100), "nobody knows what became of the try")
	require.Equal(t, []string{"Pending"}, e.settle("x", 1, "failed", ""))
	require.Empty(t, e.settle("x", 1, "failed", ""), "the other's failure of the same try")
	require.Equal(t, "1", e.line("select tries from taskrunner.delivery"))
	// A late success counts, and ends it.
	require.Equal(t, []string{"Delivered"}, e.settle("x", 1, "delivered", ""))
	require.Empty(t, e.settle("x", 2, "failed", ""))
	require.Equal(t, []string{"end:success x Delivered"}, e.deliveries("t"))
	require.Equal(t, "0", e.line("select count(*) from taskrunner_private.due_delivery"))
	require.Empty(t, e.lines("select * from taskrunner_private.settle_deliveries($1::jsonb, 10, 3, 200)",
		`[{"delivery_id": "`+id("unknown")+`", "number": 1, "outcome": "delivered", "at": "2020-01-01T00:00:00Z", "latency_ms": 1}]`))

	// A replica that leaves gives its leases back.
	e.tasks("u")
	e.action("u", "Success", "y")
	e.move("u", "Claimed", "Success")
	require.Equal(t, []string{"y 1"}, e.leases("slow", 1, 100))
	e.exec("select taskrunner_private.leave($1)", id("slow"))
	require.Equal(t, []string{"y 1"}, e.leases("quick", 1, 100))
}

// Whoever comes late takes nothing from the one who sends now, and nothing from a replay.
func TestLateResultsOfDeliveries(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.ended("t", "x")
	lease := func(replica string) string {
		require.Equal(t, []string{"x 1"}, e.leases(replica, 1, 100))
		return fmt.Sprintf(`"leased_until": "%s"`, e.line("select leased_until from taskrunner_private.due_delivery"))
	}
	slow := lease("slow")
	e.exec("update taskrunner_private.due_delivery set leased_until = clock_timestamp() - interval '1 second'")
	lease("quick")
	require.Empty(t, e.settle("x", 1, "failed", slow))
	require.Empty(t, e.settle("x", 1, "given_up", slow))
	require.Empty(t, e.settle("x", 1, "failed", `"leased_until": null`), "from a replica that does not know of leases")
	require.Equal(t, []string{"end:success x Sending"}, e.deliveries("t"), "and nobody else gets it")
	require.Equal(t, []string{"Delivered"}, e.settle("x", 1, "delivered", slow), "the receiver has it")
	require.Empty(t, e.settle("x", 1, "failed", ""))

	e.exec(e.replay("x"))
	require.Empty(t, e.settle("x", 1, "delivered", slow), "what has been recorded comes again, since its connection was lost")
	require.Equal(t, []string{"end:success x Pending"}, e.deliveries("t"))
	require.Equal(t, []string{"x 2"}, e.leases("quick", 1, 100))
	require.Empty(t, e.settle("x", 1, "delivered", slow))
	require.Equal(t, []string{"Failed"}, e.settle("x", 2, "given_up", ""))
	require.Empty(t, e.settle("x", 1, "delivered", slow))
	require.Equal(t, []string{"end:success x Failed"}, e.deliveries("t"))
}

// A failure that is written while the delivery is leased anew waits for the lease, and does not count.
func TestLateFailureBesideALease(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.ended("t", "x")
	require.Equal(t, []string{"x 1"}, e.leases("slow", 1, 100))
	e.exec("update taskrunner_private.due_delivery set leased_until = clock_timestamp() - interval '1 second'")
	late := `select status from taskrunner_private.settle_deliveries('[{"delivery_id": "` + e.line("select id from taskrunner.delivery") + `", "number": 1, "leased_until": "` +
		e.line("select leased_until from taskrunner_private.due_delivery") + `", "outcome": "failed", "at": "2024-01-01T00:00:00Z", "latency_ms": 1}]', 10, 3, 200)`
	quick, slow := e.session("quick"), e.session("slow")
	quick.run("begin")
	require.Len(t, quick.run("select delivery_id from taskrunner_private.claim_deliveries($1, 1, 100, '-infinity', true)", id("quick")), 1)
	waits := slow.begins(late)
	quick.run("commit")
	require.Empty(t, ends(t, waits).lines)
	require.Equal(t, []string{"end:success x Sending"}, e.deliveries("t"))
}

// A replica that has consumed the queue up to a moment looks behind it only when told to.
func TestDeliveryMarks(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.tasks("t")
	e.action("t", "Success", "old")
	e.action("t", "Success", "new")
	e.move("t", "Claimed", "Success")
	e.exec(`update taskrunner_private.due_delivery q set next_try_at = now() - case when d.url like '%old' then interval '2 hours' else interval '1 minute' end
		from taskrunner.delivery d where d.id = q.delivery_id`)
	take := `select substr(params ->> 'url', 27) from taskrunner_private.claim_deliveries($1, 10, 100, now() - interval '1 hour', $2)`
	require.Equal(t, []string{"new"}, e.lines(take, id("r"), false))
	require.Empty(t, e.lines(take, id("r"), false))
	require.Equal(t, []string{"old"}, e.lines(take, id("r"), true))
}

// startDelivery is the Start delivery of a task: status, tries, next try known?, finished?, and the open error.
func (e *engine) startDelivery(task string) string {
	e.t.Helper()
	return e.line(`select coalesce(string_agg(status || ' ' || tries || '/' || max_tries || case when next_try_at is not null then ' next' else '' end
		|| coalesce(' ' || last_error, ''), ', '), 'none') from taskrunner.delivery where task_id = $1 and trigger = 'Start'`, id(task))
}

// again makes the next try of a task's on_start due, and claims it.
func (e *engine) again(task, replica string) {
	e.t.Helper()
	e.exec("update taskrunner.task set run_at = now() where id = $1", id(task))
	require.Equal(e.t, []string{task}, e.claim(replica, 1))
}

func TestStartDeliveries(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.claimed("quick", "r")
	require.Equal(t, "none", e.startDelivery("quick"), "a Start delivery appears with its first settled try")
	e.started("quick")
	require.Equal(t, "Delivered 1/3", e.startDelivery("quick"))
	require.Equal(t, id("quick")+":start", e.line("select idempotency_key from taskrunner.delivery where task_id = $1", id("quick")))

	// 1 s, then 2 s, each times [0.75, 1.25).
	e.claimed("slow", "r")
	for try, wait := range []float64{1, 2} {
		require.Equal(t, "Pending", e.failedStart("r", "slow", ""))
		require.Equal(t, fmt.Sprintf("Pending %d/3 next HTTP 503", try+1), e.startDelivery("slow"))
		require.Equal(t, "t", e.line("select extract(epoch from run_at - last_updated) between $2::float8 and $3::float8 + 1 from taskrunner.task where id = $1",
			id("slow"), wait*0.75, wait*1.25))
		require.Equal(t, "scheduled", e.line("select state from taskrunner_private.queued_task where task_id = $1", id("slow")))
		e.again("slow", "r")
		require.Equal(t, fmt.Sprintf("Sending %d/3 HTTP 503", try+1), e.startDelivery("slow"))
	}
	require.Equal(t, "Failure", e.failedStart("r", "slow", ""))
	require.Equal(t, "Failed 3/3 HTTP 503", e.startDelivery("slow"))
	require.Equal(t, "on_start webhook failed: HTTP 503", e.reason("slow"))
	require.Equal(t, []string{"2", "3"}, e.lines("select number from taskrunner_private.delivery_try order by 1"))

	// Retry-After: the longer of both, at most 300 s.
	e.claimed("asks", "r")
	e.failedStart("r", "asks", `, "retry_after_secs": 120`)
	require.Equal(t, "t", e.line("select run_at - last_updated between interval '120 seconds' and interval '121 seconds' from taskrunner.task where id = $1", id("asks")))
	e.again("asks", "r")
	e.failedStart("r", "asks", `, "retry_after_secs": 100000`)
	require.Equal(t, "t", e.line("select run_at - last_updated between interval '300 seconds' and interval '301 seconds' from taskrunner.task where id = $1", id("asks")))

	// A permanent failure needs one try.
	e.claimed("never", "r")
	e.failedStart("r", "never", `, "permanent": true`)
	require.Equal(t, "Failed 1/3 HTTP 503", e.startDelivery("never"))
}

// Only the claim that made the call may report its failure; a success counts whoever brings it.
func TestStartFencing(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.claimed("t", "r")
	old := e.tries("t", `{"error": "HTTP 500", "status_code": 500}`)
	fail := func(replica, tries string) {
		e.exec("select * from taskrunner_private.fail_starts($1, $2::jsonb, 1000)", id(replica), tries)
	}
	before := e.row("t")
	fail("other", old)
	fail("r", strings.Replace(old, `"attempt": 1`, `"attempt": 2`, 1))
	fail("r", e.tries("t", `{"error": "x", "claimed_at": "2020-01-01T00:00:00Z"}`))
	e.exec("select * from taskrunner_private.start_tasks($1::jsonb)", strings.Replace(strings.Replace(old, `"attempt": 1`, `"attempt": 2`, 1), id("t"), id("nobody"), 1))
	require.Empty(t, changed(before, e.row("t")))
	require.Equal(t, "none", e.startDelivery("t"))

	// The claim goes stale and another one follows: the first one's failure is not the second one's.
	e.goneStale("t")
	require.Equal(t, "0|1|1", e.line(sweepActive))
	require.Equal(t, "Pending 1/3 stale claim", e.startDelivery("t"))
	require.Equal(t, []string{"t"}, e.claim("r", 1))
	before = e.row("t")
	fail("r", old)
	require.Empty(t, changed(before, e.row("t")))
	require.Equal(t, "Sending 1/3 stale claim", e.startDelivery("t"))
	// Its success is: the target is at work.
	e.exec("select * from taskrunner_private.start_tasks($1::jsonb)", old)
	e.requireStates("t: Running 0/0")
	require.Equal(t, "Delivered 2/3 HTTP 500", e.startDelivery("t"))
	// The second call's answer changes nothing any more.
	before = e.row("t")
	fail("r", e.tries("t", `{"error": "HTTP 500"}`))
	e.started("t")
	require.Empty(t, changed(before, e.row("t")))
	require.Equal(t, "Delivered", e.line("select status from taskrunner.delivery where trigger = 'Start'"))
}

// A success that comes after its claim went stale: the next claim goes to Running without a call.
func TestLateSuccess(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.claimed("t", "r")
	late := e.tries("t", "{}")
	e.goneStale("t")
	e.line(sweepActive)
	e.requireStates("t: Pending 0/0")
	e.exec("select * from taskrunner_private.start_tasks($1::jsonb)", late)
	e.requireStates("t: Pending 0/0")
	require.Equal(t, "Delivered", e.line("select status from taskrunner.delivery"))
	require.Equal(t, "t|", e.line("select task_id = $2, params from taskrunner_private.claim_tasks($1, 1, 30, '{}', '{}', true)", id("s"), id("t")))
	e.requireStates("t: Running 0/0")
	e.move("t", "Success")
	require.Equal(t, []string{"start start Delivered"}, e.deliveries("t"))

	// Too late: the task has ended; the try is on record.
	e.claimed("u", "r")
	late = e.tries("u", "{}")
	e.move("u", "Canceled")
	e.exec("select * from taskrunner_private.start_tasks($1::jsonb)", late)
	e.requireStates("u: Canceled 0/0")
	require.Equal(t, []string{"start start Delivered"}, e.deliveries("u"))
}

// A pause while the call is open: it runs to its end, and its answer decides what the task counts as paused from.
func TestPauseDuringTheCall(t *testing.T) {
	t.Parallel()
	e := setup(t)
	pause := func(task string) {
		e.claimed(task, "r")
		e.line("select status from taskrunner.pause_task($1)", id(task))
		e.requireStates(task + ": Paused 0/0 from Claimed")
		require.Equal(t, "1", e.line("select count(*) from taskrunner_private.active_task where task_id = $1", id(task)), "the slot stays held")
		require.Equal(t, "none", e.startDelivery(task))
	}
	pause("success")
	e.started("success")
	e.requireStates("success: Paused 0/0 from Running")
	require.Equal(t, "Delivered 1/3", e.startDelivery("success"))
	require.Equal(t, "Running", e.line("select status from taskrunner.resume_task($1)", id("success")))

	for _, task := range []string{"failure", "stale"} {
		pause(task)
		if task == "failure" {
			e.failedStart("r", task, "")
		} else {
			e.goneStale(task)
			require.Equal(t, "1", e.line("select requeued from taskrunner_private.sweep_active(100, 30)"))
		}
		e.requireStates(task + ": Paused 0/0 from Pending")
		require.Contains(t, e.startDelivery(task), "Canceled 1/3")
		require.Equal(t, "paused", e.line("select state from taskrunner_private.queued_task where task_id = $1", id(task)))
		// After the resume it is tried again, with the same key; the tries used count.
		require.Equal(t, "Pending", e.line("select status from taskrunner.resume_task($1)", id(task)))
		require.Equal(t, []string{task}, e.claim("r", 1))
		e.failedStart("r", task, "")
		require.Contains(t, e.startDelivery(task), "Pending 2/3")
		require.Equal(t, id(task)+":start", e.line("select idempotency_key from taskrunner.delivery where task_id = $1", id(task)))
		e.move(task, "Canceled")
		require.Contains(t, e.startDelivery(task), "Canceled 2/3")
	}

	// Resumed before the answer: Claimed again, the claim keeps its age.
	pause("resumed")
	e.goneStale("resumed")
	require.Equal(t, "Claimed", e.line("select status from taskrunner.resume_task($1)", id("resumed")))
	require.Equal(t, "1", e.line("select requeued from taskrunner_private.sweep_active(100, 30)"))
	e.requireStates("resumed: Pending 0/0")

	// Tries used before the pause count, but at least one more is made.
	e.exec("update taskrunner_private.server_setting set start_max_attempts = 1")
	e.move("resumed", "Paused", "Pending")
	require.Equal(t, []string{"resumed"}, e.claim("r", 1))
	require.Equal(t, "Failure", e.failedStart("r", "resumed", ""))
}

// The changes of state that a call made, as its last column counts them.
func TestCounts(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.tasks("p", "required", "below", "optional")
	e.links("p>required", "required>below", "p?optional")
	e.action("p", "Start", "x")
	counts := func(sql string, args ...any) []string {
		seconds := regexp.MustCompile(`\[[0-9.]+\]\]`) // of one task
		return strings.Split(strings.TrimSpace(seconds.ReplaceAllString(e.line(sql, args...), "[s]]")), "\n")
	}
	require.Equal(t, []string{`["Pending", "Claimed", "k", 1, "claim", false, [s]]`}, counts("select counts from taskrunner_private.claim_tasks($1, 5, 30, '{}', '{}', true)", id("r")))
	require.Equal(t, []string{`["Claimed", "Running", "k", 1, "start", false, []]`}, counts("select counts from taskrunner_private.start_tasks($1::jsonb)", e.tries("p", "{}")))
	require.ElementsMatch(t, []string{`["Running", "Failure", "k", 1, "report", false, [s]]`,
		`["Waiting", "Failure", "k", 2, "propagate", false, []]`, `["Waiting", "Pending", "k", 1, "propagate", false, []]`},
		counts("select counts from taskrunner_private.report_tasks($1::jsonb)", `[{"task_id": "`+id("p")+`", "status": "Failure"}]`))
	require.Equal(t, []string{`["Pending", "Claimed", "k", 1, "claim", false, [s]]`, `["Claimed", "Running", "k", 1, "start", false, []]`},
		counts("select counts from taskrunner_private.claim_tasks($1, 5, 30, '{}', '{}', true)", id("r")), "without an on_start")
	// Clients' statements count nothing.
	s := e.session("client")
	require.Equal(t, []string{""}, s.run("select current_setting('taskrunner.counts', true)"))
	s.script("begin; " + set("Success", "optional"))
	require.Equal(t, []string{""}, s.run("select current_setting('taskrunner.counts', true)"))
	s.script("rollback")
}
