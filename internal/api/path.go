package api

import (
	"net/url"
	"path"
	"strings"
)

// node is a place in the tree of patterns. The tree is ours because http.ServeMux takes /task/pause/{task_id} beside
// /task/{task_id}/deliveries for ambiguous; here a literal segment goes before a parameter.
type node struct {
	literals  map[string]*node
	parameter *node     // any segment that is not empty
	rest      *resource // /*: whatever comes below, the empty segment included
	resource  *resource // a pattern ends here; may be nil
}

// add returns the resource of a pattern, a new one at its first use.
func (n *node) add(pattern string) *resource {
	parameter := ""
	at := &n.resource
	for segment := range strings.SplitSeq(pattern[1:], "/") {
		switch {
		case segment == "*":
			at = &n.rest
			continue
		case strings.HasPrefix(segment, "{"):
			parameter = strings.Trim(segment, "{}")
			if n.parameter == nil {
				n.parameter = &node{}
			}
			n = n.parameter
		default:
			if n.literals == nil {
				n.literals = map[string]*node{}
			}
			if n.literals[segment] == nil {
				n.literals[segment] = &node{}
			}
			n = n.literals[segment]
		}
		at = &n.resource
	}
	if *at == nil {
		*at = &resource{pattern: pattern, parameter: parameter}
	}
	return *at
}

// find returns the resource of a path and the segment that is its parameter; nil for a path that no pattern has, or that
// is not the shortest way to write it.
func (n *node) find(u *url.URL) (*resource, string) {
	if clean := path.Clean(u.Path); !strings.HasPrefix(u.Path, "/") || clean != u.Path && clean+"/" != u.Path {
		return nil, ""
	}
	if u.RawPath == "" {
		return n.match(strings.Split(u.Path[1:], "/"), "")
	}
	segments := strings.Split(u.RawPath[1:], "/") // an escaped slash separates nothing
	for i := range segments {
		segments[i], _ = url.PathUnescape(segments[i]) // the whole path could be
	}
	return n.match(segments, "")
}

func (n *node) match(segments []string, parameter string) (*resource, string) {
	if len(segments) == 0 {
		return n.resource, parameter
	}
	if next := n.literals[segments[0]]; next != nil {
		if found, parameter := next.match(segments[1:], parameter); found != nil {
			return found, parameter
		}
	}
	if n.parameter != nil && segments[0] != "" {
		if found, parameter := n.parameter.match(segments[1:], segments[0]); found != nil {
			return found, parameter
		}
	}
	return n.rest, parameter
}
