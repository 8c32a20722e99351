package api_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"image/png"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/task"
)

// page asks for the page and requires its headers.
func (b *testBundle) page(t *testing.T, query string) string {
	t.Helper()
	a := b.ok(t, http.StatusOK, "GET", "/view"+query, nil, nil)
	require.Equal(t, "text/html; charset=utf-8", a.Header.Get("Content-Type"))
	require.Equal(t, "no-cache", a.Header.Get("Cache-Control"))
	policy := a.Header.Get("Content-Security-Policy")
	require.Contains(t, policy, "default-src 'none'")
	require.NotContains(t, policy, "unsafe")
	require.NotContains(t, policy, "script")
	_, rest, _ := strings.Cut(a.Body, "<style>")
	style, _, _ := strings.Cut(rest, "</style>")
	hash := sha256.Sum256([]byte(style))
	require.Contains(t, policy, "style-src 'sha256-"+base64.StdEncoding.EncodeToString(hash[:])+"'", "else browsers ignore it")
	require.Equal(t, "nosniff", a.Header.Get("X-Content-Type-Options"))
	require.NotContains(t, strings.ToLower(a.Body), "<script")
	head := b.do(t, "HEAD", "/view"+query, nil)
	require.Equal(t, http.StatusOK, head.Status)
	require.Equal(t, a.Header.Get("Content-Length"), head.Header.Get("Content-Length"))
	return a.Body
}

func TestView(t *testing.T) {
	t.Parallel()
	b := setup(t)
	require.Contains(t, b.page(t, ""), "<form")

	evil := entry("evil")
	evil["name"], evil["kind"] = `<script>alert("1")</script>`, `"onmouseover='x'`
	var tasks []task.Task
	b.ok(t, http.StatusCreated, "POST", "/task", object{"name": "<b>nightly & co</b>", "tasks": []object{entry("first"), evil, entry("last", "first")}}, &tasks)
	batch := tasks[0].BatchID.String()
	front := b.page(t, "?unknown=1")
	require.Contains(t, front, `<a href="view?batch=`+batch+`">`)
	require.Contains(t, front, "&lt;b&gt;nightly &amp; co&lt;/b&gt;")

	shown := b.page(t, "?batch="+strings.ToUpper(batch))
	for _, want := range []string{"&lt;b&gt;nightly &amp; co&lt;/b&gt;", "2 Pending", "1 Waiting", "task first", "task last",
		"&lt;script&gt;alert(&#34;1&#34;)&lt;/script&gt;", `<a href="task/` + tasks[2].ID.String() + `">`, `http-equiv="refresh"`} {
		require.Contains(t, shown, want)
	}
	require.NotContains(t, shown, `"onmouseover`)
	require.Less(t, strings.Index(shown, "task first"), strings.Index(shown, "task last"), "oldest first")
	require.NotContains(t, shown, "These are the last")
	b.ok(t, http.StatusOK, "DELETE", "/batch/"+batch, nil, nil)
	shown = b.page(t, "?batch="+batch)
	require.Contains(t, shown, "3 Canceled")
	require.NotContains(t, shown, `http-equiv="refresh"`, "nothing will change")

	for _, query := range []string{"?batch=", "?batch=x", "?batch=<script>"} {
		require.Contains(t, b.page(t, query), "must be a UUID", query)
	}
	for _, query := range []string{"?batch=" + batch + "&batch=" + batch, "?batch=%zz", "?batch=%00"} {
		b.do(t, "GET", "/view"+query, nil).failure(t, http.StatusBadRequest)
	}
	unknown := uuid.NewString()
	require.Contains(t, b.page(t, "?batch="+unknown), "There is no batch "+unknown)
}

// However large a batch is, the page is not.
func TestViewOfALargeBatch(t *testing.T) {
	t.Parallel()
	b := setup(t)
	entries := []object{}
	for i := range 501 {
		entries = append(entries, entry(fmt.Sprintf("%04d", i)))
	}
	batch := b.submit(t, entries...)[0].BatchID.String()
	shown := b.page(t, "?batch="+batch)
	require.Contains(t, shown, "These are the last 500 of 501 tasks.")
	require.Equal(t, 500, strings.Count(shown, "task 0"))
	require.NotContains(t, shown, "task 0000")
}

// With tokens the page is the same for everybody, whatever there is.
func TestViewShowsNothingWithoutAToken(t *testing.T) {
	t.Parallel()
	b := setup(t, withTokens(t))
	id := uuid.New()
	b.exec(t, "insert into taskrunner.batch (id, name) values ($1, 'secret name')", id)
	shown := b.page(t, "?batch="+id.String())
	require.Contains(t, shown, "/batch/"+id.String())
	require.NotContains(t, shown, "secret")
	unknown := uuid.NewString()
	require.Equal(t, shown, strings.ReplaceAll(b.page(t, "?batch="+unknown), unknown, id.String()))
	require.NotContains(t, b.page(t, ""), id.String())
	b.page(t, "?batch=x")
}

func TestIcon(t *testing.T) {
	t.Parallel()
	b := setup(t, withTokens(t))
	for _, path := range []string{"/icon.png", "/favicon.ico"} {
		a := b.ok(t, http.StatusOK, "GET", path, nil, nil)
		require.Equal(t, "image/png", a.Header.Get("Content-Type"))
		require.Equal(t, "public, max-age=86400", a.Header.Get("Cache-Control"))
		icon, err := png.Decode(bytes.NewReader([]byte(a.Body)))
		require.NoError(t, err)
		require.Equal(t, 64, icon.Bounds().Dx())
	}
}
