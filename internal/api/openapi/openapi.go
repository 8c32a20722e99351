// Package openapi holds the OpenAPI document of the API. Its source is the YAML beside this file, an area of the API
// each; tests keep it equal to what the handlers do.
package openapi

import (
	"bytes"
	"embed"
	"fmt"
	"io/fs"
	"sync"

	"go.yaml.in/yaml/v4"
)

//go:embed *.yaml
var files embed.FS

// JSON returns the document as it is served. It is made once.
var JSON = sync.OnceValues(func() ([]byte, error) { return build(files) })

// build merges the files in the order of their names into one document.
func build(files fs.FS) ([]byte, error) {
	names, err := fs.Glob(files, "*.yaml")
	if err != nil {
		return nil, err
	}
	whole := &yaml.Node{Kind: yaml.MappingNode}
	for _, name := range names {
		raw, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, err
		}
		var part yaml.Node
		if err := yaml.Unmarshal(raw, &part); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if len(part.Content) != 1 {
			return nil, fmt.Errorf("%s: holds no document", name)
		}
		if err := merge(whole, part.Content[0]); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	var b bytes.Buffer
	if err := writeJSON(&b, whole); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// merge adds the members of one mapping to another. Mappings that both have are merged; anything else may be said only
// once.
func merge(into, from *yaml.Node) error {
	if from.Kind != yaml.MappingNode {
		return fmt.Errorf("line %d: must be a mapping", from.Line)
	}
	for i := 0; i < len(from.Content); i += 2 {
		key, value := from.Content[i], from.Content[i+1]
		present := member(into, key.Value)
		switch {
		case present == nil:
			into.Content = append(into.Content, key, value)
		case present.Kind == yaml.MappingNode && value.Kind == yaml.MappingNode:
			if err := merge(present, value); err != nil {
				return fmt.Errorf("%s: %w", key.Value, err)
			}
		default:
			return fmt.Errorf("line %d: %s is said twice", key.Line, key.Value)
		}
	}
	return nil
}

func member(mapping *yaml.Node, name string) *yaml.Node {
	for i := 0; i < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == name {
			return mapping.Content[i+1]
		}
	}
	return nil
}
