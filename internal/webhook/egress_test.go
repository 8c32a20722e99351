package webhook_test

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/egress"
	"github.com/taskrunner/taskrunner/internal/task"
	"github.com/taskrunner/taskrunner/internal/testdns"
	"github.com/taskrunner/taskrunner/internal/webhook"
)

// strict makes a client call public addresses only, and those in allow.
func strict(t *testing.T, allow ...string) func(*webhook.Config) {
	t.Helper()
	p, err := egress.New(egress.Options{Allow: allow})
	require.NoError(t, err)
	return func(c *webhook.Config) { c.Egress = p }
}

// named is the URL of a server under another host.
func named(t *testing.T, s *httptest.Server, host string) string {
	t.Helper()
	scheme, _, _ := strings.Cut(s.URL, ":")
	return scheme + "://" + net.JoinHostPort(host, port(t, s)) + "/"
}

func port(t *testing.T, s *httptest.Server) string {
	t.Helper()
	_, port, err := net.SplitHostPort(s.Listener.Addr().String())
	require.NoError(t, err)
	return port
}

// Whatever is written, what leads to a blocked address is not called, and never again: On_start and End give up.
func TestBlockedAddresses(t *testing.T) {
	t.Parallel()
	s, requests := receiver(t, status(http.StatusOK))
	dns := testdns.Start(t, func(string, int) []string { return []string{"127.0.0.1", "10.0.0.1"} })
	local := strict(t, "127.0.0.1")
	for _, change := range [][]func(*webhook.Config){{strict(t)}, {func(c *webhook.Config) { c.Egress = nil }}} {
		c := client(t, append(change, func(c *webhook.Config) { c.Resolver = dns.Resolver() })...)
		for _, host := range []string{
			"127.0.0.1", "2130706433", "0x7f.1", "0177.0.0.1", "127.1", "127.0.0.1.", "１２７.0.0.1", "%31%32%37.0.0.1", "::1", "::ffff:127.0.0.1", "example.test", "localhost",
		} {
			r := c.Do(t.Context(), get(named(t, s, host)))
			require.Equal(t, webhook.Gone, r.Class, host)
			require.Equal(t, "blocked address", r.Error, host)
			require.Nil(t, r.StatusCode)
		}
	}
	require.Empty(t, requests)

	c := client(t, local, func(c *webhook.Config) { c.Resolver = dns.Resolver() })
	for _, host := range []string{"127.0.0.1", "2130706433", "0x7f.1", "%31%32%37.0.0.1", "example.test", "ＥＸＡＭＰＬＥ.test", "ex%61mple.test."} {
		r := c.Do(t.Context(), get(named(t, s, host)))
		require.Equal(t, webhook.Delivered, r.Class, "%s: %s", host, r.Error)
	}
}

// A receiver whose name changes its address between the creation, the tries and the connection to it leads nowhere.
func TestRebinding(t *testing.T) {
	t.Parallel()
	s, requests := receiver(t, status(http.StatusOK))
	dns := testdns.Start(t, func(name string, asked int) []string {
		switch {
		case name == "kept.test" && asked == 0:
			return []string{"127.0.0.1"}
		case name == "flips.test" && asked%2 == 0:
			return []string{"127.0.0.1"}
		}
		return []string{"127.0.0.2", "169.254.169.254"}
	})
	c := client(t, strict(t, "127.0.0.1"), func(c *webhook.Config) { c.Resolver = dns.Resolver() })

	// Every connection asks for the name once.
	for try := range 6 {
		r := c.Do(t.Context(), get(named(t, s, "flips.test")))
		require.Equal(t, try+1, dns.Asked("flips.test"))
		if try%2 == 0 {
			require.Equal(t, webhook.Delivered, r.Class, r.Error)
			<-requests
		} else {
			require.Equal(t, "blocked address", r.Error)
			require.Equal(t, webhook.Gone, r.Class)
		}
		c.Close() // what is kept would be used
	}
	// A kept connection is one to the address that was checked.
	for range 5 {
		require.Equal(t, webhook.Delivered, c.Do(t.Context(), get(named(t, s, "kept.test"))).Class)
		<-requests
	}
	require.Equal(t, 1, dns.Asked("kept.test"))
	c.Close()
	require.Equal(t, "blocked address", c.Do(t.Context(), get(named(t, s, "kept.test"))).Error)
	require.Empty(t, requests)
}

// The same with HTTP/2, where many calls share a connection: calls to another name do not take it, though it leads there.
func TestBlockedAddressesOfHTTP2(t *testing.T) {
	t.Parallel()
	var opened atomic.Int32
	s := http2(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Proto) }, &opened)
	dns := testdns.Start(t, func(name string, asked int) []string {
		if name == "example.com" && asked == 0 { // one of the names in the certificate
			return []string{"127.0.0.1"}
		}
		return []string{"10.0.0.1"}
	})
	c := client(t, strict(t, "127.0.0.1"), func(c *webhook.Config) { c.Resolver = dns.Resolver() })
	c.Trust(s)
	for range 5 {
		r := c.Do(t.Context(), get(named(t, s, "example.com")))
		require.Equal(t, webhook.Delivered, r.Class, r.Error)
		require.Equal(t, "HTTP/2.0", r.Response)
	}
	require.Equal(t, "blocked address", c.Do(t.Context(), get(named(t, s, "www.example.com"))).Error)
	c.Close()
	require.Eventually(t, func() bool {
		return c.Do(t.Context(), get(named(t, s, "example.com"))).Error == "blocked address"
	}, 10*time.Second, time.Millisecond, "the connection is closed, and none opened")
	require.EqualValues(t, 1, opened.Load())
}

func TestRedirectsInsideAreNotFollowed(t *testing.T) {
	t.Parallel()
	inside, inner := receiver(t, status(http.StatusOK))
	for _, code := range []int{301, 302, 303, 307, 308} {
		s, _ := receiver(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, inside.URL, code) })
		for _, verb := range []string{"Get", "Post"} {
			r := client(t).Do(t.Context(), call(task.Webhook{URL: s.URL, Verb: verb, Body: json.RawMessage(`{}`)}))
			require.Equal(t, webhook.Permanent, r.Class)
			require.Contains(t, r.Error, "redirect refused")
		}
	}
	require.Empty(t, inner)
}

// proxy is an HTTP proxy that sends everything to one server, whatever host is asked for. It answers refuse if that is set.
func proxy(t *testing.T, target *httptest.Server, refuse int) (p *httptest.Server, asked chan string) {
	t.Helper()
	asked = make(chan string, 100)
	p = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Method + " " + r.Host + " " + r.Header.Get("Proxy-Authorization")
		if refuse != 0 {
			w.WriteHeader(refuse)
			return
		}
		if r.Method != http.MethodConnect {
			_, _ = io.WriteString(w, r.URL.String())
			return
		}
		server, err := net.Dial("tcp", target.Listener.Addr().String())
		if err != nil {
			t.Errorf("proxy: %v", err)
			return
		}
		client, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Errorf("proxy: %v", err)
			return
		}
		defer client.Close()
		_, _ = io.WriteString(client, "HTTP/1.1 200 OK\r\n\r\n")
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = io.Copy(server, bufio.NewReader(buffered))
			_ = server.Close()
		}()
		_, _ = io.Copy(client, server)
		_ = client.Close()
		<-done
	}))
	return p, asked
}

// With a proxy it is the proxy that resolves and decides, though it may itself have an address that calls may not go to.
func TestProxy(t *testing.T) {
	t.Parallel()
	var opened atomic.Int32
	target := http2(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Proto) }, &opened)
	dns := testdns.Start(t, func(string, int) []string { return nil })
	for _, tls := range []bool{false, true} {
		p, asked := proxy(t, target, 0)
		if tls {
			p.StartTLS()
		} else {
			p.Start()
		}
		t.Cleanup(p.Close)
		u, err := url.Parse(p.URL)
		require.NoError(t, err)
		u.User = url.UserPassword("me", "hush")
		auth := " Basic " + base64.StdEncoding.EncodeToString([]byte("me:hush"))
		c := client(t, strict(t), func(c *webhook.Config) { c.Proxy, c.Resolver = u, dns.Resolver() })
		c.Trust(target)

		r := c.Do(t.Context(), get("http://example.com/a?b=c"))
		require.Equal(t, webhook.Delivered, r.Class, r.Error)
		require.Contains(t, r.Response, "http://example.com/a?b=c&handle=")
		require.Equal(t, "GET example.com"+auth, <-asked)
		r = c.Do(t.Context(), get("https://example.com/a?b=c"))
		require.Equal(t, webhook.Delivered, r.Class, r.Error)
		require.Equal(t, "HTTP/2.0", r.Response)
		require.Equal(t, "CONNECT example.com:443"+auth, <-asked)
		r = c.Do(t.Context(), get("http://127.0.0.1/"))
		require.Equal(t, webhook.Delivered, r.Class, "the proxy decides")
		require.Equal(t, "GET 127.0.0.1"+auth, <-asked)
		require.Zero(t, dns.Asked("example.com"))
		require.Empty(t, asked)
	}

	p, _ := proxy(t, target, http.StatusForbidden)
	p.Start()
	t.Cleanup(p.Close)
	u, err := url.Parse(p.URL)
	require.NoError(t, err)
	u.User = url.UserPassword("me", "hush")
	c := client(t, func(c *webhook.Config) { c.Proxy = u })
	r := c.Do(t.Context(), get("https://example.com/"))
	require.Equal(t, webhook.Transient, r.Class)
	require.Equal(t, "connection failed: the proxy answered HTTP 403", r.Error)
	r = c.Do(t.Context(), get("http://example.com/"))
	require.Equal(t, "HTTP 403", r.Error)
	p.Close()
	r = c.Do(t.Context(), get("https://example.com/"))
	require.Equal(t, webhook.Transient, r.Class)
	require.Equal(t, "connection refused", r.Error)
}
