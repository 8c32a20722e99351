package egress

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"time"
)

// ErrBlocked is why a dialer did not connect: no address of the host may be connected to.
var ErrBlocked = errors.New("blocked address")

const (
	// headStart is how long an address is tried alone (RFC 8305, section 5, leaves 100 ms to 2 s; net has 300 ms).
	headStart = 300 * time.Millisecond
	// maxAddresses is how many addresses of a host are tried.
	maxAddresses = 16
	// keepAlive is how often an idle connection is probed.
	keepAlive = 30 * time.Second
)

// Dialer connects to the addresses of a host that its policy permits, and to no others.
type Dialer struct {
	Policy   *Policy
	Timeout  time.Duration // of one DialContext, resolving included
	Resolver *net.Resolver // nil: net.DefaultResolver
}

// DialContext resolves the host of an address and connects to it. What it connects to is an address that it has checked,
// never a name that could mean another one by then.
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, d.Timeout)
	defer cancel()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if d.Policy.off || d.Policy.allowsName(strings.ToLower(strings.TrimRight(host, "."))) {
		return (&net.Dialer{KeepAlive: keepAlive, Resolver: d.Resolver}).DialContext(ctx, network, address)
	}
	addrs, err := d.resolve(ctx, host)
	if err != nil {
		return nil, err
	}
	var permitted []string
	for _, addr := range alternate(addrs) {
		if d.Policy.Permits(addr) && len(permitted) < maxAddresses {
			permitted = append(permitted, net.JoinHostPort(addr.String(), port))
		}
	}
	if len(permitted) == 0 {
		return nil, ErrBlocked
	}
	return connect(ctx, network, permitted)
}

// resolve returns the addresses of a host, at least one.
func (d *Dialer) resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{addr}, nil
	}
	resolver := d.Resolver
	if resolver == nil {
		resolver = net.DefaultResolver
	}
	return resolver.LookupNetIP(ctx, "ip", host)
}

// alternate sorts addresses so that IPv4 and IPv6 take turns, which begins with the family of the first one; else each
// family keeps its order (RFC 8305, section 4).
func alternate(addrs []netip.Addr) []netip.Addr {
	var first, second []netip.Addr
	for _, addr := range addrs {
		if addr.Is4() == addrs[0].Is4() {
			first = append(first, addr)
		} else {
			second = append(second, addr)
		}
	}
	sorted := make([]netip.Addr, 0, len(addrs))
	for i := range max(len(first), len(second)) {
		sorted = append(sorted, first[min(i, len(first)):min(i+1, len(first))]...)
		sorted = append(sorted, second[min(i, len(second)):min(i+1, len(second))]...)
	}
	return sorted
}

// connect returns the first connection to one of the addresses, which it tries in their order: the next one when the one
// before has failed, or has had its head start. The error is that of the first address.
func connect(ctx context.Context, network string, addresses []string) (net.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type result struct {
		conn net.Conn
		err  error
		at   int
	}
	results := make(chan result, len(addresses))
	dialer := net.Dialer{KeepAlive: keepAlive}
	var firstErr error
	turn := time.NewTimer(0)
	defer turn.Stop()
	for begun, ended := 0, 0; ended < len(addresses); {
		select {
		case <-turn.C:
			go func(at int) {
				conn, err := dialer.DialContext(ctx, network, addresses[at])
				results <- result{conn, err, at}
			}(begun)
			if begun++; begun < len(addresses) {
				turn.Reset(headStart)
			}
		case r := <-results:
			ended++
			if r.err == nil {
				go func() { // whoever connects nevertheless is not needed any more
					for ; ended < begun; ended++ {
						if late := <-results; late.err == nil {
							_ = late.conn.Close()
						}
					}
				}()
				return r.conn, nil
			}
			if r.at == 0 {
				firstErr = r.err
			}
			if begun < len(addresses) {
				turn.Reset(0)
			}
		}
	}
	return nil, firstErr
}
