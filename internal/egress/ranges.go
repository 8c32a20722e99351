package egress

import (
	"net/netip"
	"slices"

	"code.dny.dev/ssrf"
)

// blocked are the ranges of the contract's section 9.4. The library follows IANA's registries of special-purpose
// addresses, but those of IPv6 within 2000::/3 only; the others are listed here.
var blocked = slices.Concat(ssrf.IPv4DeniedPrefixes, ssrf.IPv6DeniedPrefixes, []netip.Prefix{
	netip.MustParsePrefix("::/96"),          // unspecified, loopback, IPv4-compatible (retired)
	netip.MustParsePrefix("::ffff:0:0/96"),  // IPv4-mapped
	netip.MustParsePrefix("64:ff9b::/96"),   // IPv4/IPv6 translation
	netip.MustParsePrefix("64:ff9b:1::/48"), // local-use translation
	netip.MustParsePrefix("100::/64"),       // discard only
	netip.MustParsePrefix("100:0:0:1::/64"), // dummy prefix
	netip.MustParsePrefix("5f00::/16"),      // segment routing SIDs
	netip.MustParsePrefix("fc00::/7"),       // unique local
	netip.MustParsePrefix("fe80::/10"),      // link local
	netip.MustParsePrefix("fec0::/10"),      // site local (retired)
	netip.MustParsePrefix("ff00::/8"),       // multicast
})

// within reports whether an address is in one of the ranges. Its zone, of which ranges know nothing, does not count.
func within(ranges []netip.Prefix, addr netip.Addr) bool {
	addr = addr.WithZone("")
	return slices.ContainsFunc(ranges, func(r netip.Prefix) bool { return r.Contains(addr) })
}
