package egress

import "bytes"

// Limits of what a checker remembers.
const (
	maxHosts      = 10_000
	maxRemembered = 512 // bytes of what decides about a URL
)

// Checker checks many URLs, and each host once. It is for one goroutine.
type Checker struct {
	policy *Policy
	seen   map[string]error // by what decides about a URL
}

// Checker makes a checker.
func (p *Policy) Checker() *Checker { return &Checker{policy: p, seen: map[string]error{}} }

// Check is that of the policy.
func (c *Checker) Check(raw []byte) error {
	if c.policy.off {
		return nil
	}
	if len(raw) > maxURL {
		return ErrLong
	}
	key := deciding(raw)
	err, ok := c.seen[string(key)]
	if !ok {
		err = c.policy.Check(string(key))
		if len(key) <= maxRemembered && len(c.seen) < maxHosts {
			c.seen[string(key)] = err
		}
	}
	return err
}

// deciding is the part of a URL that tells whether it passes: that in front of the path, if it is plain. What follows may be
// anything, since nothing in it is an error.
func deciding(raw []byte) []byte {
	_, rest, found := bytes.Cut(raw, []byte("://"))
	if !found {
		return raw
	}
	start := len(raw) - len(rest)
	for i, c := range rest {
		switch {
		case c == '/', c == '?', c == '#':
			return raw[:start+i]
		case c >= 0x80, c == '\\', c == '%', c <= ' ', c == '@':
			return raw
		}
	}
	return raw
}
