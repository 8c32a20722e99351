package graphfile_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/graphfile"
)

func read(text string, format graphfile.Format) (string, error) {
	f, err := graphfile.Read("graph.yaml", strings.NewReader(text), format)
	if err != nil {
		return "", err
	}
	return string(f.JSON), nil
}

func TestYAML(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		// Structure.
		"a: 1\nb: [x, {c: d}]\n":     `{"a":1,"b":["x",{"c":"d"}]}`,
		"- a\n- b: c\n  d:\n  - e\n": `["a",{"b":"c","d":["e"]}]`,
		"{}":                         `{}`,
		"[]":                         `[]`,
		"--- # comment\na: b\n...\n": `{"a":"b"}`,
		"\ufeffa: b":                 `{"a":"b"}`,
		`{"a": [1, "x\u00e9"], }`:    `{"a":[1,"xé"]}`,
		"a: |\n  x\n   y\n":          `{"a":"x\n y\n"}`,
		"a: >-\n  x\n  y\n":          `{"a":"x y"}`,
		"? a\n: b":                   `{"a":"b"}`,

		// Numbers keep their digits.
		"[9007199254740993, 18446744073709551616, -0, +7, 0]": `[9007199254740993,18446744073709551616,-0,7,0]`,
		"[1.50, 1e3, 1E+3, .5, -.5, +1., 1.e2, 0.10]":         `[1.50,1e3,1E+3,0.5,-0.5,1.0,1.0e2,0.10]`,
		"[0x1F, 0o17, 0xFFFFFFFFFFFFFFFFFF]":                  `[31,15,4722366482869645213695]`,
		"[1_000, 0b11, 1:30, -0x1, 1.2.3, 1e, e5, ., +]":      `["1_000","0b11","1:30","-0x1","1.2.3","1e","e5",".","+"]`,

		// Other scalars, as YAML 1.2 has them.
		"[null, Null, NULL, ~, '']":                           `[null,null,null,null,""]`,
		"a:\nb: ~":                                            `{"a":null,"b":null}`,
		"[true, True, TRUE, false, False, FALSE]":             `[true,true,true,false,false,false]`,
		"[yes, no, on, off, y, n, nULL, tRUE]":                `["yes","no","on","off","y","n","nULL","tRUE"]`,
		"[2026-01-02, 2026-01-02T03:04:05Z, 12:30:45]":        `["2026-01-02","2026-01-02T03:04:05Z","12:30:45"]`,
		`['1', "true", 'null', "0123", '.inf', "2026-01-02"]`: `["1","true","null","0123",".inf","2026-01-02"]`,
		"yes: 1\non: 2\n2026-01-02: 3\n'1': 4\n":              `{"yes":1,"on":2,"2026-01-02":3,"1":4}`,
		`["\0", "\x1b", "\u2028", "<&>", "\"\\/", "😀\t"]`:     `["\u0000","\u001b"," ","<&>","\"\\/","😀\t"]`,

		// Tags.
		"[!!str 1, !!str true, !!str, !!int 7, !!float 7, !!float 7.5, !!bool true, !!null ~, !!timestamp 2026-01-02]": `["1","true","",7,7,7.5,true,null,"2026-01-02"]`,
		"[!!map {a: 1}, !!seq [1], !!int '7']": `[{"a":1},[1],7]`,

		// Anchors and merges.
		"a: &x {b: 1}\nc: *x\n":                                    `{"a":{"b":1},"c":{"b":1}}`,
		"a: &x b\n*x : c\n":                                        `{"a":"b","b":"c"}`,
		"- &x {a: 1, b: 2}\n- {<<: *x, b: 3}\n":                    `[{"a":1,"b":2},{"b":3,"a":1}]`,
		"- &x {a: 1}\n- &y {a: 2, b: 2}\n- <<: [*x, *y]\n  c: 3\n": `[{"a":1},{"a":2,"b":2},{"c":3,"a":1,"b":2}]`,
		"- &x {a: 1}\n- &y {<<: *x, b: 2}\n- {<<: *y}\n":           `[{"a":1},{"b":2,"a":1},{"b":2,"a":1}]`,
		"<<: {a: 1}\nb: 2":                                         `{"b":2,"a":1}`,
		"'<<': {a: 1}":                                             `{"<<":{"a":1}}`,
		"a: <<":                                                    `{"a":"<<"}`,
		"- &l [{a: 1}, {b: 2}]\n- {<<: *l}\n":                      `[[{"a":1},{"b":2}],{"a":1,"b":2}]`,
		"- &x {on_start: &s {url: u}}\n- <<: *x\n  on_success: [*s]\n": `[{"on_start":{"url":"u"}},{"on_success":[{"url":"u"}],"on_start":{"url":"u"}}]`,
	} {
		got, err := read(text, graphfile.YAML)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
		require.True(t, json.Valid([]byte(got)), got)
	}
}

func TestYAMLRefused(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("[", 1002) + strings.Repeat("]", 1002)
	laughs := "- &a0 [x,x,x,x,x,x,x,x,x,x]\n"
	merges := "- &a0 {}\n"
	for i := range 12 {
		laughs += fmt.Sprintf("- &a%d [*a%[2]d,*a%[2]d,*a%[2]d,*a%[2]d,*a%[2]d,*a%[2]d,*a%[2]d,*a%[2]d,*a%[2]d,*a%[2]d]\n", i+1, i)
		merges += fmt.Sprintf("- &a%d {<<: [*a%[2]d,*a%[2]d,*a%[2]d,*a%[2]d,*a%[2]d,*a%[2]d,*a%[2]d,*a%[2]d,*a%[2]d,*a%[2]d]}\n", i+1, i)
	}
	for text, want := range map[string]string{
		"":                                  "graph.yaml: empty",
		" \n\t\n":                           "graph.yaml: empty",
		"# nothing\n":                       "graph.yaml: empty",
		"a: 1\nb: 2\na: 3\n":                `graph.yaml:3: the key "a" stands in line 1 already`,
		"x:\n  - a: 1\n    'a': 2\n":        `graph.yaml:3: the key "a" stands in line 2 already`,
		"a: 1\n1: 2\n":                      "graph.yaml:2: the key 1 is no text; put it in quotes",
		"true: 1":                           "graph.yaml:1: the key true is no text; put it in quotes",
		"a: 1\n~: 2\n":                      "graph.yaml:2: the key null is no text; put it in quotes",
		"[a]: 1":                            "graph.yaml:1: a key must be a text, not a list or a mapping",
		"a: 1\n---\nb: 2\n":                 "graph.yaml:2: a second document begins; a graph is one document",
		"a: 1\nb: 0123\n":                   "graph.yaml:2: 0123 begins with 0, which some read as octal and some do not; leave the 0 out, or put it in quotes to have a text",
		"a: [1, .inf]":                      "graph.yaml:1: JSON has no number .inf; put it in quotes to have a text",
		"a: .NaN":                           "graph.yaml:1: JSON has no number .NaN; put it in quotes to have a text",
		"a: 0x" + strings.Repeat("1", 1000): "graph.yaml:1: the number is too long",
		"a: !!binary aGk=":                  `graph.yaml:1: JSON has no type "!!binary"`,
		"a: !mine x":                        `graph.yaml:1: JSON has no type "!mine"`,
		"a: !!set {b}":                      `graph.yaml:1: JSON has no type "!!set"`,
		"a: !mine [b]":                      `graph.yaml:1: JSON has no type "!mine"`,
		"a: !!bool maybe":                   `graph.yaml:1: "maybe" is no !!bool`,
		"a: &x [*x]":                        "graph.yaml:1: the alias *x stands inside of what it stands for",
		"a: &x\n  b: &y\n  - *x\n":          "graph.yaml:3: the alias *x stands inside of what it stands for",
		"a: &x {<<: *x}":                    "graph.yaml:1: the alias *x stands inside of what it stands for",
		"a: &x b\nc: {<<: *x}":              "graph.yaml:1: only mappings can be merged by <<",
		"a: {<<: [[{b: 1}]]}":               "graph.yaml:1: only mappings can be merged by <<",
		"a:\n  <<: {b: 1}\n  <<: {}\n":      "graph.yaml:3: the key << stands a second time; merge a list of mappings instead",
		deep:                                "graph.yaml:1: nested deeper than 1000",
		laughs:                              "becomes more than 64 MiB of JSON; aliases are written out",
		merges:                              "becomes more than 64 MiB of JSON; aliases are written out",
		"a: b: c\n":                         "graph.yaml:1: malformed YAML: ",
		"a: 1\n b: 2\n":                     "graph.yaml:2: malformed YAML: ",
		"a:\n\t- b\n":                       "graph.yaml:2: malformed YAML: ",
		"a: *nowhere\n":                     "graph.yaml:1: malformed YAML: ",
		"a: 'x\n":                           "malformed YAML: ",
		"a: \"\\ud800\"\n":                  "graph.yaml:1: malformed YAML: ",
		"a: 1\nb: \xff\n":                   "graph.yaml:2: not UTF-8",
		"\xff\xfea\x00":                     "graph.yaml:1: not UTF-8",
		"a: 1\nb: \"x\u0085y\"":             `graph.yaml:2: the character U+0085 is a line break to some; write it as "\u0085", in double quotes`,
		"a: x\u2028":                        `graph.yaml:1: the character U+2028 is a line break to some; write it as "\u2028", in double quotes`,
		"a: 1\n---\n[":                      "malformed YAML: ",
	} {
		_, err := read(text, graphfile.YAML)
		var e *graphfile.Error
		require.ErrorAs(t, err, &e, text)
		require.Contains(t, e.Error(), want, text)
		require.NotContains(t, e.Error(), "\n")
	}
}

func TestFormats(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, text string
		format     graphfile.Format
		want       string
	}{
		{"g.json", `[ 1.0 ]`, graphfile.Auto, `[ 1.0 ]`},
		{"g.JSON", ` {"a":1,"a":2}`, graphfile.Auto, ` {"a":1,"a":2}`},
		{"g.yaml", `[ 1.0 ]`, graphfile.Auto, `[1.0]`},
		{"g.yml", `a: b`, graphfile.Auto, `{"a":"b"}`},
		{"-", "\n [ 1 ]", graphfile.Auto, "\n [ 1 ]"},
		{"-", "- 1", graphfile.Auto, "[1]"},
		{"-", "# graph\n[ 1 ]", graphfile.Auto, "[1]"},
		{"g", "[ 1 ]", graphfile.YAML, "[1]"},
		{"g.yaml", "[ 1 ]", graphfile.JSON, "[ 1 ]"},
	} {
		f, err := graphfile.Read(c.name, strings.NewReader(c.text), c.format)
		require.NoError(t, err, c)
		require.Equal(t, c.want, string(f.JSON), c)
	}
	for text, want := range map[string]string{
		"[\n  1,\n  2,]": "g.json:3: malformed JSON: unexpected character in column 5",
		"a: b":           "g.json:1: malformed JSON: unexpected character in column 1",
		`{"a": "` + "\n": "g.json:1: malformed JSON: control character in a string in column 8",
		"[1":             "g.json:1: malformed JSON: unexpected end in column 3",
	} {
		_, err := graphfile.Read("g.json", strings.NewReader(text), graphfile.Auto)
		require.EqualError(t, err, want, text)
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("disk on fire") }

func TestUnreadable(t *testing.T) {
	t.Parallel()
	_, err := graphfile.Read("g.json", failing{}, graphfile.Auto)
	require.EqualError(t, err, "g.json: disk on fire")
	_, err = graphfile.Read("g.json", bytes.NewReader(make([]byte, graphfile.MaxBytes+1)), graphfile.Auto)
	require.EqualError(t, err, "g.json: larger than 64 MiB")
}

// Whatever is in a file, reading it ends, with JSON or with an error; and JSON read as YAML says the same, or is refused.
func FuzzYAML(f *testing.F) {
	for _, seed := range []string{
		"a: 1\nb: [x, {c: d}]\n", "- &x {a: 1}\n- {<<: *x, b: 3}\n", "a: &x [*x]", `{"a": [1, "x\u00e9", null, 1.5e-3], "b": {}}`,
		"a: |\n  x\n", "? [a]\n: b", "a: !!str 1", "%YAML 1.2\n---\na", "[0x1F, .5, 01, -0, +1]", "a: 1\n---\nb", "\"\\0\"", "[{}, [], '']",
		"- &a [x]\n- &b [*a,*a]\n- [*b,*b]", "<<: {a: 1}\nb: 2", "!!int '7'", "a: >-\n  x\n\n  y", "{a, b: }", "[1e999, 12e4567]",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := read(text, graphfile.YAML)
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Fatalf("an error of several lines: %q", err)
			}
			return
		}
		if !json.Valid([]byte(got)) || !utf8.ValidString(got) {
			t.Fatalf("not JSON: %q", got)
		}
		if !json.Valid([]byte(text)) || !utf8.ValidString(text) {
			return
		}
		want, err := compact(text)
		if err != nil {
			return
		}
		if have, err := compact(got); err != nil || have != want {
			t.Fatalf("%q became %q, want %q", text, have, want)
		}
	})
}

// compact gives values that say the same the same text; numbers keep their digits.
func compact(text string) (string, error) {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var value any
	if err := d.Decode(&value); err != nil {
		return "", err
	}
	raw, err := json.Marshal(value)
	return string(raw), err
}
