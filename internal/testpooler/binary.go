package testpooler

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"
)

// debianDir is where Debian's package puts the program, which is not in everybody's PATH.
const debianDir = "/usr/sbin"

// program is a PgBouncer that can be run.
type program struct {
	path      string
	libraries string // a folder with some of its libraries; "" if they are installed
	keeps     bool   // it knows of prepared statements, as since 1.21
}

// firstKeeper is the minor version of PgBouncer 1 that is the first to know of prepared statements.
const firstKeeper = 21

func (p program) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, p.path, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	if p.libraries != "" {
		cmd.Env = append(cmd.Env, "LD_LIBRARY_PATH="+p.libraries)
	}
	return cmd
}

// inspect runs it and notes its version.
func (p program) inspect(ctx context.Context) (program, error) {
	out, err := p.command(ctx, "--version").CombinedOutput()
	var major, minor int
	if err == nil {
		_, err = fmt.Sscanf(string(out), "PgBouncer %d.%d", &major, &minor)
	}
	if err != nil {
		return p, fmt.Errorf("%s --version: %w: %s", p.path, err, strings.TrimSpace(string(out)))
	}
	p.keeps = major > 1 || minor >= firstKeeper
	return p, nil
}

// find returns an installed PgBouncer, or one of Debian's package, unpacked into the cache folder. That needs no rights.
var find = sync.OnceValues(func() (program, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	for _, name := range []string{"pgbouncer", filepath.Join(debianDir, "pgbouncer")} {
		if path, err := exec.LookPath(name); err == nil {
			return program{path: path}.inspect(ctx)
		}
	}
	p, err := unpacked(ctx)
	if err != nil {
		err = fmt.Errorf("testpooler: this test needs PgBouncer: install it (package pgbouncer of Debian, Ubuntu and Homebrew; "+
			"apt-get update may have to be run before): %w", err)
	}
	return p, err
})

// unpacked returns the program of Debian's package, which apt downloads once.
func unpacked(ctx context.Context) (program, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return program{}, err
	}
	dir := filepath.Join(cache, "taskrunner", "pgbouncer")
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return program{}, err
	}
	lock, err := os.OpenFile(dir+".lock", os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return program{}, err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil { // another package's tests may be at it
		return program{}, err
	}
	if p, err := in(ctx, dir); err == nil {
		return p, nil
	}
	work, err := os.MkdirTemp(filepath.Dir(dir), "unpack-")
	if err != nil {
		return program{}, err
	}
	defer os.RemoveAll(work)
	if err := unpack(ctx, work); err != nil {
		return program{}, err
	}
	if err := os.RemoveAll(dir); err != nil {
		return program{}, err
	}
	if err := os.Rename(filepath.Join(work, "root"), dir); err != nil {
		return program{}, err
	}
	return in(ctx, dir)
}

// in returns the program that was unpacked into a folder.
func in(ctx context.Context, dir string) (program, error) {
	p := program{path: filepath.Join(dir, debianDir, "pgbouncer")}
	libraries, err := filepath.Glob(filepath.Join(dir, "usr/lib/*/*.so.*"))
	if err != nil {
		return p, err
	}
	if len(libraries) > 0 {
		p.libraries = filepath.Dir(libraries[0])
	}
	return p.inspect(ctx)
}

// archive matches a package in the list of what apt would download.
var archive = regexp.MustCompile(`(?m)^'\S+' ([^_\s]+)_\S+\.deb `)

// unpack downloads the package and what it needs beyond what is installed, and unpacks all that into work/root.
func unpack(ctx context.Context, work string) error {
	run := func(name string, args ...string) (string, error) {
		cmd := exec.CommandContext(ctx, name, args...)
		cmd.Dir = work
		out, err := cmd.CombinedOutput()
		if err != nil {
			err = fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, strings.TrimSpace(string(out)))
		}
		return string(out), err
	}
	list, err := run("apt-get", "-qq", "--print-uris", "install", "--no-install-recommends", "pgbouncer")
	if err != nil {
		return err
	}
	download := []string{"-q", "download"}
	for _, match := range archive.FindAllStringSubmatch(list, -1) {
		download = append(download, match[1])
	}
	if len(download) == 2 {
		return errors.New("apt names no package to download")
	}
	if _, err := run("apt-get", download...); err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(work, "*.deb"))
	if err != nil {
		return err
	}
	for _, file := range files {
		if _, err := run("dpkg", "-x", file, "root"); err != nil {
			return err
		}
	}
	return nil
}
