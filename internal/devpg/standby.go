package devpg

import (
	"context"
	"fmt"
	"path/filepath"
	"syscall"
)

// copyFrom makes dir a data folder of a standby that follows the primary.
func copyFrom(ctx context.Context, primary *Server, dir string, bins binaries, acct account) error {
	args := []string{
		"--dbname=" + primary.DSN("postgres"), "--pgdata=" + dir, "--write-recovery-conf", "--checkpoint=fast", "--no-sync", "--no-password",
	}
	if out, err := acct.command(ctx, filepath.Join(bins.dir, "pg_basebackup"), args...).CombinedOutput(); err != nil {
		return fmt.Errorf("devpg: pg_basebackup of PostgreSQL %s, which comes with a server's package but not with fetched binaries: %w\n%s",
			bins.major, err, out)
	}
	return nil
}

// Promote ends the recovery of a standby: from now on it takes writes.
func (s *Server) Promote(ctx context.Context) error {
	acct, err := serverAccount()
	if err != nil {
		return err
	}
	out, err := acct.command(ctx, filepath.Join(s.binDir, "pg_ctl"), "promote", "--pgdata="+s.layout.data).CombinedOutput()
	if err != nil {
		return fmt.Errorf("devpg: pg_ctl promote: %w\n%s", err, out)
	}
	return nil
}

// Kill ends the server with all its processes at once, as a loss of power does. A temporary folder is removed, any other can be
// started again. Further calls, and those of Stop, do nothing.
func (s *Server) Kill() {
	s.stopping.Do(func() {
		s.guardian.dismiss()
		_ = syscall.Kill(-s.process.Pid, syscall.SIGKILL) // an error means that it ended already
		<-s.done
		s.release()
	})
}
