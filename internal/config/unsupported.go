package config

import (
	"fmt"
	"os"
	"strings"
)

// unsupported is every setting of the contract's section 10 that this version does not know yet. Whoever builds one
// deletes its row. One whose absence would break a promise that its user relies on says what would happen: it stops the
// program. The others only leave something at what it is anyway, and are named in a warning.
var unsupported = []struct {
	name     string
	breaks   string // what happens without it; "": it is ignored
	isSwitch bool   // off is what this version does
}{
	{"TRACING_ENABLED", "nothing would be traced", true},
	{"CONFIG_FILE", "the file would not be read", false},

	{"SLOW_QUERY_THRESHOLD_MS", "", false},
	{"OTEL_EXPORTER_OTLP_ENDPOINT", "", false},
	{"OTEL_SERVICE_NAME", "", false},
	{"OTEL_SAMPLING_RATIO", "", false},

	// These never will have a meaning (contract, section 10).
	{"BATCH_CHANNEL_CAPACITY", "", false},
	{"CIRCUIT_BREAKER_SUCCESS_THRESHOLD", "", false},
}

// unreadFiles are where the contract looks for settings, and this version does not.
var unreadFiles = []string{"config.toml", ".env"}

// refused returns an error for each setting in the environment that this version may not ignore. Values are not
// repeated, they may be secret.
func refused() (errs []error) {
	for _, s := range unsupported {
		value := getenv(s.name)
		if s.breaks == "" || value == "" || s.isSwitch && (value == "0" || value == "false") {
			continue
		}
		errs = append(errs, fmt.Errorf("%s is not supported yet (%s): unset it", s.name, s.breaks))
	}
	return errs
}

// Ignored names the settings in the environment that have no effect in this version.
func Ignored() (names []string) {
	for _, s := range unsupported {
		if s.breaks == "" && getenv(s.name) != "" {
			names = append(names, s.name)
		}
	}
	if text := getenv(rustLog); text != "" && levelWord(text) == "" {
		names = append(names, rustLog)
	}
	return names
}

// UnreadFiles names the files in the working directory that look like settings but are not read in this version.
func UnreadFiles() (names []string) {
	for _, name := range unreadFiles {
		if info, err := os.Stat(name); err == nil && info.Mode().IsRegular() {
			names = append(names, name)
		}
	}
	return names
}

// getenv returns the value of an environment variable without space around it, "" for one that is not set: an empty
// variable counts as unset.
func getenv(name string) string { return strings.TrimSpace(os.Getenv(name)) }
