package sqltest

import (
	"context"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/sqltest/schema"
	enginesql "github.com/taskrunner/taskrunner/sql"
)

// codeFile is one file of the code: functions, views, triggers, access.
type codeFile struct {
	name string // inside the folder sql
	text string
}

func (f codeFile) stem() string { return strings.TrimSuffix(path.Base(f.name), ".sql") }

// codeFiles are the files of some folders of sql, by folder and name.
func codeFiles(t *testing.T, folders ...string) []codeFile {
	t.Helper()
	var files []codeFile
	for _, folder := range folders {
		names, err := fs.Glob(enginesql.FS, folder+"/*.sql")
		require.NoError(t, err)
		require.NotEmpty(t, names, folder)
		for _, name := range names {
			text, err := fs.ReadFile(enginesql.FS, name)
			require.NoError(t, err)
			files = append(files, codeFile{name, string(text)})
		}
	}
	return files
}

// created finds what a file creates.
var created = regexp.MustCompile(`(?m)^create or replace (function|view|trigger) (?:taskrunner_private\.|taskrunner\.)?([a-z0-9_]+)`)

// creates lists what a file creates of one kind.
func (f codeFile) creates(kind string) []string {
	var names []string
	for _, m := range created.FindAllStringSubmatch(f.text, -1) {
		if m[1] == kind {
			names = append(names, m[2])
		}
	}
	return names
}

// Every function, view and trigger has its file, and every file what it is named after. A trigger's function may stand
// with its trigger, or be shared and have a file of its own.
func TestEachObjectHasItsFile(t *testing.T) {
	t.Parallel()
	e := setup(t)
	var functions, views, triggers []string
	for _, f := range codeFiles(t, "functions") {
		require.Equal(t, []string{f.stem()}, f.creates("function"), f.name)
		functions = append(functions, f.stem())
	}
	for _, f := range codeFiles(t, "views") {
		require.Equal(t, []string{f.stem()}, f.creates("view"), f.name)
		views = append(views, f.stem())
	}
	for _, f := range codeFiles(t, "triggers") {
		require.Equal(t, []string{f.stem()}, f.creates("trigger"), f.name)
		require.LessOrEqual(t, len(f.creates("function")), 1, f.name)
		functions = append(functions, f.creates("function")...)
		triggers = append(triggers, f.stem())
	}
	functions = append(functions, "uuidv7") // in a migration, because column defaults need it

	require.ElementsMatch(t, functions, e.lines("select proname from pg_proc where pronamespace::regnamespace::text ~ '^taskrunner'"),
		"functions, one signature each")
	require.ElementsMatch(t, views, e.lines("select relname from pg_class where relnamespace::regnamespace::text ~ '^taskrunner' and relkind = 'v'"))
	require.ElementsMatch(t, triggers, e.lines("select tgname from pg_trigger where not tgisinternal"))
	// Triggers fire by name: table, place, meaning.
	require.Empty(t, e.lines(`select tgname from pg_trigger where not tgisinternal
		and tgname !~ ('^' || split_part(tgrelid::regclass::text, '.', 2) || '_[1-9]00_|^' || split_part(tgrelid::regclass::text, '.', 2) || '_[1-9]50_')`))
	// A trigger function serves triggers, and nothing is left over.
	require.Empty(t, e.lines(`select oid::regprocedure from pg_proc p where prorettype = 'trigger'::regtype
		and pronamespace::regnamespace::text ~ '^taskrunner' and not exists (select from pg_trigger where tgfoid = p.oid)`))
}

// Every file says what it is before it does anything, and is small enough to be read at once.
func TestFilesAreReadable(t *testing.T) {
	t.Parallel()
	const most = 150
	for _, f := range codeFiles(t, "functions", "views", "triggers", "access") {
		first, _, _ := strings.Cut(f.text, "\n")
		require.Regexp(t, `^-- \S.{20,}`, first, "%s: header comment", f.name)
		require.LessOrEqual(t, strings.Count(f.text, "\n"), most, f.name)
		require.True(t, strings.HasSuffix(f.text, "\n"), f.name)
		for i, line := range strings.Split(f.text, "\n") {
			require.NotRegexp(t, `\s$|\t`, line, "%s:%d: white space", f.name, i+1)
			require.LessOrEqual(t, len(line), 150, "%s:%d: too long", f.name, i+1)
			if strings.Contains(line, "lower(") { // by Turkish rules the small letter of I is ı, and WEBHOOK-ID another name
				require.Contains(t, line, `collate "C"`, "%s:%d: letters of protocols are those of ASCII", f.name, i+1)
			}
		}
		// A function inherits the settings of its caller, which may have turned the other joins off.
		if strings.Contains(f.text, "enable_nestloop = off") {
			require.Contains(t, f.text, "enable_hashjoin = on", f.name)
		}
		if path.Dir(f.name) != "access" {
			for _, statement := range regexp.MustCompile(`(?mi)^(create|drop|alter|grant|revoke)\b.*`).FindAllString(f.text, -1) {
				require.Regexp(t, `^create or replace `, statement, f.name)
			}
		}
	}
	for _, f := range codeFiles(t, "migrations") {
		require.True(t, strings.HasPrefix(strings.TrimPrefix(f.text, "-- +goose NO TRANSACTION\n"), "-- +goose Up\n"), f.name)
		// Migrations never call code: it is absent on a fresh install and newer on an upgrade.
		code := regexp.MustCompile(`--.*`).ReplaceAllString(f.text, "")
		for _, function := range codeFiles(t, "functions") {
			require.NotRegexp(t, `\b`+function.stem()+`\(`, code, f.name)
		}
	}
}

// applyCode runs the files as internal/migrate does, bodies checked or not.
func (e *engine) applyCode(ctx context.Context, bodies string, files []codeFile) {
	e.t.Helper()
	err := pgx.BeginFunc(ctx, e.Pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "set local check_function_bodies = "+bodies); err != nil {
			return err
		}
		for _, f := range files {
			if _, err := tx.Conn().PgConn().Exec(ctx, f.text).ReadAll(); err != nil {
				e.t.Errorf("%s: %v", f.name, err)
				return err
			}
		}
		return nil
	})
	require.NoError(e.t, err)
}

// applied is everything that the code files make, as the catalogs have it.
const applied = `
	select 'function ' || to_jsonb(p)::text from pg_proc p where pronamespace::regnamespace::text ~ '^taskrunner'
	union all
	select 'trigger ' || (to_jsonb(t) - 'tgqual')::text || pg_get_triggerdef(oid) from pg_trigger t where not tgisinternal
	union all
	select 'relation ' || jsonb_build_array(relname, relkind, relacl, reloptions)::text || coalesce(pg_get_viewdef(oid), '')
	from pg_class where relnamespace::regnamespace::text ~ '^taskrunner'
	union all
	select 'column ' || attrelid::regclass || '.' || attname || ' ' || attacl::text from pg_attribute where attacl is not null
		and attrelid::regclass::text ~ '^taskrunner'
	union all
	select 'schema ' || nspname || coalesce(nspacl::text, '') from pg_namespace where nspname ~ '^taskrunner'
	union all
	select 'depends ' || d.objid::regprocedure || ' ' || d.refobjid::regprocedure from pg_depend d
	where d.classid = 'pg_proc'::regclass and d.refclassid = 'pg_proc'::regclass and d.objid::regprocedure::text ~ '^taskrunner'
	order by 1`

func TestApplyingTwiceChangesNothing(t *testing.T) {
	t.Parallel()
	e := setup(t)
	files := codeFiles(t, "access", "functions", "views", "triggers", "access")
	files = slices.DeleteFunc(files, func(f codeFile) bool { return f.name == "access/grants.sql" })
	files = append(files, codeFiles(t, "access")...) // grants last
	before := e.lines(applied)
	require.NotEmpty(t, before)
	for range 2 {
		e.applyCode(t.Context(), "off", files)
		require.Equal(t, before, e.lines(applied))
	}
	// With everything there, the bodies stand PostgreSQL's own checks too.
	e.applyCode(t.Context(), "on", files)
	require.Equal(t, before, e.lines(applied))
}

// The grants are the file's, whatever stood there before.
func TestGrantsAreMadeAnew(t *testing.T) {
	t.Parallel()
	e := setup(t)
	before := e.lines(rights + " order by 1")
	e.exec(`
		grant all on schema taskrunner, taskrunner_private to public;
		grant all on all tables in schema taskrunner, taskrunner_private to public, taskrunner_reader, taskrunner_service;
		grant all on all sequences in schema taskrunner, taskrunner_private to taskrunner_worker with grant option;
		grant execute on all functions in schema taskrunner, taskrunner_private to public, taskrunner_producer;
		grant update (rank), insert (seq) on taskrunner.task to taskrunner_worker;
		revoke all on taskrunner.task from taskrunner_admin;
		revoke execute on function taskrunner.finish_task(uuid, taskrunner.status_kind, text, integer) from taskrunner_worker`)
	require.NotEqual(t, before, e.lines(rights+" order by 1"))
	e.applyCode(t.Context(), "off", codeFiles(t, "access"))
	require.NotEmpty(t, before)
	require.Equal(t, before, e.lines(rights+" order by 1"))
}

func TestSchemaSnapshotIsUpToDate(t *testing.T) {
	t.Parallel()
	e := setup(t)
	want, err := os.ReadFile("../../sql/schema.sql")
	require.NoError(t, err)
	conn := e.Connect(t)
	got, err := schema.Dump(t.Context(), conn)
	require.NoError(t, err)
	if got != string(want) {
		wantLines, gotLines := strings.Split(string(want), "\n"), strings.Split(got, "\n")
		i := 0
		for i < min(len(wantLines), len(gotLines)) && wantLines[i] == gotLines[i] {
			i++
		}
		tail := func(lines []string) string { return strings.Join(lines[min(i, len(lines)):min(i+5, len(lines))], "\n") }
		t.Errorf("sql/schema.sql is not up to date: run \"go run ./internal/sqltest/schemadump\". From line %d\nfile:\n%s\ndatabase:\n%s",
			i+1, tail(wantLines), tail(gotLines))
	}
	require.True(t, strings.HasPrefix(got, schema.Header))
	require.Greater(t, strings.Count(got, "\n"), 1000)
}
