package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/taskrunner/taskrunner/internal/config"
	"github.com/taskrunner/taskrunner/internal/screen"
)

// configCmd says what serve would do with the same flags, in the same place.
type configCmd struct {
	config.Config
	JSON bool `name:"json" help:"One JSON object instead: settings, files, ignored, problems."`
}

// Help implements [kong.HelpProvider].
func (*configCmd) Help() string {
	return "It takes the flags of serve and asks no database. Passwords, secrets and hashes of tokens are masked. What is wrong with the settings comes after them, and makes the exit code 1; what cannot be read at all is said instead of them."
}

// Run prints all settings, then what is wrong with them.
func (c *configCmd) Run(s streams) error {
	problems := c.Check()
	if c.JSON {
		lines := []string{}
		if problems != nil {
			lines = strings.Split(problems.Error(), "\n")
		}
		encoder := json.NewEncoder(s.out)
		encoder.SetIndent("", "  ")
		encoder.SetEscapeHTML(false)
		err := encoder.Encode(struct {
			Settings []config.Effective `json:"settings"`
			Files    []string           `json:"files"`
			Ignored  []string           `json:"ignored"`
			Problems []string           `json:"problems"`
		}{c.Effective(), append([]string{}, c.Files()...), append([]string{}, c.Ignored()...), lines})
		if err != nil {
			return fmt.Errorf("config: %w", err)
		}
		return problems
	}
	w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SETTING\tVALUE\tSOURCE")
	for _, e := range c.Effective() {
		text := screen.Clean(e.Text())
		if text == "" {
			text = "-"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", e.Variable, text, screen.Clean(e.Source.String()))
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("config: %w", err)
	}
	if names := c.Ignored(); len(names) > 0 {
		fmt.Fprintf(s.err, "taskrunner: these settings have no effect in this version: %s\n", strings.Join(names, ", "))
	}
	return problems
}
