package strictjson_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/strictjson"
)

func TestSyntax(t *testing.T) {
	t.Parallel()
	for text, offset := range map[string]int{
		``: 0, ` `: 1, `x`: 0, `{`: 1, `[`: 1, `[1`: 2, `[1,`: 3, `[1,]`: 3, `[,1]`: 1, `[1 2]`: 3, `{"a"}`: 4, `{"a":}`: 5,
		`{"a":1,}`: 7, `{a:1}`: 1, `{"a":1 "b":2}`: 7, `[}`: 1, `{]`: 1, `[1}`: 2, `"a`: 2, "\"a\nb\"": 2, `"\x"`: 2,
		`"\u12"`: 5, `"\u12G4"`: 5, `"\ud800\u12"`: 11, "\"\xff\"": 1, "\"\xed\xa0\x80\"": 1, `01`: 1, `-`: 1, `+1`: 0, `.5`: 0,
		`1.`: 2, `1e`: 2, `1e+`: 3, `1.5.5`: 3, `tru`: 3, `nul1`: 3, `true false`: 5, `NaN`: 0, "\x00": 0, "1\x00": 1,
		"\ufeff1": 0, `'a'`: 0, `[1]]`: 3, `{"a":1}x`: 7, "[1,/**/2]": 3, `"\`: 2,
	} {
		require.False(t, json.Valid([]byte(text)) && utf8.ValidString(text), text)
		_, err := strictjson.Check([]byte(text), "", math.MaxInt64)
		var e *strictjson.SyntaxError
		require.ErrorAs(t, err, &e, text)
		require.Equal(t, offset, e.Offset, text)
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("[", 1000) + strings.Repeat("]", 1000)
	for text, want := range map[string][]string{
		`[{"a": "\u0000"}]`:                    {"tasks[0].a: must not contain U+0000"},
		`[1, {"a": ["x", "\ud800"]}]`:          {"tasks[1].a[1]: must not contain an unpaired surrogate"},
		`{"a": "\udc00\ud800"}`:                {"a: must not contain an unpaired surrogate"},
		`{"a": "\ud800\ud800\udc00"}`:          {"a: must not contain an unpaired surrogate"},
		`{"a": "\ud83d\ude00 \u00e9"}`:         nil,
		`{"a": "\\u0000"}`:                     nil,
		`{"a": {"x\u0000": 1, "b": "\u0000"}}`: {`a: the key "x\u0000" must not contain U+0000`, "a.b: must not contain U+0000"},
		`{"\ud800": 1}`:                        {`body: the key "\ud800" must not contain an unpaired surrogate`},
		`{"a b": {"c": "\u0000"}}`:             {`["a b"].c: must not contain U+0000`},
		`"\u0000"`:                             {"body: must not contain U+0000"},
		`[[], {}, "\u0000"]`:                   {"tasks[2]: must not contain U+0000"},
		`{"tasks": [{"metadata": 1e1000}]}`:    {"tasks[0].metadata: must not have more than 1000 digits before or after the point"},
		deep:                                   nil,
		`[` + deep + `]`:                       {"tasks[0][0][0][0][0][0][0][0][0][0][0][0]…: must not be nested deeper than 1000"},
		`{"a": ` + deep:                        {"a[0][0][0][0][0][0][0][0][0][0][0]…: must not be nested deeper than 1000"},
	} {
		got, err := strictjson.Check([]byte(text), "tasks", math.MaxInt64)
		require.NoError(t, err, text)
		require.Equal(t, want, texts(got), text)
	}

	got, err := strictjson.Check([]byte("["+strings.Repeat(`"\u0000",`, 1000)+"1]"), "tasks", math.MaxInt64)
	require.NoError(t, err)
	require.Len(t, got.Faults, 100)
	require.Equal(t, 900, got.More)
	got, err = strictjson.Check([]byte(`{"`+strings.Repeat("é", 100)+`": "\u0000"}`), "", math.MaxInt64)
	require.NoError(t, err)
	require.Equal(t, []string{`["` + strings.Repeat("é", 31) + `…"]: must not contain U+0000`}, texts(got))
}

// texts are the faults as a client is told of them.
func texts(r strictjson.Result) []string {
	var all []string
	for _, f := range r.Faults {
		all = append(all, f.String())
	}
	return all
}

// Mended text is fit, has the size it had, and says the same where nothing was wrong.
func TestMend(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("9", 1001)
	places := strictjson.Places{Integers: []string{"*", "t.*.i"}}
	for text, want := range map[string]string{
		`["\u0000 a\ud800\u0041\udfff\ud800", "\ud83d\ude00\\u0000"]`: `["\ufffd a\ufffd\u0041\ufffd\ufffd", "\ud83d\ude00\\u0000"]`,
		`{"a\u0000b": "\ud800\ud800\udc00"}`:                          `{"a\ufffdb": "\ufffd\ud800\udc00"}`,
		`[[` + long + `,-1e1000, 0.5]]`:                               `[[0` + strings.Repeat(" ", 1000) + `,0      , 0.5]]`,
		`[1e2, 1E+2, 1.5e1, -10e-1, 100, 1.0, "1e2"]`:                 `[0.5, 0.5 , 0.5  , 0.5   , 100, 1.0, "1e2"]`,
		`{"t": [{"i": 1e2, "m": {"i": 1e2}, "n": 1e2}, 1e2]}`:         `{"t": [{"i": 0.5, "m": {"i": 1e2}, "n": 1e2}, 1e2]}`,
		`{"t": {"i": 1e2}, "\u0074": [{"\u0069": 1e99999}]}`:          `{"t": {"i": 1e2}, "\u0074": [{"\u0069": 0.5    }]}`,
		`{"t": [{"i": ` + long + `e1}]}`:                              `{"t": [{"i": 0.5` + strings.Repeat(" ", 1000) + `}]}`,
	} {
		raw := []byte(text)
		_, err := strictjson.Mend(raw, "", math.MaxInt64, places)
		require.NoError(t, err, text)
		require.Equal(t, want, string(raw))
		got, err := strictjson.Mend(raw, "", math.MaxInt64, places)
		require.NoError(t, err)
		require.Empty(t, got.Faults)
		require.Equal(t, want, string(raw), "there is nothing left to mend")
	}
	got, err := strictjson.Mend([]byte(strings.Repeat("[", 2000)), "", math.MaxInt64, strictjson.Places{})
	require.NoError(t, err)
	require.True(t, got.Cut)
}

func TestTexts(t *testing.T) {
	t.Parallel()
	var told []string
	places := strictjson.Places{Objects: []string{"*.a", "t.*.a"}, Member: "u", Tell: func(quoted []byte, path func() string) {
		told = append(told, path()+" "+string(quoted))
	}}
	for text, want := range map[string][]string{
		`[{"a": {"u": "x", "v": "y"}, "u": "z"}, {"a": {"u": 1}}, {"a": {"\u0075": "\u0078\/"}}]`: {`[0].a.u "x"`, `[2].a["\u0075"] "\u0078\/"`},
		`{"t": [{"a": {"u": "1", "u": "2"}}], "a": {"u": "3"}, "x": [{"a": {"u": "4"}}]}`:         {`t[0].a.u "1"`, `t[0].a.u "2"`},
		`[{"a": {"u": "\u0000"}}, {"a": [{"u": "1"}]}, {"a": {"u": ["2"]}}, {"U": {"u": "3"}}]`:   nil,
		`{"a": {"u": "1"}}`: nil,
		`"u"`:               nil,
	} {
		told = nil
		_, err := strictjson.Mend([]byte(text), "", math.MaxInt64, places)
		require.NoError(t, err, text)
		require.Equal(t, want, told, text)
	}
}

func TestDigits(t *testing.T) {
	t.Parallel()
	thousand := strings.Repeat("9", 1000)
	for text, good := range map[string]bool{
		thousand:                  true,
		"-" + thousand:            true,
		thousand + "9":            false,
		"0." + thousand:           true,
		"0." + thousand + "9":     false,
		"1e999":                   true,
		"1e1000":                  false,
		"1E+1000":                 false,
		"1e-1000":                 true,
		"1e-1001":                 false,
		thousand + "9e-1":         true,
		thousand + "." + thousand: true,
		"0." + strings.Repeat("0", 999) + "1e1500": true,
		"0.001e1002":                    true,
		"0.001e1003":                    false,
		"0e1000":                        false,
		"0e999":                         true,
		"0e-1001":                       false,
		"1e99999999999999999999999999":  false,
		"1e-99999999999999999999999999": false,
		"0e99999999999999999999999999":  false,
	} {
		got, err := strictjson.Check([]byte(text), "", math.MaxInt64)
		require.NoError(t, err)
		require.Equal(t, good, got.Faults == nil, text)
	}
}

func TestSize(t *testing.T) {
	t.Parallel()
	for text, written := range map[string]string{
		` [ 1 , 2 ] `:                    `[1,2]`,
		` { "a" : { } , "b" : [ ] } `:    `{"a":{},"b":[]}`,
		`1e3`:                            `1000`,
		`1.50e1`:                         `15.0`,
		`-1.5E-3`:                        `-0.0015`,
		`0.05e1`:                         `0.5`,
		`-0.0`:                           `0.0`,
		`-0`:                             `0`,
		`12.5e2`:                         `1250`,
		`"\u00e9\/\n\u0001\u0022\u000a"`: `"é/\n\u0001\"\n"`,
		`"\ud83d\ude00"`:                 `"😀"`,
		`[true,false,null]`:              `[true,false,null]`,
	} {
		got, err := strictjson.Check([]byte(text), "", math.MaxInt64)
		require.NoError(t, err)
		require.EqualValues(t, len(written), got.Size, text)
	}
}

func TestTooLarge(t *testing.T) {
	t.Parallel()
	_, err := strictjson.Check([]byte(`[1e3]`), "", 6)
	require.NoError(t, err)
	_, err = strictjson.Check([]byte(`[1e3]`), "", 5)
	require.ErrorIs(t, err, strictjson.ErrTooLarge)
	_, err = strictjson.Check([]byte(`[`+strings.Repeat("1e999,", 1000)), "", 100_000)
	require.ErrorIs(t, err, strictjson.ErrTooLarge)
	_, err = strictjson.Check([]byte(`[`+strings.Repeat("0,", strictjson.MaxMembers)+`0]`), "", math.MaxInt64)
	require.ErrorIs(t, err, strictjson.ErrTooMany)
	_, err = strictjson.Check([]byte(`[`+strings.Repeat("{},", strictjson.MaxContainers-2)+`{}]`), "", math.MaxInt64)
	require.NoError(t, err)
	_, err = strictjson.Check([]byte(`[`+strings.Repeat("{},", strictjson.MaxContainers-1)+`{}]`), "", math.MaxInt64)
	require.ErrorIs(t, err, strictjson.ErrTooMany)
	half := `[` + strings.Repeat("0,", strictjson.MaxMembers-1) + `0]`
	_, err = strictjson.Check([]byte(`[`+half+`,`+half+`]`), "", math.MaxInt64)
	require.ErrorIs(t, err, strictjson.ErrTooMany)
}

// Text is accepted exactly if encoding/json accepts it and it is UTF-8; without faults it says the same.
func FuzzCheck(f *testing.F) {
	for _, seed := range []string{
		`{"a":[1,2.5e-3,"x\u00e9\ud83d\ude00",null,true,false,{}]}`, `[]`, `"\u0000"`, `"\ud800"`, `1e400`, `-0`, `[[[`, `{"a":1,}`,
		"\"\xff\"", ` 1 `, `"\ud800\ud800\udc00"`, `0.1E+2`, `{"":""}`, `[1,]`, "\t{\r\n}", `"\u2028"`, `{"a":{"b":"\uDFFF"}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, err := strictjson.Check(raw, "root", math.MaxInt64)
		valid := json.Valid(raw) && utf8.Valid(raw)
		if err == nil && got.Faults != nil {
			mendedIsFit(t, raw, got)
			return // depth ends the scan
		}
		if valid != (err == nil) {
			t.Fatalf("json.Valid %v, Check %v", valid, err)
		}
		if err == nil && got.Size > int64(len(raw))*2*strictjson.MaxDigits {
			t.Fatalf("size %d", got.Size)
		}
		if err == nil {
			mendedIsFit(t, raw, got)
		}
	})
}

func TestMember(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{}`: ``, ` { } `: ``, `[{"a": 1}]`: ``, `"a"`: ``, `7`: ``, `null`: ``, `{"A": 1}`: ``, `{"b": {"a": 1}, "c": ["a", {"a": 2}]}`: ``,
		`{"a":1}`:                              `1`,
		` { "a" : 1 } `:                        `1`,
		`{"a": null, "b": "}"}`:                `null`,
		`{"b": "\"a\":1", "a" : "x\\\"y" }`:    `"x\\\"y"`,
		`{"\u0061": [1, {"a": "]"}] , "b": 1}`: `[1, {"a": "]"}]`,
		`{"a": 1, "a": -2.5e3,"b":0}`:          `-2.5e3`,
		`{"": 1, "a": {}}`:                     `{}`,
	} {
		require.Equal(t, want, string(strictjson.Member([]byte(text), "a")), text)
		require.Equal(t, strings.HasPrefix(strings.TrimSpace(text), "{"), strictjson.IsObject([]byte(text)), text)
	}
}

// membersAreFound requires of text that is JSON that Member finds what encoding/json finds.
func membersAreFound(t *testing.T, raw []byte) {
	t.Helper()
	var members map[string]json.RawMessage
	isObject := json.Unmarshal(raw, &members) == nil && members != nil
	if isObject != strictjson.IsObject(raw) {
		t.Fatalf("%q: object %t", raw, isObject)
	}
	if !isObject {
		members = map[string]json.RawMessage{}
	}
	members["no such member"] = nil
	for name, value := range members {
		if got := strictjson.Member(raw, name); string(got) != string(value) {
			t.Fatalf("%q: %q is %q, not %q", raw, name, got, value)
		}
	}
}

// mendedIsFit requires that text which is JSON, with or without faults, has none when it is mended.
func mendedIsFit(t *testing.T, raw []byte, checked strictjson.Result) {
	t.Helper()
	mended := append([]byte{}, raw...)
	got, err := strictjson.Mend(mended, "root", math.MaxInt64, strictjson.Places{Integers: []string{"*", "a", "*.a"}})
	if err != nil || len(mended) != len(raw) {
		t.Fatalf("%v, %q", err, mended)
	}
	if checked.Cut {
		return
	}
	got, err = strictjson.Check(mended, "root", math.MaxInt64)
	if err != nil || got.Faults != nil || !json.Valid(mended) {
		t.Fatalf("%v, %v, %q", err, got.Faults, mended)
	}
	membersAreFound(t, mended)
}
