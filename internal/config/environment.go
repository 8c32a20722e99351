package config

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"

	"github.com/alecthomas/kong"
)

// rustLog is read instead of LOG_LEVEL when it holds one plain word; filters such as "sqlx=warn,info" are ignored.
const rustLog = "RUST_LOG"

// Environment makes kong read environment variables as the contract has it: an empty one counts as unset, and all that
// are malformed are named at once. The error of such a parse wraps a [*ValueError].
func Environment() kong.Option { return kong.Resolvers(&environment{}) }

// environment is the values of one parse.
type environment struct{ faults []error }

// Resolve implements [kong.Resolver]. Kong has set the flag by its own rules already and has kept the error if there was
// one; both count only if nothing is returned here.
func (e *environment) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	var found bool
	for _, name := range flag.Tag.Envs {
		value, set := os.LookupEnv(name)
		found = found || set
		if name == rustLog {
			value = levelWord(value)
		}
		if strings.TrimSpace(value) == "" {
			continue
		}
		if err := decode(flag.Value, value); err != nil {
			e.faults = append(e.faults, fmt.Errorf("%s (--%s): %w", name, flag.Name, err))
			return flag.Default, nil
		}
		return value, nil
	}
	if found {
		return flag.Default, nil
	}
	return nil, nil
}

// Validate implements [kong.Resolver]. Kong calls it when all flags are resolved.
func (e *environment) Validate(*kong.Application) error { return errors.Join(e.faults...) }

// decode reads a value as the flag would, and drops it.
func decode(v *kong.Value, text string) error {
	scan := kong.ScanFromTokens(kong.Token{Type: kong.FlagValueToken, Value: text})
	return v.Mapper.Decode(&kong.DecodeContext{Value: v, Scan: scan}, reflect.New(v.Target.Type()).Elem())
}

// levelWord returns the level that RUST_LOG names, in the words of LOG_LEVEL, or "".
func levelWord(text string) string {
	switch word := strings.ToLower(strings.TrimSpace(text)); word {
	case "debug", "info", "warn", "error":
		return word
	}
	return ""
}
