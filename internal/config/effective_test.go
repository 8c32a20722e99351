package config

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMask(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ kind, text, want string }{
		{"", "postgres://u:hunter2@h", "postgres://u:hunter2@h"},
		{"all", "", ""},
		{"all", "hunter2", "***"},
		{"dsn", "postgres://u:hunter2@h:1/d?sslmode=disable", "postgres://u:***@h:1/d?sslmode=disable"},
		{"dsn", "postgresql://u@h1:1,h2:2/d", "postgresql://u@h1:1,h2:2/d"},
		{"dsn", "postgres://u:hun%40ter2@h", "postgres://u:***@h"},
		{"dsn", "postgres://u:hun@hunter2@h/d", "postgres://u:***@h/d"},
		{"dsn", "postgres://h/d?password=hunter2&user=u&a.b=hunter2&sslpassword=", "postgres://h/d?password=***&user=u&***&***"},
		{"dsn", "postgres://h/d?pass%77ord=hunter2&work_mem=1MB", "postgres://h/d?***&***"},
		{"dsn", "postgres://", "postgres://"},
		{"dsn", "postgres://u:12/hunter2@h/d", "***"},
		{"dsn", "postgres://u:12?hun=ter2@h/d", "***"},
		{"dsn", "postgres://u:12#hunter2@h/d", "***"},
		{"dsn", "postgres:u:hunter2@h", "***"},
		{"dsn", "hunter2", "***"},
		{"dsn", "host=h password=hunter2 user=u", "host=h password=*** user=u"},
		{"dsn", `host = h password = 'hun\'ter2 x=y' dbname='a b'`, "host = h password=*** dbname='a b'"},
		{"dsn", `password=hun\ ter2 host=h`, "password=*** host=h"},
		{"dsn", `password= host=h`, "password=***"}, // the value is host=h
		{"dsn", "host=h passwd=hunter2", "***"},
		{"url", "http://u:hunter2@proxy:8/", "http://***@proxy:8/"},
		{"url", "https://hunter2@proxy", "https://***@proxy"},
		{"url", "http://proxy:8?key=hunter2", "http://proxy:8?***"},
		{"url", "http://12/hunter2@proxy", "***"},
		{"url", "http://u:hun ter2@proxy", "***"},
		{"url", "hunter2", "***"},
		{"url", "http://tasks.example.com/base", "http://tasks.example.com/base"},
		{"token", "ci:write:2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b", "ci:write:***"},
		{"token", "ci:write:hunter2", "***"},
		{"token", "hunter2", "***"},
	} {
		require.Equal(t, c.want, mask(c.kind, c.text), c.text)
	}
}

// Every setting is either known to be harmless or masked: whoever adds one decides.
func TestSecretsAreMarked(t *testing.T) {
	t.Parallel()
	kinds := map[string]string{}
	for _, s := range settings() {
		if s.preset == "" {
			kinds[s.variable] = s.secret
		}
	}
	require.Equal(t, map[string]string{
		"DATABASE_URL": "dsn", "LISTEN_DATABASE_URL": "dsn", "HOST_URL": "url", "WEBHOOK_PROXY_URL": "url",
		"OTEL_EXPORTER_OTLP_ENDPOINT": "url", "AUTH_TOKENS": "token",
		"AUTH_HANDLE_SECRETS": "all", "WEBHOOK_SIGNING_SECRETS": "all",
		"BLOCKED_HOSTNAMES": "", "BLOCKED_HOSTNAME_SUFFIXES": "", "SSRF_ALLOW": "",
	}, kinds)
}

func TestEffective(t *testing.T) {
	clean(t)
	t.Setenv("WEBHOOK_BACKOFF_FACTOR", "2.5")
	c, err := Parse("--worker-enabled=0", "--ssrf-allow=a,b", "--port=1")
	require.NoError(t, err)
	texts := map[string]string{}
	for _, e := range c.Effective() {
		texts[e.Variable] = e.Text() + "|" + e.Source.String()
	}
	require.Len(t, texts, len(settings()))
	for variable, want := range map[string]string{
		"PORT": "1|flag", "WORKER_ENABLED": "0|flag", "SSRF_ALLOW": "a, b|flag", "AUTH_HANDLE_SECRETS": "|default", "POOL_PREPARED_STATEMENTS": "1|default",
		"WEBHOOK_BACKOFF_FACTOR": "2.5|environment WEBHOOK_BACKOFF_FACTOR", "DATABASE_URL": "postgres://u:***@127.0.0.1:5432/d|environment DATABASE_URL",
	} {
		require.Equal(t, want, texts[variable], variable)
	}
	for _, e := range c.Effective() {
		if e.Variable == "WORKER_ENABLED" {
			text, err := json.Marshal(e)
			require.NoError(t, err)
			require.JSONEq(t, `{"setting": "WORKER_ENABLED", "flag": "--worker-enabled", "key": "worker.enabled", "value": false, "source": "flag", "as": ""}`, string(text))
		}
	}
}
