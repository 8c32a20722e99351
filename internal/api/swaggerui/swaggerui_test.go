package swaggerui

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func get(t *testing.T, name, encoding string) *httptest.ResponseRecorder {
	t.Helper()
	w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/swagger-ui/"+name, nil)
	if encoding != "" {
		r.Header.Set("Accept-Encoding", encoding)
	}
	found, err := Serve(w, r, name)
	require.NoError(t, err)
	require.True(t, found, name)
	return w
}

// The page and what it loads is all here; it names nothing that lies elsewhere.
func TestPage(t *testing.T) {
	t.Parallel()
	page := get(t, "", "").Body.String()
	require.NotContains(t, page, "//")
	for _, script := range regexp.MustCompile(`(?:src|stylesheet" href)="([^"]*)"`).FindAllStringSubmatch(page, -1) {
		require.NotEmpty(t, get(t, script[1], "").Body.String())
	}
	require.Contains(t, get(t, "", "").Header().Get("Content-Security-Policy"), "default-src 'none'")
	require.Contains(t, get(t, "swagger-ui-bundle.js", "").Body.String(), "SwaggerUIBundle")
	require.Contains(t, get(t, "start.js", "").Body.String(), "validatorUrl: null")
	for _, name := range []string{"index.html", "LICENSE", "swagger-ui.css.gz", "..", "x/start.js", "Start.js"} {
		found, err := Serve(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil), name)
		require.NoError(t, err)
		require.False(t, found, name)
	}
}

func TestCompression(t *testing.T) {
	t.Parallel()
	plain := get(t, "swagger-ui.css", "").Body.String()
	for _, encoding := range []string{"gzip", "br, GZIP", "deflate,gzip;q=0.5", "gzip; q=1"} {
		w := get(t, "swagger-ui.css", encoding)
		require.Equal(t, "gzip", w.Header().Get("Content-Encoding"), encoding)
		r, err := gzip.NewReader(w.Body)
		require.NoError(t, err)
		unpacked, err := io.ReadAll(r)
		require.NoError(t, err)
		require.Equal(t, plain, string(unpacked))
	}
	for _, encoding := range []string{"br", "gzip;q=0", "gzip;q=x", "xgzip"} {
		w := get(t, "swagger-ui.css", encoding)
		require.Empty(t, w.Header().Get("Content-Encoding"), encoding)
		require.True(t, strings.HasPrefix(w.Body.String(), plain[:100]))
	}
}
