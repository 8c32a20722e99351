package api

import (
	"net/http"
	"strings"

	"github.com/google/uuid"

	"github.com/taskrunner/taskrunner/internal/api/swaggerui"
)

// showDocument is GET /api-docs/openapi.json.
func (s *server) showDocument(w http.ResponseWriter, _ *http.Request, _ uuid.UUID) error {
	w.Header().Set("Cache-Control", "no-cache")
	write(w, http.StatusOK, s.document)
	return nil
}

// showSwaggerUI is GET /swagger-ui/*, the page of the document and its files.
func (s *server) showSwaggerUI(w http.ResponseWriter, r *http.Request, _ uuid.UUID) error {
	found, err := swaggerui.Serve(w, r, strings.TrimPrefix(r.URL.Path, "/swagger-ui/"))
	if err == nil && !found {
		err = errNoPath
	}
	return err
}
