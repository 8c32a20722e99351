package store

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/connect"
	"github.com/taskrunner/taskrunner/internal/testdb"
)

// A connection that leads to a server which has become read-only, as through a pooler, is no sign of health.
func TestPingOfAReadOnlyServer(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	s, err := Open(t.Context(), db.DSN, Options{MaxConns: 1, AcquireTimeout: time.Minute})
	require.NoError(t, err)
	defer s.Close()
	require.NoError(t, s.Ping(t.Context()))
	_, err = s.pool.Exec(t.Context(), "set default_transaction_read_only = on")
	require.NoError(t, err)
	require.ErrorIs(t, s.Ping(t.Context()), connect.ErrReadOnly)
	_, err = s.pool.Exec(t.Context(), "set default_transaction_read_only = off")
	require.NoError(t, err)
	require.NoError(t, s.Ping(t.Context()))
}
