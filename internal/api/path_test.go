package api

import (
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPathsFindTheirPattern(t *testing.T) {
	t.Parallel()
	paths := &node{}
	for _, pattern := range []string{
		"/task", "/task/{task_id}", "/task/pause/{task_id}", "/task/resume/{task_id}", "/task/{task_id}/deliveries",
		"/delivery/{delivery_id}/replay", "/deliveries", "/deliveries/replay", "/files/*", "/",
	} {
		require.Equal(t, pattern, paths.add(pattern).pattern)
		require.Same(t, paths.add(pattern), paths.add(pattern))
	}
	for path, want := range map[string][2]string{
		"/":                       {"/", ""},
		"/task":                   {"/task", ""},
		"/%74ask":                 {"/task", ""},
		"/task/x":                 {"/task/{task_id}", "x"},
		"/task/pause":             {"/task/{task_id}", "pause"},
		"/task/pause/x":           {"/task/pause/{task_id}", "x"},
		"/task/resume/x":          {"/task/resume/{task_id}", "x"},
		"/task/x/deliveries":      {"/task/{task_id}/deliveries", "x"},
		"/task/pause/deliveries":  {"/task/pause/{task_id}", "deliveries"},
		"/task/x%2Fy":             {"/task/{task_id}", "x/y"},
		"/task/%00":               {"/task/{task_id}", "\x00"},
		"/task/%7Bx%7D":           {"/task/{task_id}", "{x}"},
		"/delivery/x/replay":      {"/delivery/{delivery_id}/replay", "x"},
		"/deliveries/replay":      {"/deliveries/replay", ""},
		"/files/":                 {"/files/*", ""},
		"/files/a/b.js":           {"/files/*", ""},
		"/files":                  {},
		"/files/../task":          {},
		"/files//a":               {},
		"/task/":                  {},
		"/task/x/":                {},
		"/task//x":                {},
		"//task":                  {},
		"/task/.":                 {},
		"/task/%2e%2e/deliveries": {},
		"/task/%2F":               {},
		"/task%2Fx":               {},
		"/task/x/y":               {},
		"/task/pause/x/y":         {},
		"/delivery/x":             {},
		"/Task":                   {},
		"/none":                   {},
		"":                        {},
		"*":                       {},
		"task":                    {},
	} {
		u, err := url.Parse("http://h")
		require.NoError(t, err)
		u.Path, err = url.PathUnescape(path)
		require.NoError(t, err)
		if u.EscapedPath() != path {
			u.RawPath = path
		}
		found, parameter := paths.find(u)
		if want[0] == "" {
			require.Nil(t, found, path)
			continue
		}
		require.NotNil(t, found, path)
		require.Equal(t, want, [2]string{found.pattern, parameter}, path)
	}
}
