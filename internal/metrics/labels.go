package metrics

import (
	"maps"
	"net/http"
	"sync"
	"sync/atomic"
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

// cache keeps the series of keys, of which there are few: looking them up by their labels costs more than counting.
type cache[K comparable, V any] struct {
	make   func(K) V
	mu     sync.Mutex
	series atomic.Pointer[map[K]V]
}

func (c *cache[K, V]) get(key K) V {
	if m := c.series.Load(); m != nil {
		if v, ok := (*m)[key]; ok {
			return v
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var known map[K]V
	if m := c.series.Load(); m != nil {
		known = *m
	}
	if v, ok := known[key]; ok {
		return v
	}
	v := c.make(key)
	next := maps.Clone(known)
	if next == nil {
		next = map[K]V{}
	}
	next[key] = v
	c.series.Store(&next)
	return v
}
