// Package openapitest checks what the API does against its OpenAPI document. Tests put Handler around the API's handler:
// from then on an answer that the document does not describe fails them.
package openapitest

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/api/openapi"
)

// Document is the OpenAPI document, ready for checks.
type Document struct {
	root       map[string]any
	Operations []*Operation
	answers    *jsonschema.Compiler
	requests   *jsonschema.Compiler

	notFound, methodNotAllowed *Response // of paths and methods that no operation has
}

// Operation is a method of a path.
type Operation struct {
	ID         string
	Method     string
	Path       string // with its parameters in braces
	Scope      string // of the bearer token that is needed; "" without one
	ByHandle   bool   // the token of a handle permits it too
	Parameters []Parameter
	Body       *Content // nil without one
	Responses  map[int]*Response
}

// Parameter is a parameter of an operation.
type Parameter struct {
	Name, In string
	Required bool
	example  any
	schema   *jsonschema.Schema
	isJSON   bool // the value is JSON, not a text
}

// Response is an answer that an operation can give.
type Response struct {
	headers map[string]header
	content []*Content
}

// Content is a body of a media type.
type Content struct {
	MediaType string
	Examples  map[string]any
	schema    *jsonschema.Schema
}

type header struct {
	required bool
	example  any
	schema   *jsonschema.Schema
}

// place is a value in the document and the JSON pointer to it.
type place struct {
	at    string
	value map[string]any
}

const location = "openapi.json"

var (
	loading sync.Mutex
	loaded  *Document
)

// Load returns the document, read and compiled once.
func Load(tb testing.TB) *Document {
	tb.Helper()
	loading.Lock()
	defer loading.Unlock()
	if loaded == nil {
		loaded = load(tb)
	}
	return loaded
}

func load(tb testing.TB) *Document {
	tb.Helper()
	raw, err := openapi.JSON()
	require.NoError(tb, err)
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	require.NoError(tb, err)
	d := &Document{root: value.(map[string]any)}
	d.answers, d.requests = compiler(tb, value), compiler(tb, value)
	// What a client sends may be spelled in more ways than what it is sent; the document says so in its introduction.
	d.requests.RegisterFormat(&jsonschema.Format{Name: "uuid", Validate: func(v any) error {
		if text, ok := v.(string); ok {
			return uuid.Validate(text)
		}
		return nil
	}})
	for path, item := range object(d.root["paths"]) {
		for method := range object(item) {
			if slices.Contains([]string{"get", "put", "post", "delete", "patch"}, method) {
				d.Operations = append(d.Operations, d.operation(tb, path, method))
			}
		}
	}
	responses := place{"", d.root}.child("components").child("responses")
	d.notFound = d.response(tb, responses.child("NotFound"))
	d.methodNotAllowed = d.response(tb, responses.child("MethodNotAllowed"))
	slices.SortFunc(d.Operations, func(a, b *Operation) int { return strings.Compare(a.ID, b.ID) })
	return d
}

func compiler(tb testing.TB, document any) *jsonschema.Compiler {
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	require.NoError(tb, c.AddResource(location, document))
	return c
}

func (d *Document) operation(tb testing.TB, path, method string) *Operation {
	item := place{"/paths/" + escape(path), object(object(d.root["paths"])[path])}
	p := item.child(method)
	o := &Operation{Method: strings.ToUpper(method), Path: path, Responses: map[int]*Response{}}
	o.ID, _ = p.value["operationId"].(string)
	for _, way := range list(p.value["security"]) {
		for scheme, scopes := range object(way) {
			switch scheme {
			case "bearer":
				o.Scope, _ = list(scopes)[0].(string)
			case "handle":
				o.ByHandle = true
			}
		}
	}
	for _, from := range []place{item, p} {
		for i := range list(from.value["parameters"]) {
			o.Parameters = append(o.Parameters, d.parameter(tb, d.element(from, "parameters", i)))
		}
	}
	if p.value["requestBody"] != nil {
		bodies := d.contents(tb, d.requests, d.resolve(p.child("requestBody")))
		require.Len(tb, bodies, 1, o.ID)
		o.Body = bodies[0]
	}
	for status := range object(p.value["responses"]) {
		code, err := strconv.Atoi(status)
		require.NoError(tb, err)
		o.Responses[code] = d.response(tb, p.child("responses").child(status))
	}
	return o
}

func (d *Document) response(tb testing.TB, at place) *Response {
	at = d.resolve(at)
	r := &Response{headers: map[string]header{}, content: d.contents(tb, d.answers, at)}
	for name := range object(at.value["headers"]) {
		h := d.resolve(at.child("headers").child(name))
		required, _ := h.value["required"].(bool)
		r.headers[http.CanonicalHeaderKey(name)] = header{required, h.value["example"], d.compile(tb, d.answers, h.child("schema"))}
	}
	return r
}

func (d *Document) parameter(tb testing.TB, at place) Parameter {
	p := Parameter{Name: at.value["name"].(string), In: at.value["in"].(string), example: at.value["example"]}
	p.Required, _ = at.value["required"].(bool)
	if at.value["content"] == nil {
		p.schema = d.compile(tb, d.requests, at.child("schema"))
		return p
	}
	content := d.contents(tb, d.requests, at)[0]
	p.schema, p.isJSON = content.schema, true
	for _, example := range content.Examples {
		p.example = example
	}
	return p
}

func (d *Document) contents(tb testing.TB, c *jsonschema.Compiler, at place) []*Content {
	var all []*Content
	for mediaType := range object(at.value["content"]) {
		m := at.child("content").child(mediaType)
		content := &Content{MediaType: mediaType, Examples: map[string]any{}}
		if m.value["schema"] != nil {
			content.schema = d.compile(tb, c, m.child("schema"))
		}
		for name := range object(m.value["examples"]) {
			content.Examples[name] = d.resolve(m.child("examples").child(name)).value["value"]
		}
		all = append(all, content)
	}
	return all
}

func (d *Document) compile(tb testing.TB, c *jsonschema.Compiler, at place) *jsonschema.Schema {
	schema, err := c.Compile(location + "#" + at.at)
	require.NoError(tb, err)
	return schema
}

// resolve follows references.
func (d *Document) resolve(at place) place {
	for {
		ref, ok := at.value["$ref"].(string)
		if !ok {
			return at
		}
		at = place{"", d.root}
		for _, name := range strings.Split(strings.TrimPrefix(ref, "#/"), "/") {
			at = at.child(strings.NewReplacer("~1", "/", "~0", "~").Replace(name))
		}
	}
}

// element is the element of a list, which may be a reference.
func (d *Document) element(at place, name string, i int) place {
	return d.resolve(place{fmt.Sprintf("%s/%s/%d", at.at, name, i), object(list(at.value[name])[i])})
}

func (p place) child(name string) place {
	return place{p.at + "/" + escape(name), object(p.value[name])}
}

func escape(name string) string {
	return strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D", " ", "%20").Replace(name)
}

func object(value any) map[string]any {
	o, _ := value.(map[string]any)
	return o
}

func list(value any) []any {
	l, _ := value.([]any)
	return l
}

// HasParameter reports whether an operation has a parameter.
func (o *Operation) HasParameter(in, name string) bool {
	return slices.ContainsFunc(o.Parameters, func(p Parameter) bool { return p.In == in && p.Name == name })
}
