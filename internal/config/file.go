package config

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

const (
	filePath    = "config.toml" // read if it is there and no other is named
	maxFileSize = 256 << 10     // of config.toml and of .env
)

// file is a file of TOML.
type file struct {
	path   string
	values map[string]any // by key, each of its setting's type; unsupported settings as they stand
	faults []fileFault
}

// fileFault is what is wrong with a key.
type fileFault struct {
	key, text string
}

func (f fileFault) Error() string { return f.text }

// readFile reads the file that was named, or else the one of the working directory. It returns nil if there is none.
func readFile(path string) (*file, error) {
	text, err := readText(path, filePath)
	if text == nil || err != nil {
		return nil, err
	}
	if path == "" {
		path = filePath
	}
	var tree map[string]any
	if err := toml.Unmarshal(text, &tree); err != nil {
		// The parser's message may repeat parts of a secret.
		var where *toml.DecodeError
		if errors.As(err, &where) {
			line, column := where.Position()
			return nil, fmt.Errorf("%s: line %d, column %d: this is no TOML, or a key stands there twice", path, line, column)
		}
		return nil, fmt.Errorf("%s is no TOML", path)
	}
	f := &file{path: path, values: map[string]any{}}
	f.add("", tree)
	return f, nil
}

// readText reads a file that is not larger than it may be: the one that was named, or else a regular one at a path where
// there may be none, which is nil. It repeats the name only, because the error is about what somebody wrote elsewhere.
func readText(named, path string) ([]byte, error) {
	if named == "" {
		if info, err := os.Stat(path); errors.Is(err, os.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
			return nil, nil
		}
	} else {
		path = named
	}
	f, err := os.Open(path)
	if err == nil {
		defer f.Close()
		var text []byte
		if text, err = io.ReadAll(io.LimitReader(f, maxFileSize+1)); err == nil {
			if len(text) > maxFileSize {
				return nil, fmt.Errorf("%s is larger than %d KiB", path, maxFileSize>>10)
			}
			return append([]byte{}, text...), nil // not nil, even if empty
		}
	}
	var pathErr *os.PathError
	if errors.As(err, &pathErr) {
		err = pathErr.Err
	}
	return nil, fmt.Errorf("cannot read %s: %w", path, err)
}

var bareKey = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// add takes what a table has, in the order of the keys.
func (f *file) add(prefix string, table map[string]any) {
	for _, name := range slices.Sorted(maps.Keys(table)) {
		value := table[name]
		if !bareKey.MatchString(name) {
			name = strconv.Quote(name)
		}
		key := prefix + name
		s, known := byKey()[key]
		sub, isTable := value.(map[string]any)
		switch {
		case known:
			v, err := s.typed(value)
			if err != nil {
				f.fault(key, "%s in %s%w", key, f.path, err)
				continue
			}
			f.values[key] = v
		case isUnsupportedKey(key):
			f.values[key] = value
		case isSection(key) && isTable:
			f.add(key+".", sub)
		case isSection(key):
			f.fault(key, "%s in %s must be a table, not %s", key, f.path, kindOf(value))
		default:
			hint := ""
			if s, ok := byVariable()[name]; ok {
				hint = ": this setting is " + s.key + " there"
			}
			f.fault(key, "%s in %s is no setting%s", key, f.path, hint)
		}
	}
}

func (f *file) fault(key, format string, args ...any) {
	f.faults = append(f.faults, fileFault{key, fmt.Errorf(format, args...).Error()})
}

// isSection reports whether there are settings below a key.
func isSection(key string) bool {
	for _, s := range settings() {
		if strings.HasPrefix(s.key, key+".") {
			return true
		}
	}
	return slices.ContainsFunc(unsupported, func(u unsupportedSetting) bool { return strings.HasPrefix(u.key, key+".") })
}

func isUnsupportedKey(key string) bool {
	return slices.ContainsFunc(unsupported, func(u unsupportedSetting) bool { return u.key == key })
}

// typed returns a value of TOML as the mapper of the setting takes it: text, or a [List]. The error, which comes behind
// the name, does not repeat the value: it may be secret, or stand where a secret belongs.
func (s setting) typed(value any) (any, error) {
	want := ""
	switch {
	case s.columns != nil:
		return s.joined(value)
	case s.typ == reflect.TypeFor[List]():
		return texts(value)
	case s.typ == reflect.TypeFor[Switch]():
		switch v := value.(type) {
		case bool:
			return strconv.FormatBool(v), nil
		case int64:
			if v == 0 || v == 1 {
				return strconv.FormatInt(v, 10), nil
			}
		}
		return nil, errors.New(" must be true, false, 1 or 0")
	case s.typ.Kind() == reflect.Float64:
		switch v := value.(type) {
		case float64:
			return strconv.FormatFloat(v, 'g', -1, 64), nil
		case int64:
			return strconv.FormatInt(v, 10), nil
		}
		want = "a number"
	case s.typ.Kind() == reflect.String:
		if v, ok := value.(string); ok {
			return v, nil
		}
		want = "a string"
	default:
		if v, ok := value.(int64); ok {
			return strconv.FormatInt(v, 10), nil
		}
		want = "an integer"
	}
	return nil, fmt.Errorf(" must be %s, not %s", want, kindOf(value))
}

// texts reads an array of strings.
func texts(value any) (List, error) {
	entries, ok := value.([]any)
	if !ok {
		return nil, fmt.Errorf(" must be an array of strings, not %s", kindOf(value))
	}
	list := List{}
	for i, entry := range entries {
		text, ok := entry.(string)
		if !ok {
			return nil, fmt.Errorf(": entry %d must be a string, not %s", i+1, kindOf(entry))
		}
		list = append(list, text)
	}
	return list, nil
}

// joined reads an array of tables into what the environment has, whose entries are joined by colons.
func (s setting) joined(value any) (List, error) {
	entries, ok := value.([]any)
	if !ok {
		return nil, fmt.Errorf(" must be tables ([[%s]]), not %s", s.key, kindOf(value))
	}
	list := List{}
	for i, entry := range entries {
		table, ok := entry.(map[string]any)
		if !ok {
			return nil, fmt.Errorf(": entry %d must be a table ([[%s]]), not %s", i+1, s.key, kindOf(entry))
		}
		var parts []string
		for _, column := range s.columns {
			text, ok := table[column].(string)
			switch {
			case table[column] == nil:
				return nil, fmt.Errorf(": entry %d has no %s", i+1, column)
			case !ok:
				return nil, fmt.Errorf(": %s of entry %d must be a string, not %s", column, i+1, kindOf(table[column]))
			case strings.Contains(text, ":"):
				return nil, fmt.Errorf(": %s of entry %d must not have a colon", column, i+1)
			}
			parts = append(parts, text)
		}
		if len(table) > len(s.columns) {
			return nil, fmt.Errorf(": entry %d must have %s and nothing else", i+1, strings.Join(s.columns, ", "))
		}
		list = append(list, strings.Join(parts, ":"))
	}
	return list, nil
}

// kindOf names the type of a value of TOML.
func kindOf(value any) string {
	switch value.(type) {
	case string:
		return "a string"
	case int64:
		return "an integer"
	case float64:
		return "a float"
	case bool:
		return "a boolean"
	case []any:
		return "an array"
	case map[string]any:
		return "a table"
	}
	return "a date or a time"
}
