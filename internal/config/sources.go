package config

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// rustLog is read instead of LOG_LEVEL when it holds one plain word; filters such as "sqlx=warn,info" are ignored.
const rustLog = "RUST_LOG"

// Where a value may come from, its file aside.
const (
	fromFlag        = "flag"
	fromEnvironment = "environment"
	fromDotenv      = dotenvPath
	fromDefault     = "default"
)

// Source is where the value of a setting comes from.
type Source struct {
	From string `json:"source"` // flag, environment, .env, the path of the file, or default
	As   string `json:"as"`     // its name there: a variable or a TOML key; "" for flags and defaults
}

// String writes it for people.
func (s Source) String() string { return strings.TrimSpace(s.From + " " + s.As) }

// inFile reports whether somebody who looks for it has to open a file.
func (s Source) inFile() bool {
	switch s.From {
	case "", fromFlag, fromEnvironment, fromDefault:
		return false
	}
	return true
}

// Sources are where one parse of a command line takes settings from that are no flags there: the environment, .env and
// the file, in this order. Only flags with the tag toml are settings; others have the environment alone. The files are
// read when the first setting is met, so a command without settings reads none.
type Sources struct {
	loaded bool
	strict bool // the file as a whole is the command's business: it can be told which one to read
	dotenv map[string]string
	file   *file
	files  []string          // that were read
	of     map[string]Source // by key, of settings that are no flags
	faults []error
}

// Resolver makes kong read the settings' sources as the contract has it: an empty variable counts as unset, and all that
// is malformed is named at once, by an [InvalidError]. It binds [*Sources] for hooks and commands.
func Resolver() kong.Option {
	s := &Sources{of: map[string]Source{}}
	return kong.OptionFunc(func(k *kong.Kong) error {
		return errors.Join(kong.Resolvers(s).Apply(k), kong.Bind(s).Apply(k))
	})
}

// InvalidError is what is wrong with variables and files. Values are repeated only of numbers and switches that are
// variables.
type InvalidError struct{ faults error }

func (e *InvalidError) Error() string { return e.faults.Error() }

// Resolve implements [kong.Resolver]. Kong has set the flag by its own rules already, from the environment too, and has
// kept the error if there was one; both count only if nothing is returned here. It is not asked about flags that the
// command line has.
func (s *Sources) Resolve(ctx *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	key := flag.Tag.Get("toml")
	if key != "" {
		s.load(ctx)
	}
	found := false
	for _, name := range flag.Tag.Envs {
		value, from := s.variable(name, key != "")
		found = found || from != ""
		if name == rustLog {
			value = levelWord(value)
		}
		if strings.TrimSpace(value) == "" {
			continue
		}
		source := Source{from, name}
		s.of[key] = source
		return s.decoded(flag, value, located(source)), nil
	}
	if s.file != nil {
		if value, ok := s.file.values[key]; ok {
			source := Source{s.file.path, key}
			s.of[key] = source
			return s.decoded(flag, value, located(source)), nil
		}
		s.blame(key)
	}
	s.of[key] = Source{From: fromDefault}
	if found {
		return flag.Default, nil
	}
	return nil, nil
}

// decoded returns a value that the flag can read; if it cannot, this is a fault, and its default is returned.
func (s *Sources) decoded(flag *kong.Flag, value any, where string) any {
	scan := kong.ScanFromTokens(kong.Token{Type: kong.FlagValueToken, Value: value})
	target := reflect.New(flag.Target.Type()).Elem()
	if err := flag.Mapper.Decode(&kong.DecodeContext{Value: flag.Value, Scan: scan}, target); err != nil {
		s.faults = append(s.faults, fmt.Errorf("%s (--%s): %w", where, flag.Name, err))
		return flag.Default
	}
	return value
}

// located writes where a value is: PORT, PORT in .env, pool.max_size in config.toml.
func located(source Source) string {
	if source.inFile() {
		return source.As + " in " + source.From
	}
	return source.As
}

// Validate implements [kong.Resolver]. Kong calls it when all flags are resolved.
func (s *Sources) Validate(*kong.Application) error {
	if s.strict && s.file != nil {
		for _, f := range s.file.faults {
			s.faults = append(s.faults, f)
		}
	}
	if len(s.faults) == 0 {
		return nil
	}
	return &InvalidError{errors.Join(s.faults...)}
}

// blame notes what is wrong with a key, where the file as a whole is not looked at.
func (s *Sources) blame(key string) {
	if s.strict {
		return
	}
	for _, f := range s.file.faults {
		if f.key == key {
			s.faults = append(s.faults, f)
		}
	}
}

// load reads the files, once.
func (s *Sources) load(ctx *kong.Context) {
	if s.loaded {
		return
	}
	s.loaded = true
	var err error
	if s.dotenv, err = readDotenv(); err != nil {
		s.faults = append(s.faults, err)
	}
	if s.dotenv != nil {
		s.files = append(s.files, dotenvPath)
	}
	path, named := "", "CONFIG_FILE"
	for _, element := range ctx.Path {
		for _, flag := range element.Flags {
			s.strict = s.strict || flag.Name == configFlag
		}
		if element.Flag != nil && element.Flag.Name == configFlag {
			path, _ = ctx.FlagValue(element.Flag).(string)
			named = "--" + configFlag
		}
	}
	if path == "" {
		if value, from := s.variable("CONFIG_FILE", true); strings.TrimSpace(value) != "" {
			path, named = value, located(Source{from, "CONFIG_FILE"})
		}
	}
	if s.file, err = readFile(path); err != nil {
		if path != "" {
			err = fmt.Errorf("%s: %w", named, err)
		}
		s.faults = append(s.faults, err)
	}
	if s.file != nil {
		s.files = append(s.files, s.file.path)
	}
}

// variable returns the value of a variable, and where it is from: "" if it is nowhere. One that is empty counts as unset.
func (s *Sources) variable(name string, files bool) (value, from string) {
	value, set := os.LookupEnv(name)
	if strings.TrimSpace(value) != "" {
		return value, fromEnvironment
	}
	if text, ok := s.dotenv[name]; ok && files {
		return text, fromDotenv
	}
	if set {
		return "", fromEnvironment
	}
	return "", ""
}

// levelWord returns the level that RUST_LOG names, in the words of LOG_LEVEL, or "".
func levelWord(text string) string {
	switch word := strings.ToLower(strings.TrimSpace(text)); word {
	case "debug", "info", "warn", "error":
		return word
	}
	return ""
}

// configFlag is the flag that names the file.
const configFlag = "config"

// File is the file with settings, and what was found there and elsewhere. Commands that embed it look at the file as a
// whole: an unknown key stops them. Others take from it what they need.
type File struct {
	ConfigFile string `name:"config" env:"CONFIG_FILE" toml:"-" group:"file" placeholder:"FILE" help:"File with settings in TOML. By default config.toml in the working directory, if it is there."`

	sources *Sources
}

// AfterApply is called by kong when all is read.
func (f *File) AfterApply(s *Sources) error {
	f.sources = s
	return nil
}

// Files are the paths of the files that settings were read from.
func (f *File) Files() []string { return slices.Clone(f.from().files) }

// from returns the sources; those of settings that were not parsed know the environment alone.
func (f *File) from() *Sources {
	if f.sources == nil {
		return &Sources{}
	}
	return f.sources
}

var variableName = regexp.MustCompile(`[A-Z][A-Z0-9_]+`)

// Locate completes what is wrong with settings: those that are in a file are named as they are there.
func (f *File) Locate(err error) error {
	if err == nil || len(f.from().of) == 0 {
		return err
	}
	var lines []string
	for line := range strings.Lines(err.Error()) {
		line = strings.TrimSuffix(line, "\n")
		var places []string
		for _, name := range variableName.FindAllString(line, -1) {
			if s, ok := byVariable()[name]; ok {
				if source := f.from().of[s.key]; source.inFile() && !slices.Contains(places, located(source)) {
					places = append(places, located(source))
				}
			}
		}
		if len(places) > 0 {
			line += " (" + strings.Join(places, ", ") + ")"
		}
		lines = append(lines, line)
	}
	return errors.New(strings.Join(lines, "\n"))
}
