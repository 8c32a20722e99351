package api_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/api"
	"github.com/taskrunner/taskrunner/internal/bearer"
)

// contractScopes is the table of the contract's section 3.1 over the paths of its section 4, and those of the web page.
var contractScopes = map[string]string{
	"GET /health": "none", "GET /ready": "none", "GET /view": "none", "GET /icon.png": "none", "GET /favicon.ico": "none",
	"GET /view/assets/*": "none", "GET /view/events": "read", "GET /view/overview": "read", "GET /view/task/{task_id}": "read", "GET /view/graph/{batch_id}": "read", "GET /view/states/{batch_id}": "read",
	"GET /swagger-ui/*": "none", "GET /api-docs/openapi.json": "none",
	"GET /metrics": "read", "GET /task": "read", "GET /task/{task_id}": "read", "GET /task/{task_id}/deliveries": "read", "GET /deliveries": "read",
	"GET /batch/{batch_id}": "read", "GET /batches": "read", "GET /dag/{batch_id}": "read",
	"POST /task": "write", "PATCH /task/{task_id}": "write", "PUT /task/{task_id}": "write", "DELETE /task/{task_id}": "write",
	"PATCH /task/pause/{task_id}": "write", "PATCH /task/resume/{task_id}": "write", "DELETE /batch/{batch_id}": "write",
	"PATCH /batch/{batch_id}/rules":       "write",
	"POST /delivery/{delivery_id}/replay": "admin", "POST /deliveries/replay": "admin",
}

// contractHandles are what the token of a handle permits (contract, section 3.2).
var contractHandles = []string{"GET /task/{task_id}", "PATCH /task/{task_id}", "PUT /task/{task_id}"}

// secrets of the tokens, by their scope.
var secrets = map[string]string{"read": "r-secret", "write": "w-secret", "admin": "a-secret"}

// withTokens configures a token of each scope, named like it.
func withTokens(t *testing.T) func(*api.Config) {
	var entries []string
	for scope, secret := range secrets {
		sum := sha256.Sum256([]byte(secret))
		entries = append(entries, fmt.Sprintf("%s:%s:%x", scope, scope, sum[:]))
	}
	tokens, err := bearer.Parse(entries)
	require.NoError(t, err)
	return func(c *api.Config) { c.Tokens = tokens }
}

// with sends a request without a body and with headers, in pairs of name and value.
func (b *testBundle) with(t *testing.T, method, path string, headers ...string) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, b.server.URL+path, nil)
	require.NoError(t, err)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return b.send(t, r)
}

// Every endpoint, called by everybody: who may and who may not.
func TestScopesOfEveryEndpoint(t *testing.T) {
	t.Parallel()
	b := setup(t, withTokens(t))
	rank := []string{"none", "read", "write", "admin"}
	parameter := regexp.MustCompile(`\{.*\}`)
	missing := maps.Clone(contractScopes)
	for _, route := range api.Routes(api.Config{Metrics: http.NotFoundHandler()}) {
		name := route[0] + " " + route[1]
		scope, known := contractScopes[name]
		require.True(t, known, "%s is not in the contract", name)
		delete(missing, name)
		id := uuid.New()
		path := strings.Replace(parameter.ReplaceAllLiteralString(route[1], id.String()), "*", "index.html", 1)
		query := "?" + strings.SplitN(b.handles.URL(id, 1), "?", 2)[1]
		methods := []string{route[0]}
		if route[0] == "GET" {
			methods = append(methods, "HEAD")
		}
		for _, method := range methods {
			call := func(want int, path string, headers ...string) {
				t.Helper()
				a := b.with(t, method, path, headers...)
				if want == 0 {
					require.NotContains(t, []int{401, 403}, a.Status, "%s %s %v: %s", method, path, headers, a.Body)
					require.Less(t, a.Status, 500, "%s %s: %s", method, path, a.Body)
					return
				}
				require.Equal(t, want, a.Status, "%s %s %v", method, path, headers)
				if want == 401 {
					require.Equal(t, "Bearer", a.Header.Get("WWW-Authenticate"))
				} else {
					require.Empty(t, a.Header.Get("WWW-Authenticate"))
				}
				if method != "HEAD" {
					a.failure(t, want)
				}
			}
			status := func(permitted bool, refused int) int {
				if permitted {
					return 0
				}
				return refused
			}
			call(status(scope == "none", 401), path)
			call(status(scope == "none", 401), path, "Authorization", "Bearer wrong")
			for held, secret := range secrets {
				permitted := slices.Index(rank, held) >= slices.Index(rank, scope)
				call(status(permitted, 403), path, "Authorization", "Bearer "+secret)
			}
			call(status(scope == "none" || slices.Contains(contractHandles, name), 401), path+query)
		}
	}
	require.Empty(t, missing)
}

func TestPublicMetrics(t *testing.T) {
	t.Parallel()
	b := setup(t, withTokens(t), func(c *api.Config) { c.PublicMetrics = true })
	require.Equal(t, http.StatusOK, b.with(t, "GET", "/metrics").Status)
	require.Equal(t, http.StatusOK, b.with(t, "GET", "/metrics", "Authorization", "Bearer wrong").Status)
}

// How a bearer token may be written, and how not.
func TestAuthorizationHeader(t *testing.T) {
	t.Parallel()
	var failures []int
	b := setup(t, withTokens(t), func(c *api.Config) { c.AuthFailed = func(status int) { failures = append(failures, status) } })
	sum := sha256.Sum256([]byte(secrets["read"]))
	path := "/task/" + uuid.NewString()
	for _, c := range []struct {
		headers []string
		status  int
	}{
		{[]string{"Bearer r-secret"}, 404},
		{[]string{"bearer r-secret"}, 404},
		{[]string{"BEARER   r-secret"}, 404},
		{[]string{"  Bearer r-secret\t"}, 404},
		{nil, 401},
		{[]string{""}, 401},
		{[]string{"Bearer"}, 401},
		{[]string{"Bearer "}, 401},
		{[]string{"Bearer\tr-secret"}, 401},
		{[]string{"Bearer r-secre"}, 401},
		{[]string{"Bearer r-secrets"}, 401},
		{[]string{"Bearer R-SECRET"}, 401},
		{[]string{"Bearer r-secret, Bearer w-secret"}, 401},
		{[]string{"Bearer \"r-secret\""}, 401},
		{[]string{"Bearer " + hex.EncodeToString(sum[:])}, 401},
		{[]string{"Bearer read:r-secret"}, 401},
		{[]string{"Bearer " + strings.Repeat("x", 100_000)}, 401},
		{[]string{"Bearer \xff\xfe"}, 401},
		{[]string{"Basic cmVhZDpyLXNlY3JldA=="}, 401},
		{[]string{"Token r-secret"}, 401},
		{[]string{"r-secret"}, 401},
		{[]string{"Bearer r-secret", "Bearer r-secret"}, 401},
		{[]string{"Bearer wrong", "Bearer r-secret"}, 401},
	} {
		var pairs []string
		for _, h := range c.headers {
			pairs = append(pairs, "Authorization", h)
		}
		a := b.with(t, "GET", path, pairs...)
		require.Equal(t, c.status, a.Status, c.headers)
		a.failure(t, c.status)
	}
	require.Len(t, failures, 19)
	refused := b.with(t, "DELETE", path, "Authorization", "Bearer r-secret")
	require.Equal(t, http.StatusForbidden, refused.Status)
	require.Contains(t, refused.Body, "write is needed", "or nobody knows which token to ask for")
	require.Equal(t, http.StatusForbidden, failures[19])

	// The API is open: whatever a proxy puts there is ignored.
	open := setup(t)
	require.Equal(t, http.StatusNotFound, open.with(t, "GET", path, "Authorization", "Basic eDp5").Status)
}

// Bearer tokens and handles on the same request, each present, absent or wrong (contract, section 3.2).
func TestBearerAndHandle(t *testing.T) {
	t.Parallel()
	b, open := setup(t, withTokens(t)), setup(t)
	inBoth := func(f func(b *testBundle)) { f(b); f(open) }
	id := uuid.New()
	inBoth(func(b *testBundle) {
		// Running, attempt 2 of 3: the first one's handle is an old one.
		b.exec(t, `insert into taskrunner.task (id, name, kind) values ($1, 'n', 'k')`, id)
		b.exec(t, `update taskrunner.task set status = 'Claimed' where id = $1`, id)
		b.exec(t, `update taskrunner.task set status = 'Running' where id = $1`, id)
		b.exec(t, `set session_replication_role = replica; update taskrunner.task set attempt = 2, max_attempts = 3; reset session_replication_role`)
	})
	token := b.handles.Token
	bearers := []struct{ name, header string }{
		{"none", ""}, {"wrong", "Bearer wrong"}, {"basic", "Basic eDp5"}, {"read", "Bearer r-secret"}, {"write", "Bearer w-secret"},
	}
	// For each query the answers without a token, with a wrong one, another scheme, scope read, scope write; and where
	// the API is open.
	type row struct {
		query string
		get   [6]int
		patch [6]int
		other [6]int // a pause, which no handle permits
	}
	for _, r := range []row{
		{"", [6]int{401, 401, 401, 200, 200, 200}, [6]int{401, 401, 401, 403, 200, 200}, [6]int{401, 401, 401, 403, 200, 200}},
		{"other=1", [6]int{401, 401, 401, 200, 200, 200}, [6]int{401, 401, 401, 403, 200, 200}, [6]int{401, 401, 401, 403, 200, 200}},
		// The right one.
		{"attempt=2&token=" + token(id, 2), [6]int{200, 200, 200, 200, 200, 200}, [6]int{200, 200, 200, 200, 200, 200}, [6]int{401, 401, 401, 403, 200, 200}},
		// That of an attempt that is over, and of one that has not begun.
		{"attempt=1&token=" + token(id, 1), [6]int{409, 409, 409, 409, 409, 409}, [6]int{409, 409, 409, 409, 409, 409}, [6]int{401, 401, 401, 403, 409, 409}},
		{"attempt=3&token=" + token(id, 3), [6]int{400, 400, 400, 400, 400, 400}, [6]int{400, 400, 400, 400, 400, 400}, [6]int{401, 401, 401, 403, 400, 400}},
		// Wrong ones: a bearer token suffices, nothing else does.
		{"attempt=2&token=x", [6]int{401, 401, 401, 200, 200, 401}, [6]int{401, 401, 401, 403, 200, 401}, [6]int{401, 401, 401, 403, 200, 401}},
		{"attempt=2&token=", [6]int{401, 401, 401, 200, 200, 401}, [6]int{401, 401, 401, 403, 200, 401}, [6]int{401, 401, 401, 403, 200, 401}},
		{"attempt=2&token=" + token(id, 1), [6]int{401, 401, 401, 200, 200, 401}, [6]int{401, 401, 401, 403, 200, 401}, [6]int{401, 401, 401, 403, 200, 401}},
		{"attempt=2&token=" + token(uuid.New(), 2), [6]int{401, 401, 401, 200, 200, 401}, [6]int{401, 401, 401, 403, 200, 401}, [6]int{401, 401, 401, 403, 200, 401}},
		{"attempt=1&token=x", [6]int{401, 401, 401, 409, 409, 401}, [6]int{401, 401, 401, 403, 409, 401}, [6]int{401, 401, 401, 403, 409, 401}},
		{"token=" + token(id, 2), [6]int{401, 401, 401, 200, 200, 401}, [6]int{401, 401, 401, 403, 200, 401}, [6]int{401, 401, 401, 403, 200, 401}},
		{"attempt=x&token=" + token(id, 2), [6]int{401, 401, 401, 400, 400, 401}, [6]int{401, 401, 401, 403, 400, 401}, [6]int{401, 401, 401, 403, 400, 401}},
		// An attempt alone permits nothing, and is looked at with any kind of authentication.
		{"attempt=2", [6]int{401, 401, 401, 200, 200, 200}, [6]int{401, 401, 401, 403, 200, 200}, [6]int{401, 401, 401, 403, 200, 200}},
		{"attempt=1", [6]int{401, 401, 401, 409, 409, 409}, [6]int{401, 401, 401, 403, 409, 409}, [6]int{401, 401, 401, 403, 409, 409}},
		{"attempt=3", [6]int{401, 401, 401, 400, 400, 400}, [6]int{401, 401, 401, 403, 400, 400}, [6]int{401, 401, 401, 403, 400, 400}},
		{"attempt=x", [6]int{401, 401, 401, 400, 400, 400}, [6]int{401, 401, 401, 403, 400, 400}, [6]int{401, 401, 401, 403, 400, 400}},
		// What cannot be read permits nothing, whatever is in it.
		{"attempt=2&token=" + token(id, 2) + "&token=x", [6]int{401, 401, 401, 400, 400, 400}, [6]int{401, 401, 401, 403, 400, 400}, [6]int{401, 401, 401, 403, 400, 400}},
		{"attempt=2&attempt=2&token=" + token(id, 2), [6]int{401, 401, 401, 400, 400, 400}, [6]int{401, 401, 401, 403, 400, 400}, [6]int{401, 401, 401, 403, 400, 400}},
		{"attempt=2&token=" + token(id, 2) + "&%zz", [6]int{401, 401, 401, 400, 400, 400}, [6]int{401, 401, 401, 403, 400, 400}, [6]int{401, 401, 401, 403, 400, 400}},
		{"attempt=2;token=" + token(id, 2), [6]int{401, 401, 401, 400, 400, 400}, [6]int{401, 401, 401, 403, 400, 400}, [6]int{401, 401, 401, 403, 400, 400}},
	} {
		send := func(b *testBundle, method, path, header, body string) int {
			req, err := http.NewRequestWithContext(t.Context(), method, b.server.URL+path+"?"+r.query, strings.NewReader(body))
			require.NoError(t, err)
			if body != "" {
				req.Header.Set("Content-Type", "application/json")
			}
			if header != "" {
				req.Header.Set("Authorization", header)
			}
			a := b.send(t, req)
			if a.Status >= 400 && method != "HEAD" {
				a.failure(t, a.Status)
			}
			if a.Status == http.StatusUnauthorized {
				require.Equal(t, "Bearer", a.Header.Get("WWW-Authenticate"))
			}
			return a.Status
		}
		path := "/task/" + id.String()
		for i := range 6 {
			at, header, name := b, "", ""
			if i == 5 {
				at, name = open, "open"
			} else {
				header, name = bearers[i].header, bearers[i].name
			}
			require.Equal(t, r.get[i], send(at, "GET", path, header, ""), "GET %s as %s", r.query, name)
			require.Equal(t, r.get[i], send(at, "HEAD", path, header, ""), "HEAD %s as %s", r.query, name)
			require.Equal(t, r.patch[i], send(at, "PATCH", path, header, "{}"), "PATCH %s as %s", r.query, name)
			put := r.patch[i]
			if put == 200 {
				put = 202
			}
			require.Equal(t, put, send(at, "PUT", path, header, `{"new_success": 1}`), "PUT %s as %s", r.query, name)
			require.Equal(t, r.other[i], send(at, "PATCH", "/task/pause/"+id.String(), header, ""), "pause %s as %s", r.query, name)
			if r.other[i] == 200 {
				at.exec(t, `select taskrunner.resume_task($1)`, id)
			}
		}
	}
	inBoth(func(b *testBundle) { b.db.AssertInvariants(t) })
}

// The handle of one task is nothing to another, nor to a batch.
func TestHandlesAreForTheirTask(t *testing.T) {
	t.Parallel()
	b := setup(t, withTokens(t))
	id := uuid.New()
	query := "?" + strings.SplitN(b.handles.URL(id, 1), "?", 2)[1]
	require.Equal(t, http.StatusNotFound, b.with(t, "GET", "/task/"+id.String()+query).Status)
	for _, path := range []string{"/task/" + uuid.NewString(), "/batch/" + id.String(), "/dag/" + id.String()} {
		require.Equal(t, http.StatusUnauthorized, b.with(t, "GET", path+query).Status, path)
	}
	require.Equal(t, http.StatusUnauthorized, b.with(t, "POST", "/task"+query).Status)
	// Elsewhere attempt and token are parameters like any other, which nobody reads.
	require.Equal(t, http.StatusNotFound, b.with(t, "GET", "/batch/"+id.String()+"?attempt=x&token=y", "Authorization", "Bearer r-secret").Status)
}
