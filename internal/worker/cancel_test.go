package worker

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/webhook"
)

type policy func(string) error

func (p policy) Check(rawURL string) error { return p(rawURL) }

func TestCancelActionInAnAnswer(t *testing.T) {
	t.Parallel()
	const good = `{"kind": "Webhook", "params": {"url": "https://a/b", "verb": "Post", "body": {"a": [1.50]}}}`
	only := policy(func(rawURL string) error {
		if rawURL != "https://a/b" {
			return errors.New("is not permitted")
		}
		return nil
	})
	for name, tc := range map[string]struct {
		body, want, fault string
	}{
		"action":                           {good, good, ""},
		"space around it":                  {"\r\n\t " + good + " \n", good, ""},
		"unknown members":                  {`{"job": {"deep": [[]]}, ` + good[1:], good, ""},
		"the last member counts":           {`{"kind": 1, "params": 2, ` + good[1:], good, ""},
		"invalid, for the database to say": {`{"params": {}, "kind": "webhook"}`, `{"params": {}, "kind": "webhook"}`, ""},
		"params that are nothing":          {`{"params": 1, "kind": "Webhook"}`, `{"params": 1, "kind": "Webhook"}`, ""},
		"url that is no text":              {`{"params": {"url": 7}, "kind": "Webhook"}`, `{"params": {"url": 7}, "kind": "Webhook"}`, ""},

		"nothing":               {"", "", ""},
		"text":                  {"accepted", "", ""},
		"a list of one":         {"[" + good + "]", "", ""},
		"more behind it":        {good + "{}", "", ""},
		"half of it":            {good[:len(good)-1], "", ""},
		"something else":        {`{"id": 7, "status": "queued"}`, "", ""},
		"names in another case": {`{"Kind": "Webhook", "Params": {}}`, "", ""},
		"kind alone":            {`{"kind": "Webhook"}`, "", ""},

		"address":       {`{"kind": "Webhook", "params": {"url": "http://hush/", "verb": "Get"}}`, "", "params: url is not permitted"},
		"U+0000":        {`{"kind": "Webhook", "params": {"url": "https://a/b", "verb": "Get", "body": "hush\u0000"}}`, "", "params.body: "},
		"not UTF-8":     {`{"kind": "Webhook", "params": {"url": "https://a/b", "verb": "Get", "body": "` + "hush\xff" + `"}}`, "", "UTF-8"},
		"nested deeply": {`{"kind": "Webhook", "params": ` + strings.Repeat("[", 1001) + strings.Repeat("]", 1001) + "}", "", "nested deeper"},
		"too large":     {`{"kind": "Webhook", "params": {"body": "` + strings.Repeat("x", maxCancelAction) + `"}}`, "", "too large"},
	} {
		r := webhook.Result{Class: webhook.Delivered, Whole: true, Body: []byte(tc.body)}
		got, err := cancelAction(r, only)
		if tc.fault != "" {
			require.ErrorContains(t, err, tc.fault, name)
			require.NotContains(t, err.Error(), "hush", name)
			require.Nil(t, got, name)
			continue
		}
		require.NoError(t, err, name)
		if tc.want == "" {
			require.Nil(t, got, name)
			continue
		}
		require.JSONEq(t, tc.want, string(got), name)
		without, err := cancelAction(r, nil)
		require.NoError(t, err, name)
		require.Equal(t, got, without, name)

		// A part of an answer is none, and what a failed call says counts for nothing.
		r.Whole = false
		got, err = cancelAction(r, only)
		require.NoError(t, err)
		require.Nil(t, got, name)
		r.Whole, r.Class = true, webhook.Permanent
		got, err = cancelAction(r, only)
		require.NoError(t, err)
		require.Nil(t, got, name)
	}
}

// However many are refused, the log has a line in a second.
func TestRefusalsAreLogged(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	r := refusals{log: slog.New(slog.NewTextHandler(&log, nil))}
	id := uuid.New()
	for range 100 {
		r.note(id, strings.Repeat("ü", maxFault))
	}
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	require.Less(t, len(lines), 100)
	require.Contains(t, lines[0], "task_id="+id.String())
	require.LessOrEqual(t, len(lines[0]), maxFault+300)
	(&refusals{}).note(id, "nobody reads it")
}
