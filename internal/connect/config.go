package connect

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	// Timeout bounds a try to connect to one server when the DSN does not say. A DSN may name several: the first may be a machine
	// that is gone, and must leave time for the second.
	Timeout = 5 * time.Second
	// A server whose machine is gone without a word is missed after silence at the latest: neither what was sent is
	// acknowledged, nor a question whether it is there.
	silence  = 10 * time.Second
	askAfter = 5 * time.Second
	askEvery = time.Second
	askTimes = 5
	// mostAddresses bounds how many addresses of a name are tried, each for the timeout.
	mostAddresses = 16
)

// ErrReadOnly means that a server cannot be written to: a standby, most of the time.
var ErrReadOnly = errors.New("the server is read-only, a standby perhaps")

// Parse reads a DSN, a URL or a keyword string, for single connections: made fit for use by Prepare, and without named prepared
// statements, which get lost behind a pooler.
func Parse(dsn string) (*pgx.ConnConfig, error) {
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, err
	}
	Prepare(&config.Config)
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	return config, nil
}

// Prepare makes a configuration one whose connections are of use where servers come and go: each address has its time, and so has the
// look-up of a name, a server that is gone is missed, and one that cannot be written to is none, unless the DSN says otherwise.
func Prepare(c *pgconn.Config) {
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = Timeout
	}
	dialer := &net.Dialer{
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: askAfter, Interval: askEvery, Count: askTimes},
		Control:         boundSilence,
	}
	c.DialFunc = dialer.DialContext
	lookup, timeout := c.LookupFunc, c.ConnectTimeout
	c.LookupFunc = func(ctx context.Context, host string) ([]string, error) {
		ctx, cancel := context.WithTimeout(ctx, timeout) // that of pgx is for addresses
		defer cancel()
		list, err := lookup(ctx, host)
		return list[:min(len(list), mostAddresses)], err
	}
	if c.ValidateConnect == nil {
		c.ValidateConnect = writable
	}
}

func writable(ctx context.Context, conn *pgconn.PgConn) error {
	results, err := conn.Exec(ctx, "show transaction_read_only").ReadAll()
	if err != nil {
		return err
	}
	if len(results) == 1 && len(results[0].Rows) == 1 && string(results[0].Rows[0][0]) == "on" {
		return ErrReadOnly
	}
	return nil
}
