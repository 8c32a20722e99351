package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/taskrunner/taskrunner/internal/strictjson"
	"github.com/taskrunner/taskrunner/internal/task"
)

// fields is a JSON object whose members are read one by one, collecting all that is wrong with them. Names count as
// they are written, of members with the same name the last one counts, null equals absence, and unknown members are
// ignored (contract, section 1.3).
type fields struct {
	body   []byte
	faults []string
	known  map[string]bool // members that strictjson found a fault in
}

// readFields reads a body that must be an object. integers are places of integers in values that are passed on as they are.
func (s *server) readFields(w http.ResponseWriter, r *http.Request, integers ...string) (*fields, error) {
	body, faults, err := s.readJSON(w, r, "", strictjson.Places{Integers: integers})
	if err != nil {
		return nil, err
	}
	f := &fields{body: body}
	if len(faults) > 0 {
		f.known = map[string]bool{}
	}
	for _, fault := range faults {
		f.faults = append(f.faults, fault.String())
		f.known[fault.Path] = true
	}
	if !strictjson.IsObject(body) {
		return nil, invalid(validation, append(f.faults, "body: must be an object")...)
	}
	return f, nil
}

// member returns the text of a member, and whether there is one that is not null.
func (f *fields) member(name string) (json.RawMessage, bool) {
	raw := strictjson.Member(f.body, name)
	return raw, raw != nil && string(raw) != "null"
}

// fault notes what is wrong with a member.
func (f *fields) fault(name, message string) {
	if !f.known[name] {
		f.faults = append(f.faults, name+": "+message)
	}
}

// err is the error that lists all faults, nil when there are none.
func (f *fields) err() error {
	if len(f.faults) == 0 {
		return nil
	}
	return invalid(validation, f.faults...)
}

// integer reads an integer between low and high.
func (f *fields) integer(name string, low, high int64) *int64 {
	raw, ok := f.member(name)
	if !ok {
		return nil
	}
	if !isInteger(raw) {
		f.fault(name, "must be an integer")
		return nil
	}
	n, err := strconv.ParseInt(string(raw), 10, 64)
	if err != nil || n < low || n > high {
		if high == math.MaxInt64 && low > math.MinInt64 && (err == nil || raw[0] == '-') {
			f.fault(name, fmt.Sprintf("must be at least %d", low))
		} else {
			f.fault(name, fmt.Sprintf("must be between %d and %d", low, high))
		}
		return nil
	}
	return &n
}

// isInteger reports whether a JSON value is a number that is written without point and exponent.
func isInteger(raw json.RawMessage) bool {
	digits := bytes.TrimPrefix(raw, []byte("-"))
	for _, c := range digits {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(digits) > 0
}

// text reads a string of any length.
func (f *fields) text(name string) *string {
	raw, ok := f.member(name)
	if !ok {
		return nil
	}
	var text string
	if json.Unmarshal(raw, &text) != nil {
		f.fault(name, "must be a string")
		return nil
	}
	return &text
}

// status reads a task status.
func (f *fields) status(name string) *task.Status {
	raw, ok := f.member(name)
	if !ok {
		return nil
	}
	var status task.Status
	if json.Unmarshal(raw, &status) != nil || !status.Valid() {
		f.fault(name, "must be a task status")
		return nil
	}
	return &status
}

// result reads a status that ends a task by report.
func (f *fields) result(name string) *task.Status {
	raw, ok := f.member(name)
	if !ok {
		return nil
	}
	var status task.Status
	if json.Unmarshal(raw, &status) != nil || status != task.Success && status != task.Failure {
		f.fault(name, "must be Success or Failure")
		return nil
	}
	return &status
}

// uuid reads a UUID in any of its spellings.
func (f *fields) uuid(name string) *uuid.UUID {
	text := f.text(name)
	if text == nil {
		return nil
	}
	id, ok := parseUUID(*text)
	if !ok {
		f.fault(name, "must be a UUID")
		return nil
	}
	return &id
}

// word reads a string that must be one of a few.
func (f *fields) word(name string, words ...string) *string {
	raw, ok := f.member(name)
	if !ok {
		return nil
	}
	var word string
	if json.Unmarshal(raw, &word) != nil || !slices.Contains(words, word) {
		f.fault(name, "must be one of "+strings.Join(words, ", "))
		return nil
	}
	return &word
}

// since reads a timestamp from which on rows are wanted, and until one up to which, in the microseconds of the database.
func (f *fields) since(name string) *time.Time { return ceilMicrosecond(f.time(name)) }

func (f *fields) until(name string) *time.Time { return floorMicrosecond(f.time(name)) }

// time reads a timestamp of RFC 3339.
func (f *fields) time(name string) *time.Time {
	text := f.text(name)
	if text == nil {
		return nil
	}
	t, ok := parseTimestamp(*text)
	if !ok {
		f.fault(name, "must be a timestamp of RFC 3339")
		return nil
	}
	return &t
}

// maxMetadata is the size of metadata in bytes, compact and with numbers written out.
const maxMetadata = 65_536

// metadata reads any JSON of at most maxMetadata bytes.
func (f *fields) metadata(name string) json.RawMessage {
	raw, ok := f.member(name)
	if !ok {
		return nil
	}
	result, err := strictjson.Check(raw, "", maxMetadata)
	if err != nil || result.Size > maxMetadata {
		f.fault(name, fmt.Sprintf("must be at most %d bytes", maxMetadata))
		return nil
	}
	return raw
}
