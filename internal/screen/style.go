package screen

import "strings"

// Style says how something is drawn.
type Style struct {
	Width  int  // columns of the terminal; a line is at most that long
	Height int  // lines of the terminal; 0: no limit
	Colour bool // ANSI colours
	ASCII  bool // no characters beyond ASCII (a locale that is not UTF-8)
}

// Colours, as parameters of the ANSI sequence "select graphic rendition".
const (
	Bold   = "1"
	Dim    = "2"
	Red    = "31"
	Green  = "32"
	Yellow = "33"
	Blue   = "34"
)

// Paint returns a text in a colour, where there are any.
func (s Style) Paint(text, colour string) string {
	if !s.Colour || text == "" || colour == "" {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

// Cut shortens a text to a number of columns; an ellipsis says that something is missing.
func (s Style) Cut(text string, width int) string {
	if s.ASCII {
		return cut(text, width, ".")
	}
	return cut(text, width, "…")
}

// Cell is a piece of a line.
type Cell struct{ Text, Colour string }

// Line joins cells, two blanks apart, within the width. Text is measured before it is coloured.
func (s Style) Line(cells ...Cell) string {
	var b strings.Builder
	used := 0
	for i, c := range cells {
		gap := min(2, i*2)
		text := s.Cut(c.Text, s.Width-used-gap)
		if text == "" && c.Text != "" {
			break
		}
		used += gap + Width(text)
		b.WriteString(strings.Repeat(" ", gap) + s.Paint(text, c.Colour))
	}
	return strings.TrimRight(b.String(), " ")
}

// Bar draws shares of a whole, one after the other, each in its colour; what is left is empty.
func (s Style) Bar(width int, total int64, shares ...Share) string {
	full, empty := "█", "░"
	if s.ASCII {
		full, empty = "#", "."
	}
	if total <= 0 {
		return strings.Repeat(" ", width)
	}
	var b strings.Builder
	var sum int64
	drawn := 0
	for _, share := range shares {
		sum = min(total, sum+max(0, share.Part))
		// In floating point, because the product may be beyond an int64.
		end := int(float64(sum) / float64(total) * float64(width))
		b.WriteString(s.Paint(strings.Repeat(full, max(0, end-drawn)), share.Colour))
		drawn = max(drawn, end)
	}
	return b.String() + s.Paint(strings.Repeat(empty, max(0, width-drawn)), Dim)
}

// Share is a part of a bar.
type Share struct {
	Part   int64
	Colour string
}
