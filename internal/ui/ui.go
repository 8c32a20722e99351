// Package ui is what people see in a browser: a page about a batch, and the icon. The page has no script, and its policy
// allows none, so that no name of a task can become one.
package ui

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"time"

	"github.com/taskrunner/taskrunner/internal/task"
)

// Icon is a PNG image.
//
//go:embed icon.png
var Icon []byte

//go:embed view.css
var style string

//go:embed view.html
var page string

var view = template.Must(template.New("view").Funcs(template.FuncMap{
	"style":  func() template.CSS { return template.CSS(style) }, //nolint:gosec // ours
	"moment": func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") },
}).Parse(page))

// Policy is the Content-Security-Policy of the page: its own style and icon, and forms that lead back to it.
var Policy = func() string {
	hash := sha256.Sum256([]byte(style))
	return fmt.Sprintf("default-src 'none'; style-src 'sha256-%s'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
		base64.StdEncoding.EncodeToString(hash[:]))
}()

// View is what the page shows: that the API is locked; or a batch; or which there are.
type View struct {
	Title   string
	Message string // what is wrong; "": nothing
	Refresh int    // seconds after which a browser loads it again; 0: it does not

	Locked  bool
	Example string // the batch to ask for

	Batch *task.Batch
	Tasks []task.Basic
	Note  string // about the tasks

	Batches []task.ListedBatch
}

// Count is how many tasks are in a state.
type Count struct {
	Status task.Status
	Count  int64
}

// Counts are the states of the batch's tasks that occur.
func (v View) Counts() (counts []Count) {
	c := v.Batch.StatusCounts
	for _, n := range []Count{
		{task.Waiting, c.Waiting}, {task.Pending, c.Pending}, {task.Claimed, c.Claimed}, {task.Running, c.Running},
		{task.Paused, c.Paused}, {task.Success, c.Success}, {task.Failure, c.Failure}, {task.Canceled, c.Canceled},
	} {
		if n.Count > 0 {
			counts = append(counts, n)
		}
	}
	return counts
}

// HTML writes the page.
func (v View) HTML() ([]byte, error) {
	var b bytes.Buffer
	err := view.Execute(&b, v)
	return b.Bytes(), err
}
