package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Each kind of setting takes its value from the first of flag, variable, .env, file and default that has one.
func TestPrecedence(t *testing.T) {
	for _, c := range []struct {
		flag, variable, key     string
		preset                  any
		onFlag, inEnv, inDotenv string
		inFile                  string
		values                  [4]any // in this order
		value                   func(Config) any
	}{
		{"pool-max-size", "POOL_MAX_SIZE", "pool.max_size", 10, "40", "30", "20", "15", [4]any{40, 30, 20, 15},
			func(c Config) any { return c.PoolMaxSize }},
		{"max-body-bytes", "MAX_BODY_BYTES", "security.max_body_bytes", int64(67108864), "4", "3", "2", "1_000", [4]any{int64(4), int64(3), int64(2), int64(1000)},
			func(c Config) any { return c.MaxBodyBytes }},
		{"webhook-backoff-factor", "WEBHOOK_BACKOFF_FACTOR", "webhook.backoff_factor", 3.0, "4.5", "3.5", "2.5", "1.5", [4]any{4.5, 3.5, 2.5, 1.5},
			func(c Config) any { return c.WebhookBackoffFactor }},
		{"webhook-backoff-factor", "WEBHOOK_BACKOFF_FACTOR", "webhook.backoff_factor", 3.0, "4", "3.5", "2", "1", [4]any{4.0, 3.5, 2.0, 1.0},
			func(c Config) any { return c.WebhookBackoffFactor }},
		{"worker-enabled", "WORKER_ENABLED", "worker.enabled", true, "true", "0", "1", "false", [4]any{true, false, true, false},
			func(c Config) any { return c.WorkerEnabled.On() }},
		{"auth-public-metrics", "AUTH_PUBLIC_METRICS", "auth.public_metrics", false, "0", "true", "false", "1", [4]any{false, true, false, true},
			func(c Config) any { return c.AuthPublicMetrics.On() }},
		{"ssrf-allow", "SSRF_ALLOW", "security.ssrf_allow", List(nil), "d,e", "c", "' a, b ,'", `[" a,b "]`, [4]any{List{"d", "e"}, List{"c"}, List{"a", "b"}, List{" a,b "}},
			func(c Config) any { return c.SSRFAllow }},
		{"listen-database-url", "LISTEN_DATABASE_URL", "listen_database_url", "", "postgres://d", "postgres://c", "postgres://b", `"postgres://a"`,
			[4]any{"postgres://d", "postgres://c", "postgres://b", "postgres://a"}, func(c Config) any { return c.ListenDatabaseURL }},
		{"log-level", "LOG_LEVEL", "tracing.log_level", "info", "error", "warn", "debug", `"error"`, [4]any{"error", "warn", "debug", "error"},
			func(c Config) any { return c.LogLevel }},
	} {
		t.Run(c.variable, func(t *testing.T) {
			clean(t)
			expect := func(want any, source Source, flags ...string) {
				t.Helper()
				parsed, err := Parse(flags...)
				require.NoError(t, err)
				require.Equal(t, want, c.value(parsed))
				require.Equal(t, source, sourceOf(t, &parsed, c.variable))
			}
			expect(c.preset, Source{From: "default"})
			write(t, "config.toml", c.key+" = "+c.inFile)
			expect(c.values[3], Source{"config.toml", c.key})
			write(t, ".env", "# variables\nexport "+c.variable+"="+c.inDotenv+" # mine\n")
			expect(c.values[2], Source{".env", c.variable})
			t.Setenv(c.variable, c.inEnv)
			expect(c.values[1], Source{"environment", c.variable})
			expect(c.values[0], Source{From: "flag"}, "--"+c.flag, c.onFlag)

			t.Setenv(c.variable, " ")
			expect(c.values[2], Source{".env", c.variable})
			write(t, ".env", c.variable+"=\n")
			expect(c.values[3], Source{"config.toml", c.key})
			require.NoError(t, os.Remove("config.toml"))
			expect(c.preset, Source{From: "default"})
		})
	}
}

func sourceOf(t *testing.T, c *Config, variable string) Source {
	t.Helper()
	for _, e := range c.Effective() {
		if e.Variable == variable {
			return e.Source
		}
	}
	require.Fail(t, "no setting", variable)
	return Source{}
}

func TestLogLevelOfDotenv(t *testing.T) {
	clean(t)
	write(t, ".env", "RUST_LOG=debug\n")
	c, err := Parse()
	require.NoError(t, err)
	require.Equal(t, "debug", c.LogLevel)
	require.Equal(t, Source{".env", "RUST_LOG"}, sourceOf(t, &c, "LOG_LEVEL"))
	t.Setenv("RUST_LOG", "sqlx=warn")
	c, err = Parse()
	require.NoError(t, err)
	require.Equal(t, "info", c.LogLevel, "the real variable wins, and says nothing")
	require.Equal(t, []string{"RUST_LOG"}, c.Ignored())
}

// Which file is read, and what is said if it cannot be.
func TestWhichFile(t *testing.T) {
	clean(t)
	c, err := Parse()
	require.NoError(t, err)
	require.Empty(t, c.Files())

	require.NoError(t, os.Mkdir("config.toml", 0o700))
	require.NoError(t, os.Mkdir(".env", 0o700))
	c, err = Parse()
	require.NoError(t, err, "folders are something else")
	require.Empty(t, c.Files())
	require.NoError(t, os.Remove("config.toml"))
	require.NoError(t, os.Remove(".env"))

	for i, path := range []string{"config.toml", "env.toml", "dotenv.toml", "flag.toml"} {
		write(t, path, fmt.Sprintf("port = %d\n", i))
	}
	c, err = Parse()
	require.NoError(t, err)
	require.Equal(t, 0, c.Port)
	require.Equal(t, []string{"config.toml"}, c.Files())
	write(t, ".env", "CONFIG_FILE=dotenv.toml")
	c, err = Parse()
	require.NoError(t, err)
	require.Equal(t, 2, c.Port)
	require.Equal(t, []string{".env", "dotenv.toml"}, c.Files())
	t.Setenv("CONFIG_FILE", "env.toml")
	c, err = Parse()
	require.NoError(t, err)
	require.Equal(t, 1, c.Port)
	c, err = Parse("--config", "flag.toml")
	require.NoError(t, err)
	require.Equal(t, 3, c.Port)
	require.Equal(t, Source{"flag.toml", "port"}, sourceOf(t, &c, "PORT"))
	require.Equal(t, []string{".env", "flag.toml"}, c.Files())

	_, err = Parse("--config=missing.toml")
	require.EqualError(t, err, "config: --config: cannot read missing.toml: no such file or directory")
	t.Setenv("CONFIG_FILE", t.TempDir())
	_, err = Parse()
	require.ErrorContains(t, err, "CONFIG_FILE: cannot read /")
	require.ErrorContains(t, err, ": is a directory")
	t.Setenv("CONFIG_FILE", "")
	write(t, ".env", "CONFIG_FILE=missing.toml")
	_, err = Parse()
	require.EqualError(t, err, "config: CONFIG_FILE in .env: cannot read missing.toml: no such file or directory")
	var invalidErr *InvalidError
	require.ErrorAs(t, err, &invalidErr)
}

func TestLargeFiles(t *testing.T) {
	clean(t)
	fits := "# " + strings.Repeat("x", maxFileSize-2)
	for _, path := range []string{"config.toml", ".env"} {
		write(t, path, fits)
		_, err := Parse()
		require.NoError(t, err)
		write(t, path, fits+"x")
		_, err = Parse()
		require.EqualError(t, err, "config: "+path+" is larger than 256 KiB")
		require.NoError(t, os.Remove(path))
	}
	write(t, "config.toml", "a = "+strings.Repeat("[", maxFileSize-4))
	_, err := Parse()
	require.ErrorContains(t, err, "config.toml: line 1, column ")
}

// What is written in .env is what counts: nothing is put in place of a dollar sign.
func TestDotenvValues(t *testing.T) {
	clean(t)
	t.Setenv("DATABASE_URL", "")
	for text, want := range map[string]string{
		`postgres://u:p$HOME$$x@h/d`:         `postgres://u:p$HOME$$x@h/d`,
		`"postgres://u:${HOME}@h/d"`:         `postgres://u:${HOME}@h/d`,
		`'postgres://u:p#"$x@h/d'  # mine`:   `postgres://u:p#"$x@h/d`,
		`postgres://u:p#x@h/d # mine`:        `postgres://u:p#x@h/d`,
		"postgres://u:p@h/d\r\nPORT=1":       `postgres://u:p@h/d`,
		"\npostgres=1":                       ``,
		`"host=h password='a b'" # in two`:   `host=h password='a b'`,
		`postgres://u:pä€@h/d # two letters`: `postgres://u:pä€@h/d`,
	} {
		write(t, ".env", "\uFEFFDATABASE_URL="+text)
		c, err := Parse()
		require.NoError(t, err, text)
		require.Equal(t, want, c.DatabaseURL)
	}
	for text, line := range map[string]int{
		"hunter2": 1, "PORT=1\n\n# x\nhunter2 x=1\nHOST_URL=x": 4, "PORT=1\nHOST_URL='hunter2\nb\nc": 2, "A='1\n2'\n=&hunter2\n": 3,
		"PORT=1\nhunter2\n": 2,
	} {
		write(t, ".env", text)
		_, err := Parse()
		require.EqualError(t, err, fmt.Sprintf("config: .env: line %d is not NAME=value", line), text)
	}
	require.NoError(t, os.Remove(".env"))
	require.NoError(t, os.Symlink(filepath.Join(t.TempDir(), "missing"), ".env"))
	_, err := Parse()
	require.NoError(t, err)
}

// Messages about values that a check does not like say where they are.
func TestCheckSaysWhere(t *testing.T) {
	clean(t)
	write(t, "config.toml", "pool = {min_idle = 30, max_size = 20}\nport = 99999\nhost_url = 'x'\n")
	write(t, ".env", "WEBHOOK_MAX_ATTEMPTS=0\nPOOL_MAX_SIZE=15\n")
	t.Setenv("HOST_URL", "y")
	t.Setenv("DATABASE_URL", "")
	c, err := Parse("--webhook-timeout-secs=0")
	require.NoError(t, err)
	require.EqualError(t, c.Check(), strings.Join([]string{
		"DATABASE_URL is required",
		"PORT must be from 0 to 65535, not 99999 (port in config.toml)",
		"HOST_URL must be an absolute http:// or https:// URL",
		"POOL_MIN_IDLE (30) must not exceed POOL_MAX_SIZE (15) (pool.min_idle in config.toml, POOL_MAX_SIZE in .env)",
		"WEBHOOK_TIMEOUT_SECS must be from 1 to 315360000, not 0",
		"WEBHOOK_MAX_ATTEMPTS must be from 1 to 1000000, not 0 (WEBHOOK_MAX_ATTEMPTS in .env)",
	}, "\n"))
}
