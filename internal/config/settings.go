package config

import (
	"reflect"
	"strings"
	"sync"
)

// setting is what the tags of a field of [Config] say.
type setting struct {
	key      string // in TOML
	flag     string // without dashes
	variable string // the first, if there are several
	help     string
	preset   string   // the default, "" if there is none
	example  string   // a value to show where there is no default
	secret   string   // how its values are masked, see mask
	columns  []string // its entries are tables with these keys in TOML, and joined by colons elsewhere
	typ      reflect.Type
	index    []int // of the field
}

// settings are all of them, in the order of the fields.
var settings = sync.OnceValue(func() (list []setting) {
	for _, f := range reflect.VisibleFields(reflect.TypeFor[Config]()) {
		key := f.Tag.Get("toml")
		if key == "" || key == "-" {
			continue
		}
		variable, _, _ := strings.Cut(f.Tag.Get("env"), ",")
		s := setting{
			key: key, flag: f.Tag.Get("name"), variable: variable, help: f.Tag.Get("help"), preset: f.Tag.Get("default"),
			example: f.Tag.Get("example"), secret: f.Tag.Get("secret"), typ: f.Type, index: f.Index,
		}
		if columns := f.Tag.Get("tables"); columns != "" {
			s.columns = strings.Split(columns, ",")
		}
		list = append(list, s)
	}
	return list
})

var byKey = sync.OnceValue(func() map[string]setting {
	m := map[string]setting{}
	for _, s := range settings() {
		m[s.key] = s
	}
	return m
})

var byVariable = sync.OnceValue(func() map[string]setting {
	m := map[string]setting{}
	for _, s := range settings() {
		m[s.variable] = s
	}
	return m
})
