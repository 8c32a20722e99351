package config

import (
	"fmt"
	"strings"
)

// unsupportedSetting is one of the contract's section 10 that this version ignores.
type unsupportedSetting struct {
	name string // of the variable
	key  string // in the file
}

// unsupported are all of them. They are named in a warning.
var unsupported = []unsupportedSetting{
	// These never will have a meaning (contract, section 10). The contract has no keys for them; these are like those of
	// their neighbors.
	{"BATCH_CHANNEL_CAPACITY", "worker.batch_channel_capacity"},
	{"CIRCUIT_BREAKER_SUCCESS_THRESHOLD", "pool.shed_success_threshold"},
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
		if value, where := s.find(u); value != "" {
			names = append(names, where)
		}
	}
	if text, from := s.variable(rustLog, true); strings.TrimSpace(text) != "" && levelWord(text) == "" {
		names = append(names, located(Source{from, rustLog}))
	}
	return names
}
