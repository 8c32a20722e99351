package verify

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/stretchr/testify/require"
)

// root is the repository.
const root = "../.."

// loadCompose does what "docker compose config" does: it is the same library.
func loadCompose(t *testing.T, environment types.Mapping) *types.Project {
	t.Helper()
	dir, err := filepath.Abs(root)
	require.NoError(t, err)
	project, err := loader.LoadWithContext(t.Context(), types.ConfigDetails{
		WorkingDir:  dir,
		ConfigFiles: []types.ConfigFile{{Filename: filepath.Join(dir, "docker-compose.yml")}},
		Environment: environment,
	}, func(o *loader.Options) { o.SetProjectName("taskrunner", true) })
	require.NoError(t, err)
	return project
}

func TestCompose(t *testing.T) {
	t.Parallel()
	project := loadCompose(t, types.Mapping{})
	require.ElementsMatch(t, []string{"postgres", "taskrunner-1", "taskrunner-2", "receiver"}, project.ServiceNames())
	program := build(t)
	published := map[string]bool{}
	for name, service := range project.Services {
		for _, port := range service.Ports {
			require.Equal(t, "127.0.0.1", port.HostIP, "%s is open to the network", name)
			require.False(t, published[port.Published], "%s: port %s twice", name, port.Published)
			published[port.Published] = true
		}
		if service.Image != "taskrunner" {
			continue
		}
		require.True(t, service.ReadOnly, name)
		if service.Command[0] != "serve" {
			continue
		}
		require.Equal(t, types.HealthCheckTest{"CMD", "/taskrunner", "health"}, service.HealthCheck.Test)
		require.Equal(t, types.ServiceConditionHealthy, service.DependsOn["postgres"].Condition)
		environment := map[string]string{}
		for variable, value := range service.Environment {
			environment[variable] = *value
		}
		settings := program.settings(t, environment)
		drain, err := strconv.Atoi(settings["DRAIN_TIMEOUT_SECS"])
		require.NoError(t, err)
		require.Greater(t, time.Duration(*service.StopGracePeriod), time.Duration(drain)*time.Second, name)
		require.Equal(t, settings["PORT"], strconv.Itoa(int(service.Ports[0].Target)))
	}
}

// What a user sets reaches the service.
func TestComposeVariables(t *testing.T) {
	t.Parallel()
	project := loadCompose(t, types.Mapping{"HOST_URL": "http://example.com:8085", "SSRF_ALLOW": "10.0.0.0/8", "VERSION": "v1", "COMMIT": "abc"})
	service := project.Services["taskrunner-2"]
	require.Equal(t, "http://example.com:8085", *service.Environment["HOST_URL"])
	require.Equal(t, "10.0.0.0/8", *service.Environment["SSRF_ALLOW"])
	text, err := os.ReadFile(filepath.Join(root, service.Build.Dockerfile))
	require.NoError(t, err)
	for name, value := range map[string]string{"VERSION": "v1", "COMMIT": "abc"} {
		require.Equal(t, value, *service.Build.Args[name])
		require.Contains(t, string(text), "\nARG "+name+"=")
	}
}
