package devpg

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
)

// BinEnv names the environment variable that holds the folder of initdb and postgres.
const BinEnv = "TASKRUNNER_PG_BIN"

// Supported major versions, oldest and newest.
const (
	oldestMajor = 15
	newestMajor = 18
)

// binaries is a folder with initdb and postgres that the account can run.
type binaries struct {
	dir   string
	major string
}

// installedPatterns are the places where packages put server binaries: Debian and Ubuntu, Red Hat, Homebrew on Apple
// silicon, on Intel and on Linux, Postgres.app.
var installedPatterns = []string{
	"/usr/lib/postgresql/*/bin",
	"/usr/pgsql-*/bin",
	"/opt/homebrew/opt/postgresql@*/bin",
	"/usr/local/opt/postgresql@*/bin",
	"/home/linuxbrew/.linuxbrew/opt/postgresql@*/bin",
	"/Applications/Postgres.app/Contents/Versions/*/bin",
}

// findBinaries looks in this order: Config.BinDir or TASKRUNNER_PG_BIN, which must then fit; PATH; the usual folders,
// newest version first; the ones fetched once. major, if not empty, is the only version that fits.
func findBinaries(ctx context.Context, cfg Config, major string, acct account) (binaries, error) {
	if major != "" {
		if n, err := strconv.Atoi(major); err != nil || n < oldestMajor || n > newestMajor {
			return binaries{}, fmt.Errorf("devpg: PostgreSQL %s is not supported: %d to %d are", major, oldestMajor, newestMajor)
		}
	}
	if explicit := cmp.Or(cfg.BinDir, os.Getenv(BinEnv)); explicit != "" && cfg.Search != Fetch {
		b, err := inspect(ctx, explicit, acct)
		if err == nil && !b.fits(major) {
			err = fmt.Errorf("it is version %s, wanted is %s", b.major, cmp.Or(major, "15 to 18"))
		}
		if err != nil {
			return binaries{}, fmt.Errorf("devpg: PostgreSQL binaries in %s (BinDir or %s): %w", explicit, BinEnv, err)
		}
		return b, nil
	}
	const advice = "install a PostgreSQL server, or set " + BinEnv + " to the folder of its binaries"
	if cfg.Search != Fetch {
		if b, ok := findInstalled(ctx, major, acct); ok {
			return b, nil
		}
	}
	if err := ctx.Err(); err != nil { // then nothing was found for want of time, and nothing is fetched
		return binaries{}, err
	}
	if cfg.Search == SearchLocal {
		return binaries{}, fmt.Errorf("devpg: no PostgreSQL %s is installed: %s", cmp.Or(major, "15 to 18"), advice)
	}
	b, err := fetch(ctx, cmp.Or(major, strconv.Itoa(newestMajor)), cfg.Log, acct)
	if err != nil {
		return binaries{}, fmt.Errorf("devpg: fetch PostgreSQL binaries: %w (or %s)", err, advice)
	}
	return b, nil
}

// findInstalled returns the first installed version that fits.
func findInstalled(ctx context.Context, major string, acct account) (binaries, bool) {
	if path, err := exec.LookPath("postgres"); err == nil {
		// The real folder, because a link in PATH has no initdb beside it.
		if real, err := filepath.EvalSymlinks(path); err == nil {
			if b, err := inspect(ctx, filepath.Dir(real), acct); err == nil && b.fits(major) {
				return b, true
			}
		}
	}
	var found []binaries
	for _, pattern := range installedPatterns {
		dirs, _ := filepath.Glob(pattern) // the only error is a malformed pattern
		for _, dir := range dirs {
			if b, err := inspect(ctx, dir, acct); err == nil && b.fits(major) {
				found = append(found, b)
			}
		}
	}
	if len(found) == 0 {
		return binaries{}, false
	}
	return slices.MaxFunc(found, func(a, b binaries) int { return cmp.Compare(a.number(), b.number()) }), true
}

var versionPattern = regexp.MustCompile(`\(PostgreSQL\) (\d+)`)

// inspect runs postgres --version as the account, which proves that the account can reach it.
func inspect(ctx context.Context, dir string, acct account) (binaries, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return binaries{}, err
	}
	if _, err := os.Stat(filepath.Join(dir, "initdb")); err != nil {
		return binaries{}, err
	}
	if blocked := acct.blockedAt(dir); blocked != "" {
		return binaries{}, fmt.Errorf("user %q, which the server runs as, may not enter %s", acct.name, blocked)
	}
	out, err := acct.command(ctx, filepath.Join(dir, "postgres"), "--version").Output()
	if err != nil {
		return binaries{}, err
	}
	m := versionPattern.FindSubmatch(out)
	if m == nil {
		return binaries{}, errors.New("cannot read the output of postgres --version")
	}
	return binaries{dir: dir, major: string(m[1])}, nil
}

func (b binaries) number() int {
	n, _ := strconv.Atoi(b.major) // digits by the pattern
	return n
}

func (b binaries) fits(major string) bool {
	if major != "" {
		return b.major == major
	}
	return b.number() >= oldestMajor && b.number() <= newestMajor
}

func (b binaries) initdb() string   { return filepath.Join(b.dir, "initdb") }
func (b binaries) postgres() string { return filepath.Join(b.dir, "postgres") }
