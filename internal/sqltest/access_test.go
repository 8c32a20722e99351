package sqltest

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// rights gives every object of the engine with the rights of everybody but its owner, as testdata/access.txt has them.
const rights = `
	with schemas (oid) as (values ('taskrunner'::regnamespace), ('taskrunner_private'::regnamespace)),
	object (kind, name, acl, owner, type) as (
		select 'schema', n.nspname::text, n.nspacl, n.nspowner, 'n' from pg_namespace n where n.oid in (select oid from schemas)
		union all
		select case c.relkind when 'r' then 'table' when 'v' then 'view' when 'S' then 'sequence' else 'relation' end,
			c.oid::regclass::text, c.relacl, c.relowner, case c.relkind when 'S' then 's' else 'r' end
		from pg_class c where c.relnamespace in (select oid from schemas) and c.relkind not in ('i', 'I')
		union all
		select 'function', p.oid::regprocedure::text, p.proacl, p.proowner, 'f'
		from pg_proc p where p.pronamespace in (select oid from schemas)
		union all
		select 'type', t.oid::regtype::text, t.typacl, t.typowner, 'T'
		from pg_type t where t.typnamespace in (select oid from schemas) and t.typrelid = 0 and t.typcategory <> 'A'
		union all
		select 'column', c.oid::regclass || '.' || quote_ident(a.attname), a.attacl, c.relowner, 'c'
		from pg_attribute a
		join pg_class c on c.oid = a.attrelid
		where c.relnamespace in (select oid from schemas) and c.relkind in ('r', 'v') and a.attnum > 0 and not a.attisdropped
			and (c.oid::regclass::text in ('taskrunner.batch', 'taskrunner.task', 'taskrunner.link', 'taskrunner.action')
				or a.attacl is not null)
	)
	select o.kind || ' ' || o.name || ' |' || coalesce((
		select string_agg(' ' || g.who || '=' || g.what, '' order by g.who) from (
			select case when x.grantee = 0 then 'PUBLIC' else replace(x.grantee::regrole::text, 'taskrunner_', '') end as who,
				string_agg(x.privilege_type || case when x.is_grantable then '*' else '' end, ',' order by x.privilege_type) as what
			from aclexplode(coalesce(o.acl, acldefault(o.type::"char", o.owner))) x
			where x.grantee <> o.owner
			group by 1) g), '')
	from object o`

// byObject splits lines "<object> | <rights>" into a map.
func byObject(t *testing.T, all []string) map[string]string {
	t.Helper()
	m := map[string]string{}
	for _, line := range all {
		object, grants, ok := strings.Cut(line, " |")
		require.True(t, ok, line)
		require.NotContains(t, m, object, "twice in the list")
		m[object] = strings.TrimSpace(grants)
	}
	return m
}

func TestAccess(t *testing.T) {
	t.Parallel()
	e := setup(t)
	text, err := os.ReadFile("testdata/access.txt")
	require.NoError(t, err)
	var rows []string
	for row := range strings.Lines(string(text)) {
		if row = strings.TrimSpace(row); row != "" && !strings.HasPrefix(row, "#") {
			rows = append(rows, row)
		}
	}
	want, got := byObject(t, rows), byObject(t, e.lines(rights))
	// goose makes its table in the private schema, whenever it runs.
	gooseObjects := []string{"table taskrunner_private.goose_db_version", "sequence taskrunner_private.goose_db_version_id_seq"}
	require.Equal(t, "service=SELECT", got[gooseObjects[0]])
	require.Equal(t, "", got[gooseObjects[1]])
	for _, object := range gooseObjects {
		require.Contains(t, got, object)
		delete(got, object)
	}
	for _, object := range slices.Sorted(maps.Keys(got)) {
		grants, ok := want[object]
		switch {
		case !ok:
			t.Errorf("has no row in testdata/access.txt: %s | %s", object, got[object])
		case grants != got[object]:
			t.Errorf("%s:\n  want %s\n  got  %s", object, grants, got[object])
		}
	}
	for _, object := range slices.Sorted(maps.Keys(want)) {
		if _, ok := got[object]; !ok {
			t.Errorf("stands in testdata/access.txt, but does not exist: %s", object)
		}
	}
	require.Empty(t, e.lines("select * from pg_default_acl"))
}

// The roles hold nothing but their grants: no login, no attribute, no membership.
func TestRolesHoldNothingElse(t *testing.T) {
	t.Parallel()
	e := setup(t)
	require.Equal(t, []string{
		"taskrunner_admin", "taskrunner_producer", "taskrunner_reader", "taskrunner_service", "taskrunner_worker",
	}, e.lines(`select rolname from pg_roles where rolname ~ '^taskrunner_' and not (rolsuper or rolcreaterole or rolcreatedb
		or rolcanlogin or rolreplication or rolbypassrls) order by 1`))
	require.Empty(t, e.lines(`select roleid::regrole, member::regrole from pg_auth_members
		where member::regrole::text ~ '^taskrunner_'`))
	require.Empty(t, e.lines(`select c.oid::regclass::text from pg_class c join pg_roles r on r.oid = c.relowner where r.rolname ~ '^taskrunner_'
		union all select p.oid::regprocedure::text from pg_proc p join pg_roles r on r.oid = p.proowner where r.rolname ~ '^taskrunner_'`))
}

// conditions are the functions that conditions of triggers call. They run with the rights of whoever changes a row and in his
// search_path; TestForgedCauses has one.
const conditions = "'is_engine', 'is_progress'"

// Whatever runs with the owner's rights has a search_path that no client can put anything into. pg_temp is named, last:
// unnamed it would come first for tables and types, also with an empty search_path.
func TestSearchPaths(t *testing.T) {
	t.Parallel()
	e := setup(t)
	require.Empty(t, e.lines(`
		select p.oid::regprocedure, p.proconfig
		from pg_proc p
		join pg_language l on l.oid = p.prolang
		where p.pronamespace::regnamespace::text ~ '^taskrunner' and (p.prosecdef or l.lanname = 'plpgsql')
			and p.proname not in (`+conditions+`) and (p.proconfig is null or not 'search_path=pg_catalog, pg_temp' = any(p.proconfig))`))
	// All that clients and replicas may call, and all triggers that look beyond the row, run as the owner.
	require.Empty(t, e.lines(`
		select p.oid::regprocedure
		from pg_proc p
		where p.pronamespace::regnamespace::text ~ '^taskrunner' and not p.prosecdef
			and p.proname not in ('uuidv7', 'begin_counts', 'take_counts', `+conditions+`)
			and exists (select from aclexplode(p.proacl) x where x.grantee <> p.proowner)`))
	require.NotEmpty(t, e.lines("select 1 from pg_proc where pronamespace = 'taskrunner_private'::regnamespace and prosecdef"))
}

// calls finds the names in front of brackets.
var calls = regexp.MustCompile(`([a-z_][a-z0-9_.]*)\s*\(`)

// notCalls are words of the language that stand in front of brackets.
var notCalls = []string{"in", "and", "or", "not", "when", "then", "if", "elsif", "exists", "using", "end", "as", "values", "from", "is", "coalesce", "greatest", "case", "where", "operator"}

// What runs with the rights of whoever changes a row, guards, defaults, conditions of triggers and views, calls functions
// of pg_catalog only: clients may not even look into the private schema. Conditions of triggers are found without looking, so they
// may call functions of their own, which do as the others.
func TestInvokerCodeCallsCatalogOnly(t *testing.T) {
	t.Parallel()
	e := setup(t)
	bodies := e.lines(`select proname || ' ' || regexp_replace(regexp_replace(prosrc, '--[^\n]*', '', 'g'), '\s+', ' ', 'g')
		from pg_proc where (prorettype = 'trigger'::regtype and not prosecdef or proname in (` + conditions + `))
			and pronamespace::regnamespace::text ~ '^taskrunner' order by 1`)
	var names []string
	quoted := regexp.MustCompile(`'(?:[^']|'')*'`)
	for _, body := range bodies {
		name, code, _ := strings.Cut(body, " ")
		names = append(names, name)
		for _, call := range calls.FindAllStringSubmatch(quoted.ReplaceAllString(code, "''"), -1) {
			if slices.Contains(notCalls, call[1]) {
				continue
			}
			require.Equal(t, "1", e.line("select least(count(*), 1) from pg_proc where pronamespace = 'pg_catalog'::regnamespace and proname = $1",
				strings.TrimPrefix(call[1], "pg_catalog.")), "%s calls %s", name, call[1])
		}
		require.NotContains(t, code, "taskrunner_private.", name)
	}
	require.Equal(t, []string{
		"action_guard_change", "batch_guard_insert", "empty_cause", "is_engine", "is_progress", "link_guard", "task_guard_delete",
		"task_guard_insert", "task_guard_update",
	}, names, "what runs with the rights of whoever changes the row")

	depends := `select distinct d.classid::regclass || ' ' || d.refobjid::regprocedure from pg_depend d
		where d.refclassid = 'pg_proc'::regclass and d.refobjid::regprocedure::text ~ '^taskrunner' and d.classid::regclass::text = $1 and d.deptype = 'n' order by 1`
	require.Equal(t, []string{"pg_attrdef taskrunner.uuidv7()"}, e.lines(depends, "pg_attrdef"))
	require.Empty(t, e.lines(depends, "pg_rewrite"))
	require.Empty(t, e.lines(depends, "pg_constraint"))
	// A trigger depends on its own function, and by its condition on these.
	require.Empty(t, e.lines(`select t.tgname, d.refobjid::regprocedure from pg_trigger t
		join pg_depend d on d.classid = 'pg_trigger'::regclass and d.objid = t.oid and d.refclassid = 'pg_proc'::regclass
		where not t.tgisinternal and d.refobjid <> t.tgfoid and d.refobjid::regprocedure::text ~ '^taskrunner'
			and not d.refobjid in (select oid from pg_proc where proname in (`+conditions+`))`))
}

// trap puts objects into the client's temporary schema that would run code of his as the owner, if the engine looked
// there: domains in place of types, views in place of catalogs. Each run is noted with the user it ran as.
const trap = `
	create table pg_temp.caught (who pg_catalog.text);
	create function pg_temp.spring() returns boolean language plpgsql set search_path = pg_catalog as $f$
	begin
		insert into pg_temp.caught values (current_user);
		return true;
	end $f$;
	create view pg_temp.pg_locks as select * from pg_catalog.pg_locks where pg_temp.spring();
	do $d$
	declare
		v_type pg_catalog.text;
	begin
		foreach v_type in array array['uuid', 'jsonb', 'timestamptz', 'xid', 'xid8', 'bytea', 'float8', 'int4', 'int8', 'bool', 'text'] loop
			execute pg_catalog.format('create domain pg_temp.%I as pg_catalog.%I check (pg_temp.spring())', v_type, v_type);
		end loop;
	end $d$`

func TestTemporaryObjectsAreNotUsed(t *testing.T) {
	t.Parallel()
	e := setup(t)
	// A function that names its types carelessly is caught, so the trap works.
	e.exec(`create function public.careless() returns void language plpgsql security definer set search_path = '' as $f$
		begin
			perform '{}'::jsonb;
		end $f$`)
	control := e.sessionAs("control", e.Login(t, ""))
	control.script(trap)
	control.run("select public.careless()")
	require.Equal(t, e.lines("select current_user"), control.run("select distinct who from pg_temp.caught"))
	e.exec("drop function public.careless()")

	for _, attack := range []struct {
		role       string
		statements []string
	}{
		{"taskrunner_producer", []string{
			insertTasks("a", "b", "c"), insertLinks("c>a", "a>b"), insertAction("a", "Failure", "x"), // c>a does not rise
			"update taskrunner.task set priority = 1", exampleSubmit,
			"select taskrunner.pause_task('" + id("a") + "')", "select taskrunner.resume_task('" + id("a") + "')",
			"select taskrunner.cancel_task('" + id("b") + "')", "select taskrunner.cancel_tasks(array[]::pg_catalog.uuid[])",
			insertTasks("old"), insertTasks("older"), "begin", insertLinks("older>old"), "commit",
			"insert into taskrunner.batch (id, name) values ('" + id("batch") + "', 'x')", "select taskrunner.stop_batch('" + id("batch") + "')",
		}},
		{"taskrunner_worker", []string{
			set("Claimed", "c"), set("Running", "c"), "update taskrunner.task set success = 1",
			"select taskrunner.add_progress('" + id("a") + "', 1, 1)",
			"select taskrunner.finish_task('" + id("c") + "', 'Failure')", "select taskrunner.finish_tasks(array[]::pg_catalog.uuid[], 'Success')",
		}},
		{"taskrunner_admin", []string{
			"select * from taskrunner.delivery", "select * from taskrunner.action_masked", "select * from taskrunner.check_invariants()",
			"delete from taskrunner.task where status = 'Failure'",
		}},
	} {
		s := e.sessionAs(attack.role, e.Login(t, attack.role))
		s.script(trap)
		for _, statement := range attack.statements {
			_, err := s.try(statement)
			require.NoError(t, err, "%s: %s", attack.role, statement)
		}
		require.Empty(t, s.run("select distinct who from pg_temp.caught where who <> session_user"), "%s ran code as", attack.role)
	}
}
