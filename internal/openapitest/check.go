package openapitest

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// common are the headers that belong to HTTP, and those of which the introduction of the document says that every answer
// has them.
var common = []string{"Content-Type", "Content-Length", "Date", "Connection", "X-Content-Type-Options", "Cache-Control"}

// find returns the operation of a request, and whether its path is known.
func (d *Document) find(r *http.Request) (best *Operation, known bool) {
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	segments, err := split(r.URL)
	if err != nil {
		return nil, false
	}
	for _, o := range d.Operations {
		if !matches(strings.Split(o.Path, "/"), segments) {
			continue
		}
		known = true
		if o.Method == method && (best == nil || parameters(o.Path) < parameters(best.Path)) {
			best = o
		}
	}
	return best, known
}

// split divides a path as it was sent, so that a slash which was escaped divides nothing. A path that is not the
// shortest way to write it is none.
func split(u *url.URL) ([]string, error) {
	if clean := path.Clean(u.Path); clean != u.Path && clean+"/" != u.Path {
		return nil, errors.New("not clean")
	}
	segments := strings.Split(u.EscapedPath(), "/")
	for i := range segments {
		plain, err := url.PathUnescape(segments[i])
		if err != nil {
			return nil, err
		}
		segments[i] = plain
	}
	return segments, nil
}

func matches(pattern, segments []string) bool {
	return slices.EqualFunc(pattern, segments, func(want, got string) bool {
		return want == got || strings.HasPrefix(want, "{") && got != ""
	})
}

func parameters(path string) int { return strings.Count(path, "{") }

// answer returns what is wrong with an answer.
func (r *Response) answer(method string, h http.Header, body []byte) error {
	var faults []error
	for name, values := range h {
		described, ok := r.headers[name]
		switch {
		case !ok && slices.Contains(common, name):
		case !ok:
			faults = append(faults, fmt.Errorf("header %s is not described", name))
		default: // a header that comes twice means a list
			if err := checkText(described.schema, strings.Join(values, ", ")); err != nil {
				faults = append(faults, fmt.Errorf("header %s: %w", name, err))
			}
		}
	}
	for name, described := range r.headers {
		if described.required && h.Get(name) == "" {
			faults = append(faults, fmt.Errorf("header %s is missing", name))
		}
	}
	if h.Get("Content-Encoding") == "gzip" && method != http.MethodHead {
		plain, err := gunzip(body)
		if err != nil {
			return errors.Join(append(faults, err)...)
		}
		body = plain
	}
	return errors.Join(append(faults, r.body(method, h.Get("Content-Type"), body))...)
}

func gunzip(body []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

func (r *Response) body(method, contentType string, body []byte) error {
	if len(r.content) == 0 {
		if len(body) > 0 || contentType != "" {
			return fmt.Errorf("a body is not described: %q", contentType)
		}
		return nil
	}
	for _, c := range r.content {
		if !c.is(contentType) {
			continue
		}
		if method == http.MethodHead {
			return nil
		}
		return c.check(body)
	}
	return fmt.Errorf("content type %q is not described", contentType)
}

// is reports whether a content type is meant. Parameters count only if the document names some.
func (c *Content) is(contentType string) bool {
	if strings.Contains(c.MediaType, ";") {
		return c.MediaType == contentType
	}
	mediaType, _, err := mime.ParseMediaType(contentType)
	return err == nil && mediaType == c.MediaType
}

// check returns what is wrong with a body.
func (c *Content) check(body []byte) error {
	switch {
	case c.schema == nil:
		return nil
	case c.MediaType != "application/json":
		return c.schema.Validate(string(body))
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		return err
	}
	return c.schema.Validate(value)
}

// Example returns the example of a parameter as it is written in a request.
func (p *Parameter) Example() string {
	if text, ok := p.example.(string); ok && !p.isJSON {
		return text
	}
	raw, err := json.Marshal(p.example)
	if err != nil { // it was read from JSON
		panic(err)
	}
	return string(raw)
}

// request returns what the document says against a request that the API has accepted.
func (o *Operation) request(r *http.Request, body []byte) error {
	var faults []error
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return err
	}
	for _, p := range o.Parameters {
		var values []string
		switch p.In {
		case "query":
			values = query[p.Name]
		case "header":
			values = r.Header.Values(p.Name)
		default:
			continue // paths are matched
		}
		if len(values) == 0 && !p.Required {
			continue
		}
		if len(values) != 1 {
			faults = append(faults, fmt.Errorf("parameter %s: %q", p.Name, values))
		} else if err := p.check(values[0]); err != nil {
			faults = append(faults, fmt.Errorf("parameter %s: %w", p.Name, err))
		}
	}
	if o.Body != nil {
		if err := o.Body.check(body); err != nil {
			faults = append(faults, fmt.Errorf("body: %w", err))
		}
	}
	return errors.Join(faults...)
}

func (p *Parameter) check(text string) error {
	if !p.isJSON {
		return checkText(p.schema, text)
	}
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		return err
	}
	return p.schema.Validate(value)
}

// checkText checks a text, or the number that it spells.
func checkText(schema *jsonschema.Schema, text string) error {
	err := schema.Validate(text)
	if err == nil {
		return nil
	}
	var number json.Number
	if json.Unmarshal([]byte(text), &number) == nil && schema.Validate(number) == nil {
		return nil
	}
	return err
}

// IsTyped reports whether some texts are no value of the parameter.
func (p *Parameter) IsTyped() bool { return p.check("x") != nil }
