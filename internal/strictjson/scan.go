package strictjson

import (
	"bytes"
	"unicode/utf8"
)

// scanner goes through raw once, without recursion.
type scanner struct {
	raw     []byte
	at      int // next byte
	root    string
	maxSize int64
	mend    bool // raw may be changed
	places  Places
	objects [][]string // places.Objects, in segments
	size    int64
	frames  []frame
	faults  []Fault
	more    int // faults that are not listed
	values  int
	opened  int // arrays and objects
	cut     bool
}

// frame is an open array or object.
type frame struct {
	object  bool
	members int
	key     []byte // of the present member, in quotes as written; nil in front of it
}

func (s *scanner) run() error {
	for {
		// A value is expected here.
		opened, err := s.value()
		if err != nil {
			return err
		}
		s.values++
		if opened {
			s.opened++
		}
		if s.values > MaxValues || s.opened > MaxContainers {
			return ErrTooMany
		}
		if opened && len(s.frames) > MaxDepth {
			s.fault("must not be nested deeper than 1000")
			s.cut = true
			return nil
		}
		// After a value, or after the opening of a container: go on to the next place where a value is expected.
		done, err := s.next(opened)
		if done || err != nil {
			return err
		}
		if s.size > s.maxSize {
			return ErrTooLarge
		}
	}
}

// value scans a scalar, or the opening of a container.
func (s *scanner) value() (opened bool, err error) {
	s.skipSpace()
	switch c := s.peek(); {
	case c == '{', c == '[':
		s.at++
		s.size += 2 // and its end
		s.frames = append(s.frames, frame{object: c == '{'})
		return true, nil
	case c == '"':
		start := s.at
		problem, err := s.text()
		if problem != "" {
			s.fault("must not contain " + problem)
		} else if err == nil {
			s.tell(start)
		}
		return false, err
	case c == '-', '0' <= c && c <= '9':
		return false, s.number()
	case c == 't':
		return false, s.literal("true")
	case c == 'f':
		return false, s.literal("false")
	case c == 'n':
		return false, s.literal("null")
	}
	return false, s.unexpected()
}

// next goes to the next value: over ends of containers, commas and keys. done: the text is complete.
func (s *scanner) next(opened bool) (done bool, err error) {
	for {
		s.skipSpace()
		if len(s.frames) == 0 {
			if s.at < len(s.raw) {
				return false, s.unexpected()
			}
			if s.size > s.maxSize {
				return true, ErrTooLarge
			}
			return true, nil
		}
		f := &s.frames[len(s.frames)-1]
		c := s.peek()
		switch {
		case c == '}' && f.object, c == ']' && !f.object:
			s.at++
			s.frames = s.frames[:len(s.frames)-1]
			opened = false
			continue
		case opened:
		case c == ',':
			s.at++
			s.size++
			s.skipSpace()
		default:
			return false, s.unexpected()
		}
		f.members++
		if f.members > MaxMembers {
			return false, ErrTooMany
		}
		if f.object {
			return false, s.key(f)
		}
		return false, nil
	}
}

// key scans the key of a member and the colon after it.
func (s *scanner) key(f *frame) error {
	if s.peek() != '"' {
		return s.unexpected()
	}
	f.key = nil // a fault of the key is one of the object
	start, size, mend := s.at, s.size, s.mend
	s.mend = false
	problem, err := s.text()
	s.mend = mend
	if err != nil {
		return err
	}
	key := s.raw[start:s.at]
	if problem != "" {
		key = bytes.Clone(key) // shown as it was written
		s.fault("the key " + short(key) + " must not contain " + problem)
		s.at, s.size = start, size
		if _, err := s.text(); err != nil {
			return err
		}
	}
	f.key = key
	s.skipSpace()
	if s.peek() != ':' {
		return s.unexpected()
	}
	s.at++
	s.size++
	return nil
}

func (s *scanner) skipSpace() {
	for s.at < len(s.raw) {
		switch s.raw[s.at] {
		case ' ', '\t', '\n', '\r':
			s.at++
		default:
			return
		}
	}
}

// peek returns the next byte, 0 at the end. No 0 may stand outside of a string.
func (s *scanner) peek() byte {
	if s.at < len(s.raw) {
		return s.raw[s.at]
	}
	return 0
}

func (s *scanner) unexpected() error {
	if s.at >= len(s.raw) {
		return &SyntaxError{Offset: len(s.raw), Problem: "unexpected end"}
	}
	return &SyntaxError{Offset: s.at, Problem: "unexpected character"}
}

func (s *scanner) literal(word string) error {
	for i := range len(word) {
		if s.peek() != word[i] {
			return s.unexpected()
		}
		s.at++
	}
	s.size += int64(len(word))
	return nil
}

const (
	problemZero      = "U+0000"
	problemSurrogate = "an unpaired surrogate"
)

// text scans a string. problem says what PostgreSQL could not hold in it.
func (s *scanner) text() (problem string, err error) {
	s.at++
	s.size += 2
	for s.at < len(s.raw) {
		switch c := s.raw[s.at]; {
		case c == '"':
			s.at++
			return problem, nil
		case c == '\\':
			found, err := s.escape()
			if err != nil {
				return "", err
			}
			if problem == "" {
				problem = found
			}
		case c < ' ':
			return "", &SyntaxError{Offset: s.at, Problem: "control character in a string"}
		case c < utf8.RuneSelf:
			s.at++
			s.size++
		default:
			r, n := utf8.DecodeRune(s.raw[s.at:])
			if r == utf8.RuneError && n == 1 {
				return "", &SyntaxError{Offset: s.at, Problem: "invalid UTF-8"}
			}
			s.at += n
			s.size += int64(n)
		}
	}
	return "", s.unexpected()
}

// escape scans an escape sequence, a surrogate pair as one.
func (s *scanner) escape() (problem string, err error) {
	s.at++
	switch s.peek() {
	case '"', '\\', 'b', 'f', 'n', 'r', 't':
		s.at++
		s.size += 2
		return "", nil
	case '/':
		s.at++
		s.size++
		return "", nil
	case 'u':
		s.at++
	default:
		return "", s.unexpected()
	}
	r, err := s.hex4()
	if err != nil {
		return "", err
	}
	switch {
	case r == 0:
		s.replaceEscape()
		return problemZero, nil
	case 0xD800 <= r && r < 0xDC00:
		if s.at+1 >= len(s.raw) || s.raw[s.at] != '\\' || s.raw[s.at+1] != 'u' {
			s.replaceEscape()
			return problemSurrogate, nil
		}
		before := s.at
		s.at += 2
		low, err := s.hex4()
		if err != nil {
			return "", err
		}
		if low < 0xDC00 || low > 0xDFFF {
			s.at = before // an escape of its own
			s.replaceEscape()
			return problemSurrogate, nil
		}
		s.size += 4
	case 0xDC00 <= r && r < 0xE000:
		s.replaceEscape()
		return problemSurrogate, nil
	default:
		s.size += escapedSize(r)
	}
	return "", nil
}

// replaceEscape makes U+FFFD of the \u escape that was scanned last.
func (s *scanner) replaceEscape() {
	if s.mend {
		copy(s.raw[s.at-4:s.at], "fffd")
	}
}

// replaceNumber writes another number, which is not longer, over the one that begins at start and was scanned last.
func (s *scanner) replaceNumber(start int, by string) {
	for i := copy(s.raw[start:s.at], by) + start; i < s.at; i++ {
		s.raw[i] = ' '
	}
}

// escapedSize is the size of a character in the form in which PostgreSQL prints it.
func escapedSize(r rune) int64 {
	switch r {
	case '"', '\\', '\b', '\f', '\n', '\r', '\t':
		return 2
	}
	if r < ' ' {
		return 6
	}
	return int64(utf8.RuneLen(r))
}

func (s *scanner) hex4() (rune, error) {
	var r rune
	for range 4 {
		c := s.peek()
		switch {
		case '0' <= c && c <= '9':
			r = r<<4 | rune(c-'0')
		case 'a' <= c && c <= 'f':
			r = r<<4 | rune(c-'a'+10)
		case 'A' <= c && c <= 'F':
			r = r<<4 | rune(c-'A'+10)
		default:
			return 0, s.unexpected()
		}
		s.at++
	}
	return r, nil
}
