package config

import (
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// contractNames are the names of section 10 of the contract.
const contractNames = `PORT HOST_URL DATABASE_URL LISTEN_DATABASE_URL DATABASE_STARTUP_TIMEOUT_SECS DRAIN_TIMEOUT_SECS
	POOL_MAX_SIZE POOL_MIN_IDLE POOL_ACQUIRE_RETRIES POOL_TIMEOUT_SECS POOL_PREPARED_STATEMENTS POOL_MAX_IN_FLIGHT
	POOL_RETRY_AFTER_SECS CIRCUIT_BREAKER_ENABLED CIRCUIT_BREAKER_FAILURE_THRESHOLD CIRCUIT_BREAKER_FAILURE_WINDOW_SECS
	CIRCUIT_BREAKER_RECOVERY_TIMEOUT_SECS SLOW_QUERY_THRESHOLD_MS PAGINATION_DEFAULT PAGINATION_MAX WORKER_ENABLED
	WORKER_LOOP_INTERVAL_MS WORKER_CLAIM_TIMEOUT_SECS WORKER_START_BATCH_SIZE WORKER_WEBHOOK_CONCURRENCY
	DEAD_END_CANCEL_ENABLED WEBHOOK_DELIVERY_CONCURRENCY WEBHOOK_TIMEOUT_SECS WEBHOOK_CONNECT_TIMEOUT_SECS
	WEBHOOK_START_MAX_ATTEMPTS WEBHOOK_START_BACKOFF_MS WEBHOOK_MAX_ATTEMPTS WEBHOOK_BACKOFF_SECS WEBHOOK_BACKOFF_FACTOR
	WEBHOOK_BACKOFF_MAX_SECS WEBHOOK_MAX_RESPONSE_BYTES WEBHOOK_SIGNING_SECRETS WEBHOOK_PROXY_URL AUTH_TOKENS
	AUTH_HANDLE_SECRETS AUTH_PUBLIC_METRICS RETENTION_ENABLED RETENTION_DAYS RETENTION_CLEANUP_INTERVAL_SECS
	RETENTION_BATCH_SIZE RETENTION_IDEMPOTENCY_SECS TRACING_ENABLED OTEL_EXPORTER_OTLP_ENDPOINT OTEL_SERVICE_NAME
	OTEL_SAMPLING_RATIO LOG_LEVEL LOG_FORMAT RUST_LOG SKIP_SSRF_VALIDATION BLOCKED_HOSTNAMES BLOCKED_HOSTNAME_SUFFIXES
	SSRF_ALLOW MAX_BODY_BYTES BATCH_CHANNEL_CAPACITY CIRCUIT_BREAKER_SUCCESS_THRESHOLD CONFIG_FILE`

// known returns the environment names of a struct of settings.
func known(t reflect.Type) (names []string) {
	for _, f := range reflect.VisibleFields(t) {
		if tag := f.Tag.Get("env"); tag != "" {
			names = append(names, strings.Split(tag, ",")...)
		}
	}
	return names
}

// Whatever the contract has is a setting, or is refused or ignored with a word; nothing is both.
func TestEveryNameOfTheContractIsAccountedFor(t *testing.T) {
	t.Parallel()
	names := known(reflect.TypeFor[Config]())
	for _, s := range unsupported {
		names = append(names, s.name)
	}
	want := strings.Fields(contractNames)
	slices.Sort(names)
	slices.Sort(want)
	require.Equal(t, want, names)
}

// clean empties everything that the contract would read.
func clean(t *testing.T) {
	for _, name := range strings.Fields(contractNames) {
		t.Setenv(name, "")
	}
	t.Setenv("DATABASE_URL", "postgres://u:p@127.0.0.1:5432/d")
	t.Setenv("HOST_URL", "http://127.0.0.1:8085")
	t.Chdir(t.TempDir())
}

// parse returns the settings, and what is wrong with them.
func parse(t *testing.T, flags ...string) (Config, error) {
	t.Helper()
	c, err := Parse(flags...)
	require.NoError(t, err)
	return c, c.Check()
}

func write(t *testing.T, path, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
}

func TestUnsupportedSettings(t *testing.T) {
	clean(t)
	c, err := parse(t)
	require.NoError(t, err, "an empty variable counts as unset")
	require.Empty(t, c.Ignored())
	for _, u := range unsupported {
		_, name, _ := cutLast(u.key, ".")
		section, _, _ := strings.Cut(u.key, ".")
		for where, set := range map[string]func(t *testing.T, value string){
			u.name:                    func(t *testing.T, value string) { t.Setenv(u.name, value) },
			u.name + " in .env":       func(t *testing.T, value string) { write(t, ".env", u.name+"='"+value+"'\n") },
			u.key + " in config.toml": func(t *testing.T, value string) { write(t, "config.toml", "["+section+"]\n"+name+" = '"+value+"'\n") },
		} {
			t.Run(where, func(t *testing.T) {
				clean(t)
				set(t, "hush hush")
				c, err := parse(t)
				require.NoError(t, err)
				require.Equal(t, []string{where}, c.Ignored())
			})
		}
	}
}

func TestRustLog(t *testing.T) {
	clean(t)
	for _, c := range []struct {
		logLevel, rustLog, want string
		ignored                 bool
	}{
		{"", "", "info", false},
		{"", "warn", "warn", false},
		{"", " DEBUG ", "debug", false},
		{"error", "debug", "error", false},
		{"", "sqlx=warn,info", "info", true},
		{"", "trace", "info", true},
	} {
		t.Setenv("LOG_LEVEL", c.logLevel)
		t.Setenv("RUST_LOG", c.rustLog)
		parsed, err := Parse()
		require.NoError(t, err)
		require.Equal(t, c.want, parsed.LogLevel, c)
		require.Equal(t, c.ignored, slices.Equal(parsed.Ignored(), []string{"RUST_LOG"}), c)
	}
	c, err := Parse("--log-level=warn")
	require.NoError(t, err)
	require.Equal(t, "warn", c.LogLevel, "flags win")
}

// Each setting that is there but empty has its default.
func TestEmptyIsUnset(t *testing.T) {
	clean(t)
	t.Setenv("DATABASE_URL", "")
	t.Setenv("HOST_URL", "")
	empty, err := Parse()
	require.NoError(t, err)
	for _, name := range strings.Fields(contractNames) {
		t.Setenv(name, "  ")
	}
	blank, err := Parse()
	require.NoError(t, err)
	for _, name := range strings.Fields(contractNames) {
		require.NoError(t, os.Unsetenv(name)) // t.Setenv puts it back
	}
	unset, err := Parse()
	require.NoError(t, err)
	require.Equal(t, unset, empty)
	require.Equal(t, unset, blank)
	require.Equal(t, 8085, unset.Port)
}

func TestAllMalformedVariablesAreNamed(t *testing.T) {
	clean(t)
	t.Setenv("PORT", "http")
	t.Setenv("WORKER_ENABLED", "yes")
	t.Setenv("WEBHOOK_BACKOFF_FACTOR", "x")
	t.Setenv("POOL_MAX_SIZE", "many")
	_, err := Parse("--pool-max-size=3")
	for _, want := range []string{
		`PORT (--port): "http" is not a whole number`, `WORKER_ENABLED (--worker-enabled): "yes" is not 1, 0, true or false`,
		`WEBHOOK_BACKOFF_FACTOR (--webhook-backoff-factor): "x" is not a number`,
	} {
		require.ErrorContains(t, err, want)
	}
	require.NotContains(t, err.Error(), "POOL_MAX_SIZE", "the flag wins")
	var invalidErr *InvalidError
	require.ErrorAs(t, err, &invalidErr)
}
