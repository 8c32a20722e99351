package devpg

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"strconv"
)

// guardian is a small shell process that ends the server when this process dies without calling Stop. It reads from a
// pipe whose other end only we hold: the read returns when we are gone, whatever killed us. Compared with Linux's
// parent-death signal this also works on macOS, does not depend on which thread started the child, lets the server shut
// down cleanly, and removes a temporary folder.
type guardian struct {
	cmd  *exec.Cmd
	pipe io.WriteCloser
}

// guardianScript gets the data folder, the server's process number, and the folder to remove ("" for none). The number
// is compared with PostgreSQL's own file first, because it may have been given to another process.
const guardianScript = `
read -r _
if read -r pid <"$1/postmaster.pid" && [ "$pid" = "$2" ]; then
  kill -INT "$pid"
  tries=0
  while kill -0 "$pid" 2>/dev/null && [ $tries -lt 100 ]; do sleep 0.1; tries=$((tries + 1)); done
fi
[ -z "$3" ] || rm -rf "$3"
`

func startGuardian(l layout, pid int, temporary bool, acct account) (*guardian, error) {
	remove := ""
	if temporary {
		remove = l.dir
	}
	cmd := acct.command(context.Background(), "/bin/sh", "-c", guardianScript, "sh", l.data, strconv.Itoa(pid), remove)
	pipe, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("devpg: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("devpg: start the guardian: %w", err)
	}
	return &guardian{cmd: cmd, pipe: pipe}, nil
}

// dismiss ends the guardian without letting it act.
func (g *guardian) dismiss() {
	_ = g.cmd.Process.Kill() // before the pipe is closed, which would wake it
	_ = g.pipe.Close()
	_ = g.cmd.Wait()
}
