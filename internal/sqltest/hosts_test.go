package sqltest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// calling creates ready tasks whose on_start goes to a host, named <host> 1, <host> 2 and so on.
func (e *engine) calling(host string, from, to int) {
	e.t.Helper()
	e.exec(`insert into taskrunner.task (id, name, kind) select md5($1 || ' ' || n)::uuid, $1 || ' ' || n, 'k' from generate_series($2::integer, $3::integer) n`, host, from, to)
	e.exec(`insert into taskrunner.action (task_id, trigger, params)
		select md5($1 || ' ' || n)::uuid, 'Start', jsonb_build_object('url', 'https://' || $1 || '/x', 'verb', 'Post') from generate_series($2::integer, $3::integer) n`, host, from, to)
}

// rooms are the arguments of a claim that say what each host may get: "a:0 b:3 *:2".
func rooms(spec string) string {
	var hosts, numbers []string
	other := "null"
	for _, one := range strings.Fields(spec) {
		host, room := one[:strings.LastIndex(one, ":")], one[strings.LastIndex(one, ":")+1:]
		if host == "*" {
			other = room
			continue
		}
		hosts, numbers = append(hosts, "'"+host+"'"), append(numbers, room)
	}
	return fmt.Sprintf("array[%s]::text[], array[%s]::integer[], %s", strings.Join(hosts, ", "), strings.Join(numbers, ", "), other)
}

// claimWithin claims up to n tasks, and shows their names, "+" if found by host, and "held <passed>" if some were left out.
func (e *engine) claimWithin(n int, spec string, look bool, after string) []string {
	e.t.Helper()
	return e.lines(fmt.Sprintf(`
		with c as materialized (select * from taskrunner_private.claim_tasks($1::uuid, $2, 30, '{}', '{}', true, %s, $3, $4))
		select x from (
			select t.name || case when c.by_host then '+' else '' end as x, 1 as part, t.priority, t.seq from c join taskrunner.task t on t.id = c.task_id
			union all
			select distinct trim('held ' || coalesce(c.passed, '')), 2, 0, 0::bigint from c where c.held) r
		order by part, priority desc, seq`, rooms(spec)), id("r"), n, look, after)
}

// Calls share slots by whom they lead to, not by how that is spelled.
func TestSpellingsOfAHost(t *testing.T) {
	t.Parallel()
	e := setup(t)
	for host, urls := range map[string]string{
		"a.b":                    "http://a.b http://a.b/ http://A.b?x https://a.B#x HTTP://a.b.:80/ https://a.b..:0443/ http://u:p@a.b:/ http://a.b:080",
		"a.b:80":                 "https://a.b:80/ https://A.B:0080?x https://u@a.b.:80",
		"a.b:443":                "http://a.b:443/x http://a.b.:443",
		"a.b:8080":               "http://a.b:8080/ https://a.b:8080?x http://a.b.:08080 http://u:@:@a.b:8080#",
		"a.b:81":                 "http://a.b:81/http://x/ https://x@y@a.b:81",
		"[::1]":                  "http://[::1]/ https://[::1]:443/ http://u@[::1]:80?x",
		"[::1]:8080":             "http://[::1]:8080/ http://[::1]:08080",
		"...":                    "http://.../ https://...:443/",
		"a|b":                    "http://a|b/ http://A|b:80/",
		strings.Repeat("x", 255): "http://" + strings.Repeat("x", 300) + "/ http://" + strings.Repeat("X", 300) + ".:8080/",
	} {
		for _, url := range strings.Fields(urls) {
			require.Equal(t, host, e.line("select taskrunner_private.url_host($1)", url), url)
		}
	}
	require.Equal(t, "t", e.line("select taskrunner_private.url_host('a.b/c') is null"))
}

// A host is looked up by an index, which cannot hold all that fits in a URL: one that is longer than names can be is refused wherever
// it comes from, and where it stands already, its task ends all the same.
func TestLongHosts(t *testing.T) {
	t.Parallel()
	e := setup(t)
	random := e.line("select string_agg(md5(n::text), '') from generate_series(1, 200) n")
	action := func(host string) string {
		return fmt.Sprintf(`{"kind": "Webhook", "params": {"url": "https://u:p@%s/x", "verb": "Post"}}`, host)
	}
	post := func(start, success string) string {
		return fmt.Sprintf(`select status from taskrunner.submit_batch('{"tasks": [{"id": "a", "name": "a", "kind": "k", "on_start": %s, "on_success": [%s]}]}')`, start, success)
	}
	const insert = "insert into taskrunner.action (task_id, trigger, params) values ($1, 'End', $2::jsonb -> 'params')"
	e.tasks("t")
	for _, host := range []string{random, random[:253] + ":80", strings.Repeat("ü", 128)} {
		for _, sql := range []string{post(action(host), action("a")), post(action("a"), action(host)), strings.Replace(post(action("a"), action(host)), "u:p@", "", 2)} {
			require.Contains(t, e.fails("TR006", sql).Detail, "the host of url must be at most 255 bytes")
		}
		e.fails("TR006", insert, id("t"), action(host))
		e.fails("TR006", insert, id("t"), strings.Replace(action(host), "u:p@", "", 1))
	}
	require.Equal(t, "Pending", e.line(post(action(random[:252]+":80"), action(random[:255]))))
	e.exec(insert, id("t"), action(random[:255]))

	e.exec("begin; set local session_replication_role = replica; insert into taskrunner.action (id, task_id, trigger, params, position) "+
		"select $1::uuid, $2::uuid, 'End', $3::jsonb -> 'params', 9; commit", id("x"), id("t"), action(random))
	e.move("t", "Claimed", "Success")
	require.Len(t, e.deliveries("t"), 2)
}

// A webhook is held in memory while it is called, and its headers are more than receivers take: both have a limit, wherever it comes
// from.
func TestLargeWebhooks(t *testing.T) {
	t.Parallel()
	e := setup(t)
	params := func(rest string) string { return `{"url": "https://a/x", "verb": "Post", ` + rest + "}" }
	body := func(n int) string { return params(`"body": "` + strings.Repeat("x", n) + `"`) }
	headers := func(n int) string {
		var all []string
		for i := range 10 {
			all = append(all, fmt.Sprintf(`"h%d": "%s"`, i, strings.Repeat("x", n/10-len(`"h1": "", `))))
		}
		return params(`"headers": {` + strings.Join(all, ", ") + "}")
	}
	const insert = "insert into taskrunner.action (task_id, trigger, params) values ($1, 'End', $2::jsonb)"
	const post = `select status from taskrunner.submit_batch(jsonb_build_object('tasks', jsonb_build_array(jsonb_build_object('id', 'a', 'name', 'a', 'kind', 'k',
		'on_start', jsonb_build_object('kind', 'Webhook', 'params', $1::jsonb)))))`
	e.tasks("t")
	for fault, p := range map[string]string{"params: must be at most 1048576 bytes": body(1 << 20), "params: headers must be at most 65536 bytes": headers(66_000)} {
		require.Contains(t, e.fails("TR006", insert, id("t"), p).Detail, fault)
		require.Contains(t, e.fails("TR006", post, p).Detail, fault)
	}
	for _, p := range []string{body(1<<20 - 100), headers(65_000)} {
		e.exec(insert, id("t"), p)
		require.Equal(t, "Pending", e.line(post, p))
	}
}

func TestRoomsOfHosts(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.replica("r")
	e.calling("a", 1, 6)
	e.calling("b:80", 1, 3)
	e.calling("c", 1, 3)
	e.tasks("free")
	require.Equal(t, []string{"a 1", "a 2", "held"}, e.claimWithin(4, "a:2 *:4", false, ""), "no more of a host than its room")
	require.Equal(t, []string{"b:80 1+", "c 1+", "free+", "held"}, e.claimWithin(4, "a:0 *:1", true, ""),
		"others are looked up behind it; without a host there is no limit")
	require.Equal(t, []string{"a 3+", "b:80 2+", "c 2+", "c 3+", "held"}, e.claimWithin(4, "a:1 b:80:1 c:3 *:0", true, ""), "a port belongs to the host")
	require.Equal(t, []string{"b:80 3+", "held"}, e.claimWithin(3, "a:-1 *:4", true, ""))
	require.Equal(t, []string{"held"}, e.claimWithin(2, "a:0 *:4", true, ""))
	require.Equal(t, []string{"a 4", "a 5", "a 6"}, e.claimWithin(4, "*:3", false, ""), "nobody has been forgotten")
	require.Empty(t, e.claimWithin(4, "*:3", true, ""))
}

// Priority and insertion order hold among the hosts that have room.
func TestHostsAreFoundInOrder(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.replica("r")
	e.calling("slow", 1, 100)
	e.calling("z", 1, 2)
	e.calling("b", 1, 3)
	e.exec("update taskrunner.task set priority = 5 where name in ('b 2', 'slow 7')")
	require.Equal(t, []string{"b 2+", "z 1+", "z 2+", "held"}, e.claimWithin(3, "slow:0 *:9", true, ""))
	require.Equal(t, []string{"slow 7", "slow 1", "b 1+", "held"}, e.claimWithin(3, "slow:2 *:1", true, ""))
}

// Without a look, claims go past the tasks of hosts without room, but not past any number of them.
func TestClaimsGoPastHostsWithoutRoom(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.withoutAutovacuum()
	e.replica("r")
	e.calling("slow", 1, 12_000)
	e.calling("a", 1, 4)
	e.calling("b", 1, 2)
	e.tasks("free")
	e.exec("update taskrunner.task set priority = 5 where name in ('b 2', 'slow 7')")
	e.exec("vacuum analyze taskrunner_private.queued_task")
	require.Equal(t, []string{"b 2", "held"}, e.claimWithin(3, "slow:0 *:9", false, ""), "the others are too far away")
	require.Equal(t, []string{"slow 7", "slow 1", "held"}, e.claimWithin(3, "slow:2 *:0", false, ""), "of others none")

	s := e.session("claims")
	mark := e.line("select seq from taskrunner.task where name = 'slow 3000'")
	claim := func(spec string, limit int) []string {
		rows, tooMuch := s.reading(limit, fmt.Sprintf(`select (select t.name from taskrunner.task t where t.id = c.task_id)
			from taskrunner_private.claim_tasks('%s', 2, 30, '{0}', '{%s}', false, %s) c order by c.seq`, id("r"), mark, rooms(spec)))
		require.Empty(t, tooMuch)
		return rows
	}
	require.Equal(t, []string{"a 1", "a 2"}, claim("slow:-1 *:9", 10_000), "behind the mark it is not that far")
	require.Equal(t, []string{"a 3"}, claim("slow:-1 a:1 *:9", 10_000), "no more of each than its room")
	require.Equal(t, []string{"slow 3001", "slow 3002"}, claim("a:0 *:9", most))
	require.Equal(t, []string{"slow 3003", "slow 3004"}, claim("*:9", most), "nobody is to be passed over")
	require.Equal(t, []string{"a 4+", "b 1+", "held"}, e.claimWithin(2, "slow:-1 *:9", true, ""))
}

// Hosts are gone through 200 at a time, and the next look goes on where the last one stopped.
func TestManyHosts(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.replica("r")
	e.calling("dead", 1, 3)
	for i := range 250 {
		e.calling(fmt.Sprintf("h%03d", i), 1, 1)
	}
	closed := "dead:0"
	for i := range 230 {
		closed += fmt.Sprintf(" h%03d:0", i)
	}
	require.Equal(t, []string{"held h198"}, e.claimWithin(2, closed+" *:1", true, ""))
	require.Equal(t, []string{"h230 1+", "h231 1+", "held"}, e.claimWithin(2, closed+" *:1", true, "h198"))
}

// Hosts that are known to have room are looked up wherever the walk through the hosts is, and alone while others have none.
func TestKnownHostsAreLookedUp(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.withoutAutovacuum()
	e.replica("r")
	e.exec(`insert into taskrunner.task (id, name, kind) select md5('e' || n)::uuid, 'e' || n, 'k' from generate_series(1, 20000) n`)
	e.exec(`insert into taskrunner.action (task_id, trigger, params)
		select md5('e' || n)::uuid, 'Start', jsonb_build_object('url', 'https://e' || n || '/x', 'verb', 'Post') from generate_series(1, 20000) n`)
	e.calling("quick", 1, 3)
	e.exec("vacuum analyze taskrunner_private.queued_task")
	require.Equal(t, []string{"quick 1+", "quick 2+", "held"}, e.claimWithin(9, "e1:-1 quick:2 *:0", true, ""), "of others there may be some")
	require.Equal(t, []string{"held"}, e.claimWithin(9, "e1:-1 *:0", true, ""))
	require.Equal(t, []string{"e2+", "quick 3+", "held"}, e.claimWithin(9, "e1:-1 quick:2 e2:1 *:1", true, "x"), "the walk is behind them")
}

// The tasks of a host without room stand before the others: these are found at the cost of a look-up.
func TestAHostWithoutRoomHidesNobody(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.withoutAutovacuum()
	e.replica("r")
	const backlog = 100_000
	e.calling("slow", 1, backlog)
	e.calling("quick", 1, 3)
	e.exec("vacuum analyze taskrunner_private.queued_task")
	s := e.session("claims")
	claim := fmt.Sprintf("select count(c.task_id) from taskrunner_private.claim_tasks('%s', 10, 30, '{}', '{}', true, %s, true, '') c", id("r"), rooms("slow:-1 *:9"))
	rows, tooMuch := s.reading(most, claim)
	require.Equal(t, []string{"3"}, rows)
	require.Empty(t, tooMuch)
	rows, tooMuch = s.reading(most, claim)
	require.Equal(t, []string{"0"}, rows)
	require.Empty(t, tooMuch)
	require.Equal(t, fmt.Sprint(backlog), e.line("select count(*) from taskrunner_private.queued_task where state = 'ready'"), "they stay where they are")
}

// Tasks with rules are put off while their host is in trouble, so that they do not keep a limit's turn.
func TestRuledTasksOfAHostInTrouble(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.replica("r")
	e.counted("k", []string{})
	e.ruled([]string{concurency(1, "k")}, "a", "b", "c")
	for _, name := range []string{"a", "b", "c"} {
		e.exec(strings.ReplaceAll(insertAction(name, "Start", name), "hooks.example.com", map[string]string{"a": "slow", "b": "slow", "c": "quick"}[name]))
	}
	require.Equal(t, []string{"held"}, e.claimWithin(5, "slow:0 quick:0 *:5", true, ""))
	e.queues("a: ready", "b: ready", "c: ready") // they are at their share, and go on soon
	require.Equal(t, []string{"c", "held"}, e.claimWithin(5, "slow:-1 *:5", true, ""), "whose turn it was does not hold the limit")
	e.queues("a: scheduled", "b: scheduled")
	e.exec("select taskrunner_private.release_scheduled(10)")
	e.pausesOver()
	e.exec("select taskrunner_private.release_scheduled(10)")
	require.Equal(t, []string{}, e.all(), "the limit holds them")
	e.queues("a: parked", "b: parked")
	e.move("c", "Running", "Success")
	e.wakes()
	require.Equal(t, []string{"held"}, e.claimWithin(5, "slow:-1 *:5", true, ""))
	e.queues("a: scheduled", "b: parked")
	e.pausesOver()
	e.exec("select taskrunner_private.release_scheduled(10)")
	e.wakes()
	require.NotEmpty(t, e.all())
	e.forgetsNobody()
}

// So are those of hosts that are new, while those in trouble leave them no room: any number of them stands before nobody.
func TestRuledTasksOfNewHostsWithoutRoom(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.replica("r")
	e.counted("k", []string{})
	e.ruled([]string{concurency(1, "k")}, "a", "b", "c")
	for _, name := range []string{"a", "b", "c"} {
		e.exec(strings.ReplaceAll(insertAction(name, "Start", name), "hooks.example.com", map[string]string{"a": "new1", "b": "new2", "c": "quick"}[name]))
	}
	require.Equal(t, []string{"c", "held"}, e.claimWithin(5, "slow:-1 quick:2 *:0", true, ""))
	e.queues("a: scheduled", "b: scheduled")
	e.pausesOver()
	e.exec("select taskrunner_private.release_scheduled(10)")
	require.Equal(t, []string{}, e.all(), "the limit holds them")
	e.queues("a: parked", "b: parked")
	e.forgetsNobody()
}

// A kind whose shape begins to be counted keeps its own tasks from starting and no others, also where some were left out for their host.
func TestAKindThatBeginsBesideAHostWithoutRoom(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.replica("r")
	e.counted("k", []string{})
	e.counted("l", []string{})
	e.exec(insertRuled("l", []string{concurency(5, "l")}, "a"))
	e.exec(insertRuled("k", []string{concurency(5, "k")}, "b"))
	e.exec(insertRuled("l", []string{concurency(5, "l")}, "c"))
	e.exec(strings.ReplaceAll(insertAction("a", "Start", "a"), "hooks.example.com", "slow"))
	first := e.session("first")
	first.script("begin; select pg_advisory_xact_lock(1414681419, hashtext('k') & 255)")
	require.Equal(t, []string{"c", "held"}, e.claimWithin(5, "slow:0 *:5", true, ""))
	e.queues("a: ready", "b: scheduled")
	first.run(commit)
	e.forgetsNobody()
}

func TestRoomsOfDeliveries(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.replica("r")
	e.exec(`insert into taskrunner.task (id, name, kind) select md5(n::text)::uuid, 't', 'k' from generate_series(1, 100) n;
		insert into taskrunner.action (task_id, trigger, condition, params)
		select md5(n::text)::uuid, 'End', 'Success', jsonb_build_object('url', 'https://' || case when n <= 90 then 'slow' when n <= 96 then 'b' else 'c' end || '/' || n, 'verb', 'Post')
		from generate_series(1, 100) n`)
	for i := range 100 {
		e.exec("update taskrunner.task set status = 'Claimed' where id = md5($1::text)::uuid", i+1)
	}
	e.exec("update taskrunner.task set status = 'Running'")
	for i := range 100 {
		e.exec("select taskrunner.finish_task(md5($1::text)::uuid, 'Success')", i+1)
	}
	claim := func(n int, spec string, look bool) []string {
		return e.lines(fmt.Sprintf(`
			with c as materialized (select * from taskrunner_private.claim_deliveries($1, $2, 60, '-infinity', true, %s, $3))
			select x from (
				select c.host || ' ' || count(*) || case when c.by_host then '+' else '' end as x, 1 as part from c where c.delivery_id is not null group by c.host, c.by_host
				union all
				select distinct 'held', 2 from c where c.held) r
			order by part, x`, rooms(spec)), id("r"), n, look)
	}
	require.Equal(t, []string{"slow 3", "held"}, claim(10, "slow:3 *:9", false))
	require.Equal(t, []string{"b 2+", "c 2+", "held"}, claim(10, "slow:-1 *:2", true))
	require.Equal(t, []string{"b 4+", "c 1+", "slow 1", "held"}, claim(6, "slow:1 c:1 *:9", true))
	require.Equal(t, []string{"c 1+", "held"}, claim(6, "slow:0 *:9", true))
	require.Equal(t, []string{"held"}, claim(6, "slow:0 *:9", true))
	require.Equal(t, "1", e.line("select count(*) from taskrunner_private.claim_deliveries($1, 1, 60, '-infinity', true, null, null, null, true)", id("r")),
		"without rooms nobody is left out")
	require.Equal(t, []string{"slow 85"}, claim(100, "*:100", true), "nobody has been forgotten")
	require.Empty(t, claim(100, "*:1", true))
}

func TestWhyAndCountsOfHeldHosts(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.calling("slow:8443", 1, 3)
	e.calling("quick", 1, 1)
	slow := e.line("select id from taskrunner.task where name = 'slow:8443 2'")
	why := func() []string { return e.lines("select reason from taskrunner.why($1)", slow) }
	pulse := func(replica, held string) {
		e.exec("select * from taskrunner_private.tick($1, $2, 'test', 10, false, $3)", id(replica), replica, held)
	}
	parked := func() string {
		return e.line("select by_rule, by_run_at, by_host from taskrunner_private.count_parked()")
	}
	pulse("r", `[{"host": "slow:8443", "opens_at": null, "error": ""}, {"host": "elsewhere", "opens_at": null, "error": ""}]`)
	require.Equal(t, []string{"Its webhook host slow:8443 is at its share of the webhook slots."}, why())
	require.Equal(t, "0|0|3", parked())
	pulse("s", `[]`)
	require.Empty(t, why(), "another replica may start it")
	require.Equal(t, "0|0|0", parked())
	pulse("s", `[{"host": "slow:8443", "opens_at": "2100-01-02T03:04:05.678Z", "error": "timeout after 10s"}]`)
	require.Equal(t, []string{"Its webhook host slow:8443 is at its share of the webhook slots."}, why())
	pulse("r", `[{"host": "slow:8443", "opens_at": "2101-01-02T03:04:05.678Z", "error": "timeout after 10s"}]`)
	require.Equal(t, []string{"The circuit of its webhook host slow:8443 is open until 2100-01-02T03:04:05.678Z: its last calls failed (timeout after 10s)."}, why())
	require.JSONEq(t, `{"host": "slow:8443", "opens_at": "2100-01-02T03:04:05.678+00:00", "error": "timeout after 10s"}`,
		e.line("select detail from taskrunner.why($1)", slow))
	require.Len(t, e.sessionAs("reader", e.Login(t, "taskrunner_reader")).run("select * from taskrunner.why($1)", slow), 1)

	e.counted("l", []string{})
	e.ruled([]string{concurency(1, "l")}, "x", "y")
	e.exec("update taskrunner.task set run_at = '2100-01-01T00:00:00Z' where name = 'quick 1'")
	require.Equal(t, "0|1|3", parked())
	e.exec("update taskrunner_private.replica set heartbeat_at = now() - interval '1 minute'")
	require.Equal(t, "0|1|0", parked())
}
