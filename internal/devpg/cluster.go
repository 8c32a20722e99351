package devpg

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// ensureCluster creates the data folder if there is none, new or as a copy of the primary's, and returns the superuser's
// password.
//
// What makes it works in a folder beside it that is renamed at the end, so a run that was killed leaves no half of a data
// folder. The password is written before, so data without a password cannot be.
func ensureCluster(ctx context.Context, l layout, bins binaries, acct account, cfg Config) (password string, reused bool, err error) {
	if _, err := os.Stat(filepath.Join(l.data, "PG_VERSION")); err == nil {
		b, err := os.ReadFile(l.password)
		if err != nil {
			return "", false, fmt.Errorf("devpg: the password of the server in %s: %w", l.dir, err)
		}
		return strings.TrimSpace(string(b)), true, nil
	}
	if password = rand.Text(); cfg.StandbyOf != nil {
		password = cfg.StandbyOf.password
	}
	if err := os.WriteFile(l.password, []byte(password+"\n"), 0o600); err != nil {
		return "", false, fmt.Errorf("devpg: %w", err)
	}
	if err := acct.own(l.password); err != nil { // initdb reads it
		return "", false, err
	}
	fresh := l.data + ".new"
	if err := os.RemoveAll(fresh); err != nil {
		return "", false, fmt.Errorf("devpg: %w", err)
	}
	if cfg.StandbyOf != nil {
		err = copyFrom(ctx, cfg.StandbyOf, fresh, acct)
	} else {
		err = initialize(ctx, l, fresh, bins, acct, cfg.Settings["fsync"] == "off")
	}
	if err != nil {
		return "", false, err
	}
	if err := os.Rename(fresh, l.data); err != nil {
		return "", false, fmt.Errorf("devpg: %w", err)
	}
	return password, false, nil
}

// initialize makes dir the data folder of a new server.
func initialize(ctx context.Context, l layout, dir string, bins binaries, acct account, noSync bool) error {
	args := []string{
		"--pgdata=" + dir, "--username=" + superuser, "--pwfile=" + l.password,
		"--auth=scram-sha-256", "--encoding=UTF8", "--locale=C",
	}
	if noSync {
		args = append(args, "--no-sync")
	}
	if out, err := acct.command(ctx, bins.initdb(), args...).CombinedOutput(); err != nil {
		return fmt.Errorf("devpg: initdb of PostgreSQL %s: %w\n%s", bins.major, err, out)
	}
	return nil
}
