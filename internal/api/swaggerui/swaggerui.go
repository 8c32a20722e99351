// Package swaggerui holds the interactive page of the OpenAPI document: a page and a script of ours, and Swagger UI as its
// makers publish it (see static/VERSION and the licences beside it).
package swaggerui

import (
	"bytes"
	"compress/gzip"
	"embed"
	"io"
	"net/http"
	"path"
	"strings"

	"github.com/taskrunner/taskrunner/internal/httpgzip"
)

//go:embed static
var static embed.FS

// policy lets the page load what is served here and nothing else.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// files maps names to content types.
var files = map[string]string{
	"":                     "text/html; charset=utf-8",
	"start.js":             "text/javascript; charset=utf-8",
	"swagger-ui-bundle.js": "text/javascript; charset=utf-8",
	"swagger-ui.css":       "text/css; charset=utf-8",
}

// Serve answers with a file of the page, the page itself by the name "". It reports false if there is no such file.
func Serve(w http.ResponseWriter, r *http.Request, name string) (bool, error) {
	contentType, ok := files[name]
	if !ok {
		return false, nil
	}
	h := w.Header()
	h.Set("Content-Type", contentType)
	if name == "" {
		h.Set("Cache-Control", "no-cache")
		h.Set("Content-Security-Policy", policy)
		h.Set("Referrer-Policy", "no-referrer")
		return true, write(w, "index.html")
	}
	h.Set("Cache-Control", "public, max-age=86400")
	if strings.HasPrefix(name, "swagger-ui") {
		return true, writeCompressed(w, r, name+".gz")
	}
	return true, write(w, name)
}

func write(w http.ResponseWriter, name string) error {
	raw, err := static.ReadFile(path.Join("static", name))
	if err != nil {
		return err
	}
	_, _ = w.Write(raw) // the client may have gone
	return nil
}

// writeCompressed sends a compressed file as it is to whoever takes that.
func writeCompressed(w http.ResponseWriter, r *http.Request, name string) error {
	w.Header().Set("Vary", "Accept-Encoding")
	if httpgzip.Taken(r) {
		w.Header().Set("Content-Encoding", "gzip")
		return write(w, name)
	}
	raw, err := static.ReadFile(path.Join("static", name))
	if err != nil {
		return err
	}
	plain, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		return err
	}
	_, _ = io.Copy(w, plain)
	return nil
}
