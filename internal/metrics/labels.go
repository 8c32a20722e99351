package metrics

import (
	"net/http"
	"sync"
)

// other stands for label values beyond what is kept apart: callers choose kinds and methods, and every value is a series
// that is never forgotten.
const other = "other"

const maxKinds = 200

// kinds are the kinds of task that have a label of their own.
type kinds struct {
	mu    sync.Mutex
	known map[string]struct{}
}

func (k *kinds) label(kind string) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, ok := k.known[kind]; ok {
		return kind
	}
	if len(k.known) >= maxKinds {
		return other
	}
	if k.known == nil {
		k.known = map[string]struct{}{}
	}
	k.known[kind] = struct{}{}
	return kind
}

func knownMethod(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
		http.MethodOptions:
		return method
	}
	return other
}
