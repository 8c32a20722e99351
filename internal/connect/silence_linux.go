package connect

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// boundSilence makes the kernel give up what is sent and not acknowledged; by itself it goes on for a quarter of an hour.
func boundSilence(network, _ string, raw syscall.RawConn) error {
	if network == "unix" {
		return nil
	}
	var err error
	if controlErr := raw.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(silence.Milliseconds()))
	}); controlErr != nil {
		return controlErr
	}
	return err
}
