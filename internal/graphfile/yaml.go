package graphfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

const (
	// maxDepth is how deep the service lets JSON be nested.
	maxDepth = 1000
	// maxSteps bounds how many nodes are visited, aliases followed. Those that yield nothing are not bounded by the size.
	maxSteps = 16 << 20
)

// readYAML turns the one document of a file into JSON.
func readYAML(name string, text []byte) (*File, error) {
	if err := readable(name, text); err != nil {
		return nil, err
	}
	loader, err := yaml.NewLoader(bytes.NewReader(text), yaml.WithUniqueKeys(false))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	var document, next yaml.Node
	if err := loader.Load(&document); err != nil {
		return nil, yamlError(name, err)
	}
	switch err := loader.Load(&next); {
	case err == nil:
		return nil, &Error{Name: name, Line: next.Line, Message: "a second document begins; a graph is one document"}
	case !errors.Is(err, io.EOF):
		return nil, yamlError(name, err)
	}
	c := converter{name: name, open: map[*yaml.Node]bool{}}
	if err := c.value(&document, 0); err != nil {
		return nil, err
	}
	return &File{Name: name, JSON: c.out.Bytes(), marks: c.marks}, nil
}

// readable refuses characters that readers of YAML do not agree about. YAML 1.1 takes some for line breaks that YAML 1.2,
// as JSON, takes for what they are; the parser is of the former kind.
func readable(name string, text []byte) error {
	line := 1
	for i := 0; i < len(text); {
		char, size := utf8.DecodeRune(text[i:])
		switch {
		case char == '\n':
			line++
		case char == utf8.RuneError && size == 1:
			return &Error{Name: name, Line: line, Message: "not UTF-8"}
		case char == 0x85, char == 0x2028, char == 0x2029:
			return &Error{Name: name, Line: line, Message: fmt.Sprintf(
				`the character U+%04X is a line break to some; write it as "\u%04[1]x", in double quotes`, char)}
		}
		i += size
	}
	return nil
}

// yamlError gives an error of the parser the form of ours.
func yamlError(name string, err error) error {
	if errors.Is(err, io.EOF) {
		return &Error{Name: name, Message: "empty"}
	}
	var loadErr *yaml.LoadError
	if errors.As(err, &loadErr) {
		message := loadErr.Message
		if loadErr.ContextMsg != "" {
			message = loadErr.ContextMsg + ": " + message
		}
		return &Error{Name: name, Line: loadErr.Mark.Line, Message: "malformed YAML: " + message}
	}
	return &Error{Name: name, Message: "malformed YAML: " + err.Error()}
}

// converter writes the nodes of a document as JSON.
type converter struct {
	name  string
	out   bytes.Buffer
	marks []mark
	steps int
	open  map[*yaml.Node]bool // what aliases stand for and is being written
}

// fail is an error at a node.
func (c *converter) fail(n *yaml.Node, format string, args ...any) error {
	return &Error{Name: c.name, Line: n.Line, Message: fmt.Sprintf(format, args...)}
}

// mark notes that what follows in the JSON stands in the node's line.
func (c *converter) mark(n *yaml.Node) {
	if last := len(c.marks) - 1; last < 0 || c.marks[last].line != n.Line {
		c.marks = append(c.marks, mark{c.out.Len(), n.Line})
	}
}

// step counts a node, and ends what would not end, or not soon.
func (c *converter) step(n *yaml.Node, depth int) error {
	c.steps++
	switch {
	case depth > maxDepth:
		return c.fail(n, "nested deeper than %d", maxDepth)
	case c.out.Len() > MaxBytes, c.steps > maxSteps:
		return c.fail(n, "becomes more than %d MiB of JSON; aliases are written out", MaxBytes>>20)
	}
	return nil
}

// value writes one node.
func (c *converter) value(n *yaml.Node, depth int) error {
	if err := c.step(n, depth); err != nil {
		return err
	}
	c.mark(n)
	switch n.Kind {
	case yaml.DocumentNode:
		if len(n.Content) != 1 {
			return c.fail(n, "empty")
		}
		return c.value(n.Content[0], depth)
	case yaml.AliasNode:
		return c.alias(n, func(target *yaml.Node) error { return c.value(target, depth) })
	case yaml.SequenceNode:
		if err := c.tagged(n, seqTag); err != nil {
			return err
		}
		return c.sequence(n, depth)
	case yaml.MappingNode:
		if err := c.tagged(n, mapTag); err != nil {
			return err
		}
		return c.mapping(n, depth)
	case yaml.ScalarNode:
		return c.scalar(n)
	}
	return c.fail(n, "empty")
}

// alias follows an alias, unless it leads into itself.
func (c *converter) alias(n *yaml.Node, follow func(*yaml.Node) error) error {
	target := n.Alias
	if target == nil || c.open[target] {
		return c.fail(n, "the alias *%s stands inside of what it stands for", n.Value)
	}
	c.open[target] = true
	defer delete(c.open, target)
	return follow(target)
}

func (c *converter) sequence(n *yaml.Node, depth int) error {
	c.out.WriteByte('[')
	for i, item := range n.Content {
		if i > 0 {
			c.out.WriteByte(',')
		}
		if err := c.value(item, depth+1); err != nil {
			return err
		}
	}
	c.out.WriteByte(']')
	return nil
}

func (c *converter) mapping(n *yaml.Node, depth int) error {
	members, err := c.members(n, depth)
	if err != nil {
		return err
	}
	c.out.WriteByte('{')
	for i, m := range members {
		if i > 0 {
			c.out.WriteByte(',')
		}
		c.mark(m.key)
		c.text(m.name)
		c.out.WriteByte(':')
		if err := c.value(m.value, depth+1); err != nil {
			return err
		}
	}
	c.out.WriteByte('}')
	return nil
}

// member is a key of a mapping with its value.
type member struct {
	name       string
	key, value *yaml.Node
}

// members lists those of a mapping: its own, each name once, and those merged in that it has not itself, the first of a
// name.
func (c *converter) members(n *yaml.Node, depth int) ([]member, error) {
	c.steps += len(n.Content)
	list := make([]member, 0, len(n.Content)/2)
	lines := make(map[string]int, len(n.Content)/2)
	var merge *yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if isMerge(key) {
			if merge != nil {
				return nil, c.fail(key, "the key << stands a second time; merge a list of mappings instead")
			}
			merge = value
			continue
		}
		name, err := c.key(key)
		if err != nil {
			return nil, err
		}
		if line, twice := lines[name]; twice {
			return nil, c.fail(key, "the key %q stands in line %d already", name, line)
		}
		lines[name] = key.Line
		list = append(list, member{name, key, value})
	}
	if merge == nil {
		return list, nil
	}
	merged, err := c.merged(merge, depth+1, true)
	if err != nil {
		return nil, err
	}
	for _, m := range merged {
		if _, has := lines[m.name]; !has {
			lines[m.name] = m.key.Line
			list = append(list, m)
		}
	}
	return list, nil
}

// merged lists the members of what stands behind <<: a mapping, or a list of mappings, of which earlier ones win.
func (c *converter) merged(n *yaml.Node, depth int, listed bool) (members []member, err error) {
	if err := c.step(n, depth); err != nil {
		return nil, err
	}
	switch {
	case n.Kind == yaml.AliasNode:
		err = c.alias(n, func(target *yaml.Node) error {
			members, err = c.merged(target, depth, listed)
			return err
		})
		return members, err
	case n.Kind == yaml.MappingNode:
		return c.members(n, depth)
	case n.Kind == yaml.SequenceNode && listed:
		seen := map[string]bool{}
		for _, item := range n.Content {
			more, err := c.merged(item, depth+1, false)
			if err != nil {
				return nil, err
			}
			for _, m := range more {
				if !seen[m.name] {
					seen[m.name] = true
					members = append(members, m)
				}
			}
		}
		return members, nil
	}
	return nil, c.fail(n, "only mappings can be merged by <<")
}

// isMerge reports the key <<, unless it is in quotes.
func isMerge(key *yaml.Node) bool {
	return key.Kind == yaml.ScalarNode && key.Value == "<<" && key.Style&(quoted|yaml.TaggedStyle) == 0
}

// key returns the name that a key is.
func (c *converter) key(n *yaml.Node) (string, error) {
	key := n
	if key.Kind == yaml.AliasNode && key.Alias != nil {
		key = key.Alias
	}
	if key.Kind != yaml.ScalarNode {
		return "", c.fail(n, "a key must be a text, not a list or a mapping")
	}
	literal, isText, err := c.resolve(key)
	if err != nil {
		return "", err
	}
	if !isText {
		return "", c.fail(n, "the key %s is no text; put it in quotes", literal)
	}
	return literal, nil
}

// scalar writes a text, a number, true, false or null.
func (c *converter) scalar(n *yaml.Node) error {
	literal, isText, err := c.resolve(n)
	if err != nil {
		return err
	}
	if isText {
		c.text(literal)
	} else {
		c.out.WriteString(literal)
	}
	return nil
}

// text writes a string, which the parser has made sure is UTF-8.
func (c *converter) text(s string) {
	c.out.WriteByte('"')
	rest := 0
	for i := range len(s) {
		char := s[i]
		if char >= ' ' && char != '"' && char != '\\' {
			continue
		}
		c.out.WriteString(s[rest:i])
		rest = i + 1
		switch char {
		case '"', '\\':
			c.out.WriteByte('\\')
			c.out.WriteByte(char)
		case '\n':
			c.out.WriteString(`\n`)
		case '\t':
			c.out.WriteString(`\t`)
		default:
			fmt.Fprintf(&c.out, `\u%04x`, char)
		}
	}
	c.out.WriteString(s[rest:])
	c.out.WriteByte('"')
}
