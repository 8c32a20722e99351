package openapitest

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"
)

// statusClientGone is noted when nobody waits for the answer; nobody sees it.
const statusClientGone = 499

// Handler passes requests on and fails the test when an answer is not what the document describes: its status, each
// header, the content type, each field of the body. A request that was accepted must be one that the document permits.
// seen is told of each operation and the status of its answer; it may be nil.
func (d *Document) Handler(tb testing.TB, next http.Handler, seen func(operation string, status int)) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w := &recorder{ResponseWriter: rw}
		sent := &tee{ReadCloser: r.Body}
		r.Body = sent
		next.ServeHTTP(w, r)
		status := w.status
		switch status {
		case 0:
			status = http.StatusOK
		case statusClientGone:
			return
		}
		o, known := d.find(r)
		if o != nil && seen != nil {
			seen(o.ID, status)
		}
		if err := d.exchange(o, known, r, sent.read(), status, w.header, w.body.Bytes()); err != nil {
			tb.Errorf("%s %.300s is not as the OpenAPI document says: answer %d: %v\n%.2000q", r.Method, r.URL, status, err, w.body.String())
		}
	})
}

// exchange returns what is wrong with a request and its answer.
func (d *Document) exchange(o *Operation, known bool, r *http.Request, sent []byte, status int, h http.Header, body []byte) error {
	if o == nil {
		response, want := d.notFound, http.StatusNotFound
		if known {
			response, want = d.methodNotAllowed, http.StatusMethodNotAllowed
		}
		if status != want {
			return fmt.Errorf("the document has no such operation, so the answer must be %d", want)
		}
		return response.answer(r.Method, h, body)
	}
	response, ok := o.Responses[status]
	if !ok {
		return fmt.Errorf("%s does not describe this status", o.ID)
	}
	if err := response.answer(r.Method, h, body); err != nil {
		return err
	}
	if status < http.StatusMultipleChoices {
		if err := o.request(r, sent); err != nil {
			return fmt.Errorf("accepted, though the document does not permit it: %w", err)
		}
	}
	return nil
}

// recorder keeps a copy of an answer.
type recorder struct {
	http.ResponseWriter
	status int
	header http.Header
	body   bytes.Buffer
}

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 {
		w.status, w.header = status, w.Header().Clone()
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorder) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	w.body.Write(b)
	return w.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the writer below.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// tee keeps a copy of what was read of a body. A handler may answer before all of it is there.
type tee struct {
	io.ReadCloser
	mu   sync.Mutex
	copy bytes.Buffer
}

func (t *tee) Read(p []byte) (int, error) {
	n, err := t.ReadCloser.Read(p)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.copy.Write(p[:n])
	return n, err
}

func (t *tee) read() []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.copy.Bytes()
}
