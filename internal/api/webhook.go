package api

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/taskrunner/taskrunner/internal/egress"
	"github.com/taskrunner/taskrunner/internal/strictjson"
	"github.com/taskrunner/taskrunner/internal/task"
)

// maxWebhookFaults is how many webhooks of a request are named to the engine, which lists the first hundred faults of all.
const maxWebhookFaults = 10_000

// webhookParams are the places of the params of actions in the body of POST /task, in both forms.
var webhookParams = []string{
	"*.on_start.params", "*.on_failure.*.params", "*.on_success.*.params", "*.on_cancel.*.params",
	"tasks.*.on_start.params", "tasks.*.on_failure.*.params", "tasks.*.on_success.*.params", "tasks.*.on_cancel.*.params",
}

// webhookCheck finds the webhooks of a body that lead where they may not go, while the body is scanned. The engine judges
// all else about them.
type webhookCheck struct {
	checker *egress.Checker
	faults  []task.Fault
}

func newWebhookCheck(p *egress.Policy) *webhookCheck { return &webhookCheck{checker: p.Checker()} }

// places are those that strictjson has to look at.
func (c *webhookCheck) places(integers []string) strictjson.Places {
	return strictjson.Places{Integers: integers, Objects: webhookParams, Member: "url", Tell: c.url}
}

// url checks a URL that is written in JSON as quoted.
func (c *webhookCheck) url(quoted []byte, path func() string) {
	raw := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(raw, '\\') >= 0 {
		var text string
		if json.Unmarshal(quoted, &text) != nil {
			return // it has been scanned
		}
		raw = []byte(text)
	}
	err := c.checker.Check(raw)
	if err == nil || len(c.faults) == maxWebhookFaults {
		return
	}
	at := path()
	at = at[:strings.LastIndexAny(at, ".[")] // without the member's name, which may be ["\u0075rl"]
	c.faults = append(c.faults, task.Fault{Path: at, Message: "url " + err.Error(), Webhook: true})
}
