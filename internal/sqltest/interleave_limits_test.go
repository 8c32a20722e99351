package sqltest

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// wakeOnce does one chunk of the chore that gives freed slots away, and returns "<limits looked at>|<tasks made ready>".
const wakeOnce = "select looked_at, unparked from taskrunner_private.wake_limits(500)"

// held starts a task that takes the only slot of a limit, and inserts others that wait for it.
func (e *engine) held(first string, others ...string) {
	e.t.Helper()
	e.counted("k", []string{})
	e.ruled([]string{concurency(1, "k")}, first)
	require.Equal(e.t, []string{first}, e.all())
	e.ruled([]string{concurency(1, "k")}, others...)
}

func TestTheLastSlotAndTwoReplicas(t *testing.T) {
	t.Parallel()
	for end, want := range map[string][]string{commit: {}, rollback: {"a"}} {
		e := setup(t)
		e.counted("k", []string{})
		e.ruled([]string{concurency(1, "k")}, "a", "b")
		first, second := e.pair()
		first.script("begin")
		require.Equal(t, []string{"a"}, first.run(claimSQL("r", "5")))
		e.tasks("free")
		require.Equal(t, []string{"free"}, second.run(claimSQL("s", "5")), "waits for nobody, and leaves those with rules to the other")
		first.run(end)
		if end == rollback {
			e.move("free", "Success")
			e.wakes()
		}
		require.Equal(t, want, e.all())
		e.forgetsNobody()
	}
}

// One claim by SQL, not committed, and another for the same limit: the second waits and then knows.
func TestTheLastSlotAndTwoWorkers(t *testing.T) {
	t.Parallel()
	for end, want := range map[string]string{commit: "TR008", rollback: ""} {
		for name, rules := range map[string][2]string{
			"the same limit":     {concurency(1, "k"), concurency(1, "k")},
			"exclude each other": {concurency(1, "l"), concurency(1, "k")},
		} {
			t.Run(name+", "+end, func(t *testing.T) {
				t.Parallel()
				e := setup(t)
				e.counted("k", []string{})
				e.counted("l", []string{})
				e.exec(insertRuled("k", []string{rules[0]}, "a"))
				e.exec(insertRuled(map[bool]string{true: "l", false: "k"}[rules[0] != rules[1]], []string{rules[1]}, "b"))
				first, second := e.pair()
				first.script("begin; " + set("Claimed", "a"))
				waits := second.begins(set("Claimed", "b"))
				first.run(end)
				require.Equal(t, want, codeOf(ends(t, waits).err))
			})
		}
	}
}

// Somebody has claimed by SQL and thinks, while tasks of his limit end again and again: those of other limits, whose turn comes behind
// these ends, do not wait for him.
func TestEndsOfAHeldLimit(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.counted("k", []string{})
	e.counted("l", []string{})
	e.exec(insertRuled("k", []string{concurency(100, "k")}, "a", "b", "c", "d", "e", "f"))
	e.exec(set("Claimed", "b", "c", "d", "e", "f"))
	e.exec(insertRuled("l", []string{concurency(1, "l")}, "one", "two"))
	require.Equal(t, []string{"a", "one"}, e.all())
	e.exec(insertRuled("k", []string{concurency(100, "k")}, "mine"))
	holder := e.session("holder")
	holder.script("begin; " + set("Claimed", "mine"))
	for _, name := range []string{"b", "c", "d", "e", "f", "one"} {
		e.move(name, "Success")
	}
	for range 3 {
		e.exec("select taskrunner_private.wake_limits(3)")
	}
	e.queues("two: ready")
	require.Equal(t, "1", e.line("select count(*) from taskrunner_private.wake"), "one is enough to come back")
	holder.run(commit)
	e.wakes()
	e.forgetsNobody()
}

// Somebody has claimed by SQL and thinks: replicas go on without what needs that limit, and come back to it later.
func TestClaimBySQLLeftOpen(t *testing.T) {
	t.Parallel()
	for end, want := range map[string][]string{commit: {"c"}, rollback: {"a", "c"}} {
		e := setup(t)
		e.counted("k", []string{})
		e.ruled([]string{concurency(1, "k")}, "a", "b")
		e.ruled([]string{concurency(3, "l")}, "c")
		e.counted("l", []string{})
		first := e.session("first")
		first.script("begin; " + set("Claimed", "a"))
		e.tasks("free")
		require.Equal(t, []string{"free"}, e.claim("r", 1))
		require.Empty(t, e.all(), "c counts as one of the kind k, so its start has to wait as well")
		e.queues("b: scheduled", "c: scheduled")
		first.run(end)
		e.move("free", "Success")
		e.wakes()
		e.pausesOver()
		require.Equal(t, want, e.all())
		e.queues("b: parked")
	}
}

// A claim parks a task while the end that makes room is not committed, and the other way round.
func TestParkAndFree(t *testing.T) {
	t.Parallel()
	for end, want := range map[string][]string{commit: {"b"}, rollback: {}} {
		e := setup(t)
		e.held("a", "b")
		first, second := e.pair()
		first.script("begin; " + finishTask("a", "Success"))
		require.Empty(t, e.all())
		e.queues("b: parked")
		require.Equal(t, []string{"0|0"}, second.run(wakeOnce))
		first.run(end)
		e.wakes()
		require.Equal(t, want, e.all())
		e.forgetsNobody()
	}
	for end, want := range map[string]string{commit: "1|1", rollback: "1|0"} {
		e := setup(t)
		e.held("a", "b")
		first, second := e.pair()
		first.script("begin")
		first.run(claimSQL("r", "5"))
		e.exec(finishTask("a", "Success"))
		require.Equal(t, []string{"0|0"}, second.run(wakeOnce), "somebody decides about the limit, so its row stays")
		first.run(end)
		require.Equal(t, []string{want}, second.run(wakeOnce))
		require.Equal(t, []string{"b"}, e.all())
		e.forgetsNobody()
	}
}

// One looks at freed limits at a time. Whoever comes meanwhile waits for nobody, and what he has freed stays to be looked at.
func TestTwoThatWake(t *testing.T) {
	t.Parallel()
	for end, want := range map[string]string{commit: "1|1", rollback: "2|2"} {
		e := setup(t)
		e.held("a", "b")
		e.counted("l", []string{})
		e.exec(insertRuled("l", []string{concurency(1, "l")}, "one", "two"))
		require.Equal(t, []string{"one"}, e.all())
		first, second := e.pair()
		e.move("a", "Success")
		first.script("begin")
		require.Equal(t, []string{"1|1"}, first.run(wakeOnce))
		e.move("one", "Success")
		require.Equal(t, []string{"0|0"}, second.run(wakeOnce))
		require.Empty(t, e.all())
		first.run(end)
		require.Equal(t, []string{want}, second.run(wakeOnce))
		require.Equal(t, []string{"b", "two"}, e.all())
		e.forgetsNobody()
	}
}

// Room wakes a replica that has found none before, until it looks again: while it is at work nobody notifies it.
func TestRoomIsNotifiedToWhoWaitsForIt(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.held("a", "b", "c", "d")
	require.Empty(t, e.all(), "they are parked")
	e.wakes()
	notified := e.notifications()
	pulse := func() {
		e.exec("select * from taskrunner_private.tick($1, 'r', 'test', 10, false)", id("r"))
	}
	wake := func() string { return e.line("select * from taskrunner_private.wake_limits(500, $1)", id("r")) }

	e.move("a", "Success")
	require.Empty(t, notified(), "there is no replica")
	require.Equal(t, "1|1|f", wake())
	require.Equal(t, []string{"b"}, e.claim("s", 9))
	pulse()
	e.move("b", "Success")
	require.Equal(t, []string{"wake"}, notified(), "one that has come looks as soon as there is something")
	require.Equal(t, "1|1|f", wake())
	require.Equal(t, []string{"c"}, e.claim("s", 9))
	pulse()
	e.move("c", "Success")
	require.Empty(t, notified(), "it looks again anyway, and a pulse says nothing else")
	require.Equal(t, "1|1|f", wake())
	require.Equal(t, []string{"d"}, e.claim("s", 9))

	holder := e.session("holder")
	holder.script("begin; update taskrunner_private.replica set free_slots = 1")
	require.Equal(t, "0|0|f", wake(), "it waits for nobody")
	holder.run(commit)
	require.Equal(t, "0|0|t", wake())
	e.exec("update taskrunner_private.replica set idle_wake_at = now() - interval '1 minute'")
	pulse()
	e.move("d", "Success")
	require.Equal(t, []string{"wake"}, notified(), "pulses keep the stamp fresh")
	e.forgetsNobody()
}

// Who makes tasks ready starts as many as it has room for; others that sleep hear of more.
func TestOthersHearOfTasksThatAreTooMany(t *testing.T) {
	t.Parallel()
	for room, heard := range map[int][]string{0: {"start"}, 1: {"start"}, 2: nil} {
		e := setup(t)
		e.counted("k", []string{})
		e.ruled([]string{concurency(2, "k")}, "a", "b", "c", "d")
		require.Equal(t, []string{"a", "b"}, e.all())
		e.wakes()
		notified := e.notifications()
		e.move("a", "Success")
		e.move("b", "Success")
		e.alive("s")
		e.exec("select * from taskrunner_private.fall_asleep($1, 'start', null)", id("s"))
		require.Equal(t, "2|2|f", e.line("select * from taskrunner_private.wake_limits(500, $1, $2)", id("r"), room))
		require.Equal(t, heard, notified(), "%d", room)
		require.Equal(t, []string{"c", "d"}, e.all())
	}
}

// A parked task is to be released while it is being canceled; and a released one, before a claim has decided it.
func TestReleaseAndCancel(t *testing.T) {
	t.Parallel()
	for end, want := range map[string][]string{commit: {"c"}, rollback: {"b"}} {
		for _, what := range []string{call("cancel_task", "b"), call("pause_task", "b"),
			"update taskrunner.task set run_at = now() + interval '1 day' where id = '" + id("b") + "'"} {
			e := setup(t)
			e.held("a", "b")
			require.Empty(t, e.all())
			first, second := e.pair()
			first.script("begin; " + what)
			e.exec(finishTask("a", "Success"))
			require.Equal(t, []string{"1|0"}, second.run(wakeOnce), "b is the only one, and held by somebody")
			require.Empty(t, e.all())
			first.run(end)
			require.Equal(t, map[string][]string{commit: {"1|0"}, rollback: {"1|1"}}[end], second.run(wakeOnce))
			require.Equal(t, map[string][]string{commit: {}, rollback: {"b"}}[end], e.all(), what)
			e.forgetsNobody()

			// Somebody holds the best one for long: the next best goes, and the best comes back.
			e = setup(t)
			e.held("a", "b", "c", "d")
			require.Empty(t, e.all())
			first, second = e.pair()
			first.script("begin; " + what)
			for _, turn := range [][2]string{{"a", "c"}, {"c", "d"}} {
				e.exec(finishTask(turn[0], "Success"))
				require.Equal(t, []string{"1|1"}, second.run(wakeOnce), "b is the best, and held by somebody")
				require.Equal(t, []string{turn[1]}, e.all())
				require.Equal(t, "1", e.line("select count(*) from taskrunner_private.wake"), "for b")
				second.run(wakeOnce)
				require.Equal(t, "0", e.line("select count(*) from taskrunner_private.wake"), "there is no room for it")
			}
			e.exec(finishTask("d", "Success"))
			require.Equal(t, []string{"1|0"}, second.run(wakeOnce))
			first.run(end)
			e.wakes()
			require.Equal(t, map[string][]string{commit: {}, rollback: {"b"}}[end], e.all(), what)
			e.forgetsNobody()

			e = setup(t)
			e.held("a", "b", "c")
			require.Empty(t, e.all())
			e.exec(finishTask("a", "Success"))
			e.wakes()
			e.queues("b: ready", "c: parked")
			first, second = e.pair()
			first.script("begin; " + what)
			require.Equal(t, []string{"0|0"}, second.run(wakeOnce))
			require.Empty(t, e.all())
			first.run(end)
			e.wakes()
			require.Equal(t, want, e.all(), what)
			e.forgetsNobody()
		}
	}
}

// A task is being released while somebody changes it: he learns only afterwards that the limit has to go on to the next.
func TestChangeOfATaskThatIsBeingReleased(t *testing.T) {
	t.Parallel()
	for _, end := range []string{commit, rollback} {
		for _, what := range []string{
			"update taskrunner.task set run_at = now() + interval '1 day' where id = '" + id("b") + "'",
			"update taskrunner.task set rules = '[" + capacity(1, "k") + "]', expected_count = null where id = '" + id("b") + "'",
			call("pause_task", "b"), call("cancel_task", "b"),
		} {
			e := setup(t)
			e.held("a", "b", "c")
			require.Empty(t, e.all())
			e.exec(finishTask("a", "Success"))
			first, second := e.pair()
			first.script("begin")
			require.Equal(t, []string{"1|1"}, first.run(wakeOnce))
			waits := second.begins(what)
			first.run(end)
			e.requireEnds(waits)
			e.wakes()
			require.Equal(t, []string{"c"}, e.all(), "%s, %s", what, end)
			e.forgetsNobody()
		}
	}
}

const registerShape = "select taskrunner_private.register_shape()"

// A shape is used for the first time while a task of the kind starts, ends, moves, or is held by somebody.
func TestFirstUseAgainst(t *testing.T) {
	t.Parallel()
	for end := range map[string]bool{commit: true, rollback: true} {
		for name, what := range map[string]string{
			"a claim":          claimSQL("r", "5"),
			"a claim by SQL":   set("Claimed", "u"),
			"an end":           set("Success", "v"),
			"a reported end":   finishTask("v", "Success"),
			"a cancel":         call("cancel_task", "v"),
			"a move":           `update taskrunner.task set metadata = '{"p": 1}' where id = '` + id("v") + "'",
			"a pause":          call("pause_task", "v"),
			"progress":         "select taskrunner.add_progress('" + id("v") + "', 1, 0)",
			"a reader's lock":  "select from taskrunner.task where id = '" + id("v") + "' for share",
			"two at once":      set("Claimed", "u") + "; " + set("Success", "v"),
			"a claim and more": claimSQL("r", "5") + "; " + set("Success", "u"),
		} {
			t.Run(name+", "+end, func(t *testing.T) {
				t.Parallel()
				e := setup(t)
				e.exec(`insert into taskrunner.task (id, name, kind, metadata) values ($1, 'v', 'k', '{"p": 2}')`, id("v"))
				require.Equal(t, []string{"v"}, e.all())
				e.exec(`insert into taskrunner.task (id, name, kind, metadata) values ($1, 'u', 'k', '{"p": 1}')`, id("u"))
				first, second := e.pair()
				first.script("begin; " + what)
				e.exec("insert into taskrunner.task (id, name, kind) values ($1, 'elsewhere', 'l')", id("elsewhere"))
				e.exec(insertRuled("m", []string{concurency(1, "k", "p")}, `ruled {"p": 1}`))
				require.Equal(t, []string{"f"}, second.run(registerShape), "gives up in time")
				require.Equal(t, "1", e.line("select tries from taskrunner_private.shape_request"))
				require.Contains(t, e.all(), "elsewhere", "nobody else waits")
				first.run(end)
				e.exec("update taskrunner_private.shape_request set next_at = now()")
				require.Equal(t, []string{"t"}, second.run(registerShape))
				// The slots are what check_invariants wants (setup); and the rule holds.
				e.pausesOver()
				got := e.all()
				count := e.line(`select count(*) from taskrunner.task where kind = 'k' and metadata = '{"p": 1}' and status in ('Claimed', 'Running', 'Paused')`)
				if count == "0" {
					require.Contains(t, got, "ruled")
				} else {
					require.NotContains(t, got, "ruled")
				}
			})
		}
	}
}

// While a shape is about to be counted, tasks of its kind are put off, with rules and without; all others start.
func TestClaimWhileAShapeBegins(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.counted("k", []string{})
	e.tasks("plain")
	e.ruled([]string{concurency(5, "k")}, "ruled")
	e.exec("insert into taskrunner.task (id, name, kind) values ($1, 'other', 'l')", id("other"))
	e.exec(insertRuled("l", []string{concurency(5, "k")}, "otherRuled"))
	first := e.session("first")
	first.script("begin; select pg_advisory_xact_lock(1414681419, hashtext('k') & 255)")
	require.Equal(t, []string{"other", "otherRuled"}, e.all())
	e.queues("plain: scheduled", "ruled: scheduled")
	e.fails("TR008", set("Claimed", "ruled"))
	first.run(commit)
	e.pausesOver()
	require.Equal(t, []string{"plain", "ruled"}, e.all())
}

const dropShape = "select taskrunner_private.drop_shape()"

// unused lets hours pass in which no rules were decided.
func (e *engine) unused() {
	e.t.Helper()
	e.exec("update taskrunner_private.limit_shape set used_at = now() - interval '2 hours'")
}

// A shape that nobody has used for an hour is not counted any more, unless somebody waits for one of its limits; and is again when
// it is needed.
func TestUnusedShapesAreDropped(t *testing.T) {
	t.Parallel()
	e := setup(t)
	shapes := "select kind from taskrunner_private.limit_shape order by kind"
	e.counted("other", []string{"p"})
	e.held("a", "b")
	require.Empty(t, e.all())
	require.Equal(t, "", e.line("select coalesce(taskrunner_private.drop_shape()::text, '')"), "in use")
	e.unused()
	for range 2 {
		e.line(dropShape)
	}
	require.Equal(t, []string{"k"}, e.lines(shapes), "b waits for it")
	require.Equal(t, "", e.line("select coalesce(taskrunner_private.drop_shape()::text, '')"), "it will be looked at again in an hour")

	e.move("a", "Success")
	e.wakes()
	require.Equal(t, []string{"b"}, e.all())
	e.unused()
	require.Equal(t, "f", e.line(dropShape))
	e.line("select taskrunner_private.delete_gates(100)")
	e.ruled([]string{concurency(1, "k")}, "c") // asks for nothing: it is counted
	e.unused()
	require.Equal(t, "t", e.line(dropShape))
	require.Empty(t, e.lines(shapes))
	require.Equal(t, "0", e.line("select count(*) from taskrunner_private.slot"))
	require.Empty(t, e.all(), "c asks for it now")
	e.wakes()
	require.Equal(t, []string{"k"}, e.lines(shapes))
	e.pausesOver()
	require.Empty(t, e.all(), "b counts again")
	e.move("b", "Success")
	e.wakes()
	require.Equal(t, []string{"c"}, e.all())
	e.unused()
	e.move("c", "Running")
	require.Equal(t, "f", e.line(dropShape), "the gate of c")
}

// While a shape is to be dropped somebody decides by it, or holds a task of its kind: then it stays, and nobody waits for long.
func TestDropAgainst(t *testing.T) {
	t.Parallel()
	for _, end := range []string{commit, rollback} {
		for name, what := range map[string]string{
			"a claim":                     claimSQL("r", "5"),
			"a claim by SQL":              set("Claimed", "elsewhere"),
			"a claim by SQL of that kind": set("Claimed", "u"),
			"a move":                      `update taskrunner.task set metadata = '{"p": 2}' where id = '` + id("v") + "'",
			"an end":                      set("Success", "v"),
		} {
			t.Run(name+", "+end, func(t *testing.T) {
				t.Parallel()
				e := setup(t)
				e.counted("k", []string{"p"})
				e.exec(`insert into taskrunner.task (id, name, kind, metadata) values ($1, 'v', 'k', '{"p": 1}')`, id("v"))
				require.Equal(t, []string{"v"}, e.all())
				e.exec(insertRuled("m", []string{concurency(2, "k", "p")}, `elsewhere {"p": 1}`))
				e.exec(`insert into taskrunner.task (id, name, kind, metadata) values ($1, 'u', 'k', '{"p": 1}')`, id("u"))
				e.unused()
				first, second := e.pair()
				first.script("begin; " + what)
				require.NotEqual(t, []string{"t"}, second.run(dropShape), "in use, or gives up in time")
				first.run(end)
				require.Equal(t, "1", e.line("select count(*) from taskrunner_private.limit_shape"))
				e.unused()
				require.Equal(t, []string{"t"}, second.run(dropShape))
			})
		}
	}
	// The other way round: a decision waits until it is dropped, and asks for it again.
	e := setup(t)
	e.counted("k", []string{"p"})
	e.exec(insertRuled("m", []string{concurency(1, "k", "p")}, `elsewhere {"p": 1}`))
	e.unused()
	first, second := e.pair()
	first.script("begin; " + dropShape)
	waits := second.begins(claimSQL("r", "5"))
	first.run(commit)
	require.Empty(t, e.requireEnds(waits))
	e.wakes()
	e.pausesOver()
	require.Equal(t, []string{"elsewhere"}, e.all())
}

func TestRulesAndClaim(t *testing.T) {
	t.Parallel()
	free := "update taskrunner.task set rules = '[]' where id = '" + id("b") + "'"
	for end, want := range map[string][]string{commit: {"b"}, rollback: {}} {
		e := setup(t)
		e.held("a", "b")
		first, second := e.pair()
		first.script("begin; " + free)
		require.Empty(t, second.run(claimSQL("r", "5")), "held by somebody")
		e.queues("b: ready")
		first.run(end)
		require.Equal(t, want, e.all())

		e = setup(t)
		e.held("a", "b")
		first, second = e.pair()
		first.script("begin")
		require.Empty(t, first.run("select t.name from taskrunner_private.claim_tasks('"+id("r")+"', 5, 30, '{}', '{}', true) c join taskrunner.task t on t.id = c.task_id"))
		waits := second.begins(free)
		first.run(end)
		e.requireEnds(waits)
		require.Equal(t, []string{"b"}, e.all())
		e.forgetsNobody()
	}
}

// A pause while on_start is open keeps the slot until the answer is there (contract 6.5).
func TestPauseAndAnswer(t *testing.T) {
	t.Parallel()
	for _, pauseFirst := range []bool{true, false} {
		for _, tries := range []string{"start_tasks", "fail_starts"} {
			e := setup(t)
			e.counted("k", []string{})
			e.ruled([]string{concurency(1, "k")}, "a")
			e.action("a", "Start", "start")
			require.Equal(t, []string{"a"}, e.all())
			e.ruled([]string{concurency(1, "k")}, "b")
			require.Empty(t, e.all())
			answer := `select * from taskrunner_private.start_tasks(jsonb_build_array(jsonb_build_object('task_id', '` + id("a") + `', 'attempt', 1, 'at', now(), 'latency_ms', 1, 'status_code', 200)))`
			if tries == "fail_starts" {
				answer = `select * from taskrunner_private.fail_starts('` + id("r") + `', (select jsonb_agg(jsonb_build_object('task_id', task_id, 'attempt', 1, 'claimed_at', claimed_at, 'at', now(), 'latency_ms', 1,
					'status_code', 500, 'error', '500', 'permanent', false)) from taskrunner_private.active_task where task_id = '` + id("a") + `'), 1000)`
			}
			first, second := e.pair()
			steps := []string{call("pause_task", "a"), answer}
			if !pauseFirst {
				steps = []string{answer, call("pause_task", "a")}
			}
			first.script("begin; " + steps[0])
			waits := second.begins(steps[1])
			first.run(commit)
			e.requireEnds(waits)
			e.wakes()
			if tries == "start_tasks" {
				e.requireStates("a: Paused 0/0 from Running")
				require.Empty(t, e.all())
			} else {
				e.requireStates("a: Paused 0/0 from Pending")
				require.Equal(t, []string{"b"}, e.all())
			}
			e.forgetsNobody()
		}
	}
}

func TestStopAndClaim(t *testing.T) {
	t.Parallel()
	for end := range map[string]bool{commit: true, rollback: true} {
		e := setup(t)
		e.counted("k", []string{})
		e.batch("x", "a", "b", "c")
		e.exec("update taskrunner.task set rules = $1 where kind = 'k'", "["+concurency(1, "k")+"]")
		e.ruled([]string{concurency(1, "k")}, "other")
		first, second := e.pair()
		first.script("begin")
		require.Equal(t, []string{"a"}, first.run(claimSQL("r", "2")))
		waits := second.begins(call("stop_batch", "x"))
		first.run(end)
		e.requireEnds(waits)
		e.requireStates("a: Canceled 0/0", "b: Canceled 0/0", "c: Canceled 0/0")
		e.wakes()
		require.Equal(t, []string{"other"}, e.all())

		e = setup(t)
		e.counted("k", []string{})
		e.batch("x", "a", "b")
		e.exec("update taskrunner.task set rules = $1 where kind = 'k'", "["+concurency(1, "k")+"]")
		require.Equal(t, []string{"a"}, e.claim("r", 5))
		first, second = e.pair()
		first.script("begin; " + call("stop_batch", "x"))
		require.Empty(t, second.run(claimSQL("r", "5")))
		first.run(end)
		e.wakes()
		require.Empty(t, e.all())
	}
}
