package connect_test

import (
	"net"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/taskrunner/taskrunner/internal/connect"
	"github.com/taskrunner/taskrunner/internal/testdb"
)

// The kernel misses a machine that is gone without a word after ten seconds, whether something was sent or not.
func TestSilenceIsBounded(t *testing.T) {
	t.Parallel()
	config, err := connect.Parse(testdb.New(t).DSN)
	require.NoError(t, err)
	conn, err := pgx.ConnectConfig(t.Context(), config)
	require.NoError(t, err)
	defer conn.Close(t.Context())
	raw, err := conn.PgConn().Conn().(*net.TCPConn).SyscallConn()
	require.NoError(t, err)
	options := map[int]int{unix.TCP_USER_TIMEOUT: 0, unix.TCP_KEEPIDLE: 0, unix.TCP_KEEPINTVL: 0, unix.TCP_KEEPCNT: 0}
	require.NoError(t, raw.Control(func(fd uintptr) {
		for option := range options {
			options[option], err = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, option)
			if err != nil {
				return
			}
		}
	}))
	require.NoError(t, err)
	require.Equal(t, 10_000, options[unix.TCP_USER_TIMEOUT])
	require.LessOrEqual(t, options[unix.TCP_KEEPIDLE]+options[unix.TCP_KEEPINTVL]*options[unix.TCP_KEEPCNT], 10)
}
