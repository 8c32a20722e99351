package strictjson

import (
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	maxSegments = 12 // of a path that is shown
	maxKey      = 64 // bytes of a key that are shown
)

var plainKey = regexp.MustCompile(`^"[A-Za-z_][A-Za-z0-9_-]{0,63}"$`)

// path names the value at hand: tasks[0].metadata.a["odd key"][3].
func (s *scanner) path() string {
	var b strings.Builder
	for i, f := range s.frames {
		if i == maxSegments {
			b.WriteString("…")
			break
		}
		switch {
		case f.object && f.key == nil:
			// The object itself is meant.
		case f.object && plainKey.Match(f.key):
			if b.Len() > 0 {
				b.WriteByte('.')
			}
			b.Write(f.key[1 : len(f.key)-1])
		case f.object:
			b.WriteString("[" + short(f.key) + "]")
		case f.members > 0:
			if i == 0 {
				b.WriteString(s.root)
			}
			b.WriteString("[" + strconv.Itoa(f.members-1) + "]")
		}
	}
	return b.String()
}

// ofInteger reports whether the value at hand stands in one of the places of integers.
func (s *scanner) ofInteger() bool {
	const longest = 8 // segments of a place
	if len(s.places.Integers) == 0 || len(s.frames) > longest {
		return false
	}
	var b strings.Builder
	for i, f := range s.frames {
		if i > 0 {
			b.WriteByte('.')
		}
		name := "*"
		if f.object && json.Unmarshal(f.key, &name) != nil {
			return false
		}
		b.WriteString(name)
	}
	return slices.Contains(s.places.Integers, b.String())
}

// tell passes on the string that begins at start and was scanned last, if it stands where somebody waits for it.
func (s *scanner) tell(start int) {
	if s.places.Tell == nil || len(s.frames) == 0 {
		return
	}
	parents, f := s.frames[:len(s.frames)-1], s.frames[len(s.frames)-1]
	if !f.object || !isText(f.key, s.places.Member) {
		return
	}
	for _, place := range s.objects {
		if slices.EqualFunc(parents, place, isAt) {
			s.places.Tell(s.raw[start:s.at], s.path)
			return
		}
	}
}

// isAt reports whether a segment of a place names the present member of an array or object.
func isAt(f frame, segment string) bool {
	if segment == "*" {
		return !f.object
	}
	return f.object && isText(f.key, segment)
}

// short cuts a quoted key for display.
func short(key []byte) string {
	if len(key) <= maxKey {
		return string(key)
	}
	n := maxKey
	for !utf8.RuneStart(key[n]) {
		n--
	}
	return string(key[:n]) + `…"`
}
