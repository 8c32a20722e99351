package browsertest

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// What goes wrong in a tab is heard of, each in its way: otherwise no test of this package says anything.
func TestFaultsAreHeardOf(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/":
			w.Header().Set("Content-Security-Policy", "default-src 'self'")
			w.Header().Set("Content-Type", "text/html")
			_, _ = w.Write([]byte(`<!doctype html><link rel=icon href=/icon><button data-test=button>go</button><script src=/script></script>`))
		case "/script":
			w.Header().Set("Content-Type", "text/javascript")
			_, _ = w.Write([]byte(`document.querySelector('button').addEventListener('click', () => document.body.append('clicked'))`))
		case "/icon":
		case "/cut":
			panic(http.ErrAbortHandler)
		default:
			http.NotFound(w, r)
		}
	}))
	defer server.Close()
	b := newTab(t, server.URL)
	b.open("/")
	b.click("button")
	b.wait("document.body.innerText.includes('clicked')")
	require.Empty(t, b.takeProblems())
	for fault, heard := range map[string]string{
		"console.error('no good', 7)":                                              `^console: no good 7$`,
		"console.warn('mind this')":                                                `^console: mind this$`,
		"console.assert(false, 'it is not')":                                       `^console: it is not$`,
		"setTimeout(() => { throw new Error('boom') })":                            `^exception: .*boom`,
		"Promise.reject(new Error('nobody looks'))":                                `^exception: .*nobody looks`,
		"fetch('/missing')":                                                        `^request: GET http://.*/missing: 404$`,
		"fetch('/cut').catch(() => {})":                                            `^request: GET http://.*/cut: net::`,
		`document.body.insertAdjacentHTML('beforeend', '<p style="color: red">')`:  `^console: policy: style-src-attr inline`,
		"document.body.append(Object.assign(new Image(), {src: 'http://[::1]/'}))": `^console: policy: img-src http://\[::1\]/`,
	} {
		eval[any](b, "void ("+fault+")")
		pattern := regexp.MustCompile(heard)
		var problems []string
		until(t, func() bool {
			problems = append(problems, b.takeProblems()...)
			return slices.ContainsFunc(problems, pattern.MatchString)
		}, "%s: %q", fault, &problems)
	}
	b.allow(".") // one fault may be heard of twice
	b.takeProblems()
}
