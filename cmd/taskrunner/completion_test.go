package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestComplete(t *testing.T) {
	t.Parallel()
	parser, err := newParser(new(cli))
	require.NoError(t, err)
	for _, c := range []struct {
		shell string
		words []string
		want  string
	}{
		{"zsh", []string{"s"}, "submit status succeed stop serve"},
		{"zsh", []string{"sub"}, "submit"},
		{"zsh", []string{"x"}, ""},
		{"zsh", []string{"__"}, ""},
		{"zsh", []string{"-"}, "--help"},
		{"zsh", []string{"submit", "--f"}, "--format"},
		{"zsh", []string{"submit", ""}, ":files"},
		{"zsh", []string{"submit", "--", "-x"}, ":files"},
		{"zsh", []string{"submit", "--watch", "g"}, ":files"},
		{"zsh", []string{"submit", "--format", ""}, "auto json yaml"},
		{"zsh", []string{"submit", "--format", "y"}, "yaml"},
		{"zsh", []string{"list", "--status", "P"}, "Pending Paused"},
		{"zsh", []string{"submit", "--format=y"}, "--format=yaml"},
		{"bash", []string{"submit", "--format", "=", "y"}, "yaml"},
		{"bash", []string{"submit", "--format", "="}, "auto json yaml"},
		{"bash", []string{"submit", "--format", "=", "yaml", "--wa"}, "--watch"},
		{"fish", []string{"submit", "--server", "http://x", "--token-file", ""}, ":files"},
		{"fish", []string{"submit", "--nothing=y"}, ""},
		{"fish", []string{"watch", "--server", "submit", "--quiet"}, ""},
		{"fish", []string{"cancel", ""}, ""},
		{"fish", []string{"completion", ""}, "bash zsh fish"},
	} {
		var got []string
		for _, line := range complete(parser.Model.Node, c.shell, c.words) {
			candidate, _, _ := strings.Cut(line, "\t")
			got = append(got, candidate)
		}
		require.Equal(t, c.want, strings.Join(got, " "), "%s %q", c.shell, c.words)
	}
	require.NotEmpty(t, complete(parser.Model.Node, "fish", nil))
}

// The scripts call the program by a command that is there.
func TestCompletionCommands(t *testing.T) {
	t.Parallel()
	for _, shell := range []string{"bash", "zsh", "fish"} {
		var out bytes.Buffer
		require.Equal(t, exitOK, run([]string{"completion", shell}, streams{out: &out, err: &out}))
		require.Contains(t, out.String(), " __complete "+shell+" -- ")
		out.Reset()
		require.Equal(t, exitOK, run([]string{"__complete", shell, "--", "submit", "--qu"}, streams{out: &out, err: &out}))
		require.Equal(t, "--quiet\tWrite nothing but the id of the batch\n", out.String())
	}
	var out bytes.Buffer
	require.Equal(t, exitUsage, run([]string{"completion", "tcsh"}, streams{out: &out, err: &out}))
}
