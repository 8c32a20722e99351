package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

// browser is a Chromium without a window. It is spoken to in its DevTools protocol over two pipes, which needs no library:
// one JSON object after the other, each ended by a zero byte.
type browser struct {
	cmd     *exec.Cmd
	profile string
	calls   io.WriteCloser
	pipe    io.Closer // of the answers
	answers *bufio.Reader
	stderr  *bytes.Buffer
	last    int // number of the last call
}

// startBrowser starts one with an empty profile. It ends with the context at the latest.
func startBrowser(ctx context.Context, path string) (_ *browser, err error) {
	b := &browser{stderr: &bytes.Buffer{}}
	if b.profile, err = os.MkdirTemp("", "taskrunner-bench-"); err != nil {
		return nil, err
	}
	fromUs, calls, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(b.profile))
	}
	answers, toUs, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, fromUs.Close(), calls.Close(), os.RemoveAll(b.profile))
	}
	b.calls, b.pipe, b.answers = calls, answers, bufio.NewReader(answers)
	args := []string{"--headless", "--remote-debugging-pipe", "--user-data-dir=" + b.profile, "--window-size=1280,800", "--hide-scrollbars",
		"--no-first-run", "--no-default-browser-check", "--disable-extensions", "--disable-background-networking", "--disable-component-update",
		"--disable-sync", "--disable-background-timer-throttling", "--disable-backgrounding-occluded-windows", "--disable-renderer-backgrounding",
		"--disable-dev-shm-usage"}
	if os.Getuid() == 0 {
		args = append(args, "--no-sandbox") // it refuses to run as root with one
	}
	b.cmd = exec.CommandContext(ctx, path, args...)
	b.cmd.ExtraFiles = []*os.File{fromUs, toUs} // 3 and 4, as Chromium wants them
	b.cmd.Stderr = b.stderr
	b.cmd.WaitDelay = stopTimeout // helpers of it may hold on to its standard error
	err = b.cmd.Start()
	_, _ = fromUs.Close(), toUs.Close() // the browser has its own
	if err != nil {
		return nil, errors.Join(err, calls.Close(), answers.Close(), os.RemoveAll(b.profile))
	}
	return b, nil
}

// stop asks the browser to end, and waits.
func (b *browser) stop(ctx context.Context) error {
	closing := b.call("", "Browser.close", nil, nil)
	if closing != nil || ctx.Err() != nil {
		_ = b.cmd.Process.Kill()
	}
	timer := time.AfterFunc(stopTimeout, func() { _ = b.cmd.Process.Kill() })
	defer timer.Stop()
	_, _, _ = b.calls.Close(), b.cmd.Wait(), b.pipe.Close() // killed or not
	return errors.Join(closing, os.RemoveAll(b.profile))
}

// call calls a method, of a tab if it has a session, and waits for the answer. Events in between are of no interest.
func (b *browser) call(session, method string, params, result any) error {
	b.last++
	request, err := json.Marshal(struct {
		ID      int    `json:"id"`
		Session string `json:"sessionId,omitempty"`
		Method  string `json:"method"`
		Params  any    `json:"params,omitempty"`
	}{b.last, session, method, params})
	if err != nil {
		return err
	}
	if _, err := b.calls.Write(append(request, 0)); err != nil {
		return b.gone(method, err)
	}
	for {
		raw, err := b.answers.ReadBytes(0)
		if err != nil {
			return b.gone(method, err)
		}
		var answer struct {
			ID     int
			Result json.RawMessage
			Error  *struct{ Message string }
		}
		if err := json.Unmarshal(raw[:len(raw)-1], &answer); err != nil {
			return fmt.Errorf("%s: %w", method, err)
		}
		switch {
		case answer.ID != b.last:
		case answer.Error != nil:
			return fmt.Errorf("%s: %s", method, answer.Error.Message)
		case result == nil:
			return nil
		default:
			return json.Unmarshal(answer.Result, result)
		}
	}
}

func (b *browser) gone(method string, err error) error {
	return fmt.Errorf("%s: the browser has ended (%w): %s", method, err, strings.TrimSpace(b.stderr.String()))
}

// browserTab is a tab with a profile of its own: nothing is cached.
type browserTab struct {
	*browser
	context, session string
}

// fields are the parameters of a call.
type fields map[string]any

// open makes a tab, in which a script runs before the page's own.
func (b *browser) open(script string) (*browserTab, error) {
	var made struct{ BrowserContextID, TargetID, SessionID string }
	err := b.call("", "Target.createBrowserContext", nil, &made)
	if err == nil {
		err = b.call("", "Target.createTarget", fields{"url": "about:blank", "browserContextId": made.BrowserContextID}, &made)
	}
	if err == nil {
		err = b.call("", "Target.attachToTarget", fields{"targetId": made.TargetID, "flatten": true}, &made)
	}
	t := &browserTab{browser: b, context: made.BrowserContextID, session: made.SessionID}
	if err == nil {
		err = t.call("Page.enable", nil)
	}
	if err == nil {
		err = t.call("Page.addScriptToEvaluateOnNewDocument", fields{"source": script})
	}
	return t, err
}

func (t *browserTab) call(method string, params any) error {
	return t.browser.call(t.session, method, params, nil)
}

func (t *browserTab) close() error {
	return t.browser.call("", "Target.disposeBrowserContext", fields{"browserContextId": t.context}, nil)
}

// eval returns the value of an expression; of a promise, what it becomes.
func (t *browserTab) eval(expression string, value any) error {
	var answer struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails *struct {
			Text      string
			Exception struct{ Description string }
		}
	}
	err := t.browser.call(t.session, "Runtime.evaluate", fields{"expression": expression, "awaitPromise": true, "returnByValue": true}, &answer)
	switch {
	case err != nil:
		return err
	case answer.ExceptionDetails != nil:
		return fmt.Errorf("%s: %s", answer.ExceptionDetails.Text, answer.ExceptionDetails.Exception.Description)
	case value == nil:
		return nil
	}
	return json.Unmarshal(answer.Result.Value, value)
}
