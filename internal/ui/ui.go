// Package ui is what people see in a browser: the page under /view with its files, and the icon. They are plain files of
// folder web, as the browser gets them. The page holds no data: its script asks the API.
package ui

import (
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"

	"github.com/taskrunner/taskrunner/internal/httpgzip"
)

// Icon is a PNG image.
//
//go:embed icon.png
var Icon []byte

//go:embed web
var web embed.FS

// Page is the name of the page itself.
const Page = "index.html"

// policy lets the page load what is served here and nothing else. Pictures that it makes itself are blobs.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// types are those of the files that are served; the operating system's list may have others.
var types = map[string]string{
	".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
	".svg": "image/svg+xml", ".png": "image/png",
}

type file struct {
	contentType, tag  string
	plain, compressed []byte
}

// files are read and compressed at their first use.
var files = sync.OnceValues(func() (map[string]file, error) {
	all := map[string]file{}
	err := fs.WalkDir(web, "web", func(name string, entry fs.DirEntry, err error) error {
		contentType, served := types[path.Ext(name)]
		if err != nil || entry.IsDir() || !served {
			return err
		}
		plain, err := web.ReadFile(name)
		sum := sha256.Sum256(plain)
		all[strings.TrimPrefix(name, "web/")] = file{contentType: contentType, tag: hex.EncodeToString(sum[:12]),
			plain: plain, compressed: httpgzip.Compress(plain, gzip.BestCompression)}
		return err
	})
	return all, err
})

// Serve answers with a file. It reports false if there is no such file. A browser keeps it and asks each time whether it is still
// the same.
func Serve(w http.ResponseWriter, r *http.Request, name string) (bool, error) {
	all, err := files()
	if err != nil {
		return false, err
	}
	f, ok := all[name]
	if !ok {
		return false, nil
	}
	h := w.Header()
	h.Set("Cache-Control", "no-cache")
	h.Set("Vary", "Accept-Encoding")
	h.Set("X-Content-Type-Options", "nosniff")
	body, tag := f.plain, `"`+f.tag+`"`
	if httpgzip.Taken(r) {
		body, tag = f.compressed, `"`+f.tag+`-gzip"`
	}
	h.Set("ETag", tag)
	if strings.Contains(strings.Join(r.Header.Values("If-None-Match"), ","), tag) {
		w.WriteHeader(http.StatusNotModified)
		return true, nil
	}
	if name == Page {
		h.Set("Content-Security-Policy", policy)
		h.Set("Referrer-Policy", "no-referrer")
	}
	h.Set("Content-Type", f.contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if httpgzip.Taken(r) {
		h.Set("Content-Encoding", "gzip")
	}
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(body) // that the client did not take it is nobody's concern
	return true, nil
}
