package graphfile_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/graphfile"
)

// The lines of this graph are what the paths of the contract's section 9.1 are explained with.
const yamlGraph = `# a graph
name: nightly
metadata:
  owner: x
dead_end_cancel: false
tasks:
  - id: a                     # 7
    name: extract
    kind: etl
    timeout: 60
    expected_count: 5
    priority: 3
    metadata:                 # 13
      deep:
        - 1
        - odd key: 2
          "a\tb": 3
    on_start:
      kind: Webhook
      params:                 # 20
        url: http://x
        verb: Post
        headers:
          X-A: b
    on_failure:
      - kind: Webhook
        params: {url: x}      # 27
      - kind: Webhook
        params:
          url: y
    rules:
      - type: Concurency      # 32
        max_concurency: 0
        matcher:
          kind: ""
          status: Running
          fields: [x]
    retry:
      max_attempts: 0         # 39
      multiplier: 0
    run_at: soon
    dependencies:
      - id: b                 # 43
        requires_success: true
  - &b
    id: b                     # 46
    name: load
    on_success: []
  - <<: *b
    id: c                     # 50
    on_cancel: [{kind: Webhook}, {kind: Webhook,
      params: 1}]
  - *b                        # 53
  - dependencies: [{id: c -> d, requires_success: true}]
    id: a -> b                # 55
`

func TestExplainYAML(t *testing.T) {
	t.Parallel()
	f, err := graphfile.Read("graph.yaml", strings.NewReader(yamlGraph), graphfile.Auto)
	require.NoError(t, err)
	explain(t, f, map[string]int{
		"name: x":                                 2,
		"metadata: x":                             3,
		"metadata.owner: x":                       4,
		"dead_end_cancel: x":                      5,
		"tasks: x":                                6,
		"tasks[0]: x":                             7,
		"tasks[0].id: x":                          7,
		"tasks[0].name: x":                        8,
		"tasks[0].kind: x":                        9,
		"tasks[0].timeout: x":                     10,
		"tasks[0].expected_count: x":              11,
		"tasks[0].priority: x":                    12,
		"tasks[0].metadata: compact: tasks[0]: x": 13,
		"tasks[0].metadata.deep[0]: x":            15,
		`tasks[0].metadata.deep[1]["odd key"]: x`: 16,
		`tasks[0].metadata.deep[1]["odd k…"]: x`:  16,
		`tasks[0].metadata.deep[1]["a\tb"]: x`:    17,
		`tasks[0].metadata.deep[1]["no such"]: x`: 16,
		"tasks[0].metadata.deep[0][0][0][0][0][0][0][0][0][0]…: x": 15,
		"tasks[0].on_start: x":                                       18,
		"tasks[0].on_start.params: url is required":                  20,
		"tasks[0].on_start.params.headers.X-A: x":                    24,
		"tasks[0].on_failure[0].params: x":                           27,
		"tasks[0].on_failure[1].params: x":                           29,
		"tasks[0].on_failure[7].params: x":                           25,
		"tasks[0].rules[0]: x":                                       32,
		"tasks[0].rules[0].max_concurency: x":                        33,
		"tasks[0].rules[0].max_capacity: x":                          32,
		"tasks[0].rules[0].matcher.kind: x":                          35,
		"tasks[0].rules[0].matcher.status: x":                        36,
		"tasks[0].rules[0].matcher.fields: x":                        37,
		"tasks[0].retry.max_attempts: x":                             39,
		"tasks[0].retry.initial_delay_secs: x":                       38,
		"tasks[0].retry.multiplier: x":                               40,
		"tasks[0].run_at: x":                                         41,
		"tasks[0].dependencies: x":                                   42,
		"tasks[0].dependencies[0]: x":                                43,
		"tasks[0].dependencies[0].id: x":                             43,
		"tasks[0].dependencies[0].requires_success: x":               44,
		"tasks[0].dependencies[0].task_id: x":                        43,
		"tasks[1].name: x":                                           47,
		"tasks[1].on_success[0].params: x":                           48,
		"tasks[2].id: x":                                             50,
		"tasks[2].name: x":                                           47, // merged in
		"tasks[2].on_cancel[0]: x":                                   51,
		"tasks[2].on_cancel[1].params: x":                            52,
		"tasks[3]: x":                                                53,
		"tasks[3].kind: x":                                           53,
		"tasks[3].name: x":                                           47,
		"tasks[9].id: x":                                             6,
		"dependencies: dependency cycle: b -> a -> b":                45,
		"dependencies: dependency cycle: a -> b -> c -> d -> a -> b": 54,
		"dependencies: dependency cycle: unknown -> a -> unknown":    0,
		"Idempotency-Key: x":                                         0,
		"the body could not be read":                                 0,
		"":                                                           0,
		"[0]: x":                                                     0,
	})
}

func TestExplainJSON(t *testing.T) {
	t.Parallel()
	array := "[\n{\"id\": \"a\", \"x\": \"]}\\\"\",\n\"name\": 1, \"name\":\n2, \"on_start\":\n{ \"params\" : { } } },\n\n{\"metadata\":\n [[\n0]] ,\n\"\\u0069d\": -1e5}\n]\n"
	f, err := graphfile.Read("g.json", strings.NewReader(array), graphfile.Auto)
	require.NoError(t, err)
	explain(t, f, map[string]int{
		"tasks[0]: x":                                 2,
		"tasks[0].id: x":                              2,
		"tasks[0].name: x":                            3, // the second, which counts
		"tasks[0].on_start: x":                        4,
		"tasks[0].on_start.params: x":                 5,
		"tasks[0].timeout: x":                         2,
		"tasks[1]: x":                                 7,
		"tasks[1].metadata: x":                        7,
		"tasks[1].metadata[0]: x":                     8,
		"tasks[1].metadata[0][0]: x":                  9,
		"tasks[1].id: x":                              10,
		"tasks[2].id: x":                              0,
		"tasks: must be an array":                     0,
		"dependencies: dependency cycle: a -> b -> a": 4 - 2,
	})
	f, err = graphfile.Read("g.json", strings.NewReader("{\"tasks\":\n[\n{\"id\": \"a\"}]}"), graphfile.Auto)
	require.NoError(t, err)
	explain(t, f, map[string]int{"tasks: x": 1, "tasks[0].name: x": 3, "tasks[1]: x": 1, "name: is required": 0})
}

// explain compares lines, each by itself and all at once.
func explain(t *testing.T, f *graphfile.File, lines map[string]int) {
	t.Helper()
	var details, want []string
	for detail, line := range lines {
		details = append(details, detail)
		place := f.Name + ": "
		if line > 0 {
			place = fmt.Sprintf("%s:%d: ", f.Name, line)
		}
		want = append(want, place+detail)
		require.Equal(t, []string{place + detail}, f.Explain([]string{detail}))
	}
	require.Equal(t, want, f.Explain(details))
	require.Empty(t, f.Explain(nil))
}

// Many errors in a large graph are explained in one walk over it.
func TestExplainMany(t *testing.T) {
	t.Parallel()
	const n = 100_000
	var text strings.Builder
	var details []string
	text.WriteString("tasks:\n")
	for i := range n {
		fmt.Fprintf(&text, "- {id: t%d}\n", i)
		details = append(details, fmt.Sprintf("tasks[%d].name: is required", i))
	}
	f, err := graphfile.Read("g.yaml", strings.NewReader(text.String()), graphfile.Auto)
	require.NoError(t, err)
	for i, line := range f.Explain(details) {
		require.Equal(t, fmt.Sprintf("g.yaml:%d: %s", i+2, details[i]), line)
	}
}

func FuzzExplain(f *testing.F) {
	f.Add(`[{"id":"a","x":[1,{"y":null}]}]`, `tasks[0].x[1].y: x`)
	f.Add(`{"tasks":[{"a b":"\u00e9"}]}`, `tasks[0]["a b"]: x`)
	f.Add(`{"tasks":[{"id":"a"}]}`, `dependencies: dependency cycle: a -> a`)
	f.Fuzz(func(t *testing.T, text, detail string) {
		file, err := graphfile.Read("g", strings.NewReader(text), graphfile.JSON)
		if err != nil {
			return
		}
		if got := file.Explain([]string{detail}); len(got) != 1 || !strings.HasSuffix(got[0], detail) {
			t.Fatalf("%q", got)
		}
	})
}
