// Command withpg runs another command with a PostgreSQL server for tests, which all its processes share:
//
//	go run ./internal/testdb/withpg -- go test -race ./...
//
// The command finds the server's URL in TEST_DATABASE_URL. Signals are passed on, and its exit code becomes ours. If
// TEST_DATABASE_URL is set already, that server is used and nothing is started.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"github.com/taskrunner/taskrunner/internal/testdb"
)

const (
	startTimeout = 3 * time.Minute
	stopTimeout  = 30 * time.Second
)

func main() {
	args := os.Args[1:]
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		fmt.Fprintln(os.Stderr, "usage: withpg -- command [argument …]")
		os.Exit(2)
	}
	code, err := run(args)
	if err != nil {
		fmt.Fprintf(os.Stderr, "withpg: %v\n", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// run starts the server, runs the command and stops the server. An error means that something but the command failed.
func run(args []string) (code int, err error) {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	defer signal.Stop(signals)

	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	server, err := testdb.StartServer(ctx)
	if err != nil {
		return 0, err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
		defer cancel()
		if stopErr := server.Stop(ctx); stopErr != nil {
			err = errors.Join(err, stopErr)
		}
	}()
	fmt.Fprintf(os.Stderr, "withpg: PostgreSQL from %s\n", server.Source)

	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), testdb.URLEnv+"="+server.DSN)
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		select {
		case s := <-signals:
			// At Ctrl-C in a terminal the command has got the signal too, and gets it twice; a signal sent to us
			// alone it gets once. We only end after it did.
			_ = cmd.Process.Signal(s)
		case err := <-ended:
			return exitCode(err)
		}
	}
}

// exitCode turns the result of a command into its exit code, as a shell counts: 128 + signal for one that was killed.
func exitCode(err error) (int, error) {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return 0, err
	}
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal()), nil
	}
	return exit.ExitCode(), nil
}
