// Package strictjson tells whether JSON text is well-formed and whether PostgreSQL's jsonb can hold it and give it back:
// no U+0000, no unpaired surrogates, bounded depth, numbers of bounded length (contract, section 1.3). It works on the
// raw bytes, because encoding/json replaces what is wrong with strings and jsonb refuses or rewrites the rest.
package strictjson

import (
	"errors"
	"fmt"
	"strings"
)

const (
	// MaxDepth is how deep arrays and objects may be nested.
	MaxDepth = 1000
	// MaxDigits is how many digits a number may have before the point, and after it, when written out.
	MaxDigits = 1000
	// MaxMembers is how many members one array or object may have. PostgreSQL 15 fails above 8 million.
	MaxMembers = 4_000_000
	// MaxContainers and MaxValues are how many arrays and objects, and how many values, a text may have in all. PostgreSQL
	// needs up to 700 bytes for an empty object while it reads it, of which three bytes are text.
	MaxContainers = 2_000_000
	MaxValues     = 8_000_000
	// maxFaults bounds a list of faults.
	maxFaults = 100
)

// ErrTooLarge says that the text is larger than allowed when its numbers are written out, as PostgreSQL does it: 1e999
// has a thousand bytes then.
var ErrTooLarge = errors.New("the JSON is too large when its numbers are written out")

// ErrTooMany says that an array or object has more than MaxMembers members, or the text more than MaxContainers or MaxValues.
var ErrTooMany = errors.New("the JSON has too many values: at most 8,000,000 in all, 4,000,000 in one array or object, " +
	"and 2,000,000 arrays and objects")

// SyntaxError says where text stops being JSON.
type SyntaxError struct {
	Offset  int // of the first byte that cannot stand there
	Problem string
}

func (e *SyntaxError) Error() string { return fmt.Sprintf("%s at byte %d", e.Problem, e.Offset) }

// Fault is a value that PostgreSQL cannot hold.
type Fault struct {
	Path    string `json:"path"` // tasks[0].metadata.a["odd key"][3]; "" for the text as a whole
	Message string `json:"message"`
}

func (f Fault) String() string {
	if f.Path == "" {
		return "body: " + f.Message
	}
	return f.Path + ": " + f.Message
}

// Result is what Check found.
type Result struct {
	// Size is the number of bytes of the compact form, numbers written out. It is meaningless if there are faults.
	Size int64
	// Faults are the first 100 faults.
	Faults []Fault
	// More is how many faults there are beyond these.
	More int
	// Cut says that a value is nested too deep. That is the last fault: what follows it was not looked at.
	Cut bool
}

// Check scans raw, which must hold exactly one JSON value in UTF-8. root is what paths call a top-level array. The error
// is a *SyntaxError, ErrTooLarge if the compact form with numbers written out has more than maxSize bytes, or ErrTooMany.
func Check(raw []byte, root string, maxSize int64) (Result, error) {
	s := scanner{raw: raw, root: root, maxSize: maxSize}
	return s.check()
}

// Places are those of a text that Mend treats in a special way, "tasks.*.timeout" for instance, "*" standing for an
// element.
type Places struct {
	// Integers are places where a number with an exponent becomes 0.5: jsonb would make an integer of 1e2, and integers are
	// to be written without point and exponent.
	Integers []string
	// Objects are places of objects of which Tell is told each member named Member that is a string without fault: how it is
	// written, in quotes, and its path. Of several members with this name all are told.
	Objects []string
	Member  string
	Tell    func(quoted []byte, path func() string)
}

// Mend is Check, and puts values that PostgreSQL can hold in the place of those it cannot, so that all the rest of raw can
// be judged: U+FFFD in strings, 0 for numbers. After a result that is cut raw is still not fit.
func Mend(raw []byte, root string, maxSize int64, places Places) (Result, error) {
	s := scanner{raw: raw, root: root, maxSize: maxSize, mend: true, places: places}
	for _, place := range places.Objects {
		s.objects = append(s.objects, strings.Split(place, "."))
	}
	return s.check()
}

func (s *scanner) check() (Result, error) {
	err := s.run()
	return Result{Size: s.size, Faults: s.faults, More: s.more, Cut: s.cut}, err
}

// fault notes that the value at hand cannot be held.
func (s *scanner) fault(message string) {
	if len(s.faults) >= maxFaults {
		s.more++
		return
	}
	s.faults = append(s.faults, Fault{Path: s.path(), Message: message})
}
