package webhook

import (
	"crypto/tls"
	"crypto/x509"
	"net/http/httptest"
)

// Trust makes the client accept the certificate of a test server.
func (c *Client) Trust(s *httptest.Server) {
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	c.http.Transport.(noLocation).TLSClientConfig = &tls.Config{RootCAs: pool}
}
