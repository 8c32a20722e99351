package sqltest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	wideKeys   = 100 // limits, and gates
	wideParked = 50  // tasks parked at each
)

// insertWide inserts tasks that may run one per key, n for each of wideKeys.
func (e *engine) insertWide(name string, n int) {
	e.t.Helper()
	e.exec(fmt.Sprintf(`insert into taskrunner.task (name, kind, rules, metadata)
		select '%s', 'k', $1, jsonb_build_object('p', i %% %d) from generate_series(1, %d) i`, name, wideKeys, n*wideKeys), "["+concurency(1, "k", "p")+"]")
}

// withoutAutovacuum leaves statistics and dead rows to the test.
func (e *engine) withoutAutovacuum() {
	e.t.Helper()
	for _, table := range e.lines("select oid::regclass from pg_class where relnamespace::regnamespace::text ~ '^taskrunner' and relkind = 'r'") {
		e.exec("alter table " + table + " set (autovacuum_enabled = off)")
	}
}

// soon wants one of a few tries to read nothing too often. Each waits for what was open before on this server, in whichever database:
// until then dead rows are read again.
func (e *engine) soon(try func() (tooMuch []string), what string) {
	e.t.Helper()
	var tooMuch []string
	for range 15 {
		now := e.line("select pg_current_xact_id()::text")
		require.Eventually(e.t, func() bool {
			return e.line("select (pg_snapshot_xmin(pg_current_snapshot()) > $1::text::xid8)::text", now) == "true"
		}, 2*time.Minute, 10*time.Millisecond, "a transaction on this server does not end")
		if tooMuch = try(); tooMuch == nil {
			return
		}
	}
	require.Empty(e.t, tooMuch, what)
}

// What a freed slot costs depends neither on how many tasks are parked nor on how many have held the slot before, whether plans are
// made while the tables are empty, before they are analyzed, or afterwards.
func TestWakePlans(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.withoutAutovacuum()
	e.counted("k", []string{"p"})
	const (
		cycle = "select count(*) from taskrunner.finish_tasks(array(select task_id from taskrunner_private.active_task order by seq limit %d), 'Success')"
		wake  = "select unparked from taskrunner_private.wake_limits(5000)"
		claim = "select count(*) from taskrunner_private.claim_tasks('%s', 500, 30, '{}', '{}', true)"
		few   = 10
	)
	// round frees n slots, and says what reads too much as they are handed on.
	round := func(s *session, n int, what string) (tooMuch []string) {
		t.Helper()
		require.Equal(t, strconv.Itoa(n), s.run(fmt.Sprintf(cycle, n))[0], what)
		for _, sql := range []string{wake, fmt.Sprintf(claim, id("r"))} {
			s.script("begin")
			rows, read := s.reading(most, sql)
			s.script("commit")
			require.Equal(t, []string{strconv.Itoa(n)}, rows, what)
			tooMuch = append(tooMuch, read...)
		}
		return tooMuch
	}
	measure := func(s *session, n int, what string) {
		t.Helper()
		e.soon(func() []string { return round(s, n, what) }, what)
	}
	const warmUps = 7 // five plans for the very values come first, then one for all
	session := func(name string) *session {
		s := e.session(name)
		s.script("set max_parallel_workers_per_gather = 0") // these count for themselves, where nobody sees it
		return s
	}
	e.insertWide("first", 1)
	require.Len(t, e.all(), wideKeys)
	e.insertWide("few", 1)
	require.Empty(t, e.all())
	early := session("plans made while the tables were nearly empty")
	for range warmUps {
		round(early, few, "nearly empty")
	}
	e.insertWide("many", wideParked)
	require.Empty(t, e.all())
	e.exec("vacuum taskrunner_private.queued_task") // what was ready for a moment
	measure(early, few, "early")
	for _, what := range []string{"without statistics", "with statistics"} {
		if what == "with statistics" {
			e.exec("analyze")
		}
		s := session("plans made " + what)
		measure(s, few, what)
		for range warmUps {
			round(s, few, what)
		}
		measure(s, few, what)
		early = s
	}
	// The same slots are taken and freed again and again, and nobody vacuums.
	for range 20 {
		round(early, wideKeys, "worn")
	}
	measure(early, wideKeys, "worn")
	e.forgetsNobody()
}

// insertCrowd inserts tasks that wait for one limit, of which three may be taken, at a gate each.
func (e *engine) insertCrowd(n int) {
	e.t.Helper()
	e.exec(fmt.Sprintf(`insert into taskrunner.task (name, kind, rules, metadata, priority)
		select 'n' || i, 'k', $1, jsonb_build_object('p', i), i %% 4 from generate_series(1, %d) i`, n), "["+concurency(3, "k")+","+concurency(9, "k", "p")+"]")
}

// bests are the names of the next n tasks in order.
func (e *engine) bests(n int) []string {
	e.t.Helper()
	return e.lines("select name from taskrunner.task where status = 'Pending' order by priority desc, seq limit $1", n)
}

// The best one is released, however many gates wait for the same limit, and whatever became of the tasks by which these were ordered.
func TestReleaseOrderOfManyGates(t *testing.T) {
	t.Parallel()
	e := setup(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	e.counted("k", []string{}, []string{"p"})
	e.insertCrowd(400)
	require.Equal(t, []string{"n3", "n7", "n11"}, e.all())
	require.Equal(t, "397", e.line("select count(*) from taskrunner_private.gate"))
	some := func(state string) string {
		return fmt.Sprintf("(select id from taskrunner.task where status = '%s' order by md5(id::text || %d) limit %d)", state, r.Uint32(), 1+r.IntN(9))
	}
	best := fmt.Sprintf("(select id from taskrunner.task where status = 'Pending' order by priority desc, seq limit %d)", 3)
	for range 60 {
		for range r.IntN(3) {
			switch r.IntN(8) {
			case 0:
				e.exec("select taskrunner.cancel_task(id) from " + some("Pending") + " t")
			case 1:
				e.exec("select taskrunner.cancel_task(id) from " + best + " t")
			case 2:
				e.exec("update taskrunner.task set priority = priority - 1 where id in " + some("Pending"))
			case 3:
				e.exec("update taskrunner.task set priority = priority - 2 where id in " + best)
			case 4:
				e.exec("update taskrunner.task set priority = priority + 2 where id in " + some("Pending"))
			case 5:
				e.exec("select taskrunner.pause_task(id) from " + some("Pending") + " t")
			case 6:
				e.exec("select taskrunner.resume_task(id) from " + some("Paused") + " t")
			case 7: // as after an upgrade, or after so many cancels
				e.exec("update taskrunner_private.gate set best_priority = default, best_seq = default where id % 2 = 0")
			}
		}
		n := 1 + r.IntN(3)
		e.exec(fmt.Sprintf("update taskrunner.task set status = 'Success' where id in (select id from taskrunner.task where status = 'Running' order by seq limit %d)", n))
		want := e.bests(n)
		e.wakes()
		require.Equal(t, want, e.all())
	}
	e.forgetsNobody()
	e.line("select taskrunner_private.delete_gates(1000)")
}

// What a freed slot costs does not depend on how many gates wait for the same limit; bounds that are wrong are mended piece by piece.
func TestPlansOfManyGates(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.withoutAutovacuum()
	e.counted("k", []string{}, []string{"p"})
	s := e.session("plans made while the tables were empty")
	s.script("set max_parallel_workers_per_gather = 0")
	once := func(n int, what string) []string {
		t.Helper()
		want := e.bests(n)
		s.script(fmt.Sprintf("update taskrunner.task set status = 'Success' where id in (select task_id from taskrunner_private.active_task limit %d)", n))
		s.script("begin")
		rows, woken := s.reading(2*most, "select unparked from taskrunner_private.wake_limits(5000)")
		s.script("commit; begin")
		require.Equal(t, []string{strconv.Itoa(n)}, rows, what)
		rows, claimed := s.reading(2*most, "select task_id from taskrunner_private.claim_tasks('"+id("r")+"', 500, 30, '{}', '{}', true) order by priority desc, seq")
		s.script("commit")
		names := []string{}
		for _, task := range rows {
			names = append(names, e.line("select name from taskrunner.task where id = $1", task))
		}
		require.Equal(t, want, names, what)
		return append(woken, claimed...)
	}
	release := func(n int, what string) {
		t.Helper()
		e.soon(func() []string { return once(n, what) }, what)
	}
	e.insertCrowd(20)
	require.Len(t, e.all(), 3)
	for range 5 {
		release(1, "few")
	}
	e.insertCrowd(4000)
	require.Empty(t, e.all())
	e.exec("vacuum")
	for _, what := range []string{"early", "analyzed"} {
		if what == "analyzed" {
			e.exec("analyze")
		}
		for range 6 {
			release(1, what)
			release(3, what)
		}
	}
	e.exec("select taskrunner.cancel_task(id) from taskrunner.task where priority = 3 and status = 'Pending'")
	e.exec("update taskrunner_private.gate set best_priority = default, best_seq = default")
	want := e.bests(3)
	e.exec("update taskrunner.task set status = 'Success' where id in (select task_id from taskrunner_private.active_task)")
	require.Equal(t, "4|0", e.line(wakeOnce), "a bounded piece")
	require.Equal(t, "1", e.line("select count(*) from taskrunner_private.wake"))
	e.wakes()
	require.Equal(t, want, e.all())
	release(3, "mended")
	e.forgetsNobody()
}

// What a claim costs that parks what limits hold depends neither on how much is queued nor on how much is parked, although statistics
// call the queue empty, as they do right after a large INSERT.
func TestParkPlans(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.withoutAutovacuum()
	e.counted("k", []string{"p"})
	e.insertWide("first", 1)
	require.Len(t, e.all(), wideKeys)
	e.insertWide("gone", 10)
	require.Empty(t, e.all())
	e.exec("select taskrunner.cancel_task(id) from taskrunner.task where status = 'Pending'")
	e.exec("vacuum analyze")
	const (
		held   = 100 // of each key
		decide = 300 // by one claim
		claim  = "select bool_or(again) from taskrunner_private.claim_tasks('%s', 500, 30, '{}', '{}', true)"
	)
	e.insertWide("held", held)
	s := e.session("claim")
	for left := held * wideKeys; left > 0; left -= decide {
		rows, tooMuch := s.reading(8*decide, fmt.Sprintf(claim, id("r")))
		require.Equal(t, []string{"t"}, rows)
		tooMuch = slices.DeleteFunc(tooMuch, func(s string) bool { // what has left it is read again while somebody might see it still
			return strings.HasPrefix(s, "index taskrunner_private.queued_task_ruled_idx:")
		})
		require.Empty(t, tooMuch, "left: %d", left)
	}
	require.Equal(t, fmt.Sprint(held*wideKeys), e.line("select count(*) from taskrunner_private.queued_task where state = 'parked'"))
	e.forgetsNobody()
}
