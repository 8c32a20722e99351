package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// The HTTP scenarios measure from outside: the service, the servers it is compared with, and the load client are
// processes of their own. All are this program again, by Config.Command.

// ChildCommand is the hidden command that runs Child.
const ChildCommand = "bench-child"

// childSpec is what a child reads from standard input. A server ends with its standard input, so that none is left behind
// when the parent dies.
type childSpec struct {
	Serve *serverSpec `json:",omitempty"`
	Load  *loadSpec   `json:",omitempty"`
	Post  *postSpec   `json:",omitempty"`
	// Receive says its addresses instead of one.
	Receive *receiverSpec `json:",omitempty"`
}

// Child runs what in asks for: a server, which says its address to out, or a load client, which says what it measured.
func Child(ctx context.Context, in io.Reader, out io.Writer) error {
	decoder := json.NewDecoder(in)
	var spec childSpec
	if err := decoder.Decode(&spec); err != nil {
		return fmt.Errorf("what to do is read from standard input: %w", err)
	}
	encoder := json.NewEncoder(out)
	if spec.Serve != nil || spec.Receive != nil { // they end with their input
		var stop context.CancelFunc
		ctx, stop = context.WithCancel(ctx)
		defer stop()
		go func() {
			defer stop()
			_, _ = io.Copy(io.Discard, in)
		}()
	}
	switch {
	case spec.Serve != nil:
		return spec.Serve.run(ctx, func(address string) error { return encoder.Encode(address) })
	case spec.Receive != nil:
		return spec.Receive.run(ctx, func(addresses []string) error { return encoder.Encode(addresses) })
	case spec.Load != nil:
		result, err := spec.Load.run(ctx)
		return errors.Join(err, encoder.Encode(result))
	case spec.Post != nil:
		result, err := spec.Post.run(ctx)
		return errors.Join(err, encoder.Encode(result))
	}
	return errors.New("nothing to do")
}

// child is a running server process.
type child struct {
	url  string
	cmd  *exec.Cmd
	stop func() error
}

// stopTimeout is how long a server may take to end before it is killed.
const stopTimeout = 20 * time.Second

// startServer runs a server for comparison.
func (c Config) startServer(ctx context.Context, spec serverSpec) (*child, error) {
	var address string
	ch, err := c.startHelper(ctx, childSpec{Serve: &spec}, &address)
	if err != nil {
		return nil, fmt.Errorf("the server for comparison did not start: %w", err)
	}
	ch.url = "http://" + address
	return ch, nil
}

// startHelper runs a child that says to ready when it is.
func (c Config) startHelper(ctx context.Context, spec childSpec, ready any) (*child, error) {
	cmd := c.Command(ctx, ChildCommand)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	ch, lines, err := startChild(cmd, stdin)
	if err != nil {
		return nil, err
	}
	if err := json.NewEncoder(stdin).Encode(spec); err != nil {
		return nil, errors.Join(err, ch.stop())
	}
	if err := json.NewDecoder(lines).Decode(ready); err != nil {
		err = errors.Join(err, ch.stop()) // stderr is complete then
		return nil, fmt.Errorf("%w: %s", err, strings.TrimSpace(stderr.String()))
	}
	return ch, nil
}

// startService runs "taskrunner serve" on a database, with or without loops of its own. Of settings given twice the last counts.
func (c Config) startService(ctx context.Context, dsn string, works bool, more ...string) (*child, error) {
	settings := []string{"serve", "--port=0", "--host-url=http://127.0.0.1:9", "--ssrf-allow=127.0.0.1", fmt.Sprint("--worker-enabled=", works), "--log-format=json"}
	cmd := c.Command(ctx, append(settings, more...)...)
	cmd.Env = append(cmd.Environ(), "DATABASE_URL="+dsn, "LISTEN_DATABASE_URL=")
	log, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	ch, _, err := startChild(cmd, nil)
	if err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(log)
	for lines.Scan() {
		var line struct{ Msg, Address string }
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "ready" {
			ch.url = "http://127.0.0.1" + line.Address[strings.LastIndex(line.Address, ":"):]
			go func() { _, _ = io.Copy(io.Discard, log) }()
			return ch, nil
		}
	}
	return nil, errors.Join(errors.New("the service did not start"), ch.stop())
}

// startChild starts a process. Stopping it closes its standard input or, if it has none, asks by a signal.
func startChild(cmd *exec.Cmd, stdin io.Closer) (*child, io.Reader, error) {
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopTimeout
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	ch := &child{cmd: cmd}
	ch.stop = func() error {
		if stdin != nil {
			_ = stdin.Close() // it may have ended
		} else {
			_ = cmd.Process.Signal(syscall.SIGTERM)
		}
		timer := time.AfterFunc(stopTimeout, func() { _ = cmd.Process.Kill() })
		defer timer.Stop()
		return cmd.Wait()
	}
	return ch, stdout, nil
}

// ask runs a load client to its end.
func (c Config) ask(ctx context.Context, spec childSpec, result any) error {
	raw, err := json.Marshal(spec)
	if err != nil {
		return err
	}
	cmd := c.Command(ctx, ChildCommand)
	cmd.Stdin = strings.NewReader(string(raw))
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("load client: %w: %s", err, strings.TrimSpace(stderr.String()))
	}
	return json.Unmarshal(out, result)
}
