package config

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/joho/godotenv"
)

// dotenvPath is read as environment if it is there.
const dotenvPath = ".env"

// dollar stands for $ while the library reads, which would replace $NAME by what the file says above, or by nothing:
// that would garble passwords. A private character of Unicode, it stands in no value otherwise.
const dollar = "\uE0DF"

// readDotenv returns the variables of .env, nil if there is no such file.
func readDotenv() (map[string]string, error) {
	bytes, err := readText("", dotenvPath)
	if bytes == nil || err != nil {
		return nil, err
	}
	// A line without a value would pass at the end of the file, and only there.
	text := strings.ReplaceAll(strings.TrimPrefix(string(bytes), "\uFEFF"), "$", dollar) + "\n"
	values, err := variables(text)
	if err != nil {
		// The library's message repeats the line.
		return nil, fmt.Errorf("%s: line %d is not NAME=value", dotenvPath, badLine(text))
	}
	for name, value := range values {
		values[name] = strings.ReplaceAll(value, dollar, "$")
	}
	return values, nil
}

var variableLike = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.]*$`)

// variables reads the text of such a file. The library would let names be empty, and have spaces.
func variables(text string) (map[string]string, error) {
	values, err := godotenv.Unmarshal(text)
	for name := range values {
		if !variableLike.MatchString(name) {
			err = errors.New("a name is none")
		}
	}
	return values, err
}

// badLine returns the number of the first line that cannot be read: the one behind the last beginning that can be.
func badLine(text string) int {
	good, end := 0, 0
	for i, line := range strings.SplitAfter(text, "\n") {
		end += len(line)
		if _, err := variables(text[:end]); err == nil {
			good = i + 1
		}
	}
	return good + 1
}
