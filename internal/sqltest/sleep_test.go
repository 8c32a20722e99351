package sqltest

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// readySQL makes a ready task.
const readySQL = "insert into taskrunner.task (name, kind, timeout) values ('t', 'k', 60)"

// alive makes a replica one that lives, however long the test takes.
func (e *engine) alive(replica string) {
	e.t.Helper()
	e.replica(replica)
	e.keepAlive(replica)
}

func (e *engine) keepAlive(replica string) {
	e.t.Helper()
	e.exec("update taskrunner_private.replica set heartbeat_at = heartbeat_at + interval '1 hour' where id = $1", id(replica))
}

// falls asks to fall asleep and returns whether the stamp stood, the horizon and whether all is quiet.
func (e *engine) falls(loop, horizon string) (stood bool, next string, quiet bool) {
	e.t.Helper()
	told := strings.Split(e.line("select * from taskrunner_private.fall_asleep($1, $2, nullif($3, '')::xid8)", id("r"), loop, horizon), "|")
	require.Len(e.t, told, 3)
	return told[0] == "t", told[1], told[2] == "t"
}

// asleep says that a loop sleeps, and waits until those have ended who might not know: other databases have transactions, too.
func (e *engine) asleep(loop string) {
	e.t.Helper()
	_, _, _ = e.falls(loop, "")
	_, horizon, _ := e.falls(loop, "")
	require.Eventually(e.t, func() bool { _, _, quiet := e.falls(loop, horizon); return quiet }, patience, time.Millisecond)
}

// A writer whose statement ran before the stamp notifies nobody, whenever he commits. Until he has ended the loop is not quiet, and then it finds
// his row. His transaction is the newest: no snapshot says that it runs.
func TestWriterBeforeTheStamp(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.alive("r")
	notified, writer := e.notifications(), e.session("writer")

	writer.script("begin; " + readySQL)
	require.Empty(t, e.claim("r", 10))
	stood, horizon, quiet := e.falls("start", "")
	require.Equal(t, []any{false, "", false}, []any{stood, horizon, quiet}, "set now")
	require.Empty(t, e.claim("r", 10), "a look that a loop must not trust")
	stood, horizon, quiet = e.falls("start", "")
	require.Equal(t, []any{true, false}, []any{stood, quiet}, "somebody may not know")
	_, again, quiet := e.falls("start", horizon)
	require.Equal(t, []any{horizon, false}, []any{again, quiet})
	writer.script("commit")
	require.Empty(t, notified())
	require.Eventually(t, func() bool { _, _, quiet = e.falls("start", horizon); return quiet }, patience, time.Millisecond)
	require.Equal(t, []string{"t"}, e.claim("r", 10), "the look after it was quiet")
}

// Who comes after the stamp notifies, also if he began before and commits much later; nobody waits for his end.
func TestWriterAfterTheStamp(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.alive("r")
	notified, writer := e.notifications(), e.session("writer")

	writer.script("begin; select 1")
	e.asleep("start")
	_, horizon, _ := e.falls("start", "")
	writer.script(readySQL)
	require.Eventually(t, func() bool { _, _, quiet := e.falls("start", horizon); return quiet }, patience, time.Millisecond,
		"who has written since is no reason to look again")
	require.Empty(t, e.claim("r", 10))
	require.Empty(t, notified())
	writer.script("commit")
	require.Equal(t, []string{"start"}, notified())
	require.Equal(t, []string{"t"}, e.claim("r", 10))

	// Claims and pulses leave the stamp alone: the next one notifies as well.
	e.alive("r")
	e.exec(readySQL)
	require.Equal(t, []string{"start"}, notified())
	e.exec("select taskrunner_private.stay_awake($1, 'start')", id("r"))
	e.exec(readySQL)
	require.Empty(t, notified(), "it comes by anyway")
	require.Equal(t, []string{"t", "t"}, e.claim("r", 10))
}

// The loops have stamps of their own, and that of a replica that is silent or has left does not count.
func TestStampsOfLoops(t *testing.T) {
	t.Parallel()
	e := setup(t)
	notified := e.notifications()
	stood, _, _ := e.falls("start", "")
	require.False(t, stood)
	stood, _, _ = e.falls("start", "")
	require.False(t, stood, "it has no row yet")
	e.alive("r")
	e.asleep("deliver")
	e.ended("u", "x")
	require.Equal(t, []string{"deliver"}, notified())
	e.exec(readySQL)
	require.Empty(t, notified())
	e.asleep("start")
	e.exec("select taskrunner_private.stay_awake($1, 'deliver')", id("r"))
	e.exec(readySQL)
	require.Equal(t, []string{"start"}, notified())
	e.ended("v", "y")
	require.NotContains(t, notified(), "deliver")
	e.exec("update taskrunner_private.replica set heartbeat_at = now() - interval '4 seconds'")
	e.exec(readySQL)
	require.Empty(t, notified())
	e.alive("r")
	e.exec(readySQL)
	require.Equal(t, []string{"start"}, notified(), "it is back")
	e.exec("select taskrunner_private.leave($1)", id("r"))
	e.exec(readySQL)
	require.Empty(t, notified())
}

// What somebody has locked is left out by a claim. It is told that it has not got all: nobody notifies it when the lock ends.
func TestLockedWorkIsHeld(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.alive("r")
	holder := e.session("holder")
	e.tasks("t", "u")
	holder.script("begin; " + "select from taskrunner.task where name = 't' for no key update")
	claim := "select task_id is not null, held from taskrunner_private.claim_tasks($1, 10, 30, '{}', '{}', true)"
	require.Equal(t, []string{"t|t"}, e.lines(claim, id("r")))
	require.Equal(t, []string{"f|t"}, e.lines(claim, id("r")))
	holder.script("rollback")
	require.Equal(t, []string{"t|f"}, e.lines(claim, id("r")))
	require.Empty(t, e.lines(claim, id("r")))

	e.ended("v", "x", "y")
	holder.script("begin; select from taskrunner_private.due_delivery order by delivery_id limit 1 for update")
	claim = "select delivery_id is not null, held from taskrunner_private.claim_deliveries($1, 10, 60, '-infinity', true)"
	require.Equal(t, []string{"t|t"}, e.lines(claim, id("r")))
	require.Equal(t, []string{"f|t"}, e.lines(claim, id("r")))
	holder.script("rollback")
	require.Equal(t, []string{"t|f"}, e.lines(claim, id("r")))
	require.Empty(t, e.lines(claim, id("r")))
}
