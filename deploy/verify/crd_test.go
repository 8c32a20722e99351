package verify

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

// definitions is the folder of CloudNativePG's resource definitions, in the module that go.mod names. Its Go types would take
// Kubernetes' client along, and know less: neither which values are allowed nor which fields have to be there.
var definitions = sync.OnceValues(func() (string, error) {
	out, err := exec.Command("go", "mod", "download", "-json", "github.com/cloudnative-pg/cloudnative-pg").Output()
	if err != nil {
		return "", err
	}
	var module struct{ Dir string }
	err = json.Unmarshal(out, &module)
	return filepath.Join(module.Dir, "config/crd/bases"), err
})

// validateCustom checks an object by the schema of its kind; a field that the schema does not have is an error.
func validateCustom(t *testing.T, kind string, object map[string]any) {
	t.Helper()
	schema := customSchema(t, kind)
	require.NoError(t, schema.Validate(object), kind)
}

func customSchema(t *testing.T, kind string) *jsonschema.Schema {
	t.Helper()
	dir, err := definitions()
	require.NoError(t, err)
	text, err := os.ReadFile(filepath.Join(dir, "postgresql.cnpg.io_"+strings.ToLower(kind)+"s.yaml"))
	require.NoError(t, err)
	var definition struct {
		Spec struct {
			Versions []struct {
				Name   string
				Schema struct {
					OpenAPIV3Schema map[string]any `json:"openAPIV3Schema"`
				}
			}
		}
	}
	require.NoError(t, yaml.Unmarshal(text, &definition))
	require.Equal(t, "v1", definition.Spec.Versions[0].Name)
	schema := definition.Spec.Versions[0].Schema.OpenAPIV3Schema
	closeSchema(schema)
	// Of Kubernetes, not of the definition.
	schema["properties"].(map[string]any)["metadata"] = map[string]any{"properties": map[string]any{
		"name": map[string]any{}, "namespace": map[string]any{}, "labels": map[string]any{}, "annotations": map[string]any{},
	}, "additionalProperties": false}
	compiler := jsonschema.NewCompiler()
	require.NoError(t, compiler.AddResource("crd.json", any(schema)))
	compiled, err := compiler.Compile("crd.json")
	require.NoError(t, err)
	return compiled
}

// closeSchema refuses fields that are not named, as kubectl does, and puts Kubernetes' own words into JSON Schema.
func closeSchema(node any) {
	switch node := node.(type) {
	case map[string]any:
		if properties, ok := node["properties"].(map[string]any); ok {
			if _, open := node["additionalProperties"]; !open && node["x-kubernetes-preserve-unknown-fields"] != true {
				node["additionalProperties"] = false
			}
			for _, property := range properties {
				closeSchema(property)
			}
		}
		if node["x-kubernetes-int-or-string"] == true {
			delete(node, "type")
			delete(node, "pattern")
			node["type"] = []any{"integer", "string"}
		}
		for _, word := range []string{"items", "additionalProperties"} {
			closeSchema(node[word])
		}
	}
}

// The check is one: what is misspelt, missing or no known value is found.
func TestCustomResourcesAreChecked(t *testing.T) {
	t.Parallel()
	for what, text := range map[string]string{
		"unknown field":   `{instances: 3, storage: {size: 1Gi}, instance: 3}`,
		"nested":          `{instances: 3, storage: {size: 1Gi, sise: 1Gi}}`,
		"missing":         `{storage: {size: 1Gi}}`,
		"value":           `{instances: 3, storage: {size: 1Gi}, postgresql: {synchronous: {method: some, number: 1}}}`,
		"type":            `{instances: "3", storage: {size: 1Gi}}`,
		"below its least": `{instances: 0, storage: {size: 1Gi}}`,
	} {
		var spec any
		require.NoError(t, yaml.Unmarshal([]byte(text), &spec))
		require.Error(t, customSchema(t, "Cluster").Validate(map[string]any{"metadata": map[string]any{}, "spec": spec}), what)
	}
	require.NoError(t, customSchema(t, "Cluster").Validate(map[string]any{"metadata": map[string]any{},
		"spec": map[string]any{"instances": 3., "storage": map[string]any{"size": "1Gi"}}}))
}

// at follows a path into an object.
func at(t *testing.T, object any, path ...string) any {
	t.Helper()
	for _, name := range path {
		fields, ok := object.(map[string]any)
		require.True(t, ok, "%v", path)
		require.Contains(t, fields, name, "%v", path)
		object = fields[name]
	}
	return object
}
