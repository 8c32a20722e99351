package config

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// sections are those of a file, in the order in which people read it.
var sections = []struct{ name, about string }{
	{"", "Service and database."},
	{"pool", "Connections to the database, and what happens when there are none."},
	{"pagination", "Lists."},
	{"worker", "Starting tasks."},
	{"webhook", "Calling webhooks."},
	{"auth", "Who may call."},
	{"retention", "How long things are kept."},
	{"tracing", "Logs."},
	{"security", "What may be called, and how large requests may be."},
}

// section is the part of a key before the dot.
func (s setting) section() string {
	section, _, _ := cutLast(s.key, ".")
	return section
}

const exampleHead = `# Settings of Task Runner, with their defaults (or an example, where there is none). It is read from config.toml in the
# working directory, or from the file that --config or CONFIG_FILE names. Variables, of the names in capitals, win over it,
# and flags over both: "taskrunner config" prints what counts. Made by "make generate/config".
`

// Example returns a file that has every setting, commented out.
func Example() string {
	var b strings.Builder
	b.WriteString(exampleHead)
	for _, section := range sections {
		fmt.Fprintf(&b, "\n# %s\n", section.about)
		if section.name != "" {
			fmt.Fprintf(&b, "[%s]\n", section.name)
		}
		var tables []setting // behind the keys, which would be theirs otherwise
		for _, s := range settings() {
			switch {
			case s.section() != section.name:
			case s.columns != nil:
				tables = append(tables, s)
			default:
				_, name, _ := cutLast(s.key, ".")
				fmt.Fprintf(&b, "%s#%s = %s\n", s.comment(), name, s.literal())
			}
		}
		for _, s := range tables {
			fmt.Fprintf(&b, "%s#[[%s]]\n", s.comment(), s.key)
			for i, value := range strings.Split(s.example, ":") {
				fmt.Fprintf(&b, "#%s = %s\n", s.columns[i], strconv.Quote(value))
			}
		}
	}
	return b.String()
}

// comment is what a setting is, in lines of a readable length.
func (s setting) comment() string {
	const width = 120
	var b strings.Builder
	line := "\n# " + s.variable + ":"
	for word := range strings.FieldsSeq(s.help) {
		if len(line)+1+len(word) > width {
			b.WriteString(line)
			line = "\n#"
		}
		line += " " + word
	}
	b.WriteString(line + "\n")
	return b.String()
}

// literal writes the default, or the example, as TOML does. The texts are such that Go quotes them as TOML does.
func (s setting) literal() string {
	text := s.preset
	if text == "" {
		text = s.example
	}
	switch {
	case s.typ == reflect.TypeFor[Switch]():
		return strconv.FormatBool(text == "1")
	case s.typ == reflect.TypeFor[List]():
		entries := strings.Split(text, ",")
		for i, entry := range entries {
			entries[i] = strconv.Quote(entry)
		}
		return "[" + strings.Join(entries, ", ") + "]"
	case s.typ.Kind() == reflect.String:
		return strconv.Quote(text)
	}
	return text
}
