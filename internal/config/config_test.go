package config_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/bearer"
	"github.com/taskrunner/taskrunner/internal/config"
)

func required(t *testing.T) {
	t.Setenv("DATABASE_URL", "postgres://u:p@127.0.0.1:5432/d")
	t.Setenv("HOST_URL", "http://127.0.0.1:8085/")
}

func TestDefaults(t *testing.T) {
	required(t)
	c, err := config.Parse()
	require.NoError(t, err)
	require.NoError(t, c.Check())
	require.Equal(t, 8085, c.Port)
	require.Equal(t, "http://127.0.0.1:8085", c.BaseURL())
	require.Equal(t, c.DatabaseURL, c.Direct())
	require.True(t, c.WorkerEnabled.On())
	require.Equal(t, int64(67108864), c.MaxBodyBytes)
	require.Equal(t, []int{50, 100}, []int{c.PaginationDefault, c.PaginationMax})
	require.Empty(t, c.AuthHandleSecrets)
	require.Empty(t, c.AuthTokens)
	require.False(t, c.AuthPublicMetrics.On())
	require.Equal(t, 1000, c.PoolMaxInFlight)
	require.True(t, c.CircuitBreakerEnabled.On())
	require.Equal(t, 5, c.CircuitBreakerFailureThreshold)
	require.Equal(t, 10*time.Second, c.FailureWindow())
	policy, err := c.Egress()
	require.NoError(t, err)
	require.Error(t, policy.Check("http://127.0.0.1/"))
	proxy, err := c.Proxy()
	require.NoError(t, err)
	require.Nil(t, proxy)
	require.Equal(t, 5*time.Second, c.RecoveryTimeout())
}

func TestFlagsWinOverEnvironment(t *testing.T) {
	required(t)
	t.Setenv("POOL_MAX_SIZE", "20")
	t.Setenv("WORKER_ENABLED", "0")
	t.Setenv("AUTH_HANDLE_SECRETS", " first-secret-of-16, second-secret-of-16 ,")
	c, err := config.Parse("--pool-max-size", "30", "--worker-enabled", "true", "--listen-database-url=postgres://direct/d")
	require.NoError(t, err)
	require.NoError(t, c.Check())
	require.Equal(t, 30, c.PoolMaxSize)
	require.True(t, c.WorkerEnabled.On())
	require.Equal(t, config.List{"first-secret-of-16", "second-secret-of-16"}, c.AuthHandleSecrets)
	require.Equal(t, "postgres://direct/d", c.Direct())

	c, err = config.Parse()
	require.NoError(t, err)
	require.Equal(t, 20, c.PoolMaxSize)
	require.False(t, c.WorkerEnabled.On())
}

func TestMalformedValuesNameTheSetting(t *testing.T) {
	for flag, value := range map[string]string{
		"pool-max-size": "many", "port": "9999999999999999999", "worker-enabled": "yes", "webhook-backoff-factor": "x",
		"max-body-bytes": "1.5",
	} {
		t.Run(flag, func(t *testing.T) {
			required(t)
			_, err := config.Parse("--"+flag, value)
			require.ErrorContains(t, err, "--"+flag)
			var valueErr *config.ValueError
			require.ErrorAs(t, err, &valueErr)
		})
	}
	t.Run("environment", func(t *testing.T) {
		required(t)
		t.Setenv("PORT", "http")
		_, err := config.Parse()
		require.ErrorContains(t, err, "PORT")
	})
}

func TestCheckNamesTheSetting(t *testing.T) {
	for name, tc := range map[string]struct{ args, want []string }{
		"required":        {[]string{"--host-url=", "--database-url="}, []string{"HOST_URL is required", "DATABASE_URL is required"}},
		"host":            {[]string{"--host-url=example.com"}, []string{"HOST_URL must be"}},
		"host query":      {[]string{"--host-url=http://h/?a=1"}, []string{"HOST_URL must not have a query"}},
		"port":            {[]string{"--port=65536"}, []string{"PORT must be"}},
		"idle":            {[]string{"--pool-min-idle=11"}, []string{"POOL_MIN_IDLE (11) must not exceed POOL_MAX_SIZE (10)"}},
		"pool":            {[]string{"--pool-max-size=0"}, []string{"POOL_MAX_SIZE must be"}},
		"claim timeout":   {[]string{"--worker-claim-timeout-secs=10"}, []string{"WORKER_CLAIM_TIMEOUT_SECS (10) must exceed WEBHOOK_TIMEOUT_SECS (10)"}},
		"factor":          {[]string{"--webhook-backoff-factor=NaN"}, []string{"WEBHOOK_BACKOFF_FACTOR must be"}},
		"several at once": {[]string{"--log-level=loud", "--webhook-max-attempts=0"}, []string{"LOG_LEVEL must be", "WEBHOOK_MAX_ATTEMPTS must be"}},
		"page":            {[]string{"--pagination-default=101"}, []string{"PAGINATION_DEFAULT (101) must not exceed PAGINATION_MAX (100)"}},
		"no page":         {[]string{"--pagination-default=0", "--pagination-max=0"}, []string{"PAGINATION_DEFAULT must be from 1", "PAGINATION_MAX must be from 1"}},
		"retention":       {[]string{"--retention-days=-1", "--retention-cleanup-interval-secs=0", "--retention-batch-size=10001"}, []string{"RETENTION_DAYS must be", "RETENTION_CLEANUP_INTERVAL_SECS must be", "RETENTION_BATCH_SIZE must be"}},
		"key life":        {[]string{"--retention-idempotency-secs=0"}, []string{"RETENTION_IDEMPOTENCY_SECS must be"}},
		"in flight":       {[]string{"--pool-max-in-flight=-1"}, []string{"POOL_MAX_IN_FLIGHT must be"}},
		"breaker": {[]string{"--circuit-breaker-failure-threshold=0", "--circuit-breaker-failure-window-secs=0", "--circuit-breaker-recovery-timeout-secs=0"},
			[]string{"CIRCUIT_BREAKER_FAILURE_THRESHOLD must be", "CIRCUIT_BREAKER_FAILURE_WINDOW_SECS must be", "CIRCUIT_BREAKER_RECOVERY_TIMEOUT_SECS must be"}},
		"allow": {[]string{"--ssrf-allow=10.0.0.1/8,good.example,*.x", "--blocked-hostnames=a:80", "--blocked-hostname-suffixes=."},
			[]string{`SSRF_ALLOW: "10.0.0.1/8" has bits behind its prefix: write 10.0.0.0/8`, `SSRF_ALLOW: "*.x" is no host name`,
				`BLOCKED_HOSTNAMES: "a:80" is no host name`, `BLOCKED_HOSTNAME_SUFFIXES: "." is no end of host names`}},
		"proxy":   {[]string{"--webhook-proxy-url=socks5://h"}, []string{"WEBHOOK_PROXY_URL must be an absolute http:// or https:// URL"}},
		"proxy 2": {[]string{"--webhook-proxy-url=http://h/path"}, []string{"WEBHOOK_PROXY_URL must not have a path"}},
		"tracing": {[]string{"--tracing-enabled=1", "--otel-sampling-ratio=1.5", "--otel-service-name=a\nb"},
			[]string{"TRACING_ENABLED needs OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_SAMPLING_RATIO must be from 0 to 1, not 1.5", "OTEL_SERVICE_NAME must have"}},
		"ratio":       {[]string{"--otel-sampling-ratio=NaN"}, []string{"OTEL_SAMPLING_RATIO must be"}},
		"collector":   {[]string{"--otel-exporter-otlp-endpoint=collector:4317"}, []string{"OTEL_EXPORTER_OTLP_ENDPOINT must be an http:// or https:// URL"}},
		"collector 2": {[]string{"--otel-exporter-otlp-endpoint=http://collector:4318/v1/traces"}, []string{"OTEL_EXPORTER_OTLP_ENDPOINT must be a scheme, a host and a port"}},
		"format":      {[]string{"--log-format=xml"}, []string{"LOG_FORMAT must be"}},
		"backoff":     {[]string{"--webhook-backoff-max-secs=5"}, []string{"WEBHOOK_BACKOFF_MAX_SECS (5) must not be below"}},
	} {
		t.Run(name, func(t *testing.T) {
			required(t)
			c, err := config.Parse(tc.args...)
			require.NoError(t, err)
			err = c.Check()
			for _, want := range tc.want {
				require.ErrorContains(t, err, want)
			}
		})
	}
}

func TestSigningSecrets(t *testing.T) {
	required(t)
	c, err := config.Parse()
	require.NoError(t, err)
	s, err := c.Signer()
	require.NoError(t, err)
	require.Nil(t, s)

	t.Setenv("WEBHOOK_SIGNING_SECRETS", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw , whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=,")
	c, err = config.Parse()
	require.NoError(t, err)
	require.NoError(t, c.Check())
	s, err = c.Signer()
	require.NoError(t, err)
	value, err := s.Sign("id", time.Now(), nil)
	require.NoError(t, err)
	require.Len(t, strings.Fields(value), 2)

	for text, want := range map[string]string{
		"hush": "does not begin with whsec_", "whsec_hush": "key of 3 bytes", "whsec_hush-hush_hush": "is not whsec_ and base64",
	} {
		c, err = config.Parse("--webhook-signing-secrets=" + text)
		require.NoError(t, err)
		err = c.Check()
		require.ErrorContains(t, err, "WEBHOOK_SIGNING_SECRETS: entry 1 ")
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "hush")
	}
}

func TestEgress(t *testing.T) {
	required(t)
	t.Setenv("SSRF_ALLOW", "10.0.0.0/8, vault.internal ,.svc")
	t.Setenv("BLOCKED_HOSTNAMES", "evil.example")
	t.Setenv("BLOCKED_HOSTNAME_SUFFIXES", ".corp")
	t.Setenv("WEBHOOK_PROXY_URL", "https://me:hunter2@proxy.example:8443")
	c, err := config.Parse()
	require.NoError(t, err)
	require.NoError(t, c.Check())
	policy, err := c.Egress()
	require.NoError(t, err)
	for url, passes := range map[string]bool{
		"http://10.1.2.3/": true, "http://vault.internal/": true, "http://a.svc/": true, "http://example.com/": true,
		"http://evil.example/": false, "http://a.corp/": false, "http://127.0.0.1/": false, "http://a.internal/": false,
	} {
		require.Equal(t, passes, policy.Check(url) == nil, url)
	}
	proxy, err := c.Proxy()
	require.NoError(t, err)
	require.Equal(t, "proxy.example:8443", proxy.Host)

	t.Setenv("SKIP_SSRF_VALIDATION", "1")
	c, err = config.Parse()
	require.NoError(t, err)
	policy, err = c.Egress()
	require.NoError(t, err)
	require.NoError(t, policy.Check("http://127.0.0.1/"))

	for _, wrong := range []string{"https://me:hunter2@proxy example:1", "//me:hunter2@proxy", "ftp://me:hunter2@proxy", "http://me:hunter2@", "http://me:hunter2@h?x"} {
		t.Setenv("WEBHOOK_PROXY_URL", wrong)
		c, err := config.Parse()
		require.NoError(t, err)
		err = c.Check()
		require.ErrorContains(t, err, "WEBHOOK_PROXY_URL must")
		require.NotContains(t, err.Error(), "hunter2")
	}
}

func TestTokens(t *testing.T) {
	required(t)
	const hash = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"
	t.Setenv("AUTH_TOKENS", "ci:write:"+hash+", ops:admin:"+strings.Repeat("0", 64)+" ,")
	c, err := config.Parse()
	require.NoError(t, err)
	require.NoError(t, c.Check())
	tokens, err := c.Tokens()
	require.NoError(t, err)
	require.Len(t, tokens, 2)
	require.Equal(t, "ci", tokens.Find("secret").Name)
	require.Equal(t, bearer.Write, tokens.Find("secret").Scope)

	for _, wrong := range []string{"hunter2", "ci:write:hunter2", "ci:hunter2:" + hash, "ci:write:" + hash + ",ci:read:" + strings.Repeat("0", 64)} {
		t.Setenv("AUTH_TOKENS", wrong)
		c, err := config.Parse()
		require.NoError(t, err)
		err = c.Check()
		require.ErrorContains(t, err, "AUTH_TOKENS: entry ")
		require.NotContains(t, err.Error(), "hunter2")
		require.NotContains(t, err.Error(), hash)
	}
}

// A text that would be read as something else than it was meant to be is refused, and not repeated.
func TestDatabaseURL(t *testing.T) {
	required(t)
	for _, good := range []string{
		"postgres://", "postgres://u:p@h:1/d?sslmode=disable&work_mem=1MB", "postgresql://h1,h2/d", "host=h port=1 user=u password=p dbname=d sslmode=disable",
		"host = h application_name = 'a b' options='-c jit=off' search_path=x", "dbname=d default_query_exec_mode=exec",
	} {
		for _, setting := range []string{"DATABASE_URL", "LISTEN_DATABASE_URL"} {
			t.Run(good+" of "+setting, func(t *testing.T) {
				t.Setenv(setting, good)
				c, err := config.Parse()
				require.NoError(t, err)
				require.NoError(t, c.Database.Check())
			})
		}
	}
	for _, wrong := range []string{
		"replica:hunter2@127.0.0.1:34941/two?sslmode=disable", "//u:hunter2@h/d?sslmode=disable", "postgres:u:hunter2@h/d?a=b",
		" postgres://u:hunter2@h/d?sslmode=disable", "Postgres://u:hunter2@h/d?sslmode=disable", "mysql://u:hunter2@h/d?a=b",
		"hots=h password=hunter2", "host=h password=hunter2 ssl_mode=disable", "hunter2", "hunter2@h/d", "=hunter2",
	} {
		for _, setting := range []string{"DATABASE_URL", "LISTEN_DATABASE_URL"} {
			t.Run(wrong+" of "+setting, func(t *testing.T) {
				t.Setenv(setting, wrong)
				c, err := config.Parse()
				require.NoError(t, err)
				require.EqualError(t, c.Database.Check(), setting+" is not a connection URL (postgres://…) or string (keyword=value …) of PostgreSQL")
			})
		}
	}
}

func TestSecretsAreNotRepeated(t *testing.T) {
	required(t)
	const secret = "hunter2"
	c, err := config.Parse("--auth-handle-secrets", "long-enough-secret,"+secret, "--database-url", "postgres://u:"+secret+"@h:port/d",
		"--listen-database-url", "host=h password="+secret+" port=no", "--otel-exporter-otlp-endpoint", "http://u:"+secret+"@h")
	require.NoError(t, err)
	err = c.Check()
	require.ErrorContains(t, err, "OTEL_EXPORTER_OTLP_ENDPOINT must be")
	require.ErrorContains(t, err, "AUTH_HANDLE_SECRETS: entry 2 has fewer than 16 characters")
	require.ErrorContains(t, err, "DATABASE_URL is not")
	require.ErrorContains(t, err, "LISTEN_DATABASE_URL is not")
	require.NotContains(t, err.Error(), secret)
}
