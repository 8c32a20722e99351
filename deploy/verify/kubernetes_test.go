package verify

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"github.com/stretchr/testify/require"
	apps "k8s.io/api/apps/v1"
	autoscaling "k8s.io/api/autoscaling/v2"
	core "k8s.io/api/core/v1"
	policy "k8s.io/api/policy/v1"
	"sigs.k8s.io/json"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

const (
	kubernetes = root + "/deploy/kubernetes"
	// controllerSecret is made by CloudNativePG: <cluster>-app, with these keys among others.
	controllerSecret = "taskrunner-db-app"
)

// manifests are what kustomize makes, decoded.
type manifests struct {
	deployment apps.Deployment
	service    core.Service
	account    core.ServiceAccount
	namespace  core.Namespace
	settings   core.ConfigMap
	scaler     autoscaling.HorizontalPodAutoscaler
	budget     policy.PodDisruptionBudget
	monitor    monitoring.ServiceMonitor
	custom     map[string]map[string]any // kinds of CloudNativePG
}

// render does what "kubectl kustomize" does.
var render = sync.OnceValues(func() (string, error) {
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), kubernetes)
	if err != nil {
		return "", err
	}
	text, err := resources.AsYaml()
	return string(text), err
})

// decode fails on a field that its type does not have, on one that is there twice, and on a kind that nobody knows.
func decode(t *testing.T) (m manifests) {
	t.Helper()
	text, err := render()
	require.NoError(t, err)
	m.custom = map[string]map[string]any{}
	seen := map[string]bool{}
	for _, document := range strings.Split(text, "\n---\n") {
		var head struct {
			APIVersion string `json:"apiVersion"`
			Kind       string `json:"kind"`
			Metadata   struct{ Name, Namespace string }
		}
		require.NoError(t, yaml.Unmarshal([]byte(document), &head))
		require.False(t, seen[head.Kind], "two of %s", head.Kind)
		seen[head.Kind] = true
		if head.Kind != "Namespace" {
			require.Equal(t, "taskrunner", head.Metadata.Namespace, head.Kind)
		}
		into := map[string]any{
			"apps/v1 Deployment":                      &m.deployment,
			"v1 Service":                              &m.service,
			"v1 ServiceAccount":                       &m.account,
			"v1 Namespace":                            &m.namespace,
			"v1 ConfigMap":                            &m.settings,
			"autoscaling/v2 HorizontalPodAutoscaler":  &m.scaler,
			"policy/v1 PodDisruptionBudget":           &m.budget,
			"monitoring.coreos.com/v1 ServiceMonitor": &m.monitor,
		}[head.APIVersion+" "+head.Kind]
		if into != nil {
			data, err := yaml.YAMLToJSONStrict([]byte(document))
			require.NoError(t, err, head.Kind)
			unknown, err := json.UnmarshalStrict(data, into) // Kubernetes' own, for which clusterip is not clusterIP
			require.NoError(t, err, head.Kind)
			require.Empty(t, unknown, head.Kind)
			continue
		}
		require.Equal(t, "postgresql.cnpg.io/v1", head.APIVersion, head.Kind)
		var object map[string]any
		require.NoError(t, yaml.UnmarshalStrict([]byte(document), &object), head.Kind)
		validateCustom(t, head.Kind, object)
		m.custom[head.Kind] = object
	}
	return m
}

func TestKubernetesReferences(t *testing.T) {
	t.Parallel()
	m := decode(t)
	pod := m.deployment.Spec.Template
	container := pod.Spec.Containers[0]

	selected := pod.Labels
	for what, selector := range map[string]map[string]string{
		"deployment": m.deployment.Spec.Selector.MatchLabels, "service": m.service.Spec.Selector,
		"budget": m.budget.Spec.Selector.MatchLabels,
		"zones":  pod.Spec.TopologySpreadConstraints[0].LabelSelector.MatchLabels,
		"hosts":  pod.Spec.TopologySpreadConstraints[1].LabelSelector.MatchLabels,
	} {
		require.NotEmpty(t, selector, what)
		require.Subset(t, selected, selector, what)
	}
	require.Subset(t, m.service.Labels, m.monitor.Spec.Selector.MatchLabels)
	require.Equal(t, m.service.Spec.Ports[0].Name, m.monitor.Spec.Endpoints[0].Port)
	require.Equal(t, container.Ports[0].Name, m.service.Spec.Ports[0].TargetPort.StrVal)
	for _, probe := range []*core.Probe{container.StartupProbe, container.ReadinessProbe} {
		require.Equal(t, container.Ports[0].Name, probe.HTTPGet.Port.StrVal)
		require.Equal(t, "/ready", probe.HTTPGet.Path)
		require.Greater(t, probe.TimeoutSeconds, int32(2), "the service takes up to 2 s")
	}
	require.Equal(t, container.Ports[0].Name, container.LivenessProbe.TCPSocket.Port.StrVal)
	require.Equal(t, m.account.Name, pod.Spec.ServiceAccountName)
	require.Equal(t, m.deployment.Name, m.scaler.Spec.ScaleTargetRef.Name)
	require.Nil(t, m.deployment.Spec.Replicas, "each apply would undo what the autoscaler did")
	require.Equal(t, m.settings.Name, container.EnvFrom[0].ConfigMapRef.Name)
	require.Equal(t, m.namespace.Name, m.deployment.Namespace)
}

// What Pod Security asks for in a namespace that enforces "restricted".
func TestKubernetesSecurity(t *testing.T) {
	t.Parallel()
	m := decode(t)
	pod := m.deployment.Spec.Template.Spec
	container := pod.Containers[0]
	require.Equal(t, "restricted", m.namespace.Labels["pod-security.kubernetes.io/enforce"])
	require.False(t, *m.account.AutomountServiceAccountToken)
	require.False(t, *pod.AutomountServiceAccountToken)
	require.True(t, *pod.SecurityContext.RunAsNonRoot)
	require.Equal(t, core.SeccompProfileTypeRuntimeDefault, pod.SecurityContext.SeccompProfile.Type)
	require.False(t, *container.SecurityContext.AllowPrivilegeEscalation)
	require.True(t, *container.SecurityContext.ReadOnlyRootFilesystem)
	require.Equal(t, []core.Capability{"ALL"}, container.SecurityContext.Capabilities.Drop)
	dockerfile, err := os.ReadFile(filepath.Join(root, "Dockerfile"))
	require.NoError(t, err)
	require.Contains(t, string(dockerfile), fmt.Sprintf("\nUSER %d:%d\n", *pod.SecurityContext.RunAsUser, *pod.SecurityContext.RunAsGroup))
}

// The program is asked what it makes of the environment that its container gets.
func TestKubernetesSettings(t *testing.T) {
	t.Parallel()
	m := decode(t)
	pod := m.deployment.Spec.Template.Spec
	container := pod.Containers[0]
	example, err := os.ReadFile(filepath.Join(kubernetes, "secret.example.env"))
	require.NoError(t, err)
	require.Equal(t, "taskrunner", container.EnvFrom[1].SecretRef.Name)
	environment := map[string]string{}
	for name, value := range m.settings.Data {
		environment[name] = value
	}
	for line := range strings.Lines(string(example)) {
		if name, value, found := strings.Cut(strings.TrimSpace(line), "="); found && !strings.HasPrefix(line, "#") {
			environment[name] = value
		}
	}
	references := map[string]string{} // of the container alone
	for _, variable := range container.Env {
		if variable.ValueFrom != nil {
			require.Equal(t, controllerSecret, variable.ValueFrom.SecretKeyRef.Name)
			require.Contains(t, []string{"username", "password"}, variable.ValueFrom.SecretKeyRef.Key)
			references["$("+variable.Name+")"] = variable.ValueFrom.SecretKeyRef.Key
			continue
		}
		value := variable.Value
		for reference, key := range references {
			value = strings.ReplaceAll(value, reference, key)
		}
		require.NotContains(t, value, "$(", "%s refers to a variable that does not stand above it", variable.Name)
		if variable.Name != "GOMEMLIMIT" {
			environment[variable.Name] = value
		}
	}
	settings := build(t).settings(t, environment)
	require.Equal(t, settings["PORT"], strconv.Itoa(int(container.Ports[0].ContainerPort)))
	require.Equal(t, fmt.Sprintf("http://%s.%s.svc.cluster.local:%d", m.service.Name, m.service.Namespace, m.service.Spec.Ports[0].Port), settings["HOST_URL"])
	drain, err := strconv.ParseInt(settings["DRAIN_TIMEOUT_SECS"], 10, 64)
	require.NoError(t, err)
	require.Greater(t, *pod.TerminationGracePeriodSeconds, drain+container.Lifecycle.PreStop.Sleep.Seconds+5)
	startup := container.StartupProbe
	require.Greater(t, *m.deployment.Spec.ProgressDeadlineSeconds, startup.PeriodSeconds*startup.FailureThreshold)

	cluster, pooler := m.custom["Cluster"], m.custom["Pooler"]
	name := at(t, cluster, "metadata", "name").(string)
	require.Equal(t, controllerSecret, name+"-app")
	require.Equal(t, name, at(t, pooler, "spec", "cluster", "name"))
	database := at(t, cluster, "spec", "bootstrap", "initdb", "database").(string)
	require.Contains(t, environment["DATABASE_URL"], "@"+at(t, pooler, "metadata", "name").(string)+":5432/"+database+"?")
	require.Contains(t, environment["LISTEN_DATABASE_URL"], "@"+name+"-rw:5432/"+database+"?")
	require.Equal(t, "true", settings["POOL_PREPARED_STATEMENTS"])
	statements, err := strconv.Atoi(at(t, pooler, "spec", "pgbouncer", "parameters", "max_prepared_statements").(string))
	require.NoError(t, err)
	require.Positive(t, statements)

	// All replicas, one more during a rollout, find their connections in one pooler, and both poolers theirs in the database.
	number := func(from map[string]any, path ...string) int {
		n, err := strconv.Atoi(fmt.Sprint(at(t, from, path...)))
		require.NoError(t, err, path)
		return n
	}
	text, err := os.ReadFile(filepath.Join(root, "docs/high-availability.md"))
	require.NoError(t, err)
	require.Contains(t, string(text), "up to `POOL_MAX_SIZE` + 9 connections to PgBouncer, and two past it")
	size, err := strconv.Atoi(settings["POOL_MAX_SIZE"])
	require.NoError(t, err)
	replicas := int(m.scaler.Spec.MaxReplicas) + 1
	require.GreaterOrEqual(t, number(pooler, "spec", "pgbouncer", "parameters", "max_client_conn"), replicas*(size+9))
	const ofTheOperator = 20
	require.GreaterOrEqual(t, number(cluster, "spec", "postgresql", "parameters", "max_connections"),
		number(pooler, "spec", "instances")*number(pooler, "spec", "pgbouncer", "parameters", "default_pool_size")+2*replicas+ofTheOperator)
	for _, name := range []string{"server_login_retry", "query_wait_timeout"} {
		require.Contains(t, string(text), fmt.Sprintf("%s = %d\n", name, number(pooler, "spec", "pgbouncer", "parameters", name)))
	}

	// Roles are those that the engine grants rights to.
	text, err = os.ReadFile(filepath.Join(root, "sql/access/roles.sql"))
	require.NoError(t, err)
	var managed []string
	for _, role := range at(t, cluster, "spec", "managed", "roles").([]any) {
		managed = append(managed, role.(map[string]any)["name"].(string))
	}
	needed := map[string]bool{}
	for _, role := range regexp.MustCompile(`'(taskrunner_\w+)'`).FindAllStringSubmatch(string(text), -1) {
		needed[role[1]] = true
	}
	for role := range needed {
		require.Contains(t, managed, role)
	}
	require.Len(t, managed, len(needed))
}

// The metric that the autoscaler asks for is the one that the adapter makes, of metrics that the service has.
func TestAutoscalerMetric(t *testing.T) {
	t.Parallel()
	m := decode(t)
	text, err := os.ReadFile(filepath.Join(kubernetes, "prometheus-adapter.yaml"))
	require.NoError(t, err)
	var values struct {
		Rules struct {
			External []struct {
				SeriesQuery  string              `json:"seriesQuery"`
				Resources    any                 `json:"resources"`
				Name         struct{ As string } `json:"name"`
				MetricsQuery string              `json:"metricsQuery"`
			} `json:"external"`
		} `json:"rules"`
	}
	require.NoError(t, yaml.UnmarshalStrict(text, &values))
	rule := values.Rules.External[0]
	require.Equal(t, m.scaler.Spec.Metrics[0].External.Metric.Name, rule.Name.As)
	source, err := os.ReadFile(filepath.Join(root, "internal/metrics/database.go"))
	require.NoError(t, err)
	names := regexp.MustCompile(`(\w+)\{`).FindAllStringSubmatch(rule.SeriesQuery+rule.MetricsQuery, -1)
	require.Len(t, names, 3)
	for _, name := range names {
		require.Contains(t, string(source), `{"`+name[1]+`", `, "the service has no such gauge")
	}
}

// The commands of the document make a rule of the alerts.
func TestPrometheusRule(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(root, "docs/deploying.md"))
	require.NoError(t, err)
	script := regexp.MustCompile(`(?s)\n(\{ printf '.*?\} \|) kubectl apply -f -\n`).FindSubmatch(text)
	require.NotNil(t, script)
	cmd := exec.CommandContext(t.Context(), "sh", "-c", string(script[1])+" cat")
	cmd.Dir = root
	document, err := cmd.Output()
	require.NoError(t, err)
	var rule monitoring.PrometheusRule
	require.NoError(t, yaml.UnmarshalStrict(document, &rule))
	require.Equal(t, "PrometheusRule", rule.Kind)
	require.NotEmpty(t, rule.Spec.Groups)
	for _, group := range rule.Spec.Groups {
		require.NotEmpty(t, group.Rules, group.Name)
	}
}
