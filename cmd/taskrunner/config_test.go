package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// emptyDir is a working directory without files, where no variable says anything.
func emptyDir(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, name := range []string{"CONFIG_FILE", "DATABASE_URL", "LISTEN_DATABASE_URL", "HOST_URL", "PORT", "LOG_LEVEL", "RUST_LOG"} {
		t.Setenv(name, "")
	}
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
}

// call runs a command.
func call(args ...string) (code int, stdout, stderr string) {
	var out, err bytes.Buffer
	code = run(args, streams{out: &out, err: &err})
	return code, out.String(), err.String()
}

// logged returns what is written to the true standard error meanwhile, the log.
func logged(t *testing.T, do func()) string {
	path := filepath.Join(t.TempDir(), "log")
	f, err := os.Create(path)
	require.NoError(t, err)
	stderr := os.Stderr
	os.Stderr = f
	defer func() { os.Stderr = stderr }()
	do()
	require.NoError(t, f.Close())
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(text)
}

func TestConfigCommand(t *testing.T) {
	emptyDir(t)
	writeFile(t, "config.toml", "host_url = 'http://tasks.example.com'\n[pool]\nmax_size = 20\nshed_success_threshold = 2\n")
	writeFile(t, ".env", "DATABASE_URL=postgres://u:hunter2@127.0.0.1:9/d\n")
	t.Setenv("RUST_LOG", "warn")
	code, stdout, stderr := call("config", "--ssrf-allow=10.0.0.0/8,jobs.internal")
	require.Equal(t, exitOK, code, stderr)
	require.Equal(t, "taskrunner: these settings have no effect in this version: pool.shed_success_threshold in config.toml\n", stderr)
	lines := map[string]string{}
	for line := range strings.Lines(stdout) {
		name, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		lines[name] = strings.Join(strings.Fields(rest), " ")
	}
	for name, want := range map[string]string{
		"SETTING": "VALUE SOURCE", "POOL_MAX_SIZE": "20 config.toml pool.max_size", "PORT": "8085 default", "LISTEN_DATABASE_URL": "- default",
		"DATABASE_URL": "postgres://u:***@127.0.0.1:9/d .env DATABASE_URL", "LOG_LEVEL": "warn environment RUST_LOG",
		"SSRF_ALLOW": "10.0.0.0/8, jobs.internal flag", "WORKER_ENABLED": "1 default",
	} {
		require.Equal(t, want, lines[name], name)
	}

	code, stdout, stderr = call("config", "--json", "--pool-min-idle=21", "--port=-1")
	require.Equal(t, exitFailed, code)
	problems := []string{
		"PORT must be from 0 to 65535, not -1",
		"POOL_MIN_IDLE (21) must not exceed POOL_MAX_SIZE (20) (pool.max_size in config.toml)",
	}
	require.Equal(t, "taskrunner: "+strings.Join(problems, "\ntaskrunner: ")+"\n", stderr)
	var answer struct {
		Settings                 []map[string]any
		Files, Ignored, Problems []string
	}
	require.NoError(t, json.Unmarshal([]byte(stdout), &answer))
	require.Equal(t, []string{".env", "config.toml"}, answer.Files)
	require.Equal(t, []string{"pool.shed_success_threshold in config.toml"}, answer.Ignored)
	require.Equal(t, problems, answer.Problems)
	require.Contains(t, answer.Settings, map[string]any{
		"setting": "POOL_MAX_SIZE", "flag": "--pool-max-size", "key": "pool.max_size", "value": 20.0, "source": "config.toml", "as": "pool.max_size",
	})
}

// A marker in every secret, well-formed and not, from every source, is in no output of any command.
func TestSecretsAreNeverWritten(t *testing.T) {
	const marker = "hunter2"
	hash := strings.Repeat("0123456789abcdef", 4)
	good := map[string]string{
		"DATABASE_URL":            "postgres://u:" + marker + "@127.0.0.1:9/d?connect_timeout=1&x.y=" + marker,
		"LISTEN_DATABASE_URL":     "host=127.0.0.1 port=9 user=u password='" + marker + "' dbname=d",
		"HOST_URL":                "http://u:" + marker + "@127.0.0.1:9",
		"WEBHOOK_PROXY_URL":       "http://" + marker + ":" + marker + "@proxy.example.com",
		"AUTH_HANDLE_SECRETS":     marker + "-of-more-than-16-characters",
		"WEBHOOK_SIGNING_SECRETS": "whsec_" + strings.Repeat(marker, 5) + "A",
		"AUTH_TOKENS":             "ci:write:" + hash,
	}
	wrong := map[string]string{
		"DATABASE_URL": "u:" + marker + "@127.0.0.1:9/d", "LISTEN_DATABASE_URL": "password=" + marker + " prot=9", "HOST_URL": marker + "://" + marker,
		"WEBHOOK_PROXY_URL": marker, "AUTH_HANDLE_SECRETS": marker, "WEBHOOK_SIGNING_SECRETS": marker, "AUTH_TOKENS": "ci:" + marker + ":" + hash,
	}
	quote := func(value string) string { return `"` + value + `"` }
	toTOML := func(values map[string]string) string {
		name, rest, _ := strings.Cut(values["AUTH_TOKENS"], ":")
		scope, sha256, _ := strings.Cut(rest, ":")
		return "database_url = " + quote(values["DATABASE_URL"]) + "\nlisten_database_url = " + quote(values["LISTEN_DATABASE_URL"]) +
			"\nhost_url = " + quote(values["HOST_URL"]) + "\nwebhook.proxy_url = " + quote(values["WEBHOOK_PROXY_URL"]) +
			"\nwebhook.signing_secrets = [" + quote(values["WEBHOOK_SIGNING_SECRETS"]) + "]\nauth.handle_secrets = [" + quote(values["AUTH_HANDLE_SECRETS"]) +
			"]\n[[auth.tokens]]\nname = " + quote(name) + "\nscope = " + quote(scope) + "\nsha256 = " + quote(sha256) + "\n"
	}
	for name, c := range map[string]struct {
		values  map[string]string
		prepare func(t *testing.T, values map[string]string) []string // returns flags
		code    int                                                   // of config
	}{
		"flags": {good, func(t *testing.T, values map[string]string) (flags []string) {
			for variable, value := range values {
				flags = append(flags, "--"+strings.ReplaceAll(strings.ToLower(variable), "_", "-")+"="+value)
			}
			return flags
		}, exitOK},
		"environment": {good, func(t *testing.T, values map[string]string) []string {
			for variable, value := range values {
				t.Setenv(variable, value)
			}
			return nil
		}, exitOK},
		".env": {good, func(t *testing.T, values map[string]string) []string {
			text := ""
			for variable, value := range values {
				text += variable + "=" + quote(value) + "\n"
			}
			writeFile(t, ".env", text)
			return nil
		}, exitOK},
		"file": {good, func(t *testing.T, values map[string]string) []string {
			writeFile(t, "config.toml", toTOML(values))
			return nil
		}, exitOK},
		"wrong, environment": {wrong, func(t *testing.T, values map[string]string) []string {
			for variable, value := range values {
				t.Setenv(variable, value)
			}
			return nil
		}, exitFailed},
		"wrong, file": {wrong, func(t *testing.T, values map[string]string) []string {
			writeFile(t, "config.toml", toTOML(values))
			return nil
		}, exitFailed},
		"types": {nil, func(t *testing.T, _ map[string]string) []string {
			writeFile(t, "config.toml", `port = "hunter2"
pool.max_size = ["hunter2"]
database_url = ["hunter2"]
webhook.signing_secrets = "hunter2"
auth.handle_secrets = [["hunter2"]]
auth.tokens = [{name = "hunter2", scope = "hunter2", sha256 = "hunter2", secret = "hunter2"}]
tracing.enabled = "hunter2"
worker.batch_channel_capacity = "hunter2"
unknown = "hunter2"
`)
			return nil
		}, exitFailed},
		"no TOML": {nil, func(t *testing.T, _ map[string]string) []string {
			writeFile(t, "config.toml", `database_url = postgres://u:hunter2@h/d`)
			return nil
		}, exitFailed},
		"no .env": {nil, func(t *testing.T, _ map[string]string) []string {
			writeFile(t, ".env", "DATABASE_URL='postgres://u:hunter2@h/d")
			return nil
		}, exitFailed},
	} {
		t.Run(name, func(t *testing.T) {
			emptyDir(t)
			for variable := range good {
				t.Setenv(variable, "")
			}
			flags := c.prepare(t, c.values)
			for _, command := range [][]string{{"config"}, {"config", "--json"}, {"serve", "--database-startup-timeout-secs=0", "--log-level=debug"}} {
				var code int
				var stdout, stderr string
				log := logged(t, func() { code, stdout, stderr = call(append(command, flags...)...) })
				want := c.code
				if command[0] == "serve" {
					want = exitFailed // there is no database
				}
				require.Equal(t, want, code, stderr)
				for _, output := range []string{stdout, stderr, log} {
					require.NotContains(t, output, marker)
					require.NotContains(t, output, hash)
				}
				if name == "file" && command[0] == "serve" {
					require.Contains(t, log, `"files":["config.toml"]`)
				}
				if command[0] == "config" && c.values != nil {
					require.Contains(t, stdout, "***")
				}
			}
		})
	}
}

// Commands with fewer settings take those that they have from the same places.
func TestFilesOfOtherCommands(t *testing.T) {
	emptyDir(t)
	writeFile(t, "config.toml", "database_url = 'postgres://127.0.0.1:9/d'\ndatabase_startup_timeout_secs = 0\nport = 9\npool.max_size = 20\n")
	for _, command := range [][]string{{"migrate"}, {"check"}, {"prune"}, {"why", "00000000-0000-0000-0000-000000000000"}} {
		code, _, stderr := call(command...)
		require.Equal(t, exitFailed, code)
		require.Contains(t, stderr, "taskrunner: DATABASE_URL: cannot connect to 127.0.0.1:9")
	}
	code, _, stderr := call("health")
	require.Equal(t, exitFailed, code)
	require.Contains(t, stderr, "http://127.0.0.1:9/health")

	// A key that nobody knows stops those who look at the file as a whole. A health check only wants its port.
	writeFile(t, "config.toml", "database_url = 'u:hunter2@h/d'\nprot = 1\nport = 9\n")
	for _, command := range []string{"serve", "config", "migrate", "check"} {
		code, _, stderr := call(command)
		require.Equal(t, exitFailed, code)
		require.Equal(t, "taskrunner: prot in config.toml is no setting\n", stderr)
	}
	_, _, stderr = call("health")
	require.Contains(t, stderr, "http://127.0.0.1:9/health")
	writeFile(t, "config.toml", "port = '9'\n")
	_, _, stderr = call("health")
	require.Equal(t, "taskrunner: port in config.toml must be an integer, not a string\n", stderr)

	writeFile(t, "config.toml", "database_url = 'u:hunter2@h/d'\n")
	_, _, stderr = call("migrate")
	require.Equal(t, "taskrunner: DATABASE_URL is not a connection URL (postgres://…) or string (keyword=value …) of PostgreSQL (database_url in config.toml)\n", stderr)

	writeFile(t, "config.toml", "retention.days = -1\n")
	_, _, stderr = call("prune")
	require.Equal(t, "taskrunner: --days (RETENTION_DAYS) must be from 0 to 36500, not -1 (retention.days in config.toml)\n", stderr)

	// Commands without settings read no file, whatever is in it.
	writeFile(t, "config.toml", "]")
	writeFile(t, ".env", "TASKRUNNER_URL=http://127.0.0.1:1\n?")
	code, _, stderr = call("version")
	require.Equal(t, exitOK, code, stderr)
	_, _, stderr = call("list")
	require.NotContains(t, stderr, "127.0.0.1:1/")
	require.NotContains(t, stderr, ".env")
}
