package sqltest

import (
	"fmt"
	"strconv"
	"testing"

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

// What a freed slot costs depends neither on how many tasks are parked nor on how many have held the slot before, whether plans are
// made while the tables are empty, before they are analyzed, or afterwards.
func TestWakePlans(t *testing.T) {
	t.Parallel()
	e := setup(t)
	for _, table := range e.lines("select oid::regclass from pg_class where relnamespace::regnamespace::text ~ '^taskrunner' and relkind = 'r'") {
		e.exec("alter table " + table + " set (autovacuum_enabled = off)")
	}
	e.counted("k", []string{"p"})
	const (
		cycle = "select count(*) from taskrunner.finish_tasks(array(select task_id from taskrunner_private.active_task order by seq limit %d), 'Success')"
		wake  = "select unparked from taskrunner_private.wake_limits(5000)"
		claim = "select count(*) from taskrunner_private.claim_tasks('%s', 500, 30, '{}', '{}', true)"
		few   = 10
	)
	measure := func(s *session, rounds, n int, what string) {
		t.Helper()
		for range rounds {
			require.Equal(t, strconv.Itoa(n), s.run(fmt.Sprintf(cycle, n))[0], what)
			for _, sql := range []string{wake, fmt.Sprintf(claim, id("r"))} {
				s.script("begin")
				rows, tooMuch := s.reading(50*n, sql)
				s.script("commit")
				require.Equal(t, []string{strconv.Itoa(n)}, rows, what)
				require.Empty(t, tooMuch, "%s: %s", what, sql)
			}
		}
	}
	early := e.session("plans made while the tables were nearly empty")
	early.script("set max_parallel_workers_per_gather = 0")
	e.insertWide("first", 1)
	require.Len(t, e.all(), wideKeys)
	e.insertWide("few", 1)
	require.Empty(t, e.all())
	measure(early, 7, few, "nearly empty") // five plans for the very values come first, then one for all
	e.insertWide("many", wideParked)
	require.Empty(t, e.all())
	measure(early, 2, few, "early")
	late := e.session("plans made without statistics")
	late.script("set max_parallel_workers_per_gather = 0")
	measure(late, 7, few, "late")
	e.exec("analyze")
	analyzed := e.session("plans made with statistics")
	analyzed.script("set max_parallel_workers_per_gather = 0")
	measure(analyzed, 7, few, "analyzed")
	// The same slots are taken and freed again and again, and nobody vacuums.
	measure(analyzed, 20, wideKeys, "worn")
	e.forgetsNobody()
}
