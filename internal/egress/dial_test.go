package egress_test

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/egress"
	"github.com/taskrunner/taskrunner/internal/testdns"
)

// listen accepts connections at 127.0.0.1, counts them and closes them.
func listen(t *testing.T) (port string, accepted *atomic.Int32) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	accepted = new(atomic.Int32)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			accepted.Add(1)
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
	})
	_, port, err = net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	return port, accepted
}

func dial(ctx context.Context, d *egress.Dialer, host, port string) error {
	conn, err := d.DialContext(ctx, "tcp", net.JoinHostPort(host, port))
	if err == nil {
		_ = conn.Close()
	}
	return err
}

// nowhere is a documentation address: nobody answers there.
const nowhere = "192.0.2.1"

func TestDial(t *testing.T) {
	t.Parallel()
	port, accepted := listen(t)
	dns := testdns.Start(t, func(name string, _ int) []string {
		return map[string][]string{
			"good.test": {"127.0.0.1"}, "mixed.test": {"10.0.0.1", "169.254.169.254", "::1", "127.0.0.1", "fd00::1"},
			"bad.test": {"10.0.0.1", "192.168.0.1"}, "bad6.test": {"::1", "fe80::1", "64:ff9b::7f00:1", "2002:7f00:1::"},
			"mapped.test": {"::ffff:127.0.0.1"}, "a.allowed.test": {"127.0.0.1"}, "exact.test": {"127.0.0.1"},
		}[name]
	})
	resolver := dns.Resolver()
	strict := &egress.Dialer{Policy: policy(t, egress.Options{}), Timeout: 5 * time.Second, Resolver: resolver}
	for _, host := range []string{
		"127.0.0.1", "::1", "::ffff:127.0.0.1", "fe80::1%lo", "good.test", "mixed.test", "bad.test", "bad6.test", "mapped.test", "exact.test",
	} {
		require.ErrorIs(t, dial(t.Context(), strict, host, port), egress.ErrBlocked, host)
	}
	require.Zero(t, accepted.Load())

	allowing := &egress.Dialer{Policy: policy(t, egress.Options{Allow: []string{"127.0.0.1"}}), Timeout: 5 * time.Second, Resolver: resolver}
	for _, host := range []string{"127.0.0.1", "good.test", "GOOD.test", "good.test.", "mixed.test"} {
		require.NoError(t, dial(t.Context(), allowing, host, port), host)
	}
	for _, host := range []string{"127.0.0.2", "::1", "::ffff:127.0.0.1", "bad.test", "bad6.test", "mapped.test"} {
		require.ErrorIs(t, dial(t.Context(), allowing, host, port), egress.ErrBlocked, host)
	}

	named := &egress.Dialer{Policy: policy(t, egress.Options{Allow: []string{"exact.test", ".allowed.test"}}), Timeout: 5 * time.Second, Resolver: resolver}
	for _, host := range []string{"exact.test", "EXACT.test.", "a.allowed.test"} {
		require.NoError(t, dial(t.Context(), named, host, port), host)
	}
	for _, host := range []string{"good.test", "127.0.0.1"} {
		require.ErrorIs(t, dial(t.Context(), named, host, port), egress.ErrBlocked, host)
	}

	off := &egress.Dialer{Policy: policy(t, egress.Options{Off: true}), Timeout: 5 * time.Second, Resolver: resolver}
	require.NoError(t, dial(t.Context(), off, "good.test", port))
	require.NoError(t, dial(t.Context(), off, "127.0.0.1", port))

	var dnsErr *net.DNSError
	require.ErrorAs(t, dial(t.Context(), strict, "unknown.test", port), &dnsErr)
	require.True(t, dnsErr.IsNotFound)
}

// A name that is harmless whenever somebody looks, and changes right after, leads nowhere: what is connected to is what
// was looked at.
func TestRebinding(t *testing.T) {
	t.Parallel()
	port, accepted := listen(t)
	for name, harmlessFirst := range map[string]bool{"the harmless answer comes first": true, "it comes second": false} {
		dns := testdns.Start(t, func(_ string, asked int) []string {
			if (asked%2 == 0) == harmlessFirst {
				return []string{nowhere}
			}
			return []string{"127.0.0.1"}
		})
		p := policy(t, egress.Options{Allow: []string{nowhere}})
		d := &egress.Dialer{Policy: p, Timeout: 100 * time.Millisecond, Resolver: dns.Resolver()}
		for try := range 6 {
			require.NoError(t, p.Check("http://rebind.test:"+port+"/"), "the check of a creation resolves nothing")
			err := dial(t.Context(), d, "rebind.test", port)
			require.Error(t, err)
			require.Equal(t, try+1, dns.Asked("rebind.test"), "%s: every try resolves the name, once", name)
			if harmless := (try%2 == 0) == harmlessFirst; harmless {
				require.NotErrorIs(t, err, egress.ErrBlocked, name)
			} else {
				require.ErrorIs(t, err, egress.ErrBlocked, name)
			}
		}
	}
	require.Zero(t, accepted.Load(), "the blocked address was never connected to")
}

// An address that does not answer, or refuses, is no obstacle when there is another one.
func TestOtherAddressesAreTried(t *testing.T) {
	t.Parallel()
	port, accepted := listen(t)
	dns := testdns.Start(t, func(name string, _ int) []string {
		return map[string][]string{
			"hangs.test":   {nowhere, "192.0.2.2", "127.0.0.1"},
			"refuses.test": {"127.0.0.1"},
			"many.test":    {"127.0.0.1", nowhere, "192.0.2.2", "192.0.2.3", "192.0.2.4"},
		}[name]
	})
	d := &egress.Dialer{Policy: policy(t, egress.Options{Allow: []string{"127.0.0.1", "192.0.2.0/24"}}), Timeout: 10 * time.Second, Resolver: dns.Resolver()}
	for _, host := range []string{"hangs.test", "many.test"} {
		require.NoError(t, dial(t.Context(), d, host, port), host)
	}
	require.Eventually(t, func() bool { return accepted.Load() >= 2 }, 10*time.Second, time.Millisecond)

	free, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	_, closed, err := net.SplitHostPort(free.Addr().String())
	require.NoError(t, err)
	require.NoError(t, free.Close())
	require.ErrorContains(t, dial(t.Context(), d, "refuses.test", closed), "refused")

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.Error(t, dial(ctx, d, "hangs.test", port))
}
