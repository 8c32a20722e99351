package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/taskrunner/taskrunner/internal/strictjson"
	"github.com/taskrunner/taskrunner/internal/task"
)

// query is a query string whose parameters are read one by one, collecting all that is wrong with them. Parameters that
// nobody reads are ignored; one that is read may occur only once, and must have a value unless it is a text.
type query struct {
	values url.Values
	faults []string
}

// readQuery reads the query string of a request.
func readQuery(r *http.Request) (*query, error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, invalid("the query string is malformed")
	}
	return &query{values: values}, nil
}

// fault notes what is wrong with a parameter.
func (q *query) fault(name, message string) { q.faults = append(q.faults, name+": "+message) }

// err is the error that lists all faults, nil when there are none.
func (q *query) err() error {
	if len(q.faults) == 0 {
		return nil
	}
	return invalid(validation, q.faults...)
}

// value returns the value of a parameter, and whether there is one that a text of PostgreSQL can hold.
func (q *query) value(name string) (string, bool) {
	values := q.values[name]
	switch {
	case len(values) == 0:
		return "", false
	case len(values) > 1:
		q.fault(name, "must occur only once")
	case !utf8.ValidString(values[0]):
		q.fault(name, "must be UTF-8")
	case strings.ContainsRune(values[0], 0):
		q.fault(name, "must not contain U+0000")
	default:
		return values[0], true
	}
	return "", false
}

// text reads a text, which is "" also when the parameter is absent.
func (q *query) text(name string) string {
	text, _ := q.value(name)
	return text
}

// integer reads an integer between low and high.
func (q *query) integer(name string, low, high int64) *int64 {
	text, ok := q.value(name)
	if !ok {
		return nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	switch {
	case err != nil && !isNumber(text):
		q.fault(name, "must be an integer")
	case err != nil || n < low || n > high:
		q.fault(name, fmt.Sprintf("must be between %d and %d", low, high))
	default:
		return &n
	}
	return nil
}

// isNumber reports whether a text that is no int64 is an integer all the same.
func isNumber(text string) bool {
	digits := strings.TrimLeft(text, "+-")
	return len(text)-len(digits) <= 1 && digits != "" && strings.Trim(digits, "0123456789") == ""
}

// uuid reads a UUID in any of its spellings.
func (q *query) uuid(name string) *uuid.UUID {
	text, ok := q.value(name)
	if !ok {
		return nil
	}
	id, ok := parseUUID(text)
	if !ok {
		q.fault(name, "must be a UUID")
		return nil
	}
	return &id
}

// status reads a task status.
func (q *query) status(name string) *task.Status { return oneOf(q, name, task.Statuses...) }

// oneOf reads a parameter that must be one of a few words.
func oneOf[T ~string](q *query, name string, words ...T) *T {
	text, ok := q.value(name)
	if !ok {
		return nil
	}
	names := make([]string, 0, len(words))
	for _, word := range words {
		if text == string(word) {
			return &word
		}
		names = append(names, string(word))
	}
	q.fault(name, "must be one of "+strings.Join(names, ", "))
	return nil
}

// since reads a timestamp from which on rows are wanted, and until one up to which. The database knows microseconds:
// what is between two of them is rounded so that no row is wanted which is not.
func (q *query) since(name string) *time.Time { return ceilMicrosecond(q.time(name)) }

func (q *query) until(name string) *time.Time { return floorMicrosecond(q.time(name)) }

func ceilMicrosecond(t *time.Time) *time.Time {
	if t != nil && t.Nanosecond()%1000 != 0 {
		*t = t.Truncate(time.Microsecond).Add(time.Microsecond)
	}
	return t
}

func floorMicrosecond(t *time.Time) *time.Time {
	if t != nil {
		*t = t.Truncate(time.Microsecond)
	}
	return t
}

// timestamp is the form of RFC 3339; package time takes a little more.
var timestamp = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$`)

// parseTimestamp reads a timestamp of RFC 3339.
func parseTimestamp(text string) (time.Time, bool) {
	text = strings.ToUpper(text) // T and Z may be written small
	t, err := time.Parse(time.RFC3339, text)
	return t, err == nil && timestamp.MatchString(text)
}

// time reads a timestamp of RFC 3339.
func (q *query) time(name string) *time.Time {
	text, ok := q.value(name)
	if !ok {
		return nil
	}
	t, ok := parseTimestamp(text)
	if !ok {
		message := "must be a timestamp of RFC 3339"
		if strings.Contains(text, " ") {
			message += "; a plus sign is written %2B in a query"
		}
		q.fault(name, message)
		return nil
	}
	return &t
}

// json reads JSON that PostgreSQL can hold, and that is not larger than metadata can be.
func (q *query) json(name string) json.RawMessage {
	text, ok := q.value(name)
	if !ok {
		return nil
	}
	result, err := strictjson.Check([]byte(text), "", maxMetadata)
	var syntax *strictjson.SyntaxError
	switch {
	case errors.As(err, &syntax):
		q.fault(name, "must be JSON: "+syntax.Error())
	case err != nil || result.Size > maxMetadata:
		q.fault(name, fmt.Sprintf("must be at most %d bytes", maxMetadata))
	case len(result.Faults) > 0:
		// Once more as a member, so that the paths begin with its name.
		result, _ = strictjson.Check([]byte(fmt.Sprintf("{%q:%s}", name, text)), "", maxMetadata)
		for _, f := range result.Faults {
			q.faults = append(q.faults, f.String())
		}
	default:
		return json.RawMessage(text)
	}
	return nil
}

// page reads which part of a list is wanted: page and page_size, or cursor and page_size; size is that of a page if no other is
// wanted.
func (s *server) page(q *query, list listKind, size int) task.Page {
	p := task.Page{Size: size}
	if n := q.integer("page_size", math.MinInt64, math.MaxInt64); n != nil && *n > 0 {
		p.Size = int(min(*n, int64(s.MaxPageSize)))
	}
	number := q.integer("page", math.MinInt64, math.MaxInt64)
	if text, ok := q.value("cursor"); ok {
		if q.values.Has("page") {
			q.fault("cursor", "must not be combined with page")
		}
		if p.After, ok = parseCursor(list, text); !ok {
			q.fault("cursor", "is not the X-Next-Cursor of an answer to this list")
		}
	}
	if number != nil && *number > 0 {
		// Beyond int64 there is nothing, as there is nothing at its end.
		p.Skip = math.MaxInt64
		if *number <= math.MaxInt64/int64(p.Size) {
			p.Skip = *number * int64(p.Size)
		}
	}
	return p
}
