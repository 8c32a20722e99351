package config

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/alecthomas/kong"
)

// Switch is a boolean setting, 1 or 0. It takes a value as a flag too: --worker-enabled 0. It is no bool, because kong
// shows no default of those.
type Switch uint8

// On reports whether it is on.
func (s Switch) On() bool { return s != 0 }

// List is a setting of several texts. As a flag or a variable it is comma-separated, entries trimmed, empty ones dropped;
// in a file it is an array, whose entries are taken as they are.
type List []string

// listMapper reads lists.
type listMapper struct{}

// Decode implements [kong.Mapper].
func (listMapper) Decode(ctx *kong.DecodeContext, target reflect.Value) error {
	if list, ok := ctx.Scan.Peek().Value.(List); ok {
		ctx.Scan.Pop()
		target.Set(reflect.ValueOf(list))
		return nil
	}
	var text string
	if err := ctx.Scan.PopValueInto("list", &text); err != nil {
		return err
	}
	var list List
	for entry := range strings.SplitSeq(text, ",") {
		if entry = strings.TrimSpace(entry); entry != "" {
			list = append(list, entry)
		}
	}
	target.Set(reflect.ValueOf(list))
	return nil
}

// ValueError is a flag whose value cannot be read.
type ValueError struct {
	Value string
	Want  string
}

func (e *ValueError) Error() string { return fmt.Sprintf("%q is not %s", e.Value, e.Want) }

// Groups are the headings of the settings in --help.
func Groups() kong.Option {
	return kong.ExplicitGroups([]kong.Group{
		{Key: "server", Title: "Server"},
		{Key: "database", Title: "Database"},
		{Key: "pool", Title: "Connection pool"},
		{Key: "worker", Title: "Workers"},
		{Key: "webhook", Title: "Webhooks"},
		{Key: "retention", Title: "Retention"},
		{Key: "log", Title: "Log and traces"},
		{Key: "file", Title: "Settings"},
		{Key: "dev", Title: "Demo"},
		{Key: "filter", Title: "Filters"},
		{Key: "client", Title: "Service"},
		{Key: "use", Title: "Use a service"},
		{Key: "run", Title: "Run a service"},
	})
}

// Mappers make kong read the settings' types, and fail with a *ValueError that says what it wants.
func Mappers() []kong.Option {
	integer := mapper{"a whole number", func(text string, target reflect.Value) bool {
		n, err := strconv.ParseInt(text, 10, target.Type().Bits())
		target.SetInt(n)
		return err == nil
	}}
	return []kong.Option{
		kong.TypeMapper(reflect.TypeFor[List](), listMapper{}),
		kong.KindMapper(reflect.Int, integer),
		kong.KindMapper(reflect.Int64, integer),
		kong.KindMapper(reflect.Float64, mapper{"a number", func(text string, target reflect.Value) bool {
			x, err := strconv.ParseFloat(text, 64)
			target.SetFloat(x)
			return err == nil
		}}),
		kong.TypeMapper(reflect.TypeFor[Switch](), mapper{"1, 0, true or false", func(text string, target reflect.Value) bool {
			on := text == "1" || text == "true"
			if target.SetUint(0); on {
				target.SetUint(1)
			}
			return on || text == "0" || text == "false"
		}}),
	}
}

// mapper reads one value from its text.
type mapper struct {
	want string
	set  func(text string, target reflect.Value) bool
}

// Decode implements [kong.Mapper].
func (m mapper) Decode(ctx *kong.DecodeContext, target reflect.Value) error {
	var text string
	if err := ctx.Scan.PopValueInto("value", &text); err != nil {
		return err
	}
	if text = strings.TrimSpace(text); !m.set(text, target) {
		return &ValueError{Value: text, Want: m.want}
	}
	return nil
}
