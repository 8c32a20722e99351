package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The binary is linked as the Makefile and the Dockerfile do it.
func TestVersionCommand(t *testing.T) {
	t.Parallel()
	revision, err := os.ReadFile("../../sql/REVISION")
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "taskrunner")
	build := exec.CommandContext(t.Context(), "go", "build", "-ldflags", "-X main.version=v1.2.3 -X main.commit=abc", "-o", path, ".")
	out, err := build.CombinedOutput()
	require.NoError(t, err, string(out))
	out, err = exec.CommandContext(t.Context(), path, "version").Output()
	require.NoError(t, err)
	require.Equal(t, "taskrunner v1.2.3\ncommit abc\n"+runtime.Version()+" "+runtime.GOOS+"/"+runtime.GOARCH+
		"\nsql revision "+strings.TrimSpace(string(revision))+"\n", string(out))
}
