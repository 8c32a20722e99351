package main

import (
	"fmt"
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
		switch {
		case r.follow.Load():
			c.screen.Println(e.At.Format(time.TimeOnly) + "  " + eventLine(e))
		case !c.screen.Live() && e.Status != http.StatusAccepted: // a start that is accepted shows by itself
			c.screen.Println("         " + eventLine(e))
		}
	})
	return r, serveReceiver(listener, r.Handler(), log), nil
}

// eventLine describes a webhook.
func eventLine(e demo.Event) string {
	return fmt.Sprintf("%-18s %s answered %d", e.Step, e.Kind, e.Status)
}
