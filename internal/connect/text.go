package connect

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// noTLS is what pgx says before it goes on without TLS, as sslmode=prefer has it. The error has no type of its own.
const noTLS = "server refused TLS connection"

// Text is the text of an error. What pgx says in it about a failed connection is replaced by the cause.
func Text(err error) string {
	var failed *pgconn.ConnectError
	if !errors.As(err, &failed) {
		return err.Error()
	}
	return strings.Replace(err.Error(), failed.Error(), "cannot connect to "+target(failed.Config)+": "+causes(failed), 1)
}

// target lists the servers that were tried.
func target(c *pgconn.Config) string { return strings.Join(addresses(c), ", ") }

func addresses(c *pgconn.Config) []string {
	_, address := pgconn.NetworkAddress(c.Host, c.Port)
	list := []string{address}
	for _, f := range c.Fallbacks {
		if _, address := pgconn.NetworkAddress(f.Host, f.Port); !slices.Contains(list, address) {
			list = append(list, address)
		}
	}
	return list
}

// causes joins the causes of the tries, each once. If the server has answered, only its answer counts: the first, since
// pgx goes on from TLS to no TLS, and servers refuse the latter for reasons of their own.
func causes(failed *pgconn.ConnectError) string {
	var pgErr *pgconn.PgError
	if errors.As(failed, &pgErr) {
		return pgErr.Error()
	}
	tries := []error{failed.Unwrap()}
	var joined interface{ Unwrap() []error }
	if errors.As(failed, &joined) {
		tries = joined.Unwrap()
	}
	var texts []string
	for _, try := range tries {
		if text := cause(try); !slices.Contains(texts, text) {
			texts = append(texts, text)
		}
	}
	if len(texts) > 1 {
		texts = slices.DeleteFunc(texts, func(text string) bool { return strings.HasSuffix(text, noTLS) })
	}
	return strings.Join(texts, "; ")
}

// cause says why one try failed, without the address.
func cause(try error) string {
	var dns *net.DNSError
	var network *net.OpError
	switch {
	case errors.As(try, &dns):
		return dns.Err
	case errors.Is(try, context.DeadlineExceeded):
		return "no answer in time"
	case errors.Is(try, ErrReadOnly):
		return ErrReadOnly.Error()
	case errors.As(try, &network):
		return network.Err.Error()
	}
	if inner := errors.Unwrap(try); inner != nil {
		return inner.Error()
	}
	return try.Error()
}
