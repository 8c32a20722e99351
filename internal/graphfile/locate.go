package graphfile

import (
	"bytes"
	"cmp"
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// line returns the line of the file that a byte of the JSON stands in, from 1.
func (f *File) line(offset int) int {
	if f.marks == nil {
		f.marks = []mark{{0, 1}}
		for i, c := range f.JSON {
			if c == '\n' {
				f.marks = append(f.marks, mark{i + 1, len(f.marks) + 1})
			}
		}
	}
	i, exact := slices.BinarySearchFunc(f.marks, offset, func(m mark, offset int) int { return cmp.Compare(m.offset, offset) })
	if !exact {
		i--
	}
	return f.marks[max(0, i)].line
}

// Explain puts the name of the file, and the line where it can be told, in front of each "<path>: <message>" of the
// service. The line is that of the deepest value on the path that is there.
func (f *File) Explain(details []string) []string {
	root := &wanted{offset: -1}
	ends := make([]*wanted, len(details))
	for i, detail := range details {
		ends[i] = root.add(f.path(detail))
	}
	s := scan{text: f.JSON}
	s.value(root, 0)
	explained := make([]string, len(details))
	for i, detail := range details {
		line := 0
		if offset := ends[i].deepest(); offset >= 0 {
			line = f.line(offset)
		}
		explained[i] = at(f.Name, line) + detail
	}
	return explained
}

// segment is one step of a path: a key, the beginning of one, or an index.
type segment struct {
	key   string
	index int // -1: a key
	cut   bool
}

var (
	plainSegment  = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]*`)
	indexSegment  = regexp.MustCompile(`^\[([0-9]{1,9})\]`)
	quotedSegment = regexp.MustCompile(`^\["((?:[^"\\]|\\.)*)"\]`)
)

// path reads the path in front of a message: tasks[0].metadata.a["odd key"][3]. In the array form tasks is the document
// itself. What cannot be read ends the path.
func (f *File) path(detail string) (path []segment) {
	if i := f.cycle(detail); i >= 0 {
		detail = "tasks[" + strconv.Itoa(i) + "].dependencies: "
	}
	for rest := detail; ; {
		if m := indexSegment.FindStringSubmatch(rest); m != nil {
			index, _ := strconv.Atoi(m[1])
			path, rest = append(path, segment{index: index}), rest[len(m[0]):]
			continue
		}
		if m := quotedSegment.FindStringSubmatch(rest); m != nil {
			key, cut := strings.CutSuffix(m[1], "…")
			path, rest = append(path, segment{key: unquote(key), index: -1, cut: cut}), rest[len(m[0]):]
			continue
		}
		after, dot := strings.CutPrefix(rest, ".")
		key := plainSegment.FindString(after)
		if key == "" || dot != (len(path) > 0) {
			break
		}
		path, rest = append(path, segment{key: key, index: -1}), after[len(key):]
	}
	if len(path) > 0 && path[0].key == "tasks" && bytes.HasPrefix(bytes.TrimLeft(f.JSON, " \t\r\n"), []byte("[")) {
		path = path[1:]
	}
	return path
}

// unquote reads what stands between the quotes of a string in JSON; an escape that was cut off stays as it is.
func unquote(text string) string {
	var s string
	if json.Unmarshal([]byte(`"`+text+`"`), &s) != nil {
		return text
	}
	return s
}

// cycle returns the index of the first task that a cycle names, -1 if the detail is of something else.
func (f *File) cycle(detail string) int {
	const arrow = " -> "
	cycle, is := strings.CutPrefix(detail, "dependencies: dependency cycle: ")
	if !is {
		return -1
	}
	type entry struct{ ID any }
	var graph struct{ Tasks []entry }
	if json.Unmarshal(f.JSON, &graph) != nil && json.Unmarshal(f.JSON, &graph.Tasks) != nil {
		return -1
	}
	return slices.IndexFunc(graph.Tasks, func(e entry) bool {
		id, is := e.ID.(string)
		return is && strings.HasPrefix(cycle, id+arrow) && strings.HasSuffix(cycle, arrow+id)
	})
}

// wanted is a tree of paths that are looked for.
type wanted struct {
	parent *wanted
	next   map[segment]*wanted
	cut    bool // some key of next is only the beginning of one
	offset int  // in the JSON; -1: not found
}

// add returns the end of a path below w.
func (w *wanted) add(path []segment) *wanted {
	for _, s := range path {
		child := w.next[s]
		if child == nil {
			child = &wanted{parent: w, offset: -1}
			if w.next == nil {
				w.next = map[segment]*wanted{}
			}
			w.next[s] = child
			w.cut = w.cut || s.cut
		}
		w = child
	}
	return w
}

// member returns what is wanted of the member with a key.
func (w *wanted) member(key string) *wanted {
	if w == nil || w.next == nil {
		return nil
	}
	if child := w.next[segment{key: key, index: -1}]; child != nil || !w.cut {
		return child
	}
	for s, child := range w.next {
		if s.cut && strings.HasPrefix(key, s.key) {
			return child
		}
	}
	return nil
}

// item returns what is wanted of an item.
func (w *wanted) item(index int) *wanted {
	if w == nil {
		return nil
	}
	return w.next[segment{index: index}]
}

// deepest returns the offset of the last value of a path that was found; of the document itself it is -1.
func (w *wanted) deepest() int {
	for ; w.parent != nil; w = w.parent {
		if w.offset >= 0 {
			return w.offset
		}
	}
	return -1
}

// scan goes through text that is JSON, to find where values are.
type scan struct {
	text []byte
	at   int
}

// value goes over a value. begin is where it is said to begin: at its key, if it has one. Of members with the same key the
// last counts, as for the service.
func (s *scan) value(w *wanted, begin int) {
	if w != nil {
		w.offset = begin
	}
	if w == nil || w.next == nil {
		s.skip()
		return
	}
	switch s.peek() {
	case '{':
		for s.at++; s.more('}'); {
			start := s.at
			key := s.key()
			s.peek() // the colon
			s.at++
			s.peek()
			s.value(w.member(key), start)
		}
	case '[':
		s.at++
		for i := 0; s.more(']'); i++ {
			s.value(w.item(i), s.at)
		}
	default:
		s.skip()
	}
}

// peek goes to the next character that is no blank and returns it; 0 at the end.
func (s *scan) peek() byte {
	for s.at < len(s.text) && bytes.IndexByte([]byte(" \t\r\n"), s.text[s.at]) >= 0 {
		s.at++
	}
	if s.at == len(s.text) {
		return 0
	}
	return s.text[s.at]
}

// more goes to the next member or item, or over the end of the container.
func (s *scan) more(end byte) bool {
	if s.peek() == ',' {
		s.at++
	}
	switch s.peek() {
	case end:
		s.at++
		return false
	case 0:
		return false
	}
	return true
}

// key goes over a string and returns it.
func (s *scan) key() string {
	start := s.at
	s.skip()
	var key string
	_ = json.Unmarshal(s.text[start:s.at], &key) // it is one
	return key
}

// skip goes over a value, whatever is in it.
func (s *scan) skip() {
	for depth := 0; ; {
		switch s.peek() {
		case 0:
			return
		case '{', '[':
			depth++
			s.at++
		case '}', ']':
			depth--
			s.at++
		case ',', ':':
			s.at++
			continue
		case '"':
			for s.at++; s.at < len(s.text) && s.text[s.at] != '"'; s.at++ {
				if s.text[s.at] == '\\' {
					s.at++
				}
			}
			s.at = min(s.at+1, len(s.text))
		default:
			for s.at < len(s.text) && bytes.IndexByte([]byte(" \t\r\n,:]}"), s.text[s.at]) < 0 {
				s.at++
			}
		}
		if depth <= 0 {
			return
		}
	}
}
