package sqltest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// takeKey takes key "k" of a token for the batch of this name; its body is another text.
func takeKey(token, body, batch string) string {
	return fmt.Sprintf(`select taken, batch_id, status from taskrunner_private.take_idempotency_key('%s', 'k', sha256('%s'), '%s', 3600)`,
		token, body, id(batch))
}

func taken(batch string) []string { return []string{"t|" + id(batch) + "|201"} }
func held(batch, status string) []string {
	return []string{"f|" + id(batch) + "|" + status}
}

func TestRequestKeys(t *testing.T) {
	t.Parallel()
	e := setup(t)
	require.Equal(t, taken("b1"), e.lines(takeKey("ci", "x", "b1")))
	require.Equal(t, held("b1", "201"), e.lines(takeKey("ci", "x", "b2")))
	require.Equal(t, held("b1", "201"), e.lines(takeKey("ci", "y", "b2")), "who has it tells by the hash what he stands for")
	require.Equal(t, taken("b3"), e.lines(takeKey("", "x", "b3")), "keys of another token name are others")
	e.exec("select taskrunner_private.note_nothing_created('ci', 'k')")
	require.Equal(t, held("b1", "204"), e.lines(takeKey("ci", "x", "b2")))
	require.Equal(t, held("b3", "201"), e.lines(takeKey("", "x", "b2")))
	e.exec("update taskrunner_private.idempotency_key set created_at = now() - interval '3601 seconds' where token_name = 'ci'")
	require.Equal(t, taken("b4"), e.lines(takeKey("ci", "z", "b4")))
	require.Equal(t, "201", e.line("select status from taskrunner_private.idempotency_key where body_hash = sha256('z')"))
}

// The second waits for the outcome of the first: its commit, its rollback, or the loss of its connection.
func TestRequestKeyWaits(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		end  func(first *session)
		want []string
	}{
		"commit":   {func(first *session) { first.run(commit) }, held("b1", "201")},
		"rollback": {func(first *session) { first.run(rollback) }, taken("b2")},
		"killed":   {func(first *session) { first.e.exec("select pg_terminate_backend($1, 10000)", first.pid) }, taken("b2")},
	} {
		for _, expired := range []bool{false, true} {
			t.Run(fmt.Sprint(name, " expired=", expired), func(t *testing.T) {
				t.Parallel()
				e := setup(t)
				if expired {
					e.exec(takeKey("", "old", "b0"))
					e.exec("update taskrunner_private.idempotency_key set created_at = now() - interval '2 hours'")
				}
				first, second := e.pair()
				first.script("begin; " + takeKey("", "x", "b1"))
				waits := second.begins(takeKey("", "x", "b2"))
				tc.end(first)
				require.Equal(t, tc.want, e.requireEnds(waits))
				require.Equal(t, "1", e.line("select count(*) from taskrunner_private.idempotency_key"))
			})
		}
	}
}

// Several find the same expired key while the chore removes it: one of them gets it.
func TestExpiredRequestKeyIsTakenOnce(t *testing.T) {
	t.Parallel()
	for _, removed := range []bool{true, false} {
		e := setup(t)
		e.exec(takeKey("", "old", "b0"))
		e.exec("update taskrunner_private.idempotency_key set created_at = now() - interval '2 hours'")
		chore := e.session("chore")
		chore.script("begin")
		require.Equal(t, []string{"1"}, chore.run("select taskrunner_private.delete_idempotency_keys(10, 3600)"))
		first, second, third := e.session("first"), e.session("second"), e.session("third")
		one, two := first.begins(takeKey("", "x", "b1")), second.begins(takeKey("", "x", "b2"))
		three := third.begins(takeKey("", "x", "b3"))
		if removed {
			chore.run(commit)
		} else {
			chore.run(rollback)
		}
		answers := []string{}
		for _, waits := range []<-chan answer{one, two, three} {
			answers = append(answers, e.requireEnds(waits)...)
		}
		winner := e.line("select batch_id from taskrunner_private.idempotency_key")
		require.ElementsMatch(t, []string{"t|" + winner + "|201", "f|" + winner + "|201", "f|" + winner + "|201"}, answers)
	}
}

// The chore removes what has expired, oldest first and so many at a time, and steps around what somebody takes anew.
func TestDeleteIdempotencyKeys(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.exec(`insert into taskrunner_private.idempotency_key (token_name, key, batch_id, body_hash, created_at)
		select 'ci', n, gen_random_uuid(), sha256('x'), now() - make_interval(mins => n) from generate_series(50, 69) n`)
	remove := "select taskrunner_private.delete_idempotency_keys($1, 3600)"
	keys := func() string {
		return e.line("select string_agg(key, ' ' order by key) from taskrunner_private.idempotency_key")
	}
	require.Equal(t, "3", e.line(remove, 3))
	require.Equal(t, "50 51 52 53 54 55 56 57 58 59 60 61 62 63 64 65 66", keys())
	taker := e.session("taker")
	taker.script("begin; " + strings.Replace(takeKey("ci", "x", "b1"), "'k'", "'65'", 1))
	require.Equal(t, "6", e.line(remove, 100))
	require.Equal(t, "50 51 52 53 54 55 56 57 58 59 65", keys())
	taker.run(commit)
	require.Equal(t, "0", e.line(remove, 100))

	// The pulse hands it out when there are keys at all, once a minute.
	tick := "select due_chores from taskrunner_private.tick($1, 'r', 'test', 10, false)"
	require.Equal(t, "{delete_idempotency_keys}", e.line(tick, id("r")))
	require.Equal(t, "{}", e.line(tick, id("r")))
	require.Equal(t, "t", e.line("select next_at > now() + interval '50 seconds' from taskrunner_private.chore where name = 'delete_idempotency_keys'"))
	e.exec("delete from taskrunner_private.idempotency_key; update taskrunner_private.chore set next_at = '-infinity'")
	require.Equal(t, "{}", e.line(tick, id("r")))
}
