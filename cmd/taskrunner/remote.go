package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/taskrunner/taskrunner/internal/client"
	"github.com/taskrunner/taskrunner/internal/screen"
)

// streams are where a command reads and writes.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// screen returns one on the output.
func (s streams) screen() *screen.Screen {
	if f, ok := s.out.(*os.File); ok {
		return screen.New(f)
	}
	return screen.NewPlain(s.out)
}

// style is that of lines which are not drawn again. Where there is no terminal nothing is cut.
func style(s *screen.Screen) screen.Style {
	st := s.Style()
	if st.Height = 0; !s.Live() {
		st.Width = math.MaxInt32
	}
	return st
}

// println writes lines to the output.
func (s streams) println(lines ...string) {
	for _, line := range lines {
		fmt.Fprintln(s.out, line)
	}
}

// exitError is an error with an exit code other than that of all others.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// remote is what commands need that call a service.
type remote struct {
	Server    string        `name:"server" env:"TASKRUNNER_URL" group:"client" default:"${server}" placeholder:"URL" help:"The service to call; by default ${server}."`
	TokenFile string        `name:"token-file" env:"TASKRUNNER_TOKEN_FILE" group:"client" placeholder:"FILE" help:"File that holds the bearer token. Without one it is taken from the variable TASKRUNNER_TOKEN."`
	Timeout   time.Duration `name:"timeout" group:"client" placeholder:"DURATION" help:"How long each request may take; by default 1m, and 15m for submit, because a large graph takes its time."`
	JSON      bool          `name:"json" group:"client" help:"Write the answers of the service as they come, errors too."`
}

// defaultServer is that of --server.
const defaultServer = "http://127.0.0.1:8085"

// tokenVariable holds the token. There is no flag for it, because others can see command lines.
const tokenVariable = "TASKRUNNER_TOKEN"

// requestTimeout and submitTimeout are the defaults of --timeout.
const (
	requestTimeout = time.Minute
	submitTimeout  = 15 * time.Minute
)

// connect returns a client with these settings.
func (r *remote) connect() (*client.Client, error) {
	token, source := os.Getenv(tokenVariable), tokenVariable
	if r.TokenFile != "" {
		const most = 1 << 16
		f, err := os.Open(r.TokenFile)
		if err != nil {
			return nil, fmt.Errorf("--token-file: %w", err)
		}
		defer f.Close()
		text, err := io.ReadAll(io.LimitReader(f, most))
		if err != nil {
			return nil, fmt.Errorf("--token-file: %w", err)
		}
		token, source = string(text), "--token-file"
	}
	if r.Timeout < 0 {
		return nil, fmt.Errorf("--timeout must be above 0, not %v", r.Timeout)
	}
	api, err := client.New(client.Config{
		URL: r.Server, Token: strings.TrimSpace(token), Timeout: cmp.Or(r.Timeout, requestTimeout), Agent: "taskrunner-cli/" + version,
	})
	switch {
	case errors.Is(err, client.ErrToken):
		return nil, fmt.Errorf("%s: %w", source, err)
	case err != nil:
		return nil, fmt.Errorf("--server: %w", err)
	}
	return api, nil
}

// told makes of a failed call what is written of it. With --json the answer of the service goes to the output as it is.
// explain may turn the details into something better.
func (r *remote) told(s streams, err error, explain func([]string) []string) error {
	var refused *client.Error
	var away *client.Unreachable
	switch {
	case errors.As(err, &refused):
		if r.JSON {
			s.println(string(refused.Raw))
		}
		lines := []string{screen.Clean(err.Error()) + hint(refused)}
		details := refused.Details
		if explain != nil {
			details = explain(details)
		}
		for _, detail := range details {
			lines = append(lines, screen.Clean(detail))
		}
		return errors.New(strings.Join(lines, "\n"))
	case errors.As(err, &away) && away.Timeout():
		return errors.New(screen.Clean(err.Error()) + "; see --timeout")
	case errors.As(err, &away):
		return errors.New(screen.Clean(err.Error()) + "; is it running? see --server")
	case err != nil:
		return errors.New(screen.Clean(err.Error()))
	}
	return nil
}

// hint says what helps against an error, where that is known.
func hint(e *client.Error) string {
	switch {
	case e.Status == http.StatusUnauthorized:
		return "; the token is taken from " + tokenVariable + " or --token-file"
	case e.Status == http.StatusServiceUnavailable && e.RetryAfter > 0:
		return fmt.Sprintf("; it asks for another try in %v", e.RetryAfter)
	}
	return ""
}

// each calls f for every id, whatever became of those before, and writes what it returns: the answer with --json, else
// lines.
func each(ctx context.Context, s streams, r *remote, ids []uuid.UUID,
	f func(context.Context, *client.Client, uuid.UUID) (raw []byte, lines []string, err error),
) error {
	api, err := r.connect()
	if err != nil {
		return err
	}
	defer api.Close()
	var failed []error
	for _, id := range ids {
		raw, lines, err := f(ctx, api, id)
		switch {
		case ctx.Err() != nil:
			return errors.Join(append(failed, interrupted())...)
		case err != nil:
			if err = r.told(s, err, nil); len(ids) > 1 && !strings.Contains(err.Error(), id.String()) {
				err = fmt.Errorf("%s: %w", id, err)
			}
			failed = append(failed, err)
		case r.JSON:
			s.println(string(raw))
		default:
			s.println(lines...)
		}
	}
	return errors.Join(failed...)
}

// interrupted is the error of a command that a signal ended before it was done.
func interrupted() error { return &exitError{exitInterrupted, errors.New("interrupted")} }
