package metrics

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v4"

	"github.com/taskrunner/taskrunner/internal/task"
)

var update = flag.Bool("update", false, "write the table of docs/metrics.md")

// known is a metric as the registry describes it.
type known struct {
	name, help, kind string
	labels           []string
}

type nothing struct{}

func (nothing) Gauges(context.Context) ([]task.Gauge, error) { return nil, nil }

var desc = regexp.MustCompile(`fqName: "([^"]*)", help: "((?:[^"\\]|\\.)*)", unit: "[^"]*", constLabels: \{[^}]*\}, variableLabels: \{([^}]*)\}`)

// described are the metrics of a process, those of the Go runtime aside.
func described(t *testing.T) map[string]known {
	t.Helper()
	m := New()
	m.ReadDatabase(nothing{}, slog.New(slog.DiscardHandler))
	descs := make(chan *prometheus.Desc, 1000)
	m.registry.Describe(descs)
	close(descs)
	found := map[string]known{}
	for d := range descs {
		parts := desc.FindStringSubmatch(d.String())
		require.NotNil(t, parts, d.String())
		k := known{name: parts[1], help: parts[2]}
		if parts[3] != "" {
			k.labels = strings.Split(parts[3], ",")
		}
		switch {
		case strings.HasPrefix(k.name, "go_"), strings.HasPrefix(k.name, "process_"):
			continue
		case strings.HasSuffix(k.name, "_total"):
			k.kind = "counter"
		case hasBuckets(k.name):
			k.kind = "histogram"
		default:
			k.kind = "gauge"
		}
		found[k.name] = k
	}
	return found
}

// hasBuckets reports which of the metrics without _total are histograms.
func hasBuckets(name string) bool {
	return slices.ContainsFunc([]string{"duration_seconds", "task_wait_seconds", "_per_loop"}, func(end string) bool { return strings.HasSuffix(name, end) })
}

var (
	text      = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'`)
	selector  = regexp.MustCompile(`([a-z_]+)?\s*\{([^}]*)\}`)
	grouping  = regexp.MustCompile(`\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)`)
	function  = regexp.MustCompile(`\b[a-z_]+\s*\(`)
	ranged    = regexp.MustCompile(`\[[^\]]*\]`)
	word      = regexp.MustCompile(`[a-z_]{2,}`)
	operators = []string{"and", "or", "unless", "bool", "offset", "by", "on", "le"}
)

// namesOf returns the metrics that an expression names, or what is wrong with them and their labels.
func namesOf(metrics map[string]known, expr string) (used []string, err error) {
	rest := text.ReplaceAllString(expr, "")
	var labels []string
	for _, found := range selector.FindAllStringSubmatch(rest, -1) {
		labels = append(labels, word.FindAllString(found[2], -1)...)
	}
	for _, found := range grouping.FindAllStringSubmatch(rest, -1) {
		labels = append(labels, word.FindAllString(found[1], -1)...)
	}
	rest = selector.ReplaceAllString(rest, "$1 ")
	rest = ranged.ReplaceAllString(function.ReplaceAllString(grouping.ReplaceAllString(rest, " "), "("), "")
	allowed := []string{"instance", "le"}
	for _, name := range word.FindAllString(rest, -1) {
		if slices.Contains(operators, name) {
			continue
		}
		base := name
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			if cut, ok := strings.CutSuffix(name, suffix); ok && metrics[cut].kind == "histogram" {
				base = cut
			}
		}
		if _, ok := metrics[base]; !ok || (metrics[base].kind == "histogram") != (base != name) {
			return nil, fmt.Errorf("there is no %s: %s", name, expr)
		}
		used = append(used, base)
		allowed = append(allowed, metrics[base].labels...)
	}
	for _, label := range labels {
		if !slices.Contains(allowed, label) {
			return nil, fmt.Errorf("no label %s: %s", label, expr)
		}
	}
	if len(used) == 0 {
		return nil, fmt.Errorf("no metric: %s", expr)
	}
	return used, nil
}

func TestAlertsUseMetricsThatExist(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../../deploy/prometheus/alerts.yml")
	require.NoError(t, err)
	var file struct {
		Groups []struct {
			Name  string `yaml:"name"`
			Rules []struct {
				Alert       string            `yaml:"alert"`
				Expr        string            `yaml:"expr"`
				For         string            `yaml:"for"`
				Labels      map[string]string `yaml:"labels"`
				Annotations map[string]string `yaml:"annotations"`
			} `yaml:"rules"`
		} `yaml:"groups"`
	}
	decoder := yaml.NewDecoder(strings.NewReader(string(raw)))
	decoder.KnownFields(true)
	require.NoError(t, decoder.Decode(&file))
	runbook, err := os.ReadFile("../../docs/operations.md")
	require.NoError(t, err)
	var anchors []string
	for _, heading := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(string(runbook), -1) {
		anchors = append(anchors, strings.ReplaceAll(strings.ToLower(heading[1]), " ", "-"))
	}
	metrics := described(t)
	rules := 0
	for _, group := range file.Groups {
		for _, rule := range group.Rules {
			rules++
			_, err := namesOf(metrics, rule.Expr)
			require.NoError(t, err, rule.Alert)
			require.Contains(t, []string{"warning", "critical"}, rule.Labels["severity"], rule.Alert)
			require.NotEmpty(t, rule.Annotations["summary"], rule.Alert)
			anchor, ok := strings.CutPrefix(rule.Annotations["runbook_url"], "https://github.com/taskrunner/taskrunner/blob/main/docs/operations.md#")
			require.True(t, ok, rule.Alert)
			require.Contains(t, anchors, anchor, rule.Alert)
		}
	}
	require.Greater(t, rules, 10)
}

func TestDashboardUsesMetricsThatExist(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../../deploy/grafana/dashboard.json")
	require.NoError(t, err)
	var file struct {
		Panels []struct {
			ID      int
			Type    string
			Targets []struct{ Expr string }
		}
	}
	require.NoError(t, json.Unmarshal(raw, &file))
	metrics := described(t)
	shown, ids := map[string]bool{}, map[int]bool{}
	for _, panel := range file.Panels {
		require.False(t, ids[panel.ID], "two panels %d", panel.ID)
		ids[panel.ID] = true
		require.Equal(t, panel.Type == "row", len(panel.Targets) == 0, "panel %d", panel.ID)
		for _, target := range panel.Targets {
			names, err := namesOf(metrics, target.Expr)
			require.NoError(t, err)
			for _, name := range names {
				shown[name] = true
			}
		}
	}
	require.Greater(t, len(shown), 35)
}

// What is wrong with expressions is found.
func TestExpressionsAreChecked(t *testing.T) {
	t.Parallel()
	metrics := described(t)
	for expr, fails := range map[string]bool{
		`sum by (trigger) (rate(webhook_attempts_total{outcome="failure"}[5m]))`:              false,
		`histogram_quantile(0.9, sum by (le) (rate(task_wait_seconds_bucket{kind="x"}[5m])))`: false,
		`sum(rate(webhook_attempt_total[5m]))`:                                                true,
		`sum by (endpoint) (rate(webhook_attempts_total[5m]))`:                                true,
		`rate(webhook_attempts_total{kind="x"}[5m])`:                                          true,
		`rate(task_wait_seconds[5m])`:                                                         true,
		`rate(webhook_attempts_total_bucket[5m])`:                                             true,
	} {
		_, err := namesOf(metrics, expr)
		require.Equal(t, fails, err != nil, expr)
	}
}

// The table of docs/metrics.md is the registry's: go test ./internal/metrics -update.
func TestTableOfMetricsIsUpToDate(t *testing.T) {
	t.Parallel()
	const path, begin, end = "../../docs/metrics.md", "| metric | type | labels | what it is |\n| --- | --- | --- | --- |\n", "\n\n"
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	var rows []string
	for _, k := range described(t) {
		rows = append(rows, fmt.Sprintf("| `%s` | %s | %s | %s |", k.name, k.kind, strings.Join(k.labels, ", "), k.help))
	}
	slices.Sort(rows)
	before, rest, ok := strings.Cut(string(raw), begin)
	require.True(t, ok)
	_, after, ok := strings.Cut(rest, end)
	require.True(t, ok)
	want := before + begin + strings.Join(rows, "\n") + end + after
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(want), 0o644))
		return
	}
	require.Equal(t, want, string(raw))
}
