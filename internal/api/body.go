package api

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/taskrunner/taskrunner/internal/strictjson"
)

// readJSON reads a body that must be JSON which the database can hold. arrayName is what details call a top-level array.
// Nothing of the database is held meanwhile.
func (s *server) readJSON(w http.ResponseWriter, r *http.Request, arrayName string) ([]byte, error) {
	if !isJSON(r.Header.Get("Content-Type")) {
		return nil, &problem{Status: http.StatusUnsupportedMediaType,
			Message: "the body must have a Content-Type of JSON, application/json for instance"}
	}
	if r.ContentLength > s.MaxBodyBytes {
		return nil, s.tooLarge()
	}
	var buffer bytes.Buffer
	_, err := io.Copy(&buffer, http.MaxBytesReader(w, r.Body, s.MaxBodyBytes))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, s.tooLarge()
	case err != nil:
		s.log.Debug("body not read", "error", err)
		return nil, invalid("the body could not be read to its end")
	}

	body := buffer.Bytes()
	result, err := strictjson.Check(body, arrayName, s.MaxBodyBytes)
	var syntax *strictjson.SyntaxError
	switch {
	case errors.As(err, &syntax):
		return nil, invalid("malformed JSON: " + syntax.Error())
	case errors.Is(err, strictjson.ErrTooMany):
		return nil, &problem{Status: http.StatusRequestEntityTooLarge, Message: err.Error()}
	case err != nil:
		return nil, s.tooLarge()
	case len(result.Faults) > 0:
		return nil, invalid(validation, result.Faults...)
	}
	return body, nil
}

func (s *server) tooLarge() error {
	return &problem{Status: http.StatusRequestEntityTooLarge,
		Message: fmt.Sprintf("the body must be at most %d bytes, its numbers written out", s.MaxBodyBytes)}
}

// isJSON reports whether a content type has the subtype json or the suffix +json.
func isJSON(contentType string) bool {
	mediaType, _, err := mime.ParseMediaType(contentType)
	if err != nil && !errors.Is(err, mime.ErrInvalidMediaParameter) {
		return false
	}
	_, subtype, ok := strings.Cut(mediaType, "/")
	return ok && (subtype == "json" || strings.HasSuffix(subtype, "+json"))
}
