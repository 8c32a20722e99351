package egress_test

import (
	"bufio"
	"errors"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/net/idna"

	"github.com/taskrunner/taskrunner/internal/egress"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func policy(t testing.TB, o egress.Options) *egress.Policy {
	t.Helper()
	p, err := egress.New(o)
	require.NoError(t, err)
	return p
}

// lines are those of a file that are neither empty nor comments, unquoted.
func lines(t testing.TB, path string) (lines []string) {
	t.Helper()
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		line := s.Text()
		if line == "" || line[0] == '#' {
			continue
		}
		if text, err := strconv.Unquote(line); err == nil {
			line = text
		}
		lines = append(lines, line)
	}
	return lines
}

func TestRefusedURLs(t *testing.T) {
	t.Parallel()
	p := policy(t, egress.Options{})
	urls := lines(t, "testdata/refused.txt")
	require.Greater(t, len(urls), 200)
	for _, url := range urls {
		err := p.Check(url)
		require.Error(t, err, url)
		require.NotContains(t, err.Error(), "127", "nothing is quoted")
	}
}

func TestURLsThatPass(t *testing.T) {
	t.Parallel()
	p := policy(t, egress.Options{})
	for _, line := range lines(t, "testdata/passes.txt") {
		host, raw, _ := strings.Cut(line, " ")
		require.NoError(t, p.Check(raw), raw)
		u, err := egress.Parse(raw)
		require.NoError(t, err, raw)
		require.Equal(t, strings.Trim(host, "[]"), u.Hostname(), raw)
	}
}

// What is long costs no work, and a checker remembers no more than it has to.
func TestLongURLs(t *testing.T) {
	t.Parallel()
	p := policy(t, egress.Options{})
	long := "http://%61.example/" + strings.Repeat("x", 8192)
	require.ErrorIs(t, p.Check(long), egress.ErrLong)
	require.NoError(t, p.Check(long[:8192]))
	_, err := egress.Parse(long)
	require.ErrorIs(t, err, egress.ErrLong)
	checker := p.Checker()
	require.ErrorIs(t, checker.Check([]byte(long)), egress.ErrLong)
	for i := range 11_000 {
		require.NoError(t, checker.Check([]byte("http://h"+strconv.Itoa(i)+"/")))
		require.ErrorIs(t, checker.Check([]byte("http://h"+strconv.Itoa(i)+".local/")), egress.ErrHost)
	}
}

// The rest of a URL is called as it is written.
func TestParseKeepsTheRest(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"http://h/a/../b%41?x=%41&y=+#f":   "http://h/a/../b%41?x=%41&y=+#f",
		"http://H:080/a/../b%41?x=%41&y=+": "http://h/a/../b%41?x=%41&y=+",
		"http://h:/a":                      "http://h/a",
		"http://h%61/a/../b%41?x=%41":      "http://ha/b%41?x=%41", // net/url cannot read this one
		"http://h/100%/x?%":                "http://h/100%25/x?%25",
		"http://h/%zz%4":                   "http://h/%25zz%254",
		"http://u:p@H/":                    "http://u:p@h/",
		"https://0x8.8.8.8:443/a":          "https://8.8.8.8/a",
		"http://[2606:4700:0::1]:81/":      "http://[2606:4700::1]:81/",
	} {
		u, err := egress.Parse(raw)
		require.NoError(t, err, raw)
		require.Equal(t, want, u.String(), raw)
	}
}

// ranges are those of the contract's section 9.4, all rows of both columns, with the sub-ranges that it names.
var ranges = strings.Fields(`
	0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24 192.31.196.0/24
	192.52.193.0/24 192.88.99.0/24 192.168.0.0/16 192.175.48.0/24 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4
	240.0.0.0/4 255.255.255.255/32
	::/128 ::1/128 ::/96 ::ffff:0:0/96 64:ff9b::/96 64:ff9b:1::/48 100::/64 100:0:0:1::/64 2001::/23 2001::/32 2001:1::1/128
	2001:1::2/128 2001:1::3/128 2001:2::/48 2001:3::/32 2001:4:112::/48 2001:10::/28 2001:20::/28 2001:30::/28 2001:db8::/32
	2002::/16 2620:4f:8000::/48 3fff::/20 5f00::/16 fc00::/7 fe80::/10 fec0::/10 ff00::/8`)

// last is the last address of a range.
func last(r netip.Prefix) netip.Addr {
	bytes := r.Addr().AsSlice()
	for i := r.Bits(); i < len(bytes)*8; i++ {
		bytes[i/8] |= 0x80 >> (i % 8)
	}
	addr, _ := netip.AddrFromSlice(bytes)
	return addr
}

// Blocked are the ranges of the contract and nothing else: the addresses beside each pass unless another range has them.
func TestRanges(t *testing.T) {
	t.Parallel()
	p := policy(t, egress.Options{})
	check := func(addr netip.Addr, permitted bool) {
		t.Helper()
		require.Equal(t, permitted, p.Permits(addr), addr)
		if addr.Is6() {
			require.Equal(t, permitted, p.Permits(addr.WithZone("eth0")), "a zone changes nothing")
		}
		url := "http://" + net.JoinHostPort(addr.String(), "80") + "/"
		require.Equal(t, permitted, p.Check(url) == nil, url)
	}
	all := make([]netip.Prefix, len(ranges))
	for i, text := range ranges {
		all[i] = netip.MustParsePrefix(text)
	}
	beside := 0
	for _, r := range all {
		check(r.Addr(), false)
		check(last(r), false)
	neighbours:
		for _, addr := range []netip.Addr{r.Addr().Prev(), last(r).Next()} {
			if !addr.IsValid() {
				continue // the end of the address space
			}
			for _, other := range all {
				if other.Contains(addr) {
					continue neighbours
				}
			}
			check(addr, true)
			beside++
		}
	}
	require.Greater(t, beside, 50)
}

func TestAllowed(t *testing.T) {
	t.Parallel()
	p := policy(t, egress.Options{Allow: []string{
		"10.1.0.0/16", "127.0.0.1", "fd00:1::/32", "::1", "localhost", "Vault.INTERNAL.", ".svc.cluster.local", "bücher.internal", "[fe80::1]", "100.64.0.0/10",
	}})
	for _, url := range []string{
		"http://10.1.0.0/", "http://10.1.255.255/", "http://0x0a010203/", "http://127.0.0.1:8086/", "http://2130706433/", "http://[fd00:1::5]/", "http://[::1]/",
		"http://localhost:1/", "http://LOCALHOST./", "http://vault.internal/", "http://vault.internal./", "http://a.svc.cluster.local/",
		"http://a.b.svc.cluster.local/", "http://BÜCHER.internal/", "http://[fe80::1]/", "http://example.com/",
	} {
		require.NoError(t, p.Check(url), url)
	}
	for _, url := range []string{
		"http://10.0.255.255/", "http://10.2.0.0/", "http://127.0.0.2/", "http://[fd00:2::]/", "http://[::2]/", "http://[::ffff:10.1.0.1]/",
		"http://[64:ff9b::10.1.0.1]/", "http://a.localhost/", "http://x.vault.internal/", "http://svc.cluster.local/", "http://xsvc.cluster.local/",
		"http://[fe80::2]/", "http://[fe80::1%25lo]/",
	} {
		require.Error(t, p.Check(url), url)
	}
	require.True(t, p.Permits(netip.MustParseAddr("10.1.2.3")))
	require.False(t, p.Permits(netip.MustParseAddr("::ffff:10.1.2.3")))
	require.False(t, p.Permits(netip.MustParseAddr("10.2.2.3")))
}

func TestMoreBlockedNames(t *testing.T) {
	t.Parallel()
	p := policy(t, egress.Options{
		BlockedHosts: []string{"Evil.example", "8.8.8.8", "2606:4700::1", "münchen.example"}, BlockedSuffixes: []string{".Corp", "-lab.example"},
		Allow: []string{"ok.corp"},
	})
	for _, url := range []string{
		"http://evil.example/", "http://a.EVIL.example./", "http://8.8.8.8/", "http://134744072/", "http://[2606:4700:0::1]/", "http://xn--mnchen-3ya.example/",
		"http://a.corp/", "http://a.b.CORP./", "http://x-lab.example/", "http://localhost/", "http://10.0.0.1/",
	} {
		require.Error(t, p.Check(url), url)
	}
	for _, url := range []string{"http://notevil.example/", "http://corp/", "http://xcorp/", "http://ok.corp/", "http://lab.example/", "http://8.8.8.9/"} {
		require.NoError(t, p.Check(url), url)
	}
	require.ErrorIs(t, p.Check("http://evil.example/"), egress.ErrHost)
	require.ErrorIs(t, p.Check("http://8.8.8.8/"), egress.ErrAddress)
	require.ErrorIs(t, p.Check("http://10.0.0.1/"), egress.ErrAddress)
	require.ErrorIs(t, p.Check("/start"), egress.ErrURL)
}

func TestOff(t *testing.T) {
	t.Parallel()
	p := policy(t, egress.Options{Off: true})
	for _, url := range []string{"http://localhost/", "http://127.0.0.1/", "https://[::1]/", "http://a.internal/"} {
		require.NoError(t, p.Check(url), url)
	}
	require.True(t, p.Permits(netip.MustParseAddr("127.0.0.1")))
}

func TestWrongEntries(t *testing.T) {
	t.Parallel()
	for entry, want := range map[string]string{
		"10.0.0.1/8": `"10.0.0.1/8" has bits behind its prefix: write 10.0.0.0/8`, "10.0.0.0/33": "is no address range", "10/8": "is no address range",
		"http://localhost/": "is no address range", "*.example.com": "is no host name", "localhost:80": "is no host name", "a b": "is no host name",
		"127.1": "write 127.0.0.1", "0x7f000001": "write 127.0.0.1", ".": "is no end of host names", "": "is no host name", "..": "is no end of host names", ".10": "is no end of host names",
		"fe80::1%eth0": "is no host name", "a@b": "is no host name", "xn--a": "is no host name", "%61": "is no host name", "a?b": "is no host name", "a#b": "is no host name",
	} {
		_, err := egress.New(egress.Options{Allow: []string{"good.example", entry}})
		require.ErrorContains(t, err, want, entry)
		require.ErrorContains(t, err, "SSRF_ALLOW: ", entry)
		if strings.HasPrefix(want, "is no address range") || strings.HasPrefix(entry, ".") {
			continue
		}
		_, err = egress.New(egress.Options{BlockedHosts: []string{entry}, BlockedSuffixes: []string{entry}})
		require.ErrorContains(t, err, "BLOCKED_HOSTNAMES: ", entry)
		require.ErrorContains(t, err, "BLOCKED_HOSTNAME_SUFFIXES: ", entry)
	}
}

// Whatever the check lets pass is called at the host that was checked, whoever reads it: net/http, and WHATWG again.
func FuzzCheckedIsCalled(f *testing.F) {
	for _, url := range lines(f, "testdata/refused.txt") {
		f.Add(url)
	}
	for _, line := range lines(f, "testdata/passes.txt") {
		_, url, _ := strings.Cut(line, " ")
		f.Add(url)
	}
	p := policy(f, egress.Options{})
	f.Fuzz(func(t *testing.T, raw string) {
		checked := p.Check(raw)
		checker := p.Checker()
		for range 2 {
			if err := checker.Check([]byte(raw)); !errors.Is(err, checked) {
				t.Fatalf("%q: %v, and with all others of its host %v", raw, checked, err)
			}
		}
		if checked != nil {
			return
		}
		called, err := egress.Parse(raw)
		if err != nil {
			t.Fatalf("%q passes and cannot be called: %v", raw, err)
		}
		host := called.Hostname()
		if ascii, err := idna.Lookup.ToASCII(host); err == nil && !strings.EqualFold(ascii, host) {
			t.Fatalf("%q: net/http would call %q instead of %q", raw, ascii, host)
		}
		if addr, err := netip.ParseAddr(strings.TrimRight(host, ".")); err == nil && !p.Permits(addr) {
			t.Fatalf("%q passes and leads to %v", raw, addr)
		}
		name := "." + strings.ToLower(strings.TrimRight(host, "."))
		for _, blocked := range []string{"localhost", "127.0.0.1", "::1", "0.0.0.0", "local", "internal", "localdomain"} {
			if strings.HasSuffix(name, "."+blocked) && name != ".localdomain" {
				t.Fatalf("%q passes and names %s", raw, blocked)
			}
		}
		again, err := egress.Parse(called.String())
		if err != nil || again.Host != called.Host || again.Scheme != called.Scheme {
			t.Fatalf("%q: %q is read as %v (%v)", raw, called, again, err)
		}
	})
}
