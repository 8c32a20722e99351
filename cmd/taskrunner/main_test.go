package main

import (
	"bytes"
	"io"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/migrate"
	"github.com/taskrunner/taskrunner/internal/testdb"
)

func TestExitCodes(t *testing.T) {
	good := []string{"--host-url=http://127.0.0.1:9", "--database-url=postgres://127.0.0.1:9/d"}
	for name, tc := range map[string]struct {
		args []string
		env  map[string]string
		code int
		says string
	}{
		"version":            {[]string{"version"}, nil, exitOK, ""},
		"no command":         {nil, nil, exitUsage, "expected one of"},
		"no command, help":   {nil, nil, exitUsage, "\nsee taskrunner --help\n"},
		"unknown command":    {[]string{"fly"}, nil, exitUsage, "fly"},
		"unknown flag":       {[]string{"serve", "--fast"}, nil, exitUsage, "--fast"},
		"unknown flag, help": {[]string{"--version"}, nil, exitUsage, "--version\nsee taskrunner --help\n"},
		"missing flag, help": {[]string{"fail", "00000000-0000-4000-8000-000000000001"}, nil, exitUsage, "--reason=TEXT\nsee taskrunner fail --help\n"},
		"wrong value, help":  {[]string{"list", "--status=Foo"}, nil, exitUsage, "\nsee taskrunner list --help\n"},
		"empty variable":     {append([]string{"serve", "--drain-timeout-secs=-1"}, good...), map[string]string{"PORT": ""}, exitFailed, "taskrunner: DRAIN_TIMEOUT_SECS"},
		"inconsistent pair":  {append([]string{"serve"}, good...), map[string]string{"TRACING_ENABLED": "1"}, exitFailed, "taskrunner: TRACING_ENABLED needs OTEL_EXPORTER_OTLP_ENDPOINT"},
		"missing file":       {append([]string{"serve"}, good...), map[string]string{"CONFIG_FILE": "x.toml"}, exitFailed, "taskrunner: CONFIG_FILE: cannot read x.toml: no such file or directory\n"},
		"malformed token":    {append([]string{"serve"}, good...), map[string]string{"AUTH_TOKENS": "ci:write:00"}, exitFailed, "taskrunner: AUTH_TOKENS: entry 1 must have"},
		"several variables": {append([]string{"serve"}, good...), map[string]string{"PORT": "x", "POOL_MAX_SIZE": "y"}, exitFailed,
			"taskrunner: PORT (--port): \"x\" is not a whole number\ntaskrunner: POOL_MAX_SIZE (--pool-max-size): \"y\" is not a whole number\n"},
		"malformed flag":       {append([]string{"serve", "--port=http"}, good...), nil, exitFailed, "--port"},
		"malformed variable":   {append([]string{"serve"}, good...), map[string]string{"POOL_MAX_SIZE": "many"}, exitFailed, "POOL_MAX_SIZE"},
		"missing setting":      {[]string{"serve", good[1]}, nil, exitFailed, "HOST_URL is required"},
		"inconsistent setting": {append([]string{"serve", "--pool-min-idle=99"}, good...), nil, exitFailed, "POOL_MIN_IDLE"},
		"failure":              {append([]string{"serve", "--database-startup-timeout-secs=0"}, good...), nil, exitFailed, "DATABASE_URL: cannot connect to 127.0.0.1:9: connect: "},
		"migrate":              {[]string{"migrate"}, nil, exitFailed, "DATABASE_URL is required"},
		"check":                {[]string{"check"}, nil, exitFailed, "DATABASE_URL is required"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("DATABASE_URL", "")
			t.Setenv("HOST_URL", "")
			for key, value := range tc.env {
				t.Setenv(key, value)
			}
			var stderr bytes.Buffer
			require.Equal(t, tc.code, run(tc.args, streams{out: io.Discard, err: &stderr}), stderr.String())
			require.Contains(t, stderr.String(), tc.says)
		})
	}
}

func TestMigrateAndCheck(t *testing.T) {
	db := testdb.NewEmpty(t)
	t.Setenv("DATABASE_URL", db.DSN)
	var stderr bytes.Buffer
	require.Equal(t, exitFailed, run([]string{"check"}, streams{err: &stderr}))
	require.Contains(t, stderr.String(), `the database is not migrated: run "taskrunner migrate"`)
	stderr.Reset()
	for range 2 {
		require.Equal(t, exitOK, run([]string{"migrate", "--log-level=error"}, streams{err: &stderr}), stderr.String())
	}
	require.Equal(t, exitOK, run([]string{"check"}, streams{err: &stderr}), stderr.String())

	_, err := db.Pool.Exec(t.Context(), `insert into taskrunner_private.queued_task (task_id, seq, created_at, priority, state, kind)
		values (gen_random_uuid(), 1, now(), 0, 'ready', 'stray')`)
	require.NoError(t, err)
	stderr.Reset()
	require.Equal(t, exitFailed, run([]string{"check"}, streams{err: &stderr}))
	require.Contains(t, stderr.String(), "broken invariants: 1")
}

func TestCheckNeedsItsRole(t *testing.T) {
	db := testdb.New(t)
	for role, says := range map[string]string{"": "grant taskrunner_admin", "taskrunner_service": "grant taskrunner_admin", "taskrunner_admin": ""} {
		t.Setenv("DATABASE_URL", db.Login(t, role))
		var stderr bytes.Buffer
		code := run([]string{"check"}, streams{err: &stderr})
		require.Equal(t, says == "", code == exitOK, stderr.String())
		require.Contains(t, stderr.String(), says)
	}
}

func TestMigrateNeedsTheOwner(t *testing.T) {
	for _, db := range []*testdb.DB{testdb.New(t), testdb.NewEmpty(t)} {
		for _, command := range []string{"migrate", "serve"} {
			t.Setenv("DATABASE_URL", db.Login(t, ""))
			t.Setenv("HOST_URL", "http://127.0.0.1:9")
			var stderr bytes.Buffer
			require.Equal(t, exitFailed, run([]string{command}, streams{err: &stderr}))
			require.Contains(t, stderr.String(), "taskrunner: ")
			require.Contains(t, stderr.String(), "this user may not ")
		}
	}
}

// Whoever is not let in hears at once why, and which setting is to blame, from every command.
func TestRefusedByTheDatabase(t *testing.T) {
	db := testdb.New(t)
	good := db.Login(t, "taskrunner_service")
	u, err := url.Parse(good)
	require.NoError(t, err)
	u.User = url.UserPassword("nobody", "hunter2")
	stranger := u.String()
	u, err = url.Parse(good)
	require.NoError(t, err)
	u.Path = "/nowhere"
	nowhere := u.String()
	for name, c := range map[string]struct{ command, url, listen, says string }{
		"serve, user":            {"serve", stranger, "", "taskrunner: DATABASE_URL: cannot connect to "},
		"serve, database":        {"serve", nowhere, "", `DATABASE_URL: cannot connect to ` + u.Host + `: FATAL: database "nowhere" does not exist (SQLSTATE 3D000)`},
		"serve, direct":          {"serve", good, stranger, "taskrunner: LISTEN_DATABASE_URL: cannot connect to "},
		"serve, only the pooled": {"serve", nowhere, good, "taskrunner: DATABASE_URL: cannot connect to "},
		"migrate, user":          {"migrate", stranger, "", "taskrunner: DATABASE_URL: cannot connect to "},
		"migrate, direct":        {"migrate", good, nowhere, "taskrunner: LISTEN_DATABASE_URL: cannot connect to "},
		"check, database":        {"check", nowhere, good, "taskrunner: DATABASE_URL: cannot connect to "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("DATABASE_URL", c.url)
			t.Setenv("LISTEN_DATABASE_URL", c.listen)
			t.Setenv("HOST_URL", "http://127.0.0.1:9")
			t.Setenv("DATABASE_STARTUP_TIMEOUT_SECS", "86400")
			var stderr bytes.Buffer
			require.Equal(t, exitFailed, run([]string{c.command}, streams{err: &stderr}))
			require.Contains(t, stderr.String(), c.says)
			require.Len(t, strings.Split(strings.TrimSpace(stderr.String()), "\n"), 1)
			require.NotContains(t, stderr.String(), "hunter2")
		})
	}
}

// A URL without its scheme leads no command to a database that nobody has named, and is not repeated.
func TestMalformedDatabaseURL(t *testing.T) {
	const good, wrong = "postgres://127.0.0.1:9/d", "replica:hunter2@127.0.0.1:9/two?sslmode=disable"
	for name, c := range map[string]struct{ command, url, listen, says string }{
		"serve":            {"serve", wrong, "", "taskrunner: DATABASE_URL is not"},
		"serve, direct":    {"serve", good, wrong, "taskrunner: LISTEN_DATABASE_URL is not"},
		"migrate":          {"migrate", wrong, good, "taskrunner: DATABASE_URL is not"},
		"migrate, direct":  {"migrate", good, wrong, "taskrunner: LISTEN_DATABASE_URL is not"},
		"check":            {"check", wrong, "", "taskrunner: DATABASE_URL is not"},
		"dev":              {"dev", wrong, "", "DATABASE_URL is not"},
		"dev, direct":      {"dev", good, wrong, "LISTEN_DATABASE_URL is not"},
		"bench":            {"bench", wrong, "", "taskrunner: DATABASE_URL must have the form"},
		"bench, no scheme": {"bench", "host=127.0.0.1 password=hunter2", "", "taskrunner: DATABASE_URL must have the form"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("DATABASE_URL", c.url)
			t.Setenv("LISTEN_DATABASE_URL", c.listen)
			t.Setenv("HOST_URL", "http://127.0.0.1:9")
			var stderr bytes.Buffer
			require.Equal(t, exitFailed, run([]string{c.command}, streams{err: &stderr}))
			require.Contains(t, stderr.String(), c.says)
			require.NotContains(t, stderr.String(), "hunter2")
		})
	}
}

func TestReportOfAMigration(t *testing.T) {
	t.Parallel()
	r := migrate.Result{Outcome: migrate.Applied, Revision: 7}
	require.Equal(t, "applied, code revision 7\n", report(r))
	r.RoleStatements = []string{"create role a nologin;", "create role b nologin;"}
	text := report(r)
	require.Contains(t, text, "\n  create role a nologin;\n  create role b nologin;\n")
	require.Contains(t, text, `Then the owner of the schema runs "taskrunner migrate" again`)
}

func TestHelpShowsDefaults(t *testing.T) {
	t.Parallel()
	parser, err := newParser(new(cli))
	require.NoError(t, err)
	var text bytes.Buffer
	parser.Stdout = &text
	parser.Exit = func(int) {}
	_, _ = parser.Parse([]string{"serve", "--help"}) // help exits, which is switched off here
	for _, want := range []string{"--worker-enabled=1", "--pool-prepared-statements=1", "--dead-end-cancel-enabled=0", "--port=8085"} {
		require.Contains(t, text.String(), want)
	}
}
