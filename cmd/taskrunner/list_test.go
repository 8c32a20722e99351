package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/task"
)

func TestList(t *testing.T) {
	t.Parallel()
	s := startService(t)
	require.Equal(t, result{}, s.call(t, "list"))
	require.Equal(t, result{out: "[]\n"}, s.call(t, "list", "--json"))

	// Three pages of tasks, the newest batch first.
	var text strings.Builder
	text.WriteString("name: many\ntasks:\n")
	for i := range 230 {
		fmt.Fprintf(&text, "- {id: t%d, name: task %03d, kind: bulk, metadata: {i: %d}, timeout: 7000, on_start: {kind: Webhook, params: {url: '%s/hold', verb: Post}}}\n", i, i, i, s.hook)
	}
	many := strings.TrimSpace(s.good(t, "submit", "-q", file(t, "many.yaml", text.String())))
	batch, ids := s.submit(t, "/hold", "/bad")
	s.await(t, ids[1], task.Failure)

	names := func(out string) (names []string) {
		for line := range strings.Lines(out) {
			const begin, width = 36 + 2 + 8 + 2 + 7 + 2 + 8 + 2, 20
			names = append(names, strings.TrimSpace(line[begin:begin+width]))
		}
		return names
	}
	out := s.good(t, "list", "--batch", batch)
	require.Equal(t, []string{"NAME", `task-b\n`, `task-a\n`}, names(out))
	require.Regexp(t, `(?m)^`+ids[1]+`  Failure   +([\d.]+ s)? +task-b\\n {14}k {11}\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [-+]\d\d:\d\d$`, out)
	require.Equal(t, []string{"NAME", `task-b\n`}, names(s.good(t, "list", "--status", "Failure")))
	require.Equal(t, []string{"NAME", "task 007"}, names(s.good(t, "list", "--metadata", `{"i": 7}`)))
	require.Equal(t, []string{"NAME", "task 007"}, names(s.good(t, "list", "--name", "k 007", "--kind", "ulk", "--with-timeout", "7000")))
	require.Empty(t, s.good(t, "list", "--kind", "none"))

	// Pages join without a gap, by --all, by --limit and by cursor.
	out = s.good(t, "list", "--all")
	require.Equal(t, 1+232, strings.Count(out, "\n"))
	require.Equal(t, 1, strings.Count(out, "TASK"))
	all := names(out)[1:]
	r := s.call(t, "list", "-n", "150")
	require.Equal(t, all[:150], names(r.out)[1:])
	require.Regexp(t, `^taskrunner: there are more: --all lists them, --cursor \S+ goes on\n$`, r.err)
	fields := strings.Fields(r.err)
	cursor := fields[len(fields)-3]
	r = s.call(t, "list", "-n", "150", "--cursor", cursor)
	require.Equal(t, all[150:], names(r.out)[1:])
	require.Empty(t, r.err)
	var rows []task.Basic
	require.NoError(t, json.Unmarshal([]byte(s.good(t, "list", "--all", "--json")), &rows))
	require.Len(t, rows, 232)
	raw, err := s.get(t, "/task?batch_id="+batch, new(any))
	require.NoError(t, err)
	require.Equal(t, string(raw)+"\n", s.good(t, "list", "--json", "--batch", batch))

	out = s.good(t, "list", "--batches")
	require.Regexp(t, `^BATCH .*STATES\n`+batch+` +50 %       2  n\\x1b1 +20.* 1 Failure, 1 Running; k\n`+many+` +0 %     230  many +20[^;]*; bulk\n$`, out)
	require.Contains(t, s.good(t, "list", "--batches", "--status", "Failure"), batch)
	require.NotContains(t, s.good(t, "list", "--batches", "--status", "Failure"), many)
	require.Empty(t, s.good(t, "list", "-b", "--created-after", "2100-01-02T00:00:00Z"))
	var batches []task.ListedBatch
	require.NoError(t, json.Unmarshal([]byte(s.good(t, "list", "-b", "--json", "--kind", "bulk")), &batches))
	require.Len(t, batches, 1)
}

func TestListRefusals(t *testing.T) {
	t.Parallel()
	s := startService(t)
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"--status", "failure"}, exitUsage, `--status must be one of "Waiting","Pending",`},
		{[]string{"--status", ""}, exitUsage, `"Canceled" but got ""`},
		{[]string{"--batch", "abc"}, exitUsage, `--batch: "abc" is no id`},
		{[]string{"--batches", "--metadata", "{}"}, exitUsage, "are for lists of tasks"},
		{[]string{"--created-after", "2026-01-02T00:00:00Z"}, exitUsage, "are for lists of batches"},
		{[]string{"--limit", "0"}, exitUsage, "--limit must be above 0"},
		{[]string{"--metadata", "{"}, exitFailed, "taskrunner: metadata: "},
		{[]string{"--cursor", "x"}, exitFailed, "taskrunner: cursor: "},
		{[]string{"--batches", "--created-after", "yesterday"}, exitFailed, "taskrunner: created_after: "},
	} {
		r := s.call(t, append([]string{"list"}, c.args...)...)
		require.Equal(t, c.code, r.code, c.args)
		require.Contains(t, r.err, c.says, c.args)
		require.Empty(t, r.out)
	}
}
