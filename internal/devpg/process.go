package devpg

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
)

// spawn starts the server process. Settings go on its command line, so that each start's are the ones in force.
func (s *Server) spawn(bins binaries, acct account, settings map[string]string) error {
	if err := os.Rename(s.layout.log, s.layout.log+".old"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("devpg: %w", err)
	}
	logFile, err := os.OpenFile(s.layout.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("devpg: %w", err)
	}
	defer logFile.Close() // the child has its own

	all := map[string]string{"timezone": "UTC", "log_timezone": "UTC"}
	maps.Copy(all, settings)
	all["listen_addresses"] = "127.0.0.1"
	all["port"] = strconv.Itoa(s.port)
	all["unix_socket_directories"] = ""
	args := []string{"-D", s.layout.data}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		args = append(args, "-c", name+"="+all[name])
	}
	cmd := acct.command(context.Background(), bins.postgres(), args...)
	cmd.Stdout, cmd.Stderr = logFile, logFile
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("devpg: start %s: %w", bins.postgres(), err)
	}
	done := make(chan struct{})
	s.process, s.done = cmd.Process, done
	go func() {
		_ = cmd.Wait() // how it ended stands in its log
		close(done)
	}()
	return nil
}
