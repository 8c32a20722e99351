package api_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/api"
	"github.com/taskrunner/taskrunner/internal/egress"
)

// anywhere is the policy that lets webhooks go everywhere.
func anywhere(t testing.TB) *egress.Policy {
	t.Helper()
	p, err := egress.New(egress.Options{Off: true})
	require.NoError(t, err)
	return p
}

// corpus reads one of the lists of URLs that internal/egress is tested with.
func corpus(t *testing.T, file string) (urls []string) {
	t.Helper()
	f, err := os.Open("../egress/testdata/" + file)
	require.NoError(t, err)
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		line := s.Text()
		if line == "" || line[0] == '#' {
			continue
		}
		if text, err := strconv.Unquote(line); err == nil {
			line = text
		}
		if _, url, ok := strings.Cut(line, " "); ok && file == "passes.txt" {
			line = url
		}
		urls = append(urls, line)
	}
	require.NotEmpty(t, urls)
	return urls
}

// called is an entry with one URL at each of its actions.
func called(id, url string) object {
	hook := object{"kind": "Webhook", "params": object{"url": url, "verb": "Post"}}
	return object{"id": id, "name": id, "kind": "k", "on_start": hook,
		"on_success": []object{hook}, "on_failure": []object{hook, hook}, "on_cancel": []object{hook}}
}

// Each URL of the corpus is refused, or not, wherever an action has it, in both forms of the body, and said to be wrong once.
func TestURLsOfTheCorpus(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for i, url := range corpus(t, "refused.txt") {
		var body any = []object{called("a", url)}
		if i%2 == 1 {
			body = object{"name": "b", "tasks": body}
		}
		var places []string
		for _, detail := range b.fails(t, http.StatusBadRequest, "POST", "/task", body).Details {
			place, message, _ := strings.Cut(detail, ": ")
			places = append(places, place)
			require.Regexp(t, "^url must ", message)
			require.NotContains(t, message, "127")
		}
		require.Equal(t, []string{"tasks[0].on_start.params", "tasks[0].on_failure[0].params", "tasks[0].on_failure[1].params",
			"tasks[0].on_success[0].params", "tasks[0].on_cancel[0].params"}, places, url)
	}
	for _, url := range corpus(t, "passes.txt") {
		b.ok(t, http.StatusCreated, "POST", "/task", []object{called("a", url)}, nil)
	}
}

// Faults of addresses stand among the others, at their place.
func TestAddressesAmongOtherFaults(t *testing.T) {
	t.Parallel()
	b := setup(t)
	hook := func(url string) string {
		return fmt.Sprintf(`{"kind": "Webhook", "params": {"url": %s, "verb": "Post"}}`, url)
	}
	body := `[
		{"id": "a", "name": "\u0000", "kind": "", "on_start": {"kind": "Webhook", "params": {"url": "http:\/\/127.0.0.1\u002f"}, "url": "http://10.0.0.1"},
		 "on_failure": [` + hook(`"https://ok.example"`) + `, ` + hook(`"http://vault.internal"`) + `], "retry": 1, "url": "http://10.0.0.1"},
		{"id": "b", "name": "n", "kind": "k", "on_start": {"kind": "Mail", "params": {"url": "https://10.0.0.1", "verb": "Post", "headers": {"Host": "x"}}},
		 "on_cancel": [` + hook(`"ftp://10.0.0.1"`) + `, ` + hook(`7`) + `, {}, ` + strings.Repeat(hook(`"https://ok.example"`)+",", 8) + hook(`"http:\/\/[::1]"`) + `],
		 "metadata": {"on_start": {"params": {"url": "http://10.0.0.1"}}}},
		{"id": "c", "name": "n", "kind": "k", "on_start": ` + hook(`"http://10.0.0.1/\u0000"`) + `, "dependencies": 1},
		{"id": "d", "name": "n", "kind": "k", "on_start": {"kind": "Webhook", "params": {"\u0075rl": "http://localhost", "verb": "Get"}}}]`
	want := []string{
		"tasks[0].name: must not contain U+0000",
		"tasks[0].kind: must not be blank",
		"tasks[0].on_start.params: url must not lead to a blocked address (SSRF_ALLOW permits exceptions)",
		"tasks[0].on_start.params: verb is required",
		"tasks[0].on_failure[1].params: url must not name a blocked host (SSRF_ALLOW permits exceptions)",
		"tasks[0].retry: must be an object",
		"tasks[1].on_start.kind: must be Webhook",
		"tasks[1].on_start.params: url must not lead to a blocked address (SSRF_ALLOW permits exceptions)",
		`tasks[1].on_start.params: headers: "Host" is set by Task Runner`,
		"tasks[1].on_cancel[0].params: url must be an absolute http or https URL",
		"tasks[1].on_cancel[1].params: url must be a string",
		"tasks[1].on_cancel[2].kind: is required",
		"tasks[1].on_cancel[2].params: is required",
		"tasks[1].on_cancel[11].params: url must not lead to a blocked address (SSRF_ALLOW permits exceptions)",
		"tasks[2].on_start.params.url: must not contain U+0000",
		"tasks[2].dependencies: must be an array",
		"tasks[3].on_start.params: url must not name a blocked host (SSRF_ALLOW permits exceptions)",
	}
	for _, body := range []string{body, `{"dead_end_cancel": 1, "tasks": ` + body + `, "on_start": {"params": {"url": "http://10.0.0.1"}}}`} {
		f := b.fails(t, http.StatusBadRequest, "POST", "/task", body)
		require.Equal(t, "Validation failed", f.Error)
		require.NotNil(t, f.BatchID)
		if body[0] == '{' {
			want = append(want, "dead_end_cancel: must be true or false")
		}
		require.Equal(t, want, f.Details)
	}
	f := b.do(t, "POST", "/task", `{"on_start": {"params": {"url": "http://10.0.0.1"}}, "tasks": []}`)
	require.Equal(t, http.StatusNoContent, f.Status, "of what is ignored nothing is checked")

	many := make([]object, 300)
	for i := range many {
		many[i] = called(strconv.Itoa(i), "http://10.0.0.1/"+strconv.Itoa(i))
	}
	details := b.fails(t, http.StatusBadRequest, "POST", "/task", many).Details
	require.Len(t, details, 101)
	require.Equal(t, "tasks[19].on_cancel[0].params: url must not lead to a blocked address (SSRF_ALLOW permits exceptions)", details[99])
	require.Equal(t, "and 1400 more", details[100])
}

func TestAllowedAddresses(t *testing.T) {
	t.Parallel()
	p, err := egress.New(egress.Options{Allow: []string{"127.0.0.0/8", "localhost"}, BlockedHosts: []string{"evil.example"}})
	require.NoError(t, err)
	b := setup(t, func(c *api.Config) { c.Egress = p })
	for _, url := range []string{"http://127.0.0.1:1/", "http://localhost/", "http://0x7f.1/"} {
		b.ok(t, http.StatusCreated, "POST", "/task", []object{called("a", url)}, nil)
	}
	for _, url := range []string{"http://10.0.0.1:1/", "http://a.localhost/", "http://x.evil.example/"} {
		b.fails(t, http.StatusBadRequest, "POST", "/task", []object{called("a", url)})
	}
	everywhere := setup(t, func(c *api.Config) { c.Egress = anywhere(t) })
	everywhere.ok(t, http.StatusCreated, "POST", "/task", []object{called("a", "http://169.254.169.254/")}, nil)
	everywhere.fails(t, http.StatusBadRequest, "POST", "/task", []object{called("a", "/start")})
}

// An Idempotency-Key does not bring a refused request to life.
func TestRefusedWithKey(t *testing.T) {
	t.Parallel()
	b := setup(t)
	body, err := json.Marshal([]object{called("a", "http://10.0.0.1/")})
	require.NoError(t, err)
	for range 2 {
		r, err := http.NewRequestWithContext(t.Context(), "POST", b.server.URL+"/task", strings.NewReader(string(body)))
		require.NoError(t, err)
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Idempotency-Key", "once")
		require.Len(t, b.send(t, r).failure(t, http.StatusBadRequest).Details, 5)
	}
}
