package sqltest

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// replay is the call that replays the delivery with this path.
func (e *engine) replay(path string) string {
	e.t.Helper()
	return "select taskrunner_private.replay_delivery('" +
		e.line("select id from taskrunner.delivery where url = 'https://hooks.example.com/' || $1", path) + "')"
}

// replayMany is the call that replays deliveries; conditions are "name = value" of its arguments, all others are null.
func replayMany(status string, limit int, conditions ...string) string {
	args := []string{"p_status => '" + status + "'", fmt.Sprint("p_limit => ", limit)}
	for _, name := range []string{"trigger", "task_id", "batch_id", "host", "from", "to", "after_at", "after_id"} {
		value := "null"
		for _, condition := range conditions {
			if text, ok := strings.CutPrefix(condition, name+" = "); ok {
				value = text
			}
		}
		args = append(args, "p_"+name+" => "+value)
	}
	return "select looked_at, replayed from taskrunner_private.replay_deliveries(" + strings.Join(args, ", ") + ")"
}

// budget is "<status> <tries>/<max_tries>" of the delivery with this path.
func (e *engine) budget(path string) string {
	e.t.Helper()
	return e.line("select status || ' ' || tries || '/' || max_tries from taskrunner.delivery where url = 'https://hooks.example.com/' || $1", path)
}

// ended creates a task that has ended with a success of these deliveries.
func (e *engine) ended(task string, paths ...string) {
	e.t.Helper()
	e.tasks(task)
	for _, path := range paths {
		e.action(task, "Success", path)
	}
	e.move(task, "Claimed", "Success")
}

// From every state a delivery becomes due at once, with its key, its log and a fresh budget; Sending and Start refuse.
func TestReplay(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.exec("update taskrunner_private.server_setting set webhook_max_attempts = 2")
	e.ended("t", "pending", "delivered", "failed", "sending", "canceled", "late")
	e.exec("update taskrunner_private.due_delivery set next_try_at = clock_timestamp() + interval '1 hour'")
	for _, path := range []string{"delivered", "failed", "sending", "late"} {
		e.due(path)
	}
	require.Len(t, e.leases("r", 10, 100), 4)
	e.settle("delivered", 1, "delivered", "")
	e.settle("failed", 1, "given_up", "")
	// Nothing cancels an End or Cancel delivery yet; the state is part of the contract all the same.
	e.exec(`with canceled as (
		update taskrunner_private.delivery d set status = 'Canceled', finished_at = now()
		from taskrunner.delivery v where v.id = d.id and v.url like '%/canceled' returning d.id)
		delete from taskrunner_private.due_delivery q using canceled c where q.delivery_id = c.id`)
	before := e.lines("select idempotency_key from taskrunner.delivery order by 1")

	for path, tries := range map[string]string{"pending": "Pending 0/2", "delivered": "Pending 1/3", "failed": "Pending 1/3", "canceled": "Pending 0/2"} {
		e.exec(e.replay(path))
		require.Equal(t, tries, e.budget(path))
		require.Equal(t, "t|", e.line("select next_try_at <= clock_timestamp(), finished_at from taskrunner.delivery where url like '%/' || $1", path))
	}
	require.Contains(t, e.fails("TR001", e.replay("sending")).Message, "is being sent")
	require.Equal(t, "Sending 0/2", e.budget("sending"))
	require.Contains(t, e.fails("TR002", "select taskrunner_private.replay_delivery($1)", id("unknown")).Message, "unknown delivery")
	require.Equal(t, before, e.lines("select idempotency_key from taskrunner.delivery order by 1"))

	// Its tries go on counting, its pauses begin anew, and the budget is used up once more.
	require.ElementsMatch(t, []string{"pending 1", "delivered 2", "failed 2", "canceled 1"}, e.leases("r", 10, 100))
	require.Equal(t, []string{"Pending"}, e.settle("failed", 2, "failed", ""))
	e.requireWait("failed", 9, 11)
	e.due("failed")
	require.Equal(t, []string{"failed 3"}, e.leases("r", 10, 100))
	require.Equal(t, []string{"Failed"}, e.settle("failed", 3, "failed", ""))
	require.Equal(t, "Failed 3/3", e.budget("failed"))
	require.Equal(t, []string{"2", "3"}, e.lines(`select n.number from taskrunner_private.delivery_try n
		join taskrunner.delivery d on d.id = n.delivery_id where d.url like '%/failed' order by 1`))
	require.Equal(t, []string{"Delivered"}, e.settle("delivered", 2, "delivered", ""))

	// A lease that ran out is none; what its holder reports late counts only if it is a success.
	e.exec("update taskrunner_private.due_delivery set leased_until = clock_timestamp() - interval '1 second'")
	e.exec(e.replay("late"))
	require.Equal(t, "Pending 0/2", e.budget("late"))
	require.Empty(t, e.settle("late", 1, "failed", ""))
	require.Equal(t, []string{"late 1"}, e.leasesOf("late"))
	require.Equal(t, []string{"Pending"}, e.settle("late", 1, "failed", ""))
	e.exec(e.replay("late"))
	require.Equal(t, []string{"late 2"}, e.leasesOf("late"))
	require.Empty(t, e.settle("late", 1, "failed", ""))

	// Start deliveries belong to their task.
	e.claimed("s", "r")
	e.failedStart("r", "s", `, "permanent": true`)
	e.fails("TR001", "select taskrunner_private.replay_delivery(d.id) from taskrunner.delivery d where d.trigger = 'Start'")
}

// leasesOf leases what is due and gives those with this path.
func (e *engine) leasesOf(path string) []string {
	e.t.Helper()
	mine := []string{}
	for _, lease := range e.leases("r", 100, 100) {
		if strings.HasPrefix(lease, path+" ") {
			mine = append(mine, lease)
		}
	}
	return mine
}

// A replay meets a claim, a settlement, another replay, or the removal of the task, in either order.
func TestReplayMeetsOthers(t *testing.T) {
	t.Parallel()
	claim := fmt.Sprintf("select delivery_id from taskrunner_private.claim_deliveries('%s', 10, 100, '-infinity', true) where delivery_id is not null", id("r"))
	settle := func(e *engine, outcome string) string {
		return `select status from taskrunner_private.settle_deliveries('[{"delivery_id": "` + e.line("select id from taskrunner.delivery") +
			`", "number": 1, "leased_until": "` + e.line("select leased_until from taskrunner_private.due_delivery") + `", "outcome": "` + outcome + `", "at": "2024-01-01T00:00:00Z", "latency_ms": 1}]', 10, 3, 200)`
	}
	for name, play := range map[string]func(e *engine, first, second *session){
		"claim first": func(e *engine, first, second *session) {
			first.script("begin; " + claim)
			waits := second.begins(e.replay("x"))
			first.run(commit)
			e.requireFails(waits, "TR001")
			require.Equal(t, "Sending 0/10", e.budget("x"))
		},
		"claim taken back": func(e *engine, first, second *session) {
			first.script("begin; " + claim)
			waits := second.begins(e.replay("x"))
			first.run(rollback)
			e.requireEnds(waits)
			require.Equal(t, []string{"x 1"}, e.leases("r", 10, 100))
		},
		"replay first, claim steps around it": func(e *engine, first, second *session) {
			first.script("begin; " + e.replay("x"))
			require.Empty(t, second.run(claim))
			first.run(commit)
			require.Len(t, second.run(claim), 1)
		},
		"settlement first": func(e *engine, first, second *session) {
			first.script("begin; " + settle(e, "delivered"))
			waits := second.begins(e.replay("x"))
			first.run(commit)
			e.requireEnds(waits)
			require.Equal(t, "Pending 1/11", e.budget("x"))
			require.Equal(t, []string{"x 2"}, e.leases("r", 10, 100))
		},
		"given up first": func(e *engine, first, second *session) {
			first.script("begin; " + settle(e, "given_up"))
			require.Equal(t, []string{"1|0"}, second.run(replayMany("Failed", 10, "task_id = '"+id("t")+"'")), "it has not failed yet")
			first.run(commit)
			require.Equal(t, "1|1", e.line(replayMany("Failed", 10)))
		},
		"replay first, a late success ends it": func(e *engine, first, second *session) {
			first.script("begin; " + e.replay("x"))
			waits := second.begins(settle(e, "delivered"))
			first.run(commit)
			require.Equal(t, []string{"Delivered"}, e.requireEnds(waits))
			require.Empty(t, e.leases("r", 10, 100))
		},
		"two replays": func(e *engine, first, second *session) {
			e.exec(settle(e, "given_up"))
			first.script("begin; " + e.replay("x"))
			waits := second.begins(e.replay("x"))
			first.run(commit)
			e.requireEnds(waits)
			require.Equal(t, "Pending 1/11", e.budget("x"))
			require.Equal(t, []string{"x 2"}, e.leases("r", 10, 100))
		},
		"two replays of many": func(e *engine, first, second *session) {
			e.exec(settle(e, "given_up"))
			first.script("begin; " + replayMany("Failed", 10))
			waits := second.begins(replayMany("Failed", 10))
			first.run(commit)
			require.Equal(t, []string{"1|0"}, e.requireEnds(waits))
			require.Equal(t, []string{"x 2"}, e.leases("r", 10, 100))
		},
		"the task is removed first": func(e *engine, first, second *session) {
			replay := e.replay("x")
			first.script("begin; delete from taskrunner.task")
			waits := second.begins(replay)
			first.run(commit)
			e.requireFails(waits, "TR002")
		},
		"the task is removed behind it": func(e *engine, first, second *session) {
			first.script("begin; " + e.replay("x"))
			waits := second.begins("delete from taskrunner.task")
			first.run(commit)
			e.requireEnds(waits)
			require.Equal(t, "0", e.line("select count(*) from taskrunner_private.due_delivery"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := setup(t)
			e.ended("t", "x")
			e.exec("update taskrunner_private.due_delivery set leased_by = $1, leased_until = now() - interval '1 minute'", id("s")) // whose try is settled
			first, second := e.pair()
			play(e, first, second)
		})
	}
}

// A replay of many takes exactly what its filters say, chunk by chunk.
func TestReplayMany(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.batch("b", "in")
	e.tasks("out", "kept")
	hosts := map[string]string{"in": "https://a.example.com/x", "out": "https://user:secret@A.example.com:8443/y?z=1"}
	for _, task := range []string{"in", "out"} {
		for n := range 3 {
			e.exec(fmt.Sprintf(`insert into taskrunner.action (task_id, trigger, condition, params) values
				('%[1]s', 'End', 'Success', '{"url": "%[2]s-%[3]d", "verb": "Post"}')`, id(task), hosts[task], n))
		}
	}
	e.action("kept", "Success", "kept")
	e.move("in", "Claimed", "Success")
	e.move("out", "Claimed", "Success")
	e.move("kept", "Claimed", "Success")
	e.claimed("start", "r")
	e.failedStart("r", "start", `, "permanent": true`)
	reset := func(status string) {
		e.exec(`update taskrunner_private.delivery d set status = $1::text::taskrunner.delivery_status, finished_at = now(), created_at =
			case when task_id = $2 then now() - interval '1 hour' else now() - interval '2 hours' end where trigger <> 'Start'`, status, id("in"))
		e.exec(`delete from taskrunner_private.due_delivery; delete from taskrunner_private.troubled_delivery`)
		e.exec(`insert into taskrunner_private.troubled_delivery select created_at, id from taskrunner_private.delivery where status = 'Failed'`)
	}
	for _, status := range []string{"Failed", "Delivered", "Canceled"} {
		for condition, want := range map[string]int{
			"":                                     7,
			"task_id = '" + id("in") + "'":         3,
			"task_id = '" + id("start") + "'":      0,
			"task_id = '" + id("nobody") + "'":     0,
			"batch_id = '" + id("nobody") + "'":    0,
			"trigger = 'End'":                      7,
			"trigger = 'Cancel'":                   0,
			"trigger = 'Start'":                    0,
			"host = 'a.example.com'":               6,
			"host = 'A.EXAMPLE.com:8443'":          3,
			"host = 'a.example.com:443'":           0,
			"host = 'example.com'":                 0,
			"host = 'secret@a.example.com'":        0,
			"from = now() - interval '90 minutes'": 3,
			"to = now() - interval '90 minutes'":   4,
		} {
			reset(status)
			require.Equal(t, fmt.Sprint(want), strings.Split(e.line(replayMany(status, 100, condition)), "|")[1], status+" "+condition)
			require.Equal(t, fmt.Sprint(want), e.line("select count(*) from taskrunner_private.due_delivery"))
			e.AssertInvariants(t)
		}
		reset(status)
		e.exec("update taskrunner.batch set created_at = now() - interval '1 day'")
		require.Equal(t, "3", strings.Split(e.line(replayMany(status, 100, "batch_id = '"+id("b")+"'")), "|")[1])

		// In chunks of two, each behind the one before, until there are fewer.
		reset(status)
		after, total, chunks := []string{}, 0, 0
		for {
			chunk := strings.Split(e.line(strings.Replace(replayMany(status, 2, after...), "looked_at, replayed", "*", 1)), "|")
			var n int
			_, err := fmt.Sscan(chunk[1], &n)
			require.NoError(t, err)
			total += n
			chunks++
			if chunk[0] != "2" {
				break
			}
			after = []string{"after_at = '" + chunk[2] + "'", "after_id = '" + chunk[3] + "'", "to = '" + chunk[4] + "'"}
		}
		require.Equal(t, 7, total)
		require.GreaterOrEqual(t, chunks, 4)
		e.AssertInvariants(t)
		reset("Delivered")
	}
	// What comes after a replay began is not its concern.
	reset("Failed")
	e.exec("update taskrunner_private.delivery set created_at = now() + interval '1 minute' where trigger <> 'Start'")
	e.exec("delete from taskrunner_private.troubled_delivery; insert into taskrunner_private.troubled_delivery select created_at, id from taskrunner_private.delivery where status = 'Failed'")
	require.Equal(t, "0", strings.Split(e.line(replayMany("Failed", 100)), "|")[1])
}

// A replay wakes a sleeping loop, also when the delivery was due already and its row is only changed.
func TestReplayNotifies(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.ended("t", "x", "y")
	e.settle("y", 1, "given_up", "")
	for _, path := range []string{"x", "y"} {
		e.alive("r")
		e.asleep("deliver")
		listener := e.session("listener")
		listener.script("listen taskrunner")
		e.exec(e.replay(path))
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		n, err := listener.WaitForNotification(ctx)
		require.NoError(t, err)
		require.Equal(t, "deliver", n.Payload)
	}
}

// One delivery is shown, or a page of them, without reading all actions.
func TestDeliveriesAreLookedUp(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.ended("t", "x")
	for _, sql := range []string{
		"select * from taskrunner.delivery where id = '" + id("x") + "'",
		"select * from taskrunner.delivery where task_id = '" + id("t") + "'",
		"select d.* from unnest(array['" + id("x") + "']::uuid[]) page (id) cross join lateral (select * from taskrunner.delivery v where v.id = page.id offset 0) d",
	} {
		s := e.session("planner")
		s.script("set enable_seqscan = off")
		plan := strings.Join(s.run("explain (costs off) "+sql), "\n")
		require.Contains(t, plan, "Index Scan using action_pkey on action", plan)
		require.Regexp(t, `Index Cond: \(id = d\.action_id\)|Index Cond: \(id = d_1\.action_id\)`, plan, sql)
	}
}
