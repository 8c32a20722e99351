package sqltest

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A link may be added while its child has not been started, whatever its parent does.
func TestLinkNeedsAChildBeforeItsFirstStart(t *testing.T) {
	t.Parallel()
	for _, from := range states {
		t.Run(from.name, func(t *testing.T) {
			t.Parallel()
			e := setup(t)
			from.prepare(e)
			e.tasks("parent", "done")
			e.move("done", "Claimed", "Success")
			may := strings.HasPrefix(from.name, "waiting") || from.name == "pending" ||
				strings.HasPrefix(from.name, "paused from waiting") || from.name == "paused from pending" || from.name == "paused from pending, linked"
			for _, sql := range []string{insertLinks("parent>t"), insertLinks("parent?t"), insertLinks("done>t")} {
				s := e.session("producer")
				s.script("begin")
				_, err := s.try(sql)
				if may {
					require.NoError(t, err)
					require.Empty(t, s.run("select * from taskrunner.check_invariants()"))
				} else {
					require.Equal(t, from.status, requireCode(t, err, "TR001").Detail)
				}
				s.script("rollback")
			}
		})
	}
}

// A parent in any state is counted at once.
func TestLinkCountsItsParentAtOnce(t *testing.T) {
	t.Parallel()
	for _, from := range states {
		t.Run(from.name, func(t *testing.T) {
			t.Parallel()
			e := setup(t)
			from.prepare(e) // the parent is called t
			e.tasks("required", "optional", "held", "below")
			e.links("required?below")
			e.move("held", "Paused")
			e.links("t>required", "t>held")
			e.links("t?optional")
			switch from.status {
			case "Success":
				e.requireStates("required: Pending 0/0", "optional: Pending 0/0", "held: Paused 0/0 from Pending", "below: Waiting 1/0")
			case "Failure", "Canceled":
				e.requireStates("required: Failure 0/0", "optional: Pending 0/0", "held: Failure 0/0", "below: Pending 0/0")
				require.Equal(t, failed("t"), e.reason("required"))
				require.Equal(t, failed("t"), e.reason("held"))
			default:
				e.requireStates("required: Waiting 1/1", "optional: Waiting 1/0", "held: Paused 1/1 from Waiting", "below: Waiting 1/0")
			}
			require.Equal(t, "3", e.line("select count(*) from taskrunner.link where parent_id = $1", id("t")), "the row is stored all the same")
			require.Equal(t, "0", e.line("select count(*) from taskrunner_private.queued_task q join taskrunner.task t on t.id = q.task_id where t.status = 'Waiting' and q.state <> 'waiting'"))
		})
	}
}

// A child that a new link fails takes along what depends on it, in other batches too, with their on_failure.
func TestLinkToFailedParentCascades(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.batch("b1", "failed", "early", "unended")
	e.batch("b2", "child", "grandchild", "optional")
	e.batch("b3", "far")
	e.links("child>grandchild", "grandchild>far", "child?optional")
	for _, task := range []string{"child", "grandchild", "far", "optional"} {
		e.action(task, "Failure", task)
		e.action(task, "Cancel", "cancel-"+task)
	}
	e.move("failed", "Canceled")
	e.move("early", "Claimed", "Failure")
	e.links("unended>child", "failed>child", "early>child")
	e.requireStates("child: Failure 1/1", "grandchild: Failure 1/1", "far: Failure 1/1", "optional: Pending 0/0")
	require.Equal(t, failed("failed"), e.reason("child"), "the one inserted first")
	require.Equal(t, failed("child"), e.reason("grandchild"))
	require.Equal(t, failed("grandchild"), e.reason("far"))
	require.Equal(t, []string{"child", "far", "grandchild"}, e.lines("select substr(url, 27) from taskrunner.delivery order by 1"))

	// Parent and child of one statement: the child of the child that fails is counted down, not left waiting.
	e.tasks("a", "b", "c")
	e.links("failed>a", "a?b", "a>c", "b?c")
	e.requireStates("a: Failure 0/0", "b: Pending 0/0", "c: Failure 2/1")
}

func TestCycles(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.tasks("a", "b", "c", "x")
	cycle := func(sql string, names ...string) {
		t.Helper()
		pgErr := e.fails("TR003", sql)
		var details []string
		require.NoError(t, json.Unmarshal([]byte(pgErr.Detail), &details), pgErr.Detail)
		for _, name := range names {
			require.Contains(t, pgErr.Message, id(name))
		}
	}
	cycle(insertLinks("a>a"), "a")
	e.links("a>b", "b?c")
	cycle(insertLinks("b>a"), "a", "b")
	cycle(insertLinks("c?a"), "a", "b", "c")
	cycle(insertLinks("c>x", "x>a"), "a", "b", "c", "x")
	cycle(insertTasks("n")+"; "+insertLinks("c>n", "n>b"), "n", "b", "c")
	cycle(insertTasks("m", "n")+"; "+insertLinks("m>n", "n>m"), "m", "n")
	cycle(insertTasks("m")+"; "+insertLinks("m>m"), "m")
	e.requireStates("a: Pending 0/0", "b: Waiting 1/1", "c: Waiting 1/0", "x: Pending 0/0")

	// Through ended tasks too: the whole graph is acyclic.
	e.move("a", "Claimed", "Success")
	cycle(insertLinks("c>a"), "a", "b", "c")
	// Links that do not rise put the graph in order.
	e.links("x>b")
	e.requireStates("b: Waiting 1/1", "c: Waiting 1/0")
	e.tasks("late")
	e.links("late?x")
	cycle(insertLinks("c>late"), "c", "late", "x", "b")
	e.requireStates("x: Waiting 1/0", "late: Pending 0/0")
	// A link twice is no cycle and no count.
	e.fails("23505", insertLinks("late>x"))
	e.exec(insertLinks("late>x") + " on conflict do nothing")
	e.requireStates("x: Waiting 1/0")
	e.fails("TR001", insertLinks("late>x")+" on conflict (parent_id, child_id) do update set requires_success = true")
	e.fails("23503", insertLinks("late>nobody"))
	e.fails("23503", insertLinks("nobody>late"))
}

// Graphs are put in any order: by one statement, by many, under savepoints, after links to older tasks.
func TestGraphsInAnyOrder(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.tasks("old 1", "old 2")
	for i, script := range []string{
		insertTasks("{c}", "{b}", "{a}") + ";" + insertLinks("{a}>{b}", "{b}>{c}"),
		insertTasks("{c}") + ";" + insertTasks("{b}") + ";" + insertTasks("{a}") + ";" + insertLinks("{b}>{c}") + ";" + insertLinks("{a}>{b}"),
		"savepoint s;" + insertTasks("{c}", "{b}", "{a}") + "; release s;" + insertLinks("{a}>{b}") + ";" + insertLinks("{b}>{c}"),
		"savepoint s;" + insertTasks("{c}", "{b}", "{a}") + "; release s; savepoint r;" + insertLinks("old 1?old 2") + "; rollback to r;" + insertLinks("{a}>{b}", "{b}>{c}"),
		insertTasks("{c}", "{b}", "{a}", "{d}") + ";" + insertLinks("old 1>{d}") + ";" + insertLinks("{a}>{b}") + ";" + insertLinks("{b}>{c}"),
		"savepoint s;" + insertTasks("{c}", "{b}", "{a}", "{d}") + "; release s;" + insertLinks("old 1>{d}") + ";" + insertLinks("{a}>{b}") + ";" + insertLinks("{b}>{c}"),
	} {
		var pairs []string
		for _, name := range []string{"a", "b", "c", "d"} {
			pairs = append(pairs, "'{"+name+"}'", fmt.Sprintf("'%s%d'", name, i), id("{"+name+"}"), id(fmt.Sprint(name, i)))
		}
		s := e.session("producer")
		s.script("begin;" + strings.NewReplacer(pairs...).Replace(script) + "; commit")
		e.requireStates(fmt.Sprintf("a%d: Pending 0/0", i), fmt.Sprintf("b%d: Waiting 1/1", i), fmt.Sprintf("c%d: Waiting 1/1", i))
	}
}

// Data-modifying parts of one statement end in an order of their own, and the engine holds whichever it is.
func TestOneStatement(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.tasks("failed")
	e.move("failed", "Canceled")
	for i, parts := range [][]string{
		{insertTasks("p", "c", "dead"), insertLinks("p>c", "failed>dead"), insertAction("c", "Start", "x")},
		{insertLinks("p>c", "failed>dead"), insertTasks("p", "c", "dead"), insertAction("c", "Start", "x")},
		{insertAction("c", "Start", "x"), insertLinks("p>c", "failed>dead"), insertTasks("p", "c", "dead")},
		{insertAction("c", "Start", "x"), insertTasks("p", "c", "dead"), insertLinks("p>c", "failed>dead")},
	} {
		s := e.session("producer")
		s.script(fmt.Sprintf("begin; with one as (%s), two as (%s), three as (%s) select 1", parts[0], parts[1], parts[2]))
		require.Empty(t, s.run("select * from taskrunner.check_invariants()"), i)
		require.Equal(t, []string{"c|Waiting|waiting|hooks.example.com", "dead|Failure||", "p|Pending|ready|"}, s.run(`
			select t.name, t.status, q.state, q.host from taskrunner.task t left join taskrunner_private.queued_task q on q.task_id = t.id
			where t.name <> 'failed' order by t.name`), i)
		s.script("rollback")
	}

	// A parent that ends in the statement that links it: refused, or counted exactly.
	e.tasks("p", "q", "c", "optional")
	e.links("q>c", "q>optional")
	e.move("p", "Claimed")
	for _, sql := range []string{
		"with u as (" + set("Success", "p") + ") " + insertLinks("p>c"),
		"with l as (" + insertLinks("p>c") + ") " + set("Success", "p"),
		"with l as (" + insertLinks("p>c") + " returning 1) select (taskrunner.finish_task('" + id("p") + "', 'Success')).status from l",
		"with u as (" + set("Failure", "p") + ") " + insertLinks("p?optional"),
		"with u as (" + set("Failure", "p") + ") " + insertLinks("p>c"),
	} {
		s := e.session("producer")
		s.script("begin")
		if _, err := s.try(sql); err != nil {
			requireCode(t, err, "TR001", sql)
		} else {
			require.Empty(t, s.run("select * from taskrunner.check_invariants()"), sql)
		}
		s.script("rollback")
	}
	// The same in two statements is nothing special, nor is a parent that ended long ago and gets another rank.
	e.move("p", "Success")
	e.links("p>c")
	e.requireStates("c: Waiting 1/1")
	e.tasks("ended late", "higher")
	e.move("ended late", "Claimed", "Success")
	e.links("ended late>c", "higher?c")
	e.requireStates("c: Waiting 2/1")
}

// Actions may be added while a task has not ended, or in the transaction that created it.
func TestActionNeedsATaskThatHasNotEnded(t *testing.T) {
	t.Parallel()
	for _, from := range states {
		t.Run(from.name, func(t *testing.T) {
			t.Parallel()
			e := setup(t)
			from.prepare(e)
			for _, trigger := range []string{"Cancel", "Success", "Failure"} {
				err := e.tryExec(insertAction("t", trigger, "x"))
				if from.may != nil {
					require.NoError(t, err)
				} else {
					require.Equal(t, from.status, requireCode(t, err, "TR001", trigger).Detail)
				}
			}
		})
	}
}

func TestActions(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.tasks("t", "held", "failed")
	e.action("t", "Start", "x")
	e.fails("23505", insertAction("t", "Start", "y"))
	e.fails("23503", insertAction("nobody", "Start", "y"))
	require.Equal(t, "hooks.example.com", e.line("select host from taskrunner_private.queued_task where task_id = $1", id("t")))
	e.exec(`insert into taskrunner.action (task_id, trigger, params) values ($1, 'Start', '{"url": "https://U:p@Jobs.Example.com:8443/x?y", "verb": "Get"}')`, id("held"))
	require.Equal(t, "jobs.example.com:8443", e.line("select host from taskrunner_private.queued_task where task_id = $1", id("held")))

	// Created as Failure: its on_failure is delivered at once, also when it comes after the link, in any statement of the
	// transaction; one that comes too late is refused.
	e.move("failed", "Canceled")
	s := e.session("producer")
	s.script("begin;" + insertTasks("dead") + ";" + insertAction("dead", "Failure", "1") + ";" + insertLinks("failed>dead") + ";" +
		insertAction("dead", "Failure", "2") + ";" + insertAction("dead", "Success", "never") + ";" + insertAction("dead", "Cancel", "never") + ";" +
		strings.Replace(strings.Replace(insertAction("dead", "Failure", "3"), "params)", "params, position)", 1), "}')", "}', -7)", 1) + ";" +
		insertAction("dead", "Start", "never") + "; commit")
	require.Equal(t, []string{"end:failure 1 Pending", "end:failure:2 2 Pending", "end:failure:3 3 Pending"}, e.deliveries("dead"))
	requireCode(t, e.tryExec(insertAction("dead", "Failure", "4")), "TR001")
	require.Equal(t, "3|3", e.line("select count(*), count(distinct delivery_id) from taskrunner_private.due_delivery"))
}

// No link is left without its child, which no foreign key watches over: also where the child and the link come or go in one
// statement or transaction, in any isolation level.
func TestLinkNeedsItsChild(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.batch("b", "p", "c", "done")
	e.move("done", "Canceled")
	gone := "delete from taskrunner.task where id = '" + id("done") + "'"
	linked := func() string { return e.line("select count(*) from taskrunner.link") }
	for _, isolation := range []string{"read committed", "repeatable read", "serializable"} {
		s := e.session("admin")
		for _, sql := range []string{
			insertLinks("done>nobody"),
			insertLinks("p>nobody"),
			insertLinks("p>c", "p>nobody"),
			insertTasks("n") + "; " + insertLinks("n>nobody"),
			"savepoint s; " + insertTasks("n") + "; rollback to s; " + insertLinks("done>n"),
			"with gone as (" + gone + ") " + insertLinks("p>done"),
			gone + "; " + insertLinks("p>done"),
		} {
			_, err := s.PgConn().Exec(t.Context(), "begin isolation level "+isolation+"; "+sql+"; commit").ReadAll()
			s.script("rollback")
			if code := codeOf(err); code != "TR009" || isolation == "read committed" { // a link to what existed
				requireCode(t, err, "23503", isolation, sql)
			}
		}
		s.script("begin isolation level " + isolation + "; with n as (" + insertTasks("m", "n") + ") " + insertLinks("m?n") + "; commit")
		require.Equal(t, "1", linked())
		s.script(set("Canceled", "m") + "; " + set("Canceled", "n"))
		s.script("begin isolation level " + isolation + "; delete from taskrunner.task where id = '" + id("n") + "'; commit")
		require.Equal(t, "0", linked())
		s.run("delete from taskrunner.task where id = $1", id("m"))
	}
	pgErr := e.fails("23503", insertLinks("p>nobody"))
	require.Equal(t, []string{"taskrunner", "link", "link_child_id_fkey"}, []string{pgErr.SchemaName, pgErr.TableName, pgErr.ConstraintName})
}

// Tasks count as created with dependencies when they have some: no list is as good as an empty one, beside links to existing tasks too.
func TestLinkedIsWhatHasDependencies(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.tasks("p")
	request := func(b string) string {
		entry := func(id, dependencies string) string {
			return `{"id": "` + id + `", "name": "` + id + `", "kind": "k", "dependencies": ` + dependencies + `,
				"on_start": {"kind": "Webhook", "params": {"url": "https://a.example", "verb": "Post"}}}`
		}
		return "[" + entry("a", b) + "," + entry("b", "null") + "," + entry("c", "[]") + "]"
	}
	for dependencies, want := range map[string]string{
		"null": "", `[{"id": "b", "requires_success": false}]`: `["", "linked", "", 1]`,
		`[{"task_id": "` + id("p") + `", "requires_success": true}]`: `["", "linked", "", 1]`,
	} {
		counts := e.line("select counts from taskrunner_private.submit(taskrunner.uuidv7(), $1)", request(dependencies))
		require.Equal(t, want, strings.Join(regexp.MustCompile(`\["", "linked".*\]`).FindAllString(counts, -1), ""), dependencies)
	}
}
