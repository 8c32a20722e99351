package config

import (
	"fmt"

	"github.com/alecthomas/kong"
)

// Parse reads the settings from flags and their other sources, for a program without a command line of its own. It does not
// check them.
func Parse(flags ...string) (Config, error) {
	var c Config
	parser, err := kong.New(&c, append(Mappers(), Groups(), Resolver(), kong.Name("settings"), kong.NoDefaultHelp())...)
	if err != nil {
		return Config{}, fmt.Errorf("config: %w", err)
	}
	if _, err := parser.Parse(flags); err != nil {
		return Config{}, fmt.Errorf("config: %w", err)
	}
	return c, nil
}
