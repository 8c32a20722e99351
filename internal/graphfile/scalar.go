package graphfile

import (
	"math/big"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v4"
)

// The types that a tag can give a node, and that JSON has.
const (
	mapTag       = "!!map"
	seqTag       = "!!seq"
	strTag       = "!!str"
	intTag       = "!!int"
	floatTag     = "!!float"
	boolTag      = "!!bool"
	nullTag      = "!!null"
	timestampTag = "!!timestamp"
)

const quoted = yaml.SingleQuotedStyle | yaml.DoubleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle

// Numbers, as the core schema of YAML 1.2 reads them.
var (
	intPattern   = regexp.MustCompile(`^[-+]?[0-9]+$`)
	basePattern  = regexp.MustCompile(`^0(?:o[0-7]+|x[0-9a-fA-F]+)$`)
	floatPattern = regexp.MustCompile(`^([-+]?)([0-9]*)(?:(\.)([0-9]*))?([eE][-+]?[0-9]+)?$`)
	notFinite    = regexp.MustCompile(`^(?:[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$`)
	leadingZero  = regexp.MustCompile(`^[-+]?0[0-9]`)
)

// longestNumber bounds numbers in another base, which have to be computed. The service takes no more than 1,000 digits.
const longestNumber = 1000

// tagged refuses a list or a mapping that a tag makes something else.
func (c *converter) tagged(n *yaml.Node, want string) error {
	if n.Style&yaml.TaggedStyle != 0 && n.ShortTag() != want {
		return c.fail(n, "JSON has no type %q", n.ShortTag())
	}
	return nil
}

// resolve returns what a scalar says: a text, or else a literal of JSON.
func (c *converter) resolve(n *yaml.Node) (literal string, isText bool, err error) {
	tag := ""
	if n.Style&yaml.TaggedStyle != 0 {
		tag = n.ShortTag()
	}
	switch {
	case tag == strTag, tag == timestampTag, tag == "" && n.Style&quoted != 0:
		return n.Value, true, nil
	case tag == "":
		return c.plain(n)
	}
	literal, isText, err = c.plain(n)
	if err != nil {
		return "", false, err
	}
	kind := kindOf(literal, isText)
	switch {
	case tag == kind, tag == floatTag && kind == intTag:
		return literal, isText, nil
	case tag == intTag, tag == floatTag, tag == boolTag, tag == nullTag:
		return "", false, c.fail(n, "%q is no %s", n.Value, tag)
	}
	return "", false, c.fail(n, "JSON has no type %q", tag)
}

// kindOf names the type of a literal.
func kindOf(literal string, isText bool) string {
	switch {
	case isText:
		return strTag
	case literal == "null":
		return nullTag
	case literal == "true", literal == "false":
		return boolTag
	case strings.ContainsAny(literal, ".eE"):
		return floatTag
	}
	return intTag
}

// plain resolves a scalar without quotes. Numbers keep their digits. Everything that is nothing else is a text: times, and
// also yes, no, on and off.
func (c *converter) plain(n *yaml.Node) (literal string, isText bool, err error) {
	text := n.Value
	switch text {
	case "", "~", "null", "Null", "NULL":
		return "null", false, nil
	case "true", "True", "TRUE":
		return "true", false, nil
	case "false", "False", "FALSE":
		return "false", false, nil
	}
	switch {
	case !strings.ContainsAny(text[:1], "+-.0123456789"):
		return text, true, nil
	case notFinite.MatchString(text):
		return "", false, c.fail(n, "JSON has no number %s; put it in quotes to have a text", text)
	case basePattern.MatchString(text):
		if len(text) > longestNumber {
			return "", false, c.fail(n, "the number is too long")
		}
		base := map[byte]int{'o': 8, 'x': 16}[text[1]]
		number, _ := new(big.Int).SetString(text[2:], base)
		return number.String(), false, nil
	}
	number, ok := decimal(text)
	if !ok {
		return text, true, nil
	}
	if leadingZero.MatchString(text) {
		return "", false, c.fail(n, "%s begins with 0, which some read as octal and some do not; leave the 0 out, or put it in quotes to have a text", text)
	}
	return number, false, nil
}

// decimal writes a number as JSON does, with the same digits: +.5 is 0.5.
func decimal(text string) (number string, ok bool) {
	if intPattern.MatchString(text) {
		return strings.TrimPrefix(text, "+"), true
	}
	m := floatPattern.FindStringSubmatch(text)
	if m == nil {
		return "", false
	}
	sign, whole, point, fraction, exponent := m[1], m[2], m[3], m[4], m[5]
	if whole == "" && fraction == "" {
		return "", false
	}
	if whole == "" {
		whole = "0"
	}
	if point != "" && fraction == "" {
		fraction = "0"
	}
	return strings.TrimPrefix(sign, "+") + whole + point + fraction + exponent, true
}
