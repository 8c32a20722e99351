package screen

import (
	"math"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func TestBar(t *testing.T) {
	t.Parallel()
	s := Style{ASCII: true}
	for _, c := range []struct {
		total int64
		parts []int64
		want  string
	}{
		{3, []int64{0}, ".........."},
		{3, []int64{1}, "###......."},
		{3, []int64{3}, "##########"},
		{3, []int64{5}, "##########"},
		{3, []int64{1, 1, 1}, "##########"},
		{3, []int64{-1, 1}, "###......."},
		{math.MaxInt64, []int64{math.MaxInt64, math.MaxInt64}, "##########"},
		{math.MaxInt64, []int64{math.MaxInt64 / 2}, "#####....."},
		{0, []int64{5}, "          "},
	} {
		var shares []Share
		for _, part := range c.parts {
			shares = append(shares, Share{Part: part})
		}
		require.Equal(t, c.want, s.Bar(10, c.total, shares...), "%+v", c)
	}
	require.Equal(t, "\x1b[32m█\x1b[0m\x1b[31m██\x1b[0m\x1b[2m░\x1b[0m",
		Style{Colour: true}.Bar(4, 4, Share{Part: 1, Colour: Green}, Share{Part: 2, Colour: Red}))
}

// Columns are counted as terminals do: wide characters take two, marks that combine with others none.
func TestWidths(t *testing.T) {
	t.Parallel()
	for text, width := range map[string]int{"": 0, "abc": 3, "日本": 4, "é": 1, "e\u0301": 1, "🚀": 2, "👩\u200d💻": 2, "█░✓●": 4, "…": 1} {
		require.Equal(t, width, Width(text), text)
		require.Equal(t, max(width, 6), Width(Pad(text, 6)), text)
		require.Equal(t, max(width, 6), Width(PadLeft(text, 6)), text)
		for columns := range 8 {
			require.LessOrEqual(t, Width(Style{}.Cut(text, columns)), columns, "%q in %d", text, columns)
		}
	}
	require.Equal(t, "日…", Style{}.Cut("日本語", 4))
	require.Equal(t, "ab.", Style{ASCII: true}.Cut("abcd", 3))
	require.Equal(t, "abcd", Style{}.Cut("abcd", 4))
}

func TestLine(t *testing.T) {
	t.Parallel()
	cells := []Cell{{Text: "  name"}, {Text: "Running", Colour: Blue}, {Text: ""}, {Text: "日本語日本語"}}
	require.Equal(t, "  name  Running    日本語日本語", Style{Width: 80}.Line(cells...))
	for width := range 40 {
		plain, coloured := Style{Width: width}.Line(cells...), Style{Width: width, Colour: true}.Line(cells...)
		require.LessOrEqual(t, Width(plain), width)
		require.Equal(t, plain, strings.NewReplacer("\x1b[34m", "", "\x1b[0m", "").Replace(coloured))
	}
}

func TestClean(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                          "",
		"build":                     "build",
		"naïve 日本 🚀":                "naïve 日本 🚀",
		"👩\u200d💻":                  "👩\u200d💻",
		"a\x1b[31mred\x1b]0;t\x07":  `a\x1b[31mred\x1b]0;t\x07`,
		"two\nlines\r\tand \x7f":    `two\nlines\r\tand \x7f`,
		"c1 \u009b31m":              `c1 \x9b31m`,
		"turn \u202e around \u2066": `turn \u202e around \u2066`,
		"line \u2028 \u2029":        `line \u2028 \u2029`,
		"zero\x00":                  `zero\x00`,
		"broken \xff\xfe":           "broken \ufffd\ufffd",
		"\ufeffbom":                 `\ufeffbom`,
		"tag \U000e0041":            `tag \ue0041`,
	} {
		require.Equal(t, want, Clean(text))
	}
}

func FuzzClean(f *testing.F) {
	f.Add("a\x1b[2Jb\u202e\xff")
	f.Fuzz(func(t *testing.T, text string) {
		clean := Clean(text)
		if !utf8.ValidString(clean) || strings.ContainsFunc(clean, steers) || Clean(clean) != clean {
			t.Fatalf("%q", clean)
		}
	})
}
