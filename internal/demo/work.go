package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/taskrunner/taskrunner/internal/screen"
)

// reportEvery is how often progress is reported, at most.
const reportEvery = 250 * time.Millisecond

// defaultSeconds is the length of work that does not say.
const defaultSeconds = 1.0

// work does what a task asks for, takes its time, and reports to the handle: progress by PUT, the result by PATCH.
func (r *Receiver) work(ctx context.Context, handle string, w Work) {
	total := time.Duration(w.Seconds * float64(time.Second))
	if total == 0 {
		total = time.Duration(defaultSeconds * float64(time.Second))
	}
	reports := portions(w, total)
	for i, p := range reports {
		if !pause(ctx, total/time.Duration(len(reports))) {
			return
		}
		if i == len(reports)-1 && p == (portion{}) {
			break // nothing to count
		}
		if err := r.put(ctx, handle, p); err != nil && ctx.Err() == nil {
			r.trouble(w.Step, "progress not reported", err)
		}
	}
	result := map[string]any{"status": "Success"}
	if w.Reason != "" {
		result = map[string]any{"status": "Failure", "failure_reason": w.Reason}
	}
	if err := r.patch(ctx, handle, result); err != nil && ctx.Err() == nil {
		r.trouble(w.Step, "result not reported", err)
	}
}

// trouble tells of a report that failed: without it a task just times out.
func (r *Receiver) trouble(step, what string, err error) {
	r.log.Warn(what, "step", step, "error", err)
	r.observer.Trouble(step, what+": "+err.Error())
}

// portion is the progress of one report.
type portion struct {
	Success  int64 `json:"new_success"`
	Failures int64 `json:"new_failures"`
}

// portions divides the items of a work evenly among its reports, the bad ones last. There is always at least one.
func portions(w Work, total time.Duration) []portion {
	n := max(1, min(w.Items, int64(total/reportEvery)))
	all := make([]portion, n)
	good := w.Items - w.Bad
	for i := range n {
		before, after := w.Items*i/n, w.Items*(i+1)/n
		all[i].Success = min(after, good) - min(before, good)
		all[i].Failures = after - before - all[i].Success
	}
	return all
}

// pause waits, and reports whether the context let it wait to the end.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// put reports progress, once: a repeat after a lost answer would count twice. Some progress that is missing harms nobody.
func (r *Receiver) put(ctx context.Context, handle string, p portion) error {
	status, answer, err := r.send(ctx, http.MethodPut, handle, p)
	if err != nil {
		return err
	}
	if status/100 != 2 {
		return answered(http.MethodPut, handle, status, answer)
	}
	return nil
}

// patch reports the result, repeatedly while the service cannot be reached or is overloaded. 409 says that the task has
// ended, by an earlier try whose answer was lost or by somebody else.
func (r *Receiver) patch(ctx context.Context, handle string, result any) error {
	const tries = 6
	wait := 100 * time.Millisecond
	for try := 1; ; try++ {
		status, answer, err := r.send(ctx, http.MethodPatch, handle, result)
		switch {
		case err == nil && (status/100 == 2 || status == http.StatusConflict):
			return nil
		case err == nil:
			err = answered(http.MethodPatch, handle, status, answer)
		}
		again := status == 0 || status >= http.StatusInternalServerError
		if !again || try == tries || !pause(ctx, wait) {
			return err
		}
		wait *= 2
	}
}

// answered is the error of a report that was refused.
func answered(method, handle string, status int, answer string) error {
	const most = 200 // of an answer, that of a proxy may be a page
	return fmt.Errorf("%s %s answered %d: %s", method, withoutQuery(handle), status, screen.Style{}.Cut(strings.TrimSpace(answer), most))
}

// withoutQuery leaves the token of a handle out, which is a secret.
func withoutQuery(handle string) string {
	address, _, _ := strings.Cut(handle, "?")
	return address
}

// send makes one call. Without an answer the status is 0. The errors of net/http quote the URL, ours without its query.
func (r *Receiver) send(ctx context.Context, method, handle string, body any) (status int, answer string, err error) {
	defer func() {
		var urlErr *url.Error
		if errors.As(err, &urlErr) {
			err = fmt.Errorf("%s %s: %w", method, withoutQuery(handle), urlErr.Err)
		}
	}()
	b, err := json.Marshal(body)
	if err != nil {
		return 0, "", err
	}
	req, err := http.NewRequestWithContext(ctx, method, handle, bytes.NewReader(b))
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := r.client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	const most = 1 << 20 // reading to the end lets the connection be used again
	text, err := io.ReadAll(io.LimitReader(resp.Body, most))
	return resp.StatusCode, string(text), err
}
