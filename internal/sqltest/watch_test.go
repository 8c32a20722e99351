package sqltest

import (
	"testing"

	"github.com/stretchr/testify/require"
)

const watchSQL = "select taskrunner_private.watch_batch($1, $2)"

// One change is one notification, until it is watched anew. What changes elsewhere, and progress, is none.
func TestWatchIsToldOnce(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.batch("x", "a", "b")
	e.batch("y", "c")
	e.links("a>b")
	heard := e.notifications()
	e.move("c", "Claimed")
	require.Empty(t, heard(), "nobody watches")

	require.Equal(t, "f", e.line(watchSQL, id("r"), id("x")), "what was before is not known")
	require.Equal(t, "t", e.line(watchSQL, id("r"), id("x")))
	require.Equal(t, "f", e.line(watchSQL, id("s"), id("x")))
	require.Equal(t, "f", e.line(watchSQL, id("s"), id("y")))
	require.Equal(t, "3", e.line("select count(*) from taskrunner_private.watch"))
	e.move("a", "Claimed", "Running", "Success") // b becomes Pending
	require.Equal(t, []string{"watch"}, heard())
	for _, replica := range []string{"r", "s"} {
		require.Equal(t, "f", e.line(watchSQL, id(replica), id("x")))
	}
	require.Equal(t, "t", e.line(watchSQL, id("s"), id("y")))
	e.exec("select taskrunner.add_progress($1, 1, 0)", id("c"))
	e.exec("update taskrunner.task set priority = 1 where false")
	require.Empty(t, heard())
	e.exec("update taskrunner.task set priority = 5 where id = $1", id("b"))
	require.Equal(t, []string{"watch"}, heard())

	e.exec("select taskrunner_private.unwatch_batch($1, $2)", id("s"), id("y"))
	require.Empty(t, e.lines("select from taskrunner_private.watch"))
	e.move("c", "Running")
	require.Empty(t, heard())
}

// A child in another batch is a change of that one.
func TestWatchHearsOfPropagation(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.batch("x", "a")
	e.batch("y", "b")
	e.links("a>b")
	heard := e.notifications()
	e.exec(watchSQL, id("r"), id("y"))
	e.move("a", "Claimed", "Running", "Success")
	require.Equal(t, []string{"watch"}, heard())
}

// Whoever holds a watch in an open transaction keeps nobody waiting: neither others who change tasks, nor those who watch.
func TestWatchWaitsForNobody(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.batch("x", "a", "b")
	heard := e.notifications()
	e.exec(watchSQL, id("r"), id("x"))
	writer := e.session("writer")
	writer.run("begin")
	writer.run("update taskrunner.task set priority = 1 where id = $1", id("a"))

	e.exec("update taskrunner.task set priority = 1 where id = $1", id("b"))
	require.Empty(t, heard(), "it is notified when the other one commits")
	require.Equal(t, "t", e.line(watchSQL, id("r"), id("x")))
	require.Equal(t, "f", e.line(watchSQL, id("s"), id("x")))
	e.exec("select taskrunner_private.unwatch_batch($1, $2)", id("r"), id("x"))
	e.exec("update taskrunner.task set priority = 2 where id = $1", id("b"))
	require.Equal(t, []string{"watch"}, heard(), "s watches")
	writer.run("commit")
	require.Equal(t, []string{"watch"}, heard())
	require.Empty(t, e.lines("select from taskrunner_private.watch"))

	// One that is rolled back has told nobody, and has taken nothing away.
	e.exec(watchSQL, id("r"), id("x"))
	writer.run("begin")
	writer.run("update taskrunner.task set priority = 3 where id = $1", id("a"))
	writer.run("rollback")
	require.Empty(t, heard())
	require.Equal(t, "t", e.line(watchSQL, id("r"), id("x")))
}

// A watch is renewed before it expires, without a gap; those of the dead go.
func TestWatchExpires(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.batch("x", "a")
	age := func(interval string) {
		e.exec("update taskrunner_private.watch set expires_at = expires_at - $1::text::interval", interval)
	}
	e.exec(watchSQL, id("r"), id("x"))
	age("40 seconds")
	require.Equal(t, "t", e.line(watchSQL, id("r"), id("x")))
	require.Equal(t, "2", e.line("select count(*) from taskrunner_private.watch"))
	age("30 seconds")
	require.Equal(t, "t", e.line(watchSQL, id("r"), id("x")), "the second one stands")
	require.Equal(t, "1", e.line("select count(*) from taskrunner_private.watch where expires_at > clock_timestamp() + interval '30 seconds'"))
	require.Equal(t, "0", e.line("select count(*) from taskrunner_private.watch where expires_at < clock_timestamp()"))
	age("2 minutes")
	require.Equal(t, "f", e.line(watchSQL, id("r"), id("x")), "too late")

	e.replica("r")
	e.exec("update taskrunner_private.replica set heartbeat_at = '-infinity'")
	require.Equal(t, "1|0", e.line("select replicas, requeued from taskrunner_private.sweep_replicas(100, 5)"))
	require.Empty(t, e.lines("select from taskrunner_private.watch"))
}

// With a fixed snapshot a watch that somebody else took away since cannot be locked: nobody is told then, and nothing fails.
func TestWatchWithAFixedSnapshot(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.batch("x", "a", "b")
	e.exec(watchSQL, id("r"), id("x"))
	s := e.session("fixed")
	s.script("begin isolation level repeatable read; select count(*) from taskrunner_private.watch")
	e.exec("update taskrunner.task set priority = 1 where id = $1", id("a"))
	s.script("update taskrunner.task set priority = 2 where id = '" + id("b") + "'; commit")
	require.Equal(t, "2", e.line("select priority from taskrunner.task where id = $1", id("b")))
}
