package config

import (
	"fmt"
	"strings"
)

// unsupportedSetting is one of the contract's section 10 that this version does not know yet.
type unsupportedSetting struct {
	name     string // of the variable
	key      string // in the file
	breaks   string // what happens without it; "": it is ignored
	isSwitch bool   // off is what this version does
}

// unsupported are all of them. Whoever builds one deletes its row. One whose absence would break a promise that its user
// relies on says what would happen: it stops the program. The others only leave something at what it is anyway, and are
// named in a warning.
var unsupported = []unsupportedSetting{
	{"TRACING_ENABLED", "tracing.enabled", "nothing would be traced", true},

	{"SLOW_QUERY_THRESHOLD_MS", "pool.slow_query_threshold_ms", "", false},
	{"OTEL_EXPORTER_OTLP_ENDPOINT", "tracing.otlp_endpoint", "", false},
	{"OTEL_SERVICE_NAME", "tracing.service_name", "", false},
	{"OTEL_SAMPLING_RATIO", "tracing.sampling_ratio", "", false},

	// These never will have a meaning (contract, section 10). The contract has no keys for them; these are like those of
	// their neighbors.
	{"BATCH_CHANNEL_CAPACITY", "worker.batch_channel_capacity", "", false},
	{"CIRCUIT_BREAKER_SUCCESS_THRESHOLD", "pool.shed_success_threshold", "", false},
}

// refused returns an error for each setting that this version may not ignore. Values are not repeated, they may be
// secret.
func (s *Sources) refused() (errs []error) {
	for _, u := range unsupported {
		value, where := s.find(u)
		if u.breaks == "" || value == "" || u.isSwitch && (value == "0" || value == "false") {
			continue
		}
		errs = append(errs, fmt.Errorf("%s is not supported yet (%s): unset it", where, u.breaks))
	}
	return errs
}

// find returns the value of an unsupported setting, "" if it has none, and where it is.
func (s *Sources) find(u unsupportedSetting) (value, where string) {
	if value, from := s.variable(u.name, true); strings.TrimSpace(value) != "" {
		return strings.TrimSpace(value), located(Source{from, u.name})
	}
	if s.file != nil {
		if value, ok := s.file.values[u.key]; ok {
			return strings.TrimSpace(fmt.Sprint(value)), located(Source{s.file.path, u.key})
		}
	}
	return "", ""
}

// Ignored names the settings that are there but have no effect in this version.
func (f *File) Ignored() (names []string) {
	s := f.from()
	for _, u := range unsupported {
		if value, where := s.find(u); u.breaks == "" && value != "" {
			names = append(names, where)
		}
	}
	if text, from := s.variable(rustLog, true); strings.TrimSpace(text) != "" && levelWord(text) == "" {
		names = append(names, located(Source{from, rustLog}))
	}
	return names
}
