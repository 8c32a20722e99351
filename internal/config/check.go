package config

import (
	"errors"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
)

// Limits of the settings. No duration may overflow when it is multiplied or added to a time.
const (
	maxSecs       = 10 * 365 * 24 * 60 * 60 // ten years
	maxMillis     = 24 * 60 * 60 * 1000     // a day
	maxParallel   = 100_000
	maxTries      = 1_000_000
	maxPage       = 100_000
	minSecretSize = 16

	maxServiceName = 255
)

// Limits of retention; sql/functions/prune.sql has them too.
const (
	MaxRetentionDays  = 36_500
	MaxRetentionBatch = 10_000
)

// Check returns what is wrong with the settings, all at once; each message begins with the setting's name. Values are not
// repeated when they may be secret.
func (c *Config) Check() error {
	errs := []error{c.Database.Check(), c.Log.Check(), c.Tracing.Check(), c.Server.Check(), c.Pool.Check(), c.Breaker.Check(),
		c.Worker.Check(), c.Webhook.Check(), c.Security.Check(), c.Retention.Check()}
	if c.WorkerClaimTimeoutSecs <= c.WebhookTimeoutSecs {
		errs = append(errs, fmt.Errorf("WORKER_CLAIM_TIMEOUT_SECS (%d) must exceed WEBHOOK_TIMEOUT_SECS (%d)",
			c.WorkerClaimTimeoutSecs, c.WebhookTimeoutSecs))
	}
	return c.Locate(errors.Join(errs...))
}

// Check returns what is wrong with the settings of the database.
func (d *Database) Check() error {
	errs := []error{between("DATABASE_STARTUP_TIMEOUT_SECS", d.DatabaseStartupTimeoutSecs, 0, maxSecs)}
	if d.DatabaseURL == "" {
		errs = append(errs, errors.New("DATABASE_URL is required"))
	}
	for name, dsn := range map[string]string{"DATABASE_URL": d.DatabaseURL, "LISTEN_DATABASE_URL": d.ListenDatabaseURL} {
		if dsn == "" {
			continue
		}
		if !isDSN(dsn) {
			// The parser's message repeats the text, with the password when it could not find it.
			errs = append(errs, fmt.Errorf("%s is not a connection URL (postgres://…) or string (keyword=value …) of PostgreSQL", name))
		}
	}
	return errors.Join(errs...)
}

// serverKeywords are those of a connection string that are handed on to the server.
var serverKeywords = []string{"application_name", "client_encoding", "options", "search_path", "statement_timeout", "timezone"}

// isDSN reports whether a text is a URL, or pairs of known keywords and values. The parser takes every text with an equals
// sign for such a pair, and a keyword that it does not know for a parameter of the server. So a URL without its scheme
// would lead to the server of this machine, which nobody has named.
func isDSN(text string) bool {
	c, err := pgx.ParseConfig(text)
	if err != nil {
		return false
	}
	if strings.HasPrefix(text, "postgres://") || strings.HasPrefix(text, "postgresql://") {
		return true
	}
	for keyword := range c.RuntimeParams {
		if !slices.Contains(serverKeywords, keyword) {
			return false
		}
	}
	return true
}

// Check returns what is wrong with the settings of the log.
func (l *Log) Check() error {
	var errs []error
	switch l.LogLevel {
	case "debug", "info", "warn", "error":
	default:
		errs = append(errs, fmt.Errorf("LOG_LEVEL must be debug, info, warn or error, not %q", l.LogLevel))
	}
	switch l.LogFormat {
	case "json", "text":
	default:
		errs = append(errs, fmt.Errorf("LOG_FORMAT must be json or text, not %q", l.LogFormat))
	}
	return errors.Join(errs...)
}

// Check returns what is wrong with the settings of tracing, whether it is on or not.
func (t *Tracing) Check() error {
	errs := []error{otlpEndpoint(t.OTELExporterOTLPEndpoint), between("OTEL_SAMPLING_RATIO", t.OTELSamplingRatio, 0, 1)}
	if t.TracingEnabled.On() && t.OTELExporterOTLPEndpoint == "" {
		errs = append(errs, errors.New("TRACING_ENABLED needs OTEL_EXPORTER_OTLP_ENDPOINT: where traces are sent"))
	}
	if name := t.OTELServiceName; utf8.RuneCountInString(name) > maxServiceName || strings.ContainsFunc(name, unicode.IsControl) {
		errs = append(errs, fmt.Errorf("OTEL_SERVICE_NAME must have at most %d characters, and none that cannot be seen", maxServiceName))
	}
	return errors.Join(errs...)
}

// otlpEndpoint checks the URL of a collector. It may have been set for other programs of the machine too.
func otlpEndpoint(text string) error {
	if text == "" {
		return nil
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return errors.New("OTEL_EXPORTER_OTLP_ENDPOINT must be an http:// or https:// URL, such as http://localhost:4317")
	case u.User != nil || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return errors.New("OTEL_EXPORTER_OTLP_ENDPOINT must be a scheme, a host and a port, and nothing else")
	}
	return nil
}

// Check returns what is wrong with the settings of the HTTP side.
func (s *Server) Check() error {
	errs := []error{
		between("PORT", s.Port, 0, math.MaxUint16),
		between("DRAIN_TIMEOUT_SECS", s.DrainTimeoutSecs, 0, maxSecs),
		between("MAX_BODY_BYTES", s.MaxBodyBytes, 1, math.MaxInt32),
		between("PAGINATION_DEFAULT", s.PaginationDefault, 1, maxPage),
		between("PAGINATION_MAX", s.PaginationMax, 1, maxPage),
		hostURL(s.HostURL),
	}
	if s.PaginationDefault > s.PaginationMax {
		errs = append(errs, fmt.Errorf("PAGINATION_DEFAULT (%d) must not exceed PAGINATION_MAX (%d)",
			s.PaginationDefault, s.PaginationMax))
	}
	if _, err := s.Tokens(); err != nil {
		errs = append(errs, err)
	}
	for i, secret := range s.AuthHandleSecrets {
		if utf8.RuneCountInString(secret) < minSecretSize {
			errs = append(errs, fmt.Errorf("AUTH_HANDLE_SECRETS: entry %d has fewer than %d characters", i+1, minSecretSize))
		}
	}
	return errors.Join(errs...)
}

func hostURL(text string) error {
	if text == "" {
		return errors.New("HOST_URL is required: the base URL under which webhooks reach this service")
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return errors.New("HOST_URL must be an absolute http:// or https:// URL")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return errors.New("HOST_URL must not have a query or a fragment")
	}
	return nil
}

// Check returns what is wrong with the settings of the pool.
func (p *Pool) Check() error {
	errs := []error{
		between("POOL_MAX_SIZE", p.PoolMaxSize, 1, maxParallel),
		between("POOL_MIN_IDLE", p.PoolMinIdle, 0, maxParallel),
		between("POOL_ACQUIRE_RETRIES", p.PoolAcquireRetries, 0, maxTries),
		between("POOL_TIMEOUT_SECS", p.PoolTimeoutSecs, 1, maxSecs),
		between("POOL_MAX_IN_FLIGHT", p.PoolMaxInFlight, 0, maxTries),
		between("POOL_RETRY_AFTER_SECS", p.PoolRetryAfterSecs, 0, maxSecs),
		between("SLOW_QUERY_THRESHOLD_MS", p.SlowQueryThresholdMS, 0, maxMillis),
	}
	if p.PoolMinIdle > p.PoolMaxSize {
		errs = append(errs, fmt.Errorf("POOL_MIN_IDLE (%d) must not exceed POOL_MAX_SIZE (%d)", p.PoolMinIdle, p.PoolMaxSize))
	}
	return errors.Join(errs...)
}

// Check returns what is wrong with the settings of the breaker.
func (b *Breaker) Check() error {
	return errors.Join(
		between("CIRCUIT_BREAKER_FAILURE_THRESHOLD", b.CircuitBreakerFailureThreshold, 1, maxParallel),
		between("CIRCUIT_BREAKER_FAILURE_WINDOW_SECS", b.CircuitBreakerFailureWindowSecs, 1, maxSecs),
		between("CIRCUIT_BREAKER_RECOVERY_TIMEOUT_SECS", b.CircuitBreakerRecoveryTimeoutSecs, 1, maxSecs),
	)
}

// Check returns what is wrong with the settings of the workers.
func (w *Worker) Check() error {
	return errors.Join(
		between("WORKER_LOOP_INTERVAL_MS", w.WorkerLoopIntervalMS, 1, maxMillis),
		between("WORKER_CLAIM_TIMEOUT_SECS", w.WorkerClaimTimeoutSecs, 1, maxSecs),
		between("WORKER_START_BATCH_SIZE", w.WorkerStartBatchSize, 1, maxParallel),
		between("WORKER_WEBHOOK_CONCURRENCY", w.WorkerWebhookConcurrency, 1, maxParallel),
	)
}

// Check returns what is wrong with the settings of webhooks.
func (w *Webhook) Check() error {
	errs := []error{
		between("WEBHOOK_DELIVERY_CONCURRENCY", w.WebhookDeliveryConcurrency, 1, maxParallel),
		between("WEBHOOK_TIMEOUT_SECS", w.WebhookTimeoutSecs, 1, maxSecs),
		between("WEBHOOK_CONNECT_TIMEOUT_SECS", w.WebhookConnectTimeoutSecs, 1, maxSecs),
		between("WEBHOOK_START_MAX_ATTEMPTS", w.WebhookStartMaxAttempts, 1, maxTries),
		between("WEBHOOK_START_BACKOFF_MS", w.WebhookStartBackoffMS, 0, maxMillis),
		between("WEBHOOK_MAX_ATTEMPTS", w.WebhookMaxAttempts, 1, maxTries),
		between("WEBHOOK_BACKOFF_SECS", w.WebhookBackoffSecs, 0, maxSecs),
		between("WEBHOOK_BACKOFF_FACTOR", w.WebhookBackoffFactor, 1, 1000),
		between("WEBHOOK_BACKOFF_MAX_SECS", w.WebhookBackoffMaxSecs, 0, maxSecs),
		between("WEBHOOK_MAX_RESPONSE_BYTES", w.WebhookMaxResponseBytes, 1, 1<<30),
	}
	if _, err := w.Signer(); err != nil {
		errs = append(errs, err)
	}
	if w.WebhookBackoffMaxSecs < w.WebhookBackoffSecs {
		errs = append(errs, fmt.Errorf("WEBHOOK_BACKOFF_MAX_SECS (%d) must not be below WEBHOOK_BACKOFF_SECS (%d)",
			w.WebhookBackoffMaxSecs, w.WebhookBackoffSecs))
	}
	if _, err := w.Proxy(); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Check returns what is wrong with the settings of where webhooks may go.
func (s *Security) Check() error {
	_, err := s.Egress()
	return err
}

// Check returns what is wrong with the settings of retention.
func (r *Retention) Check() error {
	return errors.Join(
		between("RETENTION_DAYS", r.RetentionDays, 0, MaxRetentionDays),
		between("RETENTION_CLEANUP_INTERVAL_SECS", r.RetentionCleanupIntervalSecs, 1, maxSecs),
		between("RETENTION_BATCH_SIZE", r.RetentionBatchSize, 1, MaxRetentionBatch),
		between("RETENTION_IDEMPOTENCY_SECS", r.RetentionIdempotencySecs, 1, maxSecs))
}

// between checks a number's range. It is false for a NaN.
func between[T int | int64 | float64](name string, n, least, most T) error {
	if n >= least && n <= most {
		return nil
	}
	return fmt.Errorf("%s must be from %v to %v, not %v", name, least, most, n)
}
