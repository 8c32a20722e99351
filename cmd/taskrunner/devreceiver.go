package main

import (
	"log/slog"

	"github.com/taskrunner/taskrunner/internal/demo"
)

// devReceiver is the demo's receiver with what the screen shows of it.
type devReceiver struct {
	*demo.Receiver
	hooks *demo.Hooks
}

// startReceiver serves the demo's receiver on the first free port from the given one on. stop ends the server; the
// receiver has to be closed before.
func (c *devCmd) startReceiver(port int, log *slog.Logger) (r *devReceiver, stop func(), err error) {
	listener, err := c.listen(port, "the receiver")
	if err != nil {
		return nil, nil, err
	}
	hooks := demo.NewHooks(c.screen)
	r = &devReceiver{hooks: hooks, Receiver: demo.NewReceiver("http://"+listener.Addr().String(), c.Speed, log, hooks)}
	return r, serveReceiver(listener, r.Handler(), log), nil
}
