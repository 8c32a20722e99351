package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
)

// badBody is one section of a file in testdata/bodies, which says how it is to be read.
type badBody struct {
	name string
	body string
	http []string // details
	sql  []string // details, or one SQLSTATE
}

var repeated = regexp.MustCompile(`\((\S+?),? \* (\d+)\)`)

// expand writes out (x * 3), and for lists (x, * 3).
func expand(text string) string {
	return repeated.ReplaceAllStringFunc(text, func(s string) string {
		part := repeated.FindStringSubmatch(s)
		n, _ := strconv.Atoi(part[2])
		if strings.Contains(s, ", *") {
			part[1] += ","
		}
		return strings.Repeat(part[1], n)
	})
}

// readBodies reads a file of testdata/bodies.
func readBodies(t testing.TB, file string) []badBody {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", "bodies", file))
	require.NoError(t, err)
	const action = `{"kind": "Webhook", "params": {"url": "https://a", "verb": "Get"}}`
	text := strings.NewReplacer("GOOD", `"name": "n", "kind": "k", "on_start": `+action, "ACTION", action).Replace(string(raw))
	var bodies []badBody
	for _, section := range strings.Split(text, "\n## ")[1:] {
		var b badBody
		b.name, section, _ = strings.Cut(section, "\n")
		for _, line := range strings.Split(section, "\n") {
			if said, ok := strings.CutPrefix(line, "=>http "); ok {
				b.http = append(b.http, expand(said))
			} else if said, ok := strings.CutPrefix(line, "=>sql "); ok {
				b.sql = append(b.sql, expand(said))
			} else if said, ok := strings.CutPrefix(line, "=> "); ok {
				b.http, b.sql = append(b.http, expand(said)), append(b.sql, expand(said))
			} else {
				b.body += line + "\n"
			}
		}
		b.body = expand(b.body)
		bodies = append(bodies, b)
	}
	require.NotEmpty(t, bodies)
	return bodies
}

// shorten puts "… n like these" in the place of the details that want does not name.
func shorten(got, want []string) []string {
	for i, line := range want {
		if strings.HasPrefix(line, "… ") && len(got) > len(want) {
			left := len(got) - len(want) + 1
			short := append([]string{}, got[:i]...)
			short = append(short, "… "+strconv.Itoa(left)+" like these")
			return append(short, got[i+left:]...)
		}
	}
	return got
}

// sqlFaults runs a statement in a transaction of its own and returns what its error lists, or its SQLSTATE; nil if it
// succeeded. Nothing remains of it.
func (b *testBundle) sqlFaults(t testing.TB, sql string, args ...any) []string {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	tx, err := b.db.Pool.Begin(ctx)
	require.NoError(t, err)
	defer func() { _ = tx.Rollback(ctx) }()
	_, err = tx.Exec(ctx, sql, append([]any{pgx.QueryExecModeSimpleProtocol}, args...)...)
	if err == nil {
		return nil
	}
	var pgErr *pgconn.PgError
	require.True(t, errors.As(err, &pgErr), "%v", err)
	if !strings.HasPrefix(pgErr.Code, "TR") {
		return []string{pgErr.Code}
	}
	var details []string
	require.NoError(t, json.Unmarshal([]byte(pgErr.Detail), &details), pgErr.Message)
	return details
}

// One list of faults, by HTTP and by SQL.
func TestBodiesOfCreate(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, c := range readBodies(t, "post_task.txt") {
		t.Run(c.name, func(t *testing.T) {
			before := b.rows(t)
			a := b.do(t, "POST", "/task", c.body)
			if c.http == nil {
				require.Contains(t, []int{http.StatusCreated, http.StatusNoContent}, a.Status, a.Body)
			} else {
				f := a.failure(t, http.StatusBadRequest)
				require.Equal(t, "Validation failed", f.Error)
				require.NotNil(t, f.BatchID)
				require.Equal(t, c.http, shorten(f.Details, c.http), "by HTTP")
				require.Equal(t, before, b.rows(t), "nothing was written")
			}
			got := b.sqlFaults(t, "select taskrunner.submit_batch($1)", c.body)
			require.Equal(t, c.sql, shorten(got, c.sql), "by SQL")
		})
	}
	b.db.AssertInvariants(t)
}

// Bodies about a task: what is refused changes nothing of it.
func TestBodiesOfReports(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for method, file := range map[string]string{"PATCH": "patch_task.txt", "PUT": "put_task.txt"} {
		path := "/task/" + b.running(t).String()
		for _, c := range readBodies(t, file) {
			t.Run(method+" "+c.name, func(t *testing.T) {
				before := b.do(t, "GET", path, nil)
				a := b.do(t, method, path, c.body)
				if c.http == nil {
					require.Equal(t, map[string]int{"PATCH": http.StatusOK, "PUT": http.StatusAccepted}[method], a.Status, a.Body)
					return
				}
				f := a.failure(t, http.StatusBadRequest)
				require.Equal(t, "Validation failed", f.Error)
				require.Nil(t, f.BatchID)
				require.Equal(t, c.http, f.Details)
				require.Equal(t, before.Body, b.do(t, "GET", path, nil).Body, "nothing was written")
				f = b.fails(t, http.StatusBadRequest, method, "/task/"+uuid.NewString(), c.body)
				require.Equal(t, c.http, f.Details, "a bad body on an unknown id is a bad body")
			})
		}
	}
	b.db.AssertInvariants(t)
}

func TestBodiesOfBatchRules(t *testing.T) {
	t.Parallel()
	b := setup(t)
	batch := b.submit(t, entry("a"))[0].BatchID
	for _, c := range readBodies(t, "batch_rules.txt") {
		t.Run(c.name, func(t *testing.T) {
			a := b.do(t, "PATCH", "/batch/"+batch.String()+"/rules", c.body)
			if c.http == nil {
				require.Equal(t, http.StatusOK, a.Status, a.Body)
			} else {
				f := a.failure(t, http.StatusBadRequest)
				require.Equal(t, "Validation failed", f.Error)
				require.Equal(t, c.http, shorten(f.Details, c.http), "by HTTP")
			}
			got := b.sqlFaults(t, "select taskrunner.set_batch_rules($1, $2::jsonb ->> 'kind', $2::jsonb -> 'rules')", batch.String(), c.body)
			require.Equal(t, c.sql, shorten(got, c.sql), "by SQL")
		})
	}
}

// rows tells how much there is in the tables that a request could write.
func (b *testBundle) rows(t *testing.T) string {
	t.Helper()
	var rows string
	require.NoError(t, b.db.Pool.QueryRow(t.Context(), `select concat_ws(' ', (select count(*) from taskrunner.batch),
		(select count(*) from taskrunner.task), (select count(*) from taskrunner.link), (select count(*) from taskrunner.action),
		(select count(*) from taskrunner_private.queued_task), (select count(*) from taskrunner_private.idempotency_key))`).Scan(&rows))
	return rows
}
