// Package egress decides where webhooks may go (contract, sections 9.3 and 9.4): by the host in their URL when they are
// created, and by the addresses behind it whenever they are called, because what a name stands for may have changed.
package egress

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// What Check finds. The messages continue "url …" and do not quote it, it may hold a secret.
var (
	ErrHost    = errors.New("must not name a blocked host (SSRF_ALLOW permits exceptions)")
	ErrAddress = errors.New("must not lead to a blocked address (SSRF_ALLOW permits exceptions)")
)

// builtInHosts are blocked with all names below them, builtInSuffixes as ends of names.
var (
	builtInHosts    = []string{"localhost", "127.0.0.1", "::1", "0.0.0.0", "local", "internal"}
	builtInSuffixes = []string{".local", ".internal", ".localdomain", ".localhost"}
)

// Options are the settings of a policy.
type Options struct {
	Allow           []string // SSRF_ALLOW: address ranges, addresses, host names, and .suffix for all names below it
	BlockedHosts    []string // BLOCKED_HOSTNAMES, beside the built-in ones
	BlockedSuffixes []string // BLOCKED_HOSTNAME_SUFFIXES, beside the built-in ones
	Off             bool     // SKIP_SSRF_VALIDATION
}

// Policy says where webhooks may go. It does not change, and its methods may be called by many goroutines.
type Policy struct {
	off             bool
	allowedRanges   []netip.Prefix
	allowedHosts    []string
	allowedSuffixes []string
	blockedHosts    []string
	blockedSuffixes []string
}

// New makes a policy. Its error lists every entry that is wrong, each by the name of its setting.
func New(o Options) (*Policy, error) {
	p := &Policy{off: o.Off, blockedHosts: slices.Clone(builtInHosts), blockedSuffixes: slices.Clone(builtInSuffixes)}
	var errs []error
	for _, entry := range o.Allow {
		if err := p.allow(entry); err != nil {
			errs = append(errs, fmt.Errorf("SSRF_ALLOW: %w", err))
		}
	}
	for _, entry := range o.BlockedHosts {
		host, err := hostEntry(entry)
		if err != nil {
			errs = append(errs, fmt.Errorf("BLOCKED_HOSTNAMES: %w", err))
		}
		p.blockedHosts = append(p.blockedHosts, host)
	}
	for _, entry := range o.BlockedSuffixes {
		suffix, err := suffixEntry(entry)
		if err != nil {
			errs = append(errs, fmt.Errorf("BLOCKED_HOSTNAME_SUFFIXES: %w", err))
		}
		p.blockedSuffixes = append(p.blockedSuffixes, suffix)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return p, nil
}

// Public is the policy without exceptions.
func Public() *Policy {
	return &Policy{blockedHosts: builtInHosts, blockedSuffixes: builtInSuffixes}
}

// allow adds an entry of SSRF_ALLOW.
func (p *Policy) allow(entry string) error {
	if strings.Contains(entry, "/") {
		r, err := netip.ParsePrefix(entry)
		if err != nil {
			return fmt.Errorf("%q is no address range such as 10.0.0.0/8", entry)
		}
		if r != r.Masked() {
			return fmt.Errorf("%q has bits behind its prefix: write %s", entry, r.Masked())
		}
		p.allowedRanges = append(p.allowedRanges, r)
		return nil
	}
	if strings.HasPrefix(entry, ".") {
		suffix, err := suffixEntry(entry)
		p.allowedSuffixes = append(p.allowedSuffixes, suffix)
		return err
	}
	host, err := hostEntry(entry)
	if err != nil {
		return err
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		p.allowedRanges = append(p.allowedRanges, netip.PrefixFrom(addr, addr.BitLen()))
		return nil
	}
	p.allowedHosts = append(p.allowedHosts, host)
	return nil
}

// hostEntry is the host that an entry of a list names. One that would never be met, because hosts are compared in another
// spelling, is wrong, except for the case of letters, Unicode and trailing dots.
func hostEntry(entry string) (string, error) {
	host, err := normal(strings.TrimSuffix(strings.TrimPrefix(entry, "["), "]"))
	if err != nil || strings.ContainsAny(entry, "*@%/") {
		return "", fmt.Errorf("%q is no host name or address", entry)
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		if written, err := netip.ParseAddr(strings.Trim(entry, "[]")); err != nil || written != addr {
			return "", fmt.Errorf("%q is an odd spelling of an address: write %s", entry, addr)
		}
		return addr.String(), nil
	}
	return host, nil
}

// suffixEntry is the end of hosts that an entry names, with or without a dot in front.
func suffixEntry(entry string) (string, error) {
	rest, dotted := strings.CutPrefix(entry, ".")
	suffix, err := hostEntry(rest)
	if err != nil {
		return "", fmt.Errorf("%q is no end of host names", entry)
	}
	if dotted {
		return "." + suffix, nil
	}
	return suffix, nil
}

// Check reports what is wrong with the URL of a webhook that is created: ErrURL, ErrLong, ErrHost or ErrAddress. No name is
// resolved; that happens at every call. A policy that is off leaves the URL to the engine, which wants it to be absolute.
func (p *Policy) Check(raw string) error {
	if p.off {
		return nil
	}
	u, err := Parse(raw)
	if err != nil {
		return err
	}
	name, addr, err := hostOf(u)
	switch {
	case err != nil:
		return err
	case p.allowsName(name), addr.IsValid() && within(p.allowedRanges, addr):
		return nil
	case slices.ContainsFunc(p.blockedHosts, func(host string) bool { return name == host || strings.HasSuffix(name, "."+host) }),
		slices.ContainsFunc(p.blockedSuffixes, func(suffix string) bool { return strings.HasSuffix(name, suffix) }):
		if addr.IsValid() {
			return ErrAddress
		}
		return ErrHost
	case addr.IsValid() && !p.Permits(addr):
		return ErrAddress
	}
	return nil
}

// allowsName reports whether SSRF_ALLOW lets a host be called, whatever its addresses are.
func (p *Policy) allowsName(name string) bool {
	return slices.Contains(p.allowedHosts, name) ||
		slices.ContainsFunc(p.allowedSuffixes, func(suffix string) bool { return strings.HasSuffix(name, suffix) && name != suffix })
}

// Permits reports whether an address may be connected to.
func (p *Policy) Permits(addr netip.Addr) bool {
	return p.off || !within(blocked, addr) || within(p.allowedRanges, addr)
}
