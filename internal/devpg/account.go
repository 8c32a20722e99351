package devpg

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// account is the user that the server and its tools run as. PostgreSQL refuses to run as root, so root lends them an
// account with fewer rights; anybody else runs them as himself.
type account struct {
	name     string
	uid, gid uint32
	switched bool // a different user than this process
}

// serverAccount picks the account: the present user, or for root the first that exists of "postgres" (Debian and most
// images), "_postgres" (macOS) and "nobody".
func serverAccount() (account, error) {
	if os.Geteuid() != 0 {
		return account{uid: uint32(os.Geteuid()), gid: uint32(os.Getegid())}, nil
	}
	names := []string{"postgres", "_postgres", "nobody"}
	for _, name := range names {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		// macOS prints nobody's id as -2, which is 2^32-2.
		uid, err1 := strconv.ParseInt(u.Uid, 10, 64)
		gid, err2 := strconv.ParseInt(u.Gid, 10, 64)
		if err1 != nil || err2 != nil || uid == 0 {
			continue
		}
		return account{name: name, uid: uint32(uid), gid: uint32(gid), switched: true}, nil
	}
	return account{}, fmt.Errorf("devpg: PostgreSQL refuses to run as root, and none of the users %s exists: "+
		"create one of them or run as an ordinary user", strings.Join(names, ", "))
}

// command prepares a program to run as the account, in a process group of its own so that a terminal's Ctrl-C does not
// reach it, in a folder that every user can enter, and without the PG… variables that would point it elsewhere.
func (a account) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = "/"
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "PG") && !strings.HasPrefix(kv, "LC_") && !strings.HasPrefix(kv, "LANG") {
			cmd.Env = append(cmd.Env, kv)
		}
	}
	cmd.Env = append(cmd.Env, "LC_ALL=C") // messages we can read, and a locale that exists everywhere
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if a.switched {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: a.uid, Gid: a.gid}
	}
	return cmd
}

// own gives a file or folder to the account.
func (a account) own(path string) error {
	if !a.switched {
		return nil
	}
	if err := os.Chown(path, int(a.uid), int(a.gid)); err != nil {
		return fmt.Errorf("devpg: %w", err)
	}
	return nil
}

// mkdirAll makes a folder and its missing parents. The account may enter what is made here, whatever the umask.
func (a account) mkdirAll(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if err := a.mkdirAll(filepath.Dir(dir)); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		if errors.Is(err, os.ErrExist) { // another process was faster
			return nil
		}
		return err
	}
	if a.switched {
		return os.Chmod(dir, 0o755)
	}
	return nil
}

// blockedAt returns the outermost folder on the way to path, path included, that the account may not enter; "" if the
// way is free. Only an account other than the present user is checked.
func (a account) blockedAt(path string) string {
	if !a.switched {
		return ""
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return path
	}
	if parent := filepath.Dir(path); parent != path {
		if blocked := a.blockedAt(parent); blocked != "" {
			return blocked
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		return path
	}
	enter := os.FileMode(0o001)
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		switch {
		case st.Uid == a.uid:
			enter = 0o100
		case st.Gid == a.gid:
			enter = 0o010
		}
	}
	if info.Mode().Perm()&enter == 0 {
		return path
	}
	return ""
}
