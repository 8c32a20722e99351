// Package config holds the settings of the program (contract, section 10). Each is a flag, an environment variable and a
// key of config.toml; flags win over the environment (with .env), that over the file, and an empty variable counts as
// unset: sources.go. The fields' tags say all there is to say about a setting; config.example.toml is made of them. What
// the contract has and this version does not is in unsupported.go. A command embeds the groups it needs, with File, and
// calls their Check. (A method named Validate would be called by kong, group by group, stopping at the first error.)
package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/taskrunner/taskrunner/internal/bearer"
	"github.com/taskrunner/taskrunner/internal/egress"
	"github.com/taskrunner/taskrunner/internal/signature"
)

// Config is everything that serve needs.
type Config struct {
	File
	Database
	Log
	Tracing
	Server
	Pool
	Breaker
	Worker
	Webhook
	Security
	Retention
}

// Database says where PostgreSQL is.
type Database struct {
	DatabaseURL                string `name:"database-url" env:"DATABASE_URL" toml:"database_url" example:"postgres://taskrunner:secret@db.example.com/taskrunner" secret:"dsn" group:"database" placeholder:"URL" help:"Pooled connections; may point to PgBouncer. Required."`
	ListenDatabaseURL          string `name:"listen-database-url" env:"LISTEN_DATABASE_URL" toml:"listen_database_url" example:"postgres://taskrunner:secret@primary.example.com/taskrunner" secret:"dsn" group:"database" placeholder:"URL" help:"Direct connection for LISTEN and migrations; needed with PgBouncer in transaction mode. By default DATABASE_URL."`
	DatabaseStartupTimeoutSecs int    `name:"database-startup-timeout-secs" env:"DATABASE_STARTUP_TIMEOUT_SECS" toml:"database_startup_timeout_secs" group:"database" default:"60" help:"How long to wait for the database at start."`
}

// Direct is the URL for what needs a session of its own: LISTEN and migrations.
func (d Database) Direct() string {
	if d.ListenDatabaseURL != "" {
		return d.ListenDatabaseURL
	}
	return d.DatabaseURL
}

// DirectSetting is the name of the setting that Direct comes from.
func (d Database) DirectSetting() string {
	if d.ListenDatabaseURL != "" {
		return "LISTEN_DATABASE_URL"
	}
	return "DATABASE_URL"
}

// StartupTimeout is how long to wait for the database at start.
func (d Database) StartupTimeout() time.Duration { return seconds(d.DatabaseStartupTimeoutSecs) }

// Log says what is logged, and how.
type Log struct {
	LogLevel  string `name:"log-level" env:"LOG_LEVEL,RUST_LOG" toml:"tracing.log_level" group:"log" default:"info" help:"debug, info, warn or error. RUST_LOG counts if it is one of these words."`
	LogFormat string `name:"log-format" env:"LOG_FORMAT" toml:"tracing.log_format" group:"log" default:"json" help:"json or text."`
}

// Level is the least level that is logged. Check has refused words that it does not know.
func (l Log) Level() slog.Level {
	var level slog.Level
	_ = level.UnmarshalText([]byte(l.LogLevel)) // leaves info
	return level
}

// Tracing says where traces go.
type Tracing struct {
	TracingEnabled           Switch  `name:"tracing-enabled" env:"TRACING_ENABLED" toml:"tracing.enabled" group:"log" default:"0" help:"1: requests, their statements and webhook calls are traced (OpenTelemetry)."`
	OTELExporterOTLPEndpoint string  `name:"otel-exporter-otlp-endpoint" env:"OTEL_EXPORTER_OTLP_ENDPOINT" toml:"tracing.otlp_endpoint" example:"http://collector.example.com:4317" secret:"url" group:"log" placeholder:"URL" help:"Where traces are sent by OTLP over gRPC: http://host:port, or https:// with TLS. Required with TRACING_ENABLED."`
	OTELServiceName          string  `name:"otel-service-name" env:"OTEL_SERVICE_NAME" toml:"tracing.service_name" group:"log" default:"task-runner" help:"Name of the service in traces."`
	OTELSamplingRatio        float64 `name:"otel-sampling-ratio" env:"OTEL_SAMPLING_RATIO" toml:"tracing.sampling_ratio" group:"log" default:"1" help:"Part of the traces begun here that is recorded, 0 to 1. A request that belongs to a trace does as that trace."`
}

// Server is the HTTP side.
type Server struct {
	Port              int    `name:"port" env:"PORT" toml:"port" group:"server" default:"8085" help:"Port of the API, on all addresses; 0 takes a free one."`
	HostURL           string `name:"host-url" env:"HOST_URL" toml:"host_url" example:"http://tasks.example.com:8085" secret:"url" group:"server" placeholder:"URL" help:"Base of the handles given to webhooks, http:// or https://. Required."`
	DrainTimeoutSecs  int    `name:"drain-timeout-secs" env:"DRAIN_TIMEOUT_SECS" toml:"drain_timeout_secs" group:"server" default:"30" help:"How long open requests and webhook calls may go on at a stop."`
	MaxBodyBytes      int64  `name:"max-body-bytes" env:"MAX_BODY_BYTES" toml:"security.max_body_bytes" group:"server" default:"67108864" help:"Largest request body."`
	PaginationDefault int    `name:"pagination-default" env:"PAGINATION_DEFAULT" toml:"pagination.default" group:"server" default:"50" help:"Rows of a page of a list."`
	PaginationMax     int    `name:"pagination-max" env:"PAGINATION_MAX" toml:"pagination.max" group:"server" default:"100" help:"Most rows of a page, whatever the request asks for."`
	AuthTokens        List   `name:"auth-tokens" env:"AUTH_TOKENS" toml:"auth.tokens" tables:"name,scope,sha256" example:"ci:write:…" secret:"token" group:"server" placeholder:"NAME:SCOPE:SHA256,…" help:"Who may call the API: name, scope (read, write or admin) and hexadecimal SHA-256 of the secret of each. By default it is open."`
	AuthPublicMetrics Switch `name:"auth-public-metrics" env:"AUTH_PUBLIC_METRICS" toml:"auth.public_metrics" group:"server" default:"0" help:"GET /metrics needs no token."`
	AuthHandleSecrets List   `name:"auth-handle-secrets" env:"AUTH_HANDLE_SECRETS" toml:"auth.handle_secrets" example:"…" secret:"all" group:"server" placeholder:"SECRET,…" help:"Keys of handle tokens, 16 characters or more each. The first signs, all verify. By default one that the database made."`
}

// DrainTimeout is how long open work may go on at a stop.
func (s Server) DrainTimeout() time.Duration { return seconds(s.DrainTimeoutSecs) }

// Tokens are who may call the API.
func (s Server) Tokens() (bearer.Tokens, error) {
	tokens, err := bearer.Parse(s.AuthTokens)
	if err != nil {
		return nil, fmt.Errorf("AUTH_TOKENS: %w", err)
	}
	return tokens, nil
}

// BaseURL is HOST_URL without slashes at its end.
func (s Server) BaseURL() string { return strings.TrimRight(s.HostURL, "/") }

// Pool is how the database is used.
type Pool struct {
	PoolMaxSize            int    `name:"pool-max-size" env:"POOL_MAX_SIZE" toml:"pool.max_size" group:"pool" default:"10" help:"Most connections."`
	PoolMinIdle            int    `name:"pool-min-idle" env:"POOL_MIN_IDLE" toml:"pool.min_idle" group:"pool" default:"5" help:"Connections that are kept open."`
	PoolAcquireRetries     int    `name:"pool-acquire-retries" env:"POOL_ACQUIRE_RETRIES" toml:"pool.acquire_retries" group:"pool" default:"3" help:"Tries to get a connection; 0 acts as 1."`
	PoolTimeoutSecs        int    `name:"pool-timeout-secs" env:"POOL_TIMEOUT_SECS" toml:"pool.timeout_secs" group:"pool" default:"30" help:"Seconds per try; then 503."`
	PoolPreparedStatements Switch `name:"pool-prepared-statements" env:"POOL_PREPARED_STATEMENTS" toml:"pool.prepared_statements" group:"pool" default:"1" help:"0 for poolers that cannot keep prepared statements, PgBouncer before 1.21 among them."`
	PoolMaxInFlight        int    `name:"pool-max-in-flight" env:"POOL_MAX_IN_FLIGHT" toml:"pool.max_in_flight" group:"pool" default:"1000" help:"API requests in progress; above it 503 at once. 0: no limit."`
	PoolRetryAfterSecs     int    `name:"pool-retry-after-secs" env:"POOL_RETRY_AFTER_SECS" toml:"pool.retry_after_secs" group:"pool" default:"1" help:"Value of the header Retry-After of a 503."`
	SlowQueryThresholdMS   int    `name:"slow-query-threshold-ms" env:"SLOW_QUERY_THRESHOLD_MS" toml:"pool.slow_query_threshold_ms" group:"pool" default:"100" help:"Log and count queries of the database that take longer. 0: none is."`
}

// Breaker refuses requests at once while the database is away.
type Breaker struct {
	CircuitBreakerEnabled             Switch `name:"circuit-breaker-enabled" env:"CIRCUIT_BREAKER_ENABLED" toml:"pool.shed_enabled" group:"pool" default:"1" help:"Answer 503 at once while the database is away."`
	CircuitBreakerFailureThreshold    int    `name:"circuit-breaker-failure-threshold" env:"CIRCUIT_BREAKER_FAILURE_THRESHOLD" toml:"pool.shed_failure_threshold" group:"pool" default:"5" help:"So many failures to get a connection within the window say that it is away."`
	CircuitBreakerFailureWindowSecs   int    `name:"circuit-breaker-failure-window-secs" env:"CIRCUIT_BREAKER_FAILURE_WINDOW_SECS" toml:"pool.shed_window_secs" group:"pool" default:"10" help:"That window."`
	CircuitBreakerRecoveryTimeoutSecs int    `name:"circuit-breaker-recovery-timeout-secs" env:"CIRCUIT_BREAKER_RECOVERY_TIMEOUT_SECS" toml:"pool.shed_recovery_secs" group:"pool" default:"5" help:"After it one request tries again."`
}

// FailureWindow is in which the failures must happen.
func (b Breaker) FailureWindow() time.Duration { return seconds(b.CircuitBreakerFailureWindowSecs) }

// RecoveryTimeout is after what one request tries again.
func (b Breaker) RecoveryTimeout() time.Duration { return seconds(b.CircuitBreakerRecoveryTimeoutSecs) }

// AcquireTimeout is how long one try to get a connection may take.
func (p Pool) AcquireTimeout() time.Duration { return seconds(p.PoolTimeoutSecs) }

// SlowQueryThreshold is what queries may take that are not slow; 0: all.
func (p Pool) SlowQueryThreshold() time.Duration { return milliseconds(p.SlowQueryThresholdMS) }

// Worker is how tasks are started.
type Worker struct {
	WorkerEnabled            Switch `name:"worker-enabled" env:"WORKER_ENABLED" toml:"worker.enabled" group:"worker" default:"1" help:"0: this process serves HTTP only and leaves all work to other replicas."`
	WorkerLoopIntervalMS     int    `name:"worker-loop-interval-ms" env:"WORKER_LOOP_INTERVAL_MS" toml:"worker.loop_interval_ms" group:"worker" default:"1000" help:"Fallback poll of starts and deliveries."`
	WorkerClaimTimeoutSecs   int    `name:"worker-claim-timeout-secs" env:"WORKER_CLAIM_TIMEOUT_SECS" toml:"worker.claim_timeout_secs" group:"worker" default:"30" help:"Age from which a claim is stale; must exceed WEBHOOK_TIMEOUT_SECS."`
	WorkerStartBatchSize     int    `name:"worker-start-batch-size" env:"WORKER_START_BATCH_SIZE" toml:"worker.start_batch_size" group:"worker" default:"50" help:"Most tasks claimed in one step."`
	WorkerWebhookConcurrency int    `name:"worker-webhook-concurrency" env:"WORKER_WEBHOOK_CONCURRENCY" toml:"worker.webhook_concurrency" group:"worker" default:"10" help:"Parallel on_start calls of this process."`
	DeadEndCancelEnabled     Switch `name:"dead-end-cancel-enabled" env:"DEAD_END_CANCEL_ENABLED" toml:"worker.dead_end_cancel_enabled" group:"worker" default:"0" help:"Default of batches that do not say: tasks are canceled whose children have all ended."`
}

// LoopInterval is the fallback poll of the loops.
func (w Worker) LoopInterval() time.Duration { return milliseconds(w.WorkerLoopIntervalMS) }

// ClaimTimeout is the age from which a claim is stale.
func (w Worker) ClaimTimeout() time.Duration { return seconds(w.WorkerClaimTimeoutSecs) }

// Webhook is how webhooks are called.
type Webhook struct {
	WebhookDeliveryConcurrency int     `name:"webhook-delivery-concurrency" env:"WEBHOOK_DELIVERY_CONCURRENCY" toml:"webhook.delivery_concurrency" group:"webhook" default:"20" help:"Parallel End and Cancel calls of this process."`
	WebhookTimeoutSecs         int     `name:"webhook-timeout-secs" env:"WEBHOOK_TIMEOUT_SECS" toml:"webhook.timeout_secs" group:"webhook" default:"10" help:"Limit of one call."`
	WebhookConnectTimeoutSecs  int     `name:"webhook-connect-timeout-secs" env:"WEBHOOK_CONNECT_TIMEOUT_SECS" toml:"webhook.connect_timeout_secs" group:"webhook" default:"5" help:"Limit of connecting; the smaller of both counts."`
	WebhookStartMaxAttempts    int     `name:"webhook-start-max-attempts" env:"WEBHOOK_START_MAX_ATTEMPTS" toml:"webhook.start_max_attempts" group:"webhook" default:"3" help:"Tries of on_start per attempt of a task."`
	WebhookStartBackoffMS      int     `name:"webhook-start-backoff-ms" env:"WEBHOOK_START_BACKOFF_MS" toml:"webhook.start_backoff_ms" group:"webhook" default:"1000" help:"Wait before the second try of on_start; it doubles."`
	WebhookMaxAttempts         int     `name:"webhook-max-attempts" env:"WEBHOOK_MAX_ATTEMPTS" toml:"webhook.max_attempts" group:"webhook" default:"10" help:"Tries of End and Cancel calls."`
	WebhookBackoffSecs         int     `name:"webhook-backoff-secs" env:"WEBHOOK_BACKOFF_SECS" toml:"webhook.backoff_secs" group:"webhook" default:"10" help:"Wait before their second try."`
	WebhookBackoffFactor       float64 `name:"webhook-backoff-factor" env:"WEBHOOK_BACKOFF_FACTOR" toml:"webhook.backoff_factor" group:"webhook" default:"3" help:"What it is multiplied by for each further try."`
	WebhookBackoffMaxSecs      int     `name:"webhook-backoff-max-secs" env:"WEBHOOK_BACKOFF_MAX_SECS" toml:"webhook.backoff_max_secs" group:"webhook" default:"54000" help:"Longest wait between their tries."`
	WebhookMaxResponseBytes    int64   `name:"webhook-max-response-bytes" env:"WEBHOOK_MAX_RESPONSE_BYTES" toml:"webhook.max_response_bytes" group:"webhook" default:"65536" help:"How much of an answer is read."`
	WebhookProxyURL            string  `name:"webhook-proxy-url" env:"WEBHOOK_PROXY_URL" toml:"webhook.proxy_url" example:"http://proxy.example.com:3128" secret:"url" group:"webhook" placeholder:"URL" help:"HTTP proxy, http:// or https://, that all calls take. It decides then which addresses may be connected to. Other variables that name proxies are not read."`
	WebhookSigningSecrets      List    `name:"webhook-signing-secrets" env:"WEBHOOK_SIGNING_SECRETS" toml:"webhook.signing_secrets" example:"whsec_…" secret:"all" group:"webhook" placeholder:"WHSEC_…,…" help:"Secrets of Standard Webhooks, whsec_ and the base64 of 24 to 64 bytes each; all sign. By default calls are not signed."`
}

// Timeout is the limit of one call.
func (w Webhook) Timeout() time.Duration { return seconds(w.WebhookTimeoutSecs) }

// ConnectTimeout is the limit of connecting.
func (w Webhook) ConnectTimeout() time.Duration { return seconds(w.WebhookConnectTimeoutSecs) }

// Signer signs the calls; nil: they are not signed.
func (w Webhook) Signer() (*signature.Signer, error) {
	s, err := signature.New(w.WebhookSigningSecrets)
	if err != nil {
		return nil, fmt.Errorf("WEBHOOK_SIGNING_SECRETS: %w", err)
	}
	return s, nil
}

// StartBackoff is the wait before the second try of on_start.
func (w Webhook) StartBackoff() time.Duration { return milliseconds(w.WebhookStartBackoffMS) }

// Proxy is what WEBHOOK_PROXY_URL names, nil if it is not set.
func (w Webhook) Proxy() (*url.URL, error) {
	if w.WebhookProxyURL == "" {
		return nil, nil
	}
	u, err := url.Parse(w.WebhookProxyURL)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return nil, errors.New("WEBHOOK_PROXY_URL must be an absolute http:// or https:// URL")
	case u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, errors.New("WEBHOOK_PROXY_URL must not have a path, a query or a fragment")
	}
	return u, nil
}

// Security is where webhooks may go.
type Security struct {
	SkipSSRFValidation      Switch `name:"skip-ssrf-validation" env:"SKIP_SSRF_VALIDATION" toml:"security.skip_ssrf_validation" group:"webhook" default:"0" help:"1: webhooks may go anywhere, to this machine and its private networks too. For development only."`
	BlockedHostnames        List   `name:"blocked-hostnames" env:"BLOCKED_HOSTNAMES" toml:"security.blocked_hostnames" example:"metadata.example.com" group:"webhook" placeholder:"HOST,…" help:"Hosts that webhooks must not name, and all names below them; beside localhost, local and internal."`
	BlockedHostnameSuffixes List   `name:"blocked-hostname-suffixes" env:"BLOCKED_HOSTNAME_SUFFIXES" toml:"security.blocked_hostname_suffixes" example:".corp" group:"webhook" placeholder:"SUFFIX,…" help:"Ends of hosts that webhooks must not name; beside .local, .internal, .localdomain and .localhost."`
	SSRFAllow               List   `name:"ssrf-allow" env:"SSRF_ALLOW" toml:"security.ssrf_allow" example:"10.0.0.0/8,jobs.internal" group:"webhook" placeholder:"ENTRY,…" help:"Exceptions: address ranges (10.0.0.0/8), addresses, host names, and .suffix for all names below it. By default webhooks reach public addresses only."`
}

// Egress is where webhooks may go.
func (s Security) Egress() (*egress.Policy, error) {
	return egress.New(egress.Options{
		Allow: s.SSRFAllow, BlockedHosts: s.BlockedHostnames, BlockedSuffixes: s.BlockedHostnameSuffixes,
		Off: s.SkipSSRFValidation.On(),
	})
}

// Retention is how long things are kept.
type Retention struct {
	RetentionEnabled             Switch `name:"retention-enabled" env:"RETENTION_ENABLED" toml:"retention.enabled" group:"retention" default:"0" help:"1: remove what ended long ago, with its links and deliveries. Batches and tasks are gone for good."`
	RetentionDays                int    `name:"retention-days" env:"RETENTION_DAYS" toml:"retention.days" group:"retention" default:"30" help:"Days after which it is removed; 0: whatever has ended."`
	RetentionCleanupIntervalSecs int    `name:"retention-cleanup-interval-secs" env:"RETENTION_CLEANUP_INTERVAL_SECS" toml:"retention.cleanup_interval_secs" group:"retention" default:"3600" help:"Between two runs, all replicas together; a replica has its first after one interval."`
	RetentionBatchSize           int    `name:"retention-batch-size" env:"RETENTION_BATCH_SIZE" toml:"retention.batch_size" group:"retention" default:"1000" help:"Most tasks removed in one transaction."`
	RetentionIdempotencySecs     int    `name:"retention-idempotency-secs" env:"RETENTION_IDEMPOTENCY_SECS" toml:"retention.idempotency_secs" group:"retention" default:"86400" help:"Life of an Idempotency-Key."`
}

// IdempotencyLife is how long an Idempotency-Key is remembered.
func (r Retention) IdempotencyLife() time.Duration { return seconds(r.RetentionIdempotencySecs) }

// CleanupInterval is how long it is from the beginning of a run to that of the next.
func (r Retention) CleanupInterval() time.Duration { return seconds(r.RetentionCleanupIntervalSecs) }

func seconds(n int) time.Duration      { return time.Duration(n) * time.Second }
func milliseconds(n int) time.Duration { return time.Duration(n) * time.Millisecond }
