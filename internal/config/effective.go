package config

import (
	"reflect"
	"strconv"
	"strings"
)

// Effective is a setting as it counts.
type Effective struct {
	Variable string `json:"setting"`
	Flag     string `json:"flag"`
	Key      string `json:"key"`
	Value    any    `json:"value"` // a number, a boolean, a string, or strings; secrets are masked
	Source
}

// Text is the value for people to read.
func (e Effective) Text() string {
	switch v := e.Value.(type) {
	case string:
		return v
	case []string:
		return strings.Join(v, ", ")
	case bool:
		if v {
			return "1"
		}
		return "0"
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	case int64:
		return strconv.FormatInt(v, 10)
	}
	return ""
}

// Effective lists all settings, in the order of config.example.toml.
func (c *Config) Effective() (list []Effective) {
	for _, section := range sections {
		for _, s := range settings() {
			if s.section() != section.name {
				continue
			}
			source, ok := c.from().of[s.key]
			if !ok {
				source.From = fromFlag
			}
			list = append(list, Effective{
				Variable: s.variable, Flag: "--" + s.flag, Key: s.key, Source: source,
				Value: s.shown(reflect.ValueOf(c).Elem().FieldByIndex(s.index)),
			})
		}
	}
	return list
}

// shown returns a value for people to see.
func (s setting) shown(v reflect.Value) any {
	switch value := v.Interface().(type) {
	case Switch:
		return value.On()
	case List:
		texts := []string{}
		for _, entry := range value {
			texts = append(texts, mask(s.secret, entry))
		}
		return texts
	case string:
		return mask(s.secret, value)
	case float64:
		return value
	}
	return v.Int()
}
