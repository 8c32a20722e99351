package screen

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/mattn/go-runewidth"
)

// widths measures text as terminals do, whatever the locale of the process says of ambiguous characters.
var widths = &runewidth.Condition{StrictEmojiNeutral: true}

// Width is the number of columns that a text takes.
func Width(text string) int { return widths.StringWidth(text) }

// Pad fills a text up with blanks on the right.
func Pad(text string, width int) string {
	return text + strings.Repeat(" ", max(0, width-Width(text)))
}

// PadLeft fills a text up with blanks on the left.
func PadLeft(text string, width int) string {
	return strings.Repeat(" ", max(0, width-Width(text))) + text
}

// cut shortens a text to a number of columns, dots at its end.
func cut(text string, width int, dots string) string {
	switch {
	case width <= 0:
		return ""
	case Width(text) <= width:
		return text
	}
	return widths.Truncate(text, width, dots)
}

// Clean returns a text that does nothing to a terminal but to appear on it, in one line: characters that control it, and
// those that turn the direction of writing around, are written as escapes. Names of tasks and answers of servers may hold
// anything.
func Clean(text string) string {
	if strings.IndexFunc(text, steers) < 0 && utf8.ValidString(text) {
		return text
	}
	var b strings.Builder
	for _, r := range text { // bytes that are no UTF-8 become U+FFFD
		switch {
		case !steers(r):
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < 0x100:
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

// steers reports characters that a terminal acts upon, or that change how others are read. The joiners, which emoji and
// some scripts need, are none.
func steers(r rune) bool {
	const zeroWidthNonJoiner, zeroWidthJoiner = 0x200c, 0x200d
	switch {
	case r == zeroWidthNonJoiner, r == zeroWidthJoiner:
		return false
	case r >= 0xe0000: // tags, noncharacters and private planes
		return true
	}
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co, unicode.Zl, unicode.Zp)
}
