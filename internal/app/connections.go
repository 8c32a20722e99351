package app

import "syscall"

// manyConnections is far more than the clients of one replica keep open.
const manyConnections = 10_000

// connections is how many connections may be open to this process: at most half of the files that it may have, because the
// database and webhooks need some too, and twice as many as requests that are served at once.
func connections(maxInFlight int) int {
	most := max(manyConnections, 2*maxInFlight)
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err == nil {
		most = int(min(uint64(most), max(uint64(files.Cur)/2, 1)))
	}
	return most
}
