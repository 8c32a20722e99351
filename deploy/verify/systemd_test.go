package verify

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const systemd = root + "/deploy/systemd"

// unit reads a unit file: values by section and key.
func unit(t *testing.T, path string) map[string]map[string][]string {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	sections, section := map[string]map[string][]string{}, ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		switch key, value, found := strings.Cut(line, "="); {
		case line == "" || strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "["):
			section = strings.Trim(line, "[]")
			sections[section] = map[string][]string{}
		default:
			require.True(t, found, line)
			sections[section][key] = append(sections[section][key], value)
		}
	}
	return sections
}

func TestSystemdUnit(t *testing.T) {
	t.Parallel()
	service := unit(t, filepath.Join(systemd, "taskrunner.service"))["Service"]
	require.Equal(t, []string{"/usr/local/bin/taskrunner serve"}, service["ExecStart"])
	require.Equal(t, []string{"/etc/taskrunner/env"}, service["EnvironmentFile"])
	for _, key := range []string{"DynamicUser", "NoNewPrivileges", "PrivateTmp", "PrivateDevices", "ProtectHome", "ProtectKernelTunables"} {
		require.Equal(t, []string{"yes"}, service[key], key)
	}
	require.Equal(t, []string{"strict"}, service["ProtectSystem"])
	require.Equal(t, []string{"on-failure"}, service["Restart"])

	text, err := os.ReadFile(filepath.Join(systemd, "env.example"))
	require.NoError(t, err)
	environment := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if name, value, found := strings.Cut(strings.TrimSpace(line), "="); found && !strings.HasPrefix(line, "#") {
			environment[name] = value
		}
	}
	settings := build(t).settings(t, environment)
	stop, err := strconv.Atoi(service["TimeoutStopSec"][0])
	require.NoError(t, err)
	drain, err := strconv.Atoi(settings["DRAIN_TIMEOUT_SECS"])
	require.NoError(t, err)
	require.Greater(t, stop, drain)
}
