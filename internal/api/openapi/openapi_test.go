package openapi

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"
	"testing/fstest"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
)

func TestBuild(t *testing.T) {
	t.Parallel()
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	got, err := build(fstest.MapFS{
		"a.yaml":   file("z: 1\na: {b: [x, 1.5, null, true, 2026-11-27, '1', \"<é>\"], 200: {}}\n"),
		"b.yaml":   file("a: {c: 9223372036854775807}\n"),
		"c.txt":    file(": no"),
		"d/e.yaml": file("f: 1"),
	})
	require.NoError(t, err)
	require.Equal(t, `{"z":1,"a":{"b":["x",1.5,null,true,"2026-11-27","1","<é>"],"200":{},"c":9223372036854775807}}`, string(got),
		"in the order of writing")

	for _, wrong := range []string{"a: 2", "a: {b: 2}", "c: {d: 1, d: 2}", "- 1", "", "c: *d", "c: &d 1\ne: *d", "c: [", "c: .nan"} {
		_, err := build(fstest.MapFS{"a.yaml": file("a: {b: 1}"), "b.yaml": file(wrong)})
		require.Error(t, err, wrong)
	}
}

// The schema says of schemas in the document only that they are some; this says which.
const dialect = `{"$id": "https://runner.example.com/dialect", "$schema": "https://json-schema.org/draft/2020-12/schema",
	"$ref": "https://spec.openapis.org/oas/3.1/schema/2022-10-07",
	"$defs": {"schema": {"$dynamicAnchor": "meta", "$ref": "https://json-schema.org/draft/2020-12/schema"}}}`

func TestDocumentIsOpenAPI(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("testdata/oas-3.1-schema-2022-10-07.json")
	require.NoError(t, err)
	c := jsonschema.NewCompiler()
	for url, text := range map[string]string{
		"https://spec.openapis.org/oas/3.1/schema/2022-10-07": string(raw), "https://runner.example.com/dialect": dialect,
	} {
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader([]byte(text)))
		require.NoError(t, err)
		require.NoError(t, c.AddResource(url, value))
	}
	schema, err := c.Compile("https://runner.example.com/dialect")
	require.NoError(t, err)
	document, err := JSON()
	require.NoError(t, err)
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(document))
	require.NoError(t, err)
	require.NoError(t, schema.Validate(value))

	// It is a test that can fail, of the document and of the schemas in it.
	for _, change := range []string{`{"openapi": "3.0.0"}`, `{"components": {"schemas": {"x": {"type": "strong"}}}}`, `{"paths": {"x": {}}}`} {
		broken := map[string]any{"openapi": "3.1.0", "info": map[string]any{"title": "x", "version": "1"}, "paths": map[string]any{}}
		require.NoError(t, schema.Validate(broken))
		require.NoError(t, json.Unmarshal([]byte(change), &broken))
		require.Error(t, schema.Validate(broken), change)
	}
}
