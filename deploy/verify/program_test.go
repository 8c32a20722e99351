package verify

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// program is the built binary.
type program struct{ path string }

var (
	builtOnce sync.Once
	built     program
)

// build compiles the service, once for all tests.
func build(t *testing.T) program {
	t.Helper()
	builtOnce.Do(func() {
		path, err := filepath.Abs(root + "/bin/verify/taskrunner")
		require.NoError(t, err)
		cmd := exec.CommandContext(t.Context(), "go", "build", "-o", path, "./cmd/taskrunner")
		cmd.Dir = root
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, string(out))
		built = program{path: path}
	})
	require.NotEmpty(t, built.path, "the program could not be built")
	return built
}

// settings returns what the program would run with, by variable. It fails if a setting is wrong, has no effect, or does not
// exist.
func (p program) settings(t *testing.T, environment map[string]string) map[string]string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), p.path, "config", "--json")
	cmd.Dir, cmd.Env = t.TempDir(), []string{}
	for name, value := range environment {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	out, _ := cmd.Output() // what is wrong stands in it
	var said struct {
		Settings []struct {
			Variable string `json:"setting"`
			Value    any    `json:"value"`
		} `json:"settings"`
		Ignored  []string `json:"ignored"`
		Problems []string `json:"problems"`
	}
	require.NoError(t, json.Unmarshal(out, &said), string(out))
	require.Empty(t, said.Problems)
	require.Empty(t, said.Ignored)
	settings := map[string]string{}
	for _, s := range said.Settings {
		text, isText := s.Value.(string)
		if !isText {
			raw, err := json.Marshal(s.Value)
			require.NoError(t, err)
			text = string(raw)
		}
		settings[s.Variable] = text
	}
	for name := range environment {
		require.Contains(t, settings, name, "no such setting")
	}
	return settings
}
