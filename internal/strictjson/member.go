package strictjson

import (
	"bytes"
	"encoding/json"
)

// Member returns the value of a member of an object, nil if there is none; of members with the same name it is the last
// one. raw must be JSON, as Check has found. Nothing is allocated for the other members, of which there may be millions.
func Member(raw []byte, name string) json.RawMessage {
	var value json.RawMessage
	at := skip(raw, 0)
	if raw[at] != '{' {
		return nil
	}
	at = skip(raw, at+1)
	for raw[at] == '"' {
		end := stringEnd(raw, at)
		wanted := isText(raw[at:end], name)
		at = skip(raw, end)  // the colon
		at = skip(raw, at+1) // the value
		end = valueEnd(raw, at)
		if wanted {
			value = json.RawMessage(raw[at:end:end])
		}
		at = skip(raw, end)
		if raw[at] == '}' {
			break
		}
		at = skip(raw, at+1) // behind the comma
	}
	return value
}

// IsObject reports whether JSON text is an object.
func IsObject(raw []byte) bool {
	at := skip(raw, 0)
	return at < len(raw) && raw[at] == '{'
}

// isText reports whether a string in quotes says text.
func isText(quoted []byte, text string) bool {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return string(quoted[1:len(quoted)-1]) == text
	}
	var said string
	return json.Unmarshal(quoted, &said) == nil && said == text
}

// skip returns where the next byte is that is no white space.
func skip(raw []byte, at int) int {
	for at < len(raw) && (raw[at] == ' ' || raw[at] == '\t' || raw[at] == '\n' || raw[at] == '\r') {
		at++
	}
	return at
}

// stringEnd returns the place behind the string that begins at at.
func stringEnd(raw []byte, at int) int {
	for at++; raw[at] != '"'; at++ {
		if raw[at] == '\\' {
			at++
		}
	}
	return at + 1
}

// valueEnd returns the place behind the value that begins at at.
func valueEnd(raw []byte, at int) int {
	depth := 0
	for at < len(raw) {
		switch raw[at] {
		case '"':
			at = stringEnd(raw, at)
			if depth == 0 {
				return at
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
			if depth < 0 {
				return at
			}
			if depth == 0 {
				return at + 1
			}
		case ',', ' ', '\t', '\n', '\r':
			if depth == 0 {
				return at
			}
		}
		at++
	}
	return at
}
