package api

import (
	"encoding/base64"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/task"
)

// asQuery reads a raw query string.
func asQuery(t *testing.T, raw string) *query {
	t.Helper()
	r := httptest.NewRequest("GET", "/", nil)
	r.URL.RawQuery = raw
	q, err := readQuery(r)
	require.NoError(t, err)
	return q
}

func TestMalformedQuery(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{"a=%", "a=%zz", "%zz=a", "a;b", "a=1&b=2;c=3", "unknown=%e"} {
		r := httptest.NewRequest("GET", "/", nil)
		r.URL.RawQuery = raw
		_, err := readQuery(r)
		p := toProblem(err)
		require.NotNil(t, p, raw)
		require.Equal(t, http.StatusBadRequest, p.Status)
	}
}

// Each reader, on what it takes and what it refuses.
func TestQueryReaders(t *testing.T) {
	t.Parallel()
	readers := map[string]func(*query) any{
		"text":    func(q *query) any { return q.text("x") },
		"integer": func(q *query) any { return deref(q.integer("x", math.MinInt32, math.MaxInt32)) },
		"uuid":    func(q *query) any { return deref(q.uuid("x")) },
		"status":  func(q *query) any { return deref(q.status("x")) },
		"trigger": func(q *query) any { return deref(oneOf(q, "x", "Start", "End")) },
		"since":   func(q *query) any { return deref(q.since("x")) },
		"until":   func(q *query) any { return deref(q.until("x")) },
		"json":    func(q *query) any { return string(q.json("x")) },
	}
	id := uuid.MustParse("0190c0de-0000-7000-8000-00000000abcd")
	at := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	const notInteger, notUUID, notTime = "x: must be an integer", "x: must be a UUID", "x: must be a timestamp of RFC 3339"
	for _, c := range []struct {
		reader, value string // escaped here
		want          any    // an error's text when it begins with "x"
	}{
		{"text", "a b", "a b"}, {"text", "", ""}, {"text", `%_\`, `%_\`}, {"text", "\x00", "x: must not contain U+0000"},
		{"text", "a\xffb", "x: must be UTF-8"}, {"text", "\xed\xa0\x80", "x: must be UTF-8"},
		{"integer", "0", int64(0)}, {"integer", "-5", int64(-5)}, {"integer", "+5", int64(5)}, {"integer", "007", int64(7)},
		{"integer", "2147483647", int64(math.MaxInt32)}, {"integer", "2147483648", "x: must be between -2147483648 and 2147483647"},
		{"integer", "99999999999999999999", "x: must be between -2147483648 and 2147483647"}, {"integer", "", notInteger},
		{"integer", " 5", notInteger}, {"integer", "5.0", notInteger}, {"integer", "1e3", notInteger}, {"integer", "0x10", notInteger},
		{"integer", "1_000", notInteger}, {"integer", "--99999999999999999999", notInteger}, {"integer", "-", notInteger},
		{"integer", "٣", notInteger}, {"integer", "NaN", notInteger}, {"integer", "5\x00", "x: must not contain U+0000"},
		{"uuid", id.String(), id}, {"uuid", strings.ToUpper(id.String()), id}, {"uuid", "{" + id.String() + "}", id},
		{"uuid", "urn:uuid:" + id.String(), id}, {"uuid", strings.ReplaceAll(id.String(), "-", ""), id},
		{"uuid", "", notUUID}, {"uuid", "x", notUUID}, {"uuid", id.String() + " ", notUUID}, {"uuid", "null", notUUID},
		{"status", "Running", task.Running}, {"status", "running", "x: must be one of Waiting, Pending, Claimed, Running, Success, Failure, Paused, Canceled"},
		{"status", "", "x: must be one of Waiting, Pending, Claimed, Running, Success, Failure, Paused, Canceled"},
		{"trigger", "End", "End"}, {"trigger", "Cancel", "x: must be one of Start, End"},
		{"since", "2026-01-02T03:04:05.000006Z", at}, {"since", "2026-01-02t03:04:05.000006z", at}, {"since", "2026-01-02T05:04:05.000006+02:00", at},
		{"since", "2026-01-02T03:04:05.0000051Z", at}, {"until", "2026-01-02T03:04:05.0000069Z", at}, {"until", "2026-01-02T03:04:05.000006Z", at},
		{"since", "2026-01-02", notTime}, {"since", "", notTime}, {"until", "2026-02-30T00:00:00Z", notTime}, {"until", "2026-01-02T03:04:05", notTime},
		{"until", "2026-01-02T05:04:05 02:00", notTime + "; a plus sign is written %2B in a query"}, {"since", "now", notTime},
		{"since", "2026-01-02T3:04:05Z", notTime}, {"since", "2026-01-02T03:04:05,5Z", notTime}, {"since", "infinity", notTime},
		{"json", `{"a": [1, "é"]}`, `{"a": [1, "é"]}`}, {"json", "null", "null"}, {"json", " 5 ", " 5 "},
		{"json", "", "x: must be JSON: unexpected end at byte 0"}, {"json", "{", "x: must be JSON: unexpected end at byte 1"},
		{"json", `1,"y":2`, `x: must be JSON: unexpected character at byte 1`}, {"json", `{"a": {"b": "\u0000"}}`, "x.a.b: must not contain U+0000"},
		{"json", `["\ud800"]`, "x[0]: must not contain an unpaired surrogate"}, {"json", `"\u0000"`, "x: must not contain U+0000"},
		{"json", strings.Repeat("[", 1001) + strings.Repeat("]", 1001), "x" + strings.Repeat("[0]", 11) + "…: must not be nested deeper than 1000"},
		{"json", "[1e1001]", "x[0]: must not have more than 1000 digits before or after the point"},
		{"json", `"` + strings.Repeat("a", maxMetadata) + `"`, "x: must be at most 65536 bytes"},
		{"json", "[" + strings.Repeat("1e999,", 100) + "1]", "x: must be at most 65536 bytes"},
	} {
		q := asQuery(t, "y=1&x="+url.QueryEscape(c.value)+"&y=2")
		got := readers[c.reader](q)
		if text, ok := c.want.(string); ok && strings.HasPrefix(text, "x") {
			require.Equal(t, []string{text}, q.faults, "%s %.100q", c.reader, c.value)
			p := toProblem(q.err())
			require.Equal(t, validation, p.Message)
			continue
		}
		require.NoError(t, q.err(), "%s %.100q", c.reader, c.value)
		if at, ok := c.want.(time.Time); ok {
			require.True(t, at.Equal(got.(time.Time)), "%s: %s", c.value, got)
			continue
		}
		require.Equal(t, c.want, got, "%s %.100q", c.reader, c.value)
	}
	for name, read := range readers {
		q := asQuery(t, "x=1&x=1")
		read(q)
		require.Equal(t, []string{"x: must occur only once"}, q.faults, name)
		q = asQuery(t, "y=1&X=1")
		require.Empty(t, read(q), name)
		require.NoError(t, q.err())
	}
}

func deref[T any](p *T) any {
	if p == nil {
		return nil
	}
	return *p
}

func TestAllFaultsAtOnce(t *testing.T) {
	t.Parallel()
	s := &server{Config: Config{PageSize: 50, MaxPageSize: 100}}
	q := asQuery(t, "status=x&timeout=&batch_id=1&metadata=%7B&page=a&page_size=1.5&cursor=&name=%00&name=2&unknown=%ff&unknown=")
	q.status("status")
	q.integer("timeout", math.MinInt32, math.MaxInt32)
	q.uuid("batch_id")
	q.json("metadata")
	q.text("name")
	s.page(q, taskList, s.PageSize)
	names := []string{}
	for _, fault := range toProblem(q.err()).Details {
		name, _, _ := strings.Cut(fault, ":")
		names = append(names, name)
	}
	require.Equal(t, []string{"status", "timeout", "batch_id", "metadata", "name", "page_size", "page", "cursor", "cursor"}, names)
}

func TestPage(t *testing.T) {
	t.Parallel()
	s := &server{Config: Config{PageSize: 50, MaxPageSize: 100}}
	after := &task.Position{CreatedAt: time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC), Seq: 7}
	cursor := newCursor(taskList, *after)
	for raw, want := range map[string]task.Page{
		"":                                         {Size: 50},
		"page=0":                                   {Size: 50},
		"page=-1":                                  {Size: 50},
		"page=-9223372036854775808":                {Size: 50},
		"page=3":                                   {Size: 50, Skip: 150},
		"page=3&page_size=7":                       {Size: 7, Skip: 21},
		"page_size=100":                            {Size: 100},
		"page_size=101":                            {Size: 100},
		"page_size=9223372036854775807&page=1":     {Size: 100, Skip: 100},
		"page_size=0":                              {Size: 50},
		"page_size=-7":                             {Size: 50},
		"page=9223372036854775807":                 {Size: 50, Skip: math.MaxInt64},
		"page=9223372036854775807&page_size=1":     {Size: 1, Skip: math.MaxInt64},
		"page=92233720368547758&page_size=100":     {Size: 100, Skip: 9223372036854775800},
		"page=92233720368547759&page_size=100":     {Size: 100, Skip: math.MaxInt64},
		"cursor=" + cursor:                         {Size: 50, After: after},
		"cursor=" + cursor + "&page_size=2":        {Size: 2, After: after},
		"Cursor=&PAGE=x&page_size=3&pagesize=none": {Size: 3},
	} {
		q := asQuery(t, raw)
		got := s.page(q, taskList, s.PageSize)
		require.NoError(t, q.err(), raw)
		require.Equal(t, want, got, raw)
	}
	for raw, want := range map[string]string{
		"page=":                         "page: must be an integer",
		"page=x":                        "page: must be an integer",
		"page=9223372036854775808":      "page: must be between -9223372036854775808 and 9223372036854775807",
		"page=1&page=1":                 "page: must occur only once",
		"page_size=":                    "page_size: must be an integer",
		"page_size=ten":                 "page_size: must be an integer",
		"cursor=":                       "cursor: is not the X-Next-Cursor of an answer to this list",
		"page=0&cursor=" + cursor:       "cursor: must not be combined with page",
		"cursor=" + cursor + "&cursor=": "cursor: must occur only once",
	} {
		q := asQuery(t, raw)
		s.page(q, taskList, s.PageSize)
		require.Equal(t, []string{want}, q.faults, raw)
	}
}

func TestCursor(t *testing.T) {
	t.Parallel()
	positions := []task.Position{
		{CreatedAt: time.Date(2026, 11, 27, 22, 0, 0, 123456000, time.UTC), Seq: math.MaxInt64},
		{CreatedAt: time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC), Seq: math.MinInt64},
		{CreatedAt: time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC)},
	}
	for _, list := range []listKind{taskList, batchList, deliveryList, logList} {
		for _, p := range positions {
			if list.byID() {
				p.Seq, p.ID = 0, uuid.New()
			}
			text := newCursor(list, p)
			require.Equal(t, text, url.QueryEscape(text))
			got, ok := parseCursor(list, text)
			require.True(t, ok)
			require.Equal(t, &p, got)
			for _, other := range []listKind{taskList, batchList, deliveryList, logList} {
				_, ok := parseCursor(other, text)
				require.Equal(t, other == list, ok)
			}
			raw, err := base64.RawURLEncoding.DecodeString(text)
			require.NoError(t, err)
			for name, wrong := range map[string]string{
				"empty": "", "short": text[1:], "cut": text[:len(text)-1], "long": text + "A", "padded": text + "=", "line end": text[:5] + "\n" + text[5:],
				"line end instead": text[:5] + "\n" + text[6:], "standard alphabet": "+" + text[1:], "slash": "/" + text[1:],
				"version":    base64.RawURLEncoding.EncodeToString(append([]byte{2}, raw[1:]...)),
				"list":       base64.RawURLEncoding.EncodeToString(append([]byte{1, 'x'}, raw[2:]...)),
				"far future": base64.RawURLEncoding.EncodeToString(append([]byte{1, byte(list), 0x7f}, raw[3:]...)),
				"far past":   base64.RawURLEncoding.EncodeToString(append([]byte{1, byte(list), 0x80}, raw[3:]...)),
			} {
				_, ok := parseCursor(list, wrong)
				require.False(t, ok, name)
			}
		}
	}
}

// A text that differs from a cursor in its last bits, which stand for nothing, is none.
func TestCursorIsCanonical(t *testing.T) {
	t.Parallel()
	text := newCursor(deliveryList, task.Position{CreatedAt: time.Now(), ID: uuid.New()})
	require.NotZero(t, len(text)%4)
	accepted := 0
	for _, last := range "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_" {
		got, ok := parseCursor(deliveryList, text[:len(text)-1]+string(last))
		if ok {
			accepted++
			require.Equal(t, text[:len(text)-1]+string(last), newCursor(deliveryList, *got))
		}
	}
	require.Less(t, accepted, 64)
}
