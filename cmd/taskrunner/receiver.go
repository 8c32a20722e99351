package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strconv"

	"github.com/taskrunner/taskrunner/internal/demo"
)

// receiverCmd is the demo's program on its own, for containers.
type receiverCmd struct {
	Port  int     `name:"port" default:"8086" help:"Port, on all addresses."`
	URL   string  `name:"url" required:"" help:"Where the service reaches it; the demo graph of GET /graph names it."`
	Speed float64 `name:"speed" default:"1" help:"How many times faster the graph's tasks work."`
}

// Run serves until it is told to stop.
func (c *receiverCmd) Run(ctx context.Context, s streams) error {
	log := slog.New(slog.NewJSONHandler(s.err, nil))
	if !(c.Speed > 0) {
		return fmt.Errorf("--speed must be above 0, not %v", c.Speed)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort("", strconv.Itoa(c.Port)))
	if err != nil {
		return fmt.Errorf("receiver: %w", err)
	}
	receiver := demo.NewReceiver(c.URL, c.Speed, log, loggedHooks{log})
	stop := serveReceiver(listener, receiver.Handler(), log)
	log.Info("the demo's receiver listens", "address", listener.Addr().String(), "url", c.URL)
	<-ctx.Done()
	receiver.Close()
	stop()
	return nil
}

// loggedHooks writes a line for each webhook.
type loggedHooks struct{ log *slog.Logger }

// Webhook implements [demo.Observer].
func (l loggedHooks) Webhook(e demo.Event) {
	l.log.Info(e.Kind, "step", e.Step, "task_id", e.TaskID, "batch_id", e.BatchID, "answered", e.Status)
}

// Trouble implements [demo.Observer].
func (l loggedHooks) Trouble(step, what string) { l.log.Warn(what, "step", step) }
