package api

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// matcher finds the handler of a path. http.ServeMux cannot hold /task/pause/{task_id} beside /task/{task_id}/deliveries,
// because neither is the more specific one; here a written segment wins over a parameter, from left to right.
type matcher []pattern

// pattern is a path of the table, split at its slashes, with its handler.
type pattern struct {
	segments []string
	handler  http.Handler
}

// newMatcher sorts the patterns so that the first one that matches is the right one: "{" sorts behind every letter.
func newMatcher(handlers map[string]http.Handler) matcher {
	var m matcher
	for _, text := range slices.Sorted(maps.Keys(handlers)) {
		m = append(m, pattern{segments: strings.Split(text, "/"), handler: handlers[text]})
	}
	return m
}

// match returns the handler of the request's path, nil if there is none. The parameter becomes a path value of the
// request. Segments are split as they were sent, so that a slash which was escaped divides nothing.
func (m matcher) match(r *http.Request) http.Handler {
	segments := strings.Split(r.URL.EscapedPath(), "/")
	for i, segment := range segments {
		plain, err := url.PathUnescape(segment)
		if err != nil {
			return nil
		}
		segments[i] = plain
	}
	for _, p := range m {
		if p.matches(segments) {
			for i, segment := range p.segments {
				if name, ok := parameter(segment); ok {
					r.SetPathValue(name, segments[i])
				}
			}
			return p.handler
		}
	}
	return nil
}

func (p pattern) matches(segments []string) bool {
	return slices.EqualFunc(p.segments, segments, func(want, got string) bool {
		_, any := parameter(want)
		return any || want == got
	})
}

// parameter returns the name of a segment that stands for any.
func parameter(segment string) (name string, ok bool) {
	name, ok = strings.CutPrefix(segment, "{")
	return strings.TrimSuffix(name, "}"), ok
}
