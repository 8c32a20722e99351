package api

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/taskrunner/taskrunner/internal/strictjson"
)

// firstRead is the memory with which a body begins.
const firstRead = 4 << 10

// readJSON reads a body that must be JSON. faults are the values in it that the database cannot hold, and body has others
// in their places (strictjson.Mend), so that a client can be told of everything that is wrong at once; with any fault the
// request is to be refused. arrayName is what details call a top-level array.
// Nothing of the database is held meanwhile.
func (s *server) readJSON(
	w http.ResponseWriter, r *http.Request, arrayName string, places strictjson.Places,
) (body []byte, faults []strictjson.Fault, err error) {
	if types := r.Header["Content-Type"]; len(types) != 1 || !isJSON(types[0]) {
		return nil, nil, &problem{Status: http.StatusUnsupportedMediaType,
			Message: "the body must have a Content-Type of JSON, application/json for instance"}
	}
	if coding := r.Header.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return nil, nil, &problem{Status: http.StatusUnsupportedMediaType, Message: "the body must have no Content-Encoding"}
	}
	body, err = s.readBody(w, r)
	if err != nil {
		return nil, nil, err
	}
	if r.Header.Get(idempotencyHeader) != "" {
		callOf(r).sent = sha256.Sum256(body) // Mend may change it
	}
	result, err := strictjson.Mend(body, arrayName, s.MaxBodyBytes, places)
	var syntax *strictjson.SyntaxError
	switch {
	case errors.As(err, &syntax):
		return nil, nil, invalid("malformed JSON: " + syntax.Error())
	case errors.Is(err, strictjson.ErrTooMany):
		return nil, nil, &problem{Status: http.StatusRequestEntityTooLarge, Message: err.Error()}
	case err != nil:
		return nil, nil, s.tooLarge()
	case result.Cut || result.More > 0:
		return nil, nil, refused(result)
	}
	return body, result.Faults, nil
}

// refused is the error that lists the faults of a text, and nothing else.
func refused(result strictjson.Result) error {
	var details []string
	for _, f := range result.Faults {
		details = append(details, f.String())
	}
	if result.More > 0 {
		details = append(details, fmt.Sprintf("and %d more", result.More))
	}
	return invalid(validation, details...)
}

// readBody reads a body, in memory that grows as the bytes come in: what a client announces and does not send costs
// nothing. Of the memory beyond freeBody all requests together have a budget, which is given back when they are answered.
// A client that is slower than allowed is not waited for.
func (s *server) readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if r.ContentLength > s.MaxBodyBytes {
		return nil, s.tooLarge()
	}
	most := s.MaxBodyBytes + 1 // a byte more would be too large, and the end of the body is seen only behind it
	if r.ContentLength >= 0 {
		most = r.ContentLength + 1
	}
	c := callOf(r)
	began := time.Now()
	connection := http.NewResponseController(w)
	var body []byte
	for {
		if len(body) == cap(body) {
			size := min(most, max(firstRead, 2*int64(cap(body))))
			more := max(0, size-freeBody) - c.held
			if !s.bodies.take(more, s.BodyMemory) {
				return nil, s.shed(r, shedInFlight, "too many large bodies are being read")
			}
			c.held += more
			body = append(make([]byte, 0, size), body...)
		}
		_ = connection.SetReadDeadline(began.Add(allowed(int64(len(body)))))
		n, err := r.Body.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		switch {
		case int64(len(body)) > s.MaxBodyBytes:
			return nil, s.tooLarge()
		case err == io.EOF:
			c.read = true
			_ = connection.SetReadDeadline(time.Time{}) // else it would end the request's context while it is worked on
			return body, nil
		case err != nil:
			return nil, fmt.Errorf("%w: %w", invalid("the body could not be read to its end"), err)
		}
	}
}

func (s *server) tooLarge() error {
	return &problem{Status: http.StatusRequestEntityTooLarge,
		Message: fmt.Sprintf("the body must be at most %d bytes, its numbers written out", s.MaxBodyBytes)}
}

// isJSON reports whether a content type has the subtype json or the suffix +json.
func isJSON(contentType string) bool {
	if contentType == "application/json" { // as nearly everybody writes it
		return true
	}
	mediaType, _, err := mime.ParseMediaType(contentType)
	if err != nil && !errors.Is(err, mime.ErrInvalidMediaParameter) {
		return false
	}
	_, subtype, ok := strings.Cut(mediaType, "/")
	return ok && (subtype == "json" || strings.HasSuffix(subtype, "+json"))
}
