package config

import (
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/taskrunner/taskrunner/internal/bearer"
)

// masked stands for what is secret.
const masked = "***"

// mask returns a value for people to see. What is not of the form that it should have is masked as a whole: nobody knows
// where the secret is in it.
func mask(kind, text string) string {
	switch {
	case kind == "" || text == "":
		return text
	case kind == "dsn":
		return maskDSN(text)
	case kind == "url":
		return maskURL(text)
	case kind == "token":
		return maskToken(text)
	}
	return masked
}

// shownKeywords are those of a connection string whose values are no secrets.
var shownKeywords = append([]string{
	"host", "hostaddr", "port", "user", "dbname", "database", "sslmode", "sslrootcert", "sslcert", "sslkey", "sslsni", "sslnegotiation",
	"passfile", "service", "servicefile", "connect_timeout", "target_session_attrs", "channel_binding", "default_query_exec_mode",
	"statement_cache_capacity", "description_cache_capacity",
}, serverKeywords...)

// pair is one of a connection string: keyword=value, where the value may be in quotes.
var pair = regexp.MustCompile(`([A-Za-z0-9_.]+)\s*=\s*('(?:[^'\\]|\\.)*'|(?:[^\s'\\]|\\.)(?:[^\s\\]|\\.)*|)`)

// maskDSN masks the password of a connection string, and values of keywords that are not known to be harmless.
func maskDSN(text string) string {
	if !isDSN(text) {
		return masked
	}
	scheme, rest, isURL := strings.Cut(text, "://")
	if !isURL || scheme != "postgres" && scheme != "postgresql" {
		if strings.TrimSpace(pair.ReplaceAllString(text, "")) != "" {
			return masked
		}
		return pair.ReplaceAllStringFunc(text, func(p string) string {
			keyword := pair.FindStringSubmatch(p)[1]
			if slices.Contains(shownKeywords, keyword) {
				return p
			}
			return keyword + "=" + masked
		})
	}
	rest, _, fragment := strings.Cut(rest, "#")
	rest, query, _ := strings.Cut(rest, "?")
	authority, path, _ := strings.Cut(rest, "/")
	userinfo, host, hasUser := cutLast(authority, "@")
	if fragment || strings.Contains(path+query, "@") {
		return masked // a password that should have been escaped
	}
	shown := scheme + "://"
	if hasUser {
		user, _, hasPassword := strings.Cut(userinfo, ":")
		if shown += user; hasPassword {
			shown += ":" + masked
		}
		shown += "@"
	}
	shown += host + strings.TrimPrefix(rest, authority)
	separator := "?"
	for parameter := range strings.SplitSeq(query, "&") {
		if parameter == "" {
			continue
		}
		keyword, _, _ := strings.Cut(parameter, "=")
		switch {
		case slices.Contains(shownKeywords, keyword):
			shown += separator + parameter
		case keyword == "password":
			shown += separator + keyword + "=" + masked
		default:
			shown += separator + masked
		}
		separator = "&"
	}
	return shown
}

// maskURL masks user, password and query of an http:// or https:// URL.
func maskURL(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Fragment != "" || strings.Contains(u.Path, "@") {
		return masked
	}
	shown := u.Scheme + "://"
	if u.User != nil {
		shown += masked + "@"
	}
	shown += u.Host + u.EscapedPath()
	if u.RawQuery != "" {
		shown += "?" + masked
	}
	return shown
}

// maskToken leaves out the hash.
func maskToken(entry string) string {
	if _, err := bearer.Parse([]string{entry}); err != nil {
		return masked
	}
	return entry[:strings.LastIndex(entry, ":")+1] + masked
}

// cutLast is [strings.Cut] at the last separator. Where there is none, all is after it.
func cutLast(text, separator string) (before, after string, found bool) {
	i := strings.LastIndex(text, separator)
	if i < 0 {
		return "", text, false
	}
	return text[:i], text[i+len(separator):], true
}
