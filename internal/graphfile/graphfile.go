// Package graphfile reads the graphs that people keep in files, JSON or YAML, as the body of POST /task. JSON is sent as
// it is; of YAML becomes the JSON that says the same, or an error where JSON cannot say it or readers of YAML disagree.
// The lines are kept, so that what the API says of a path can be said of a line.
package graphfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"strings"

	"github.com/taskrunner/taskrunner/internal/strictjson"
)

// MaxBytes is the most that a file may have, and that may become of it: as much as the service takes by default.
const MaxBytes = 64 << 20

// Format is the language of a file.
type Format string

// The formats. Auto goes by the name, and where that says nothing by the first character.
const (
	Auto Format = "auto"
	JSON Format = "json"
	YAML Format = "yaml"
)

// File is a graph that was read.
type File struct {
	Name string // as errors call it
	JSON []byte // the body of POST /task

	marks []mark // where in the JSON a line of the file begins to count, ascending; nil: the JSON is the file
}

type mark struct{ offset, line int }

// Error is what is wrong with a file, in the form that editors understand.
type Error struct {
	Name    string
	Line    int // 0: the file as a whole
	Message string
}

func (e *Error) Error() string { return at(e.Name, e.Line) + e.Message }

// at is the beginning of a message about a line.
func at(name string, line int) string {
	if line == 0 {
		return name + ": "
	}
	return fmt.Sprintf("%s:%d: ", name, line)
}

// Read reads a graph to its end. Whether it is one is for the service to say; the error is an [*Error] if the text is not
// in its language, and otherwise that of the reader.
func Read(name string, r io.Reader, format Format) (*File, error) {
	text, err := io.ReadAll(io.LimitReader(r, MaxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(text) > MaxBytes {
		return nil, &Error{Name: name, Message: fmt.Sprintf("larger than %d MiB", MaxBytes>>20)}
	}
	if len(bytes.TrimSpace(text)) == 0 {
		return nil, &Error{Name: name, Message: "empty"}
	}
	if format == Auto {
		format = guess(name, text)
	}
	if format == YAML {
		return readYAML(name, text)
	}
	return readJSON(name, text)
}

// guess finds the format. A graph in JSON begins with a bracket, one in YAML hardly ever.
func guess(name string, text []byte) Format {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".json":
		return JSON
	case ".yaml", ".yml":
		return YAML
	}
	switch bytes.TrimLeft(text, " \t\r\n")[0] {
	case '[', '{':
		return JSON
	}
	return YAML
}

// readJSON takes the text as it is. Faults that are no errors of syntax are the service's to name.
func readJSON(name string, text []byte) (*File, error) {
	_, err := strictjson.Check(text, "tasks", math.MaxInt64)
	var syntax *strictjson.SyntaxError
	switch {
	case errors.As(err, &syntax):
		before := text[:syntax.Offset]
		line, column := 1+bytes.Count(before, []byte("\n")), syntax.Offset-bytes.LastIndexByte(before, '\n')
		return nil, &Error{Name: name, Line: line, Message: fmt.Sprintf("malformed JSON: %s in column %d", syntax.Problem, column)}
	case err != nil:
		return nil, &Error{Name: name, Message: err.Error()}
	}
	return &File{Name: name, JSON: text}, nil
}
