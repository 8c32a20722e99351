package main

import (
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/taskrunner/taskrunner/internal/demo"
)

// devReceiver is the demo's receiver with what the screen shows of it.
type devReceiver struct {
	*demo.Receiver
	hooks  demo.Hooks
	follow atomic.Bool // each webhook gets a line on the screen
}

// startReceiver serves the demo's receiver on the first free port from the given one on. stop ends the server; the
// receiver has to be closed before.
func (c *devCmd) startReceiver(port int, log *slog.Logger) (r *devReceiver, stop func(), err error) {
	listener, err := c.listen(port, "the receiver")
	if err != nil {
		return nil, nil, err
	}
	r = &devReceiver{}
	r.Receiver = demo.NewReceiver("http://"+listener.Addr().String(), c.Speed, log, func(e demo.Event) {
		r.hooks.Add(e)
		if r.follow.Load() || !c.screen.Live() && e.Status != http.StatusAccepted {
			c.screen.Println(eventLine(e))
		}
	})
	return r, serveReceiver(listener, r.Handler(), log), nil
}

// eventLine describes a webhook.
func eventLine(e demo.Event) string {
	line := e.At.Format(time.TimeOnly) + "  " + e.Kind + " of " + e.Step
	if e.Status != http.StatusNoContent {
		line += ", answered " + http.StatusText(e.Status)
	}
	return line
}
