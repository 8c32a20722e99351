package config

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// All that is wrong with a file is said at once, with its keys, and no value is repeated.
func TestFaultsOfAFile(t *testing.T) {
	clean(t)
	t.Setenv("DATABASE_URL", "")
	t.Setenv("PORT", "http")
	write(t, ".env", "WORKER_ENABLED=maybe\n")
	write(t, "my.toml", `
port = "hunter2"
database_url = 5
prot = "hunter2"
"pool.max_size" = 5
POOL_MIN_IDLE = 5
pagination = "hunter2"
whatever = {port = 1}
[pool]
max_size = "hunter2"
min_idle = 1.5
shed_enabled = "hunter2"
prepared_statements = 2
timeout_secs = 2026-01-01
minimum = 3
[webhook]
backoff_factor = "hunter2"
signing_secrets = "hunter2"
[auth]
handle_secrets = ["long-enough-secret", 5]
public_metrics = []
tokens = [{name = "ci", scope = "write"}]
[tracing.log_level]
a = 1
`)
	_, err := Parse("--config=my.toml")
	require.EqualError(t, err, strings.Join([]string{
		`config: PORT (--port): "http" is not a whole number`,
		`WORKER_ENABLED in .env (--worker-enabled): "maybe" is not 1, 0, true or false`,
		`POOL_MIN_IDLE in my.toml is no setting: this setting is pool.min_idle there`,
		`auth.handle_secrets in my.toml: entry 2 must be a string, not an integer`,
		`auth.public_metrics in my.toml must be true, false, 1 or 0`,
		`auth.tokens in my.toml: entry 1 has no sha256`,
		`database_url in my.toml must be a string, not an integer`,
		`pagination in my.toml must be a table, not a string`,
		`pool.max_size in my.toml must be an integer, not a string`,
		`pool.min_idle in my.toml must be an integer, not a float`,
		`pool.minimum in my.toml is no setting`,
		`pool.prepared_statements in my.toml must be true, false, 1 or 0`,
		`pool.shed_enabled in my.toml must be true, false, 1 or 0`,
		`pool.timeout_secs in my.toml must be an integer, not a date or a time`,
		`"pool.max_size" in my.toml is no setting`,
		`port in my.toml must be an integer, not a string`,
		`prot in my.toml is no setting`,
		`tracing.log_level in my.toml must be a string, not a table`,
		`webhook.backoff_factor in my.toml must be a number, not a string`,
		`webhook.signing_secrets in my.toml must be an array of strings, not a string`,
		`whatever in my.toml is no setting`,
	}, "\n"), "what a variable hides is looked at too")
	var invalidErr *InvalidError
	require.ErrorAs(t, err, &invalidErr)
	require.NotContains(t, err.Error(), "hunter2")
}

func TestMalformedTOML(t *testing.T) {
	clean(t)
	for text, position := range map[string]string{
		"auth.handle_secrets = [hunter2]":  "line 1, column ",
		"port = 1\nhost_url = 'hunter2":    "line 2, column ",
		"port = 1\nport = 2":               "line 2, column ",
		"hunter2":                          "line 1, column ",
		"port = 99999999999999999999":      "line 1, column ",
		"[pool]\nmax_size = 1\n[pool]\n":   "line 3, column ",
		"host_url = \"hunter2\\q\"":        "line 1, column ",
		"host_url = \"\xff\"":              "line 1, column ",
		"database_url = \"hunter2\nhttp\"": "line 1, column ",
	} {
		write(t, "config.toml", text)
		_, err := Parse()
		require.ErrorContains(t, err, "config: config.toml: "+position, text)
		require.ErrorContains(t, err, "this is no TOML, or a key stands there twice")
		require.NotContains(t, err.Error(), "hunter2")
	}
}

func TestTokensOfAFile(t *testing.T) {
	clean(t)
	hash := strings.Repeat("ab", 32)
	write(t, "config.toml", `
[auth]
handle_secrets = ["first, with a comma", "second-secret-of-16"]
[[auth.tokens]]
name = "ci, nightly"
scope = "write"
sha256 = "`+hash+`"
[[auth.tokens]]
scope = "admin"
name = "ops"
sha256 = "`+strings.Repeat("cd", 32)+`"
`)
	c, err := parse(t)
	require.NoError(t, err)
	tokens, err := c.Tokens()
	require.NoError(t, err)
	require.Len(t, tokens, 2)
	require.Equal(t, "ci, nightly", tokens[0].Name)
	require.Equal(t, List{"first, with a comma", "second-secret-of-16"}, c.AuthHandleSecrets)

	for text, want := range map[string]string{
		`tokens = "ci:write:x"`:   " must be tables ([[auth.tokens]]), not a string",
		`tokens = ["ci:write:x"]`: ": entry 1 must be a table ([[auth.tokens]]), not a string",
		`tokens = [{name = "a", scope = "read", sha256 = "0", secret = "hunter2"}]`: ": entry 1 must have name, scope, sha256 and nothing else",
		`tokens = [{name = "a", scope = "read"}]`:                                   ": entry 1 has no sha256",
		`tokens = [{name = "a", scope = 1, sha256 = "0"}]`:                          ": scope of entry 1 must be a string, not an integer",
		`tokens = [{name = "a:b", scope = "read", sha256 = "0"}]`:                   ": name of entry 1 must not have a colon",
	} {
		write(t, "config.toml", "[auth]\n"+text)
		_, err := Parse()
		require.EqualError(t, err, "config: auth.tokens in config.toml"+want)
	}
	write(t, "config.toml", "[[auth.tokens]]\nname = 'a'\nscope = 'hunter2'\nsha256 = '0'")
	_, err = parse(t)
	require.EqualError(t, err, "AUTH_TOKENS: entry 1 must have the scope read, write or admin (auth.tokens in config.toml)")
}

func TestExampleIsUpToDate(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../config.example.toml")
	require.NoError(t, err)
	require.Equal(t, Example(), string(text), "make generate/config")
}

// contractKeys are the keys of section 10 of the contract.
const contractKeys = `port host_url database_url listen_database_url database_startup_timeout_secs drain_timeout_secs
	pool.max_size pool.min_idle pool.acquire_retries pool.timeout_secs pool.prepared_statements pool.max_in_flight
	pool.retry_after_secs pool.shed_enabled pool.shed_failure_threshold pool.shed_window_secs pool.shed_recovery_secs
	pool.slow_query_threshold_ms pagination.default pagination.max worker.enabled worker.loop_interval_ms
	worker.claim_timeout_secs worker.start_batch_size worker.webhook_concurrency worker.dead_end_cancel_enabled
	webhook.delivery_concurrency webhook.timeout_secs webhook.connect_timeout_secs webhook.start_max_attempts
	webhook.start_backoff_ms webhook.max_attempts webhook.backoff_secs webhook.backoff_factor webhook.backoff_max_secs
	webhook.max_response_bytes webhook.signing_secrets webhook.proxy_url auth.tokens auth.handle_secrets
	auth.public_metrics retention.enabled retention.days retention.cleanup_interval_secs retention.batch_size
	retention.idempotency_secs tracing.enabled tracing.otlp_endpoint tracing.service_name tracing.sampling_ratio
	tracing.log_level tracing.log_format security.skip_ssrf_validation security.blocked_hostnames
	security.blocked_hostname_suffixes security.ssrf_allow security.max_body_bytes`

// The example, with every key switched on, is a file that has every supported setting, with its default; only the
// secrets are none yet.
func TestExampleHasEverySetting(t *testing.T) {
	clean(t)
	defaults, err := Parse()
	require.NoError(t, err)
	t.Setenv("DATABASE_URL", "")
	t.Setenv("HOST_URL", "")
	commented := regexp.MustCompile(`(?m)^#(\S)`)
	write(t, "config.toml", commented.ReplaceAllString(Example(), "$1"))
	c, err := Parse()
	require.NoError(t, err)

	var have, want []string
	for i, e := range c.Effective() {
		require.Equal(t, Source{"config.toml", e.Key}, e.Source)
		if byKey()[e.Key].preset != "" {
			require.Equal(t, defaults.Effective()[i].Value, e.Value, e.Key)
		} else {
			require.NotEmpty(t, e.Value, e.Key)
		}
		have = append(have, e.Key)
	}
	for _, key := range strings.Fields(contractKeys) {
		if !isUnsupportedKey(key) {
			want = append(want, key)
		}
	}
	require.ElementsMatch(t, want, have)

	err = c.Check()
	require.Len(t, strings.Split(err.Error(), "\n"), 3, err)
	for _, name := range []string{"AUTH_TOKENS", "AUTH_HANDLE_SECRETS", "WEBHOOK_SIGNING_SECRETS"} {
		require.ErrorContains(t, err, name)
	}
	for _, u := range unsupported {
		if u.name != "BATCH_CHANNEL_CAPACITY" && u.name != "CIRCUIT_BREAKER_SUCCESS_THRESHOLD" {
			require.Contains(t, strings.Fields(contractKeys), u.key)
		}
	}

	// As it stands it changes nothing.
	clean(t)
	write(t, "config.toml", Example())
	same, err := Parse()
	require.NoError(t, err)
	for i, e := range same.Effective() {
		require.Equal(t, defaults.Effective()[i], e)
	}
}
