package egress

import (
	"errors"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	whatwg "github.com/nlnwa/whatwg-url/url"
)

// maxURL is the longest URL of a webhook, in bytes; the engine refuses longer ones too.
const maxURL = 8192

// What Parse and Check say of a text that is no URL of a webhook.
var (
	ErrURL  = errors.New("must be an absolute http or https URL")
	ErrLong = errors.New("must be at most 8192 bytes")
)

// Parse reads the URL of a webhook by the rules of WHATWG, by which every host has one spelling: 0x7f.1 and １２７.0.0.1 are
// 127.0.0.1. Creation checks the host that it returns, and calls go to it, so that there is nothing on which two parsers
// could disagree. All the rest stays as it is written, unless net/url cannot read it: 100%/x becomes 100%25/x then.
func Parse(raw string) (*url.URL, error) {
	if len(raw) > maxURL {
		return nil, ErrLong
	}
	u, err := url.Parse(raw)
	if err == nil && isWeb(u.Scheme) && isPlain(u.Host) {
		return u, nil
	}
	// WHATWG lets a backslash be a slash and leaves out slashes; who does not, sees another host.
	_, rest, _ := strings.Cut(raw, "://")
	authority := rest[:strings.IndexAny(rest+"/", "/?#")]
	w, whatwgErr := whatwg.Parse(raw)
	if authority == "" || strings.Contains(authority, `\`) || whatwgErr != nil || !isWeb(w.Scheme()) || w.Hostname() == "" {
		return nil, ErrURL
	}
	if err != nil || u.Host == "" {
		if u, err = url.Parse(escapePercent(w.Href(true))); err != nil {
			return nil, ErrURL
		}
	}
	u.Scheme, u.Host = w.Scheme(), w.Host()
	return u, nil
}

// escapePercent escapes the percent signs that begin no escape; WHATWG lets them stand.
func escapePercent(text string) string {
	parts := strings.Split(text, "%")
	for i, part := range parts[1:] {
		if _, err := strconv.ParseUint(part[:min(2, len(part))], 16, 8); err != nil || len(part) < 2 {
			parts[i+1] = "25" + part
		}
	}
	return strings.Join(parts, "%")
}

func isWeb(scheme string) bool { return scheme == "http" || scheme == "https" }

// isPlain reports whether a host with or without a port is such that every parser takes it as it is written: an IPv4 address
// of four decimal numbers, or a name of lower-case letters and digits that is no punycode and cannot be taken for a number.
func isPlain(host string) bool {
	name, port, found := strings.Cut(host, ":")
	if n, err := strconv.ParseUint(port, 10, 16); found && (err != nil || strconv.FormatUint(n, 10) != port) {
		return false
	}
	if addr, err := netip.ParseAddr(name); err == nil {
		return addr.Is4()
	}
	for i := range len(name) {
		c := name[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	last := name[strings.LastIndexByte(name, '.')+1:]
	return last != "" && last[0] >= 'a' && last[0] <= 'z' && !strings.Contains(name, "xn--")
}

// hostOf is the host of a URL that Parse has read, in the form in which rules are compared with it: without brackets and
// trailing dots. addr is valid if it is an address.
func hostOf(u *url.URL) (name string, addr netip.Addr, err error) {
	written := u.Hostname()
	if name, err = normal(written); err != nil {
		return "", netip.Addr{}, err
	}
	if addr, err := netip.ParseAddr(name); err == nil {
		return addr.String(), addr, nil
	}
	return name, netip.Addr{}, nil
}

// normal is the one spelling of a host that is written without brackets, without trailing dots.
func normal(host string) (string, error) {
	host = strings.TrimRight(host, ".")
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if isPlain(host) {
		return host, nil
	}
	// What follows the dots was no end of a number yet: 127.0.0.1.. is a name, and without them an address.
	w, err := whatwg.Parse("http://" + host + "/")
	if err != nil || w.Port() != "" || w.Username() != "" || w.Pathname() != "/" || w.Search() != "" || w.Hash() != "" {
		return "", ErrURL
	}
	host = strings.TrimRight(w.Hostname(), ".")
	if host == "" {
		return "", ErrURL
	}
	return strings.Trim(host, "[]"), nil
}
