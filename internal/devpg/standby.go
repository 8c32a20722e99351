package devpg

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5"
)

// copyFrom makes dir a data folder of a standby that follows the primary. It does what pg_basebackup does, which comes neither with
// fetched binaries nor with every package.
func copyFrom(ctx context.Context, primary *Server, dir string, acct account) (err error) {
	conn, err := pgx.Connect(ctx, primary.DSN("postgres")) // one session for the whole backup
	if err != nil {
		return fmt.Errorf("devpg: %w", err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, "select pg_backup_start('standby', fast => true)"); err != nil {
		return fmt.Errorf("devpg: begin the copy of a server: %w", err)
	}
	if err := copyData(primary.layout.data, dir, acct); err != nil {
		return fmt.Errorf("devpg: copy a server: %w", err)
	}
	var label string
	if err := conn.QueryRow(ctx, "select labelfile from pg_backup_stop(wait_for_archive => false)").Scan(&label); err != nil {
		return fmt.Errorf("devpg: end the copy of a server: %w", err)
	}
	follow := "primary_conninfo = '" + primary.DSN("postgres") + "'\n" // the password holds letters and digits only
	for name, text := range map[string]string{"backup_label": label, "standby.signal": "", "postgresql.auto.conf": follow} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return fmt.Errorf("devpg: %w", err)
		}
		if err := acct.own(path); err != nil {
			return err
		}
	}
	return nil
}

// copyData copies the data folder of a running server, and of its log, which it streams, and of what belongs to its process, the
// folders alone. Files may vanish meanwhile: recovery needs none of those.
func copyData(from, to string, acct account) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		name, relErr := filepath.Rel(from, path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil || relErr != nil:
			return errors.Join(err, relErr)
		}
		target := filepath.Join(to, name)
		top, _, below := strings.Cut(name, string(filepath.Separator))
		switch {
		case d.IsDir():
			if err := os.Mkdir(target, 0o700); err != nil {
				return err
			}
		case below && (top == "pg_wal" || top == "pg_replslot"), strings.HasPrefix(name, "postmaster."):
			return nil
		default:
			content, err := os.ReadFile(path)
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err != nil {
				return err
			}
			if err := os.WriteFile(target, content, 0o600); err != nil {
				return err
			}
		}
		return acct.own(target)
	})
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

// Kill ends the server by SIGKILL; its other processes end when they notice. It recovers at its next start: a temporary folder is
// removed, any other can be started again. Further calls, and those of Stop, do nothing.
func (s *Server) Kill() {
	s.stopping.Do(func() {
		s.guardian.dismiss()
		_ = s.process.Kill() // an error means that it ended already
		<-s.done
		s.release()
	})
}
