package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
)

// WriteTable prints results for people.
func WriteTable(w io.Writer, results []Result) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "shape\ttasks\ttasks/s\tfloor/s\tratio\tp50 ms\tp99 ms\tWAL B/task\tcommits/task\tHOT\tdead rows\t")
	for _, r := range results {
		fmt.Fprintf(t, "%s\t%d\t%.0f\t%.0f\t%.2f\t%.1f\t%.1f\t%.0f\t%.4f\t%.2f\t%d\t\n", r.Shape, r.Tasks, r.Rate, r.Floor, r.Ratio,
			r.P50, r.P99, r.WALBytes, r.Commits, r.HOT, r.DeadRows)
	}
	return t.Flush()
}

// WriteMeasures prints the lines of an HTTP scenario for people.
func WriteMeasures(w io.Writer, measures []Measure) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\tvalue\t\ttarget\t\tp50 ms\tp99 ms\tCPU us\tby CPU\tothers took\t")
	for _, m := range measures {
		met := map[bool]string{true: "met", false: "MISSED"}[m.Met]
		if m.Target == "" {
			met = ""
		}
		latency := "\t\t"
		if m.P50 > 0 {
			latency = fmt.Sprintf("%.2f\t%.2f\t", m.P50, m.P99)
		}
		others := "?"
		if m.Others != unknownShare {
			others = fmt.Sprintf("%.0f %%", 100*m.Others)
		}
		value := fmt.Sprintf("%.0f", m.Value)
		if m.Value < 100 {
			value = fmt.Sprintf("%.3g", m.Value)
		}
		cpu, byCPU := "", ""
		if m.CPU > 0 {
			cpu = fmt.Sprintf("%.0f", m.CPU)
		}
		if m.ByCPU > 0 {
			byCPU = fmt.Sprintf("%.3g", m.ByCPU)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s%s\t%s\t%s\t\n", m.Name, value, m.Unit, m.Target, met, latency, cpu, byCPU, others)
	}
	return t.Flush()
}

// WriteJSON prints results for programs: one array.
func WriteJSON[R Result | Measure](w io.Writer, results []R) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(results)
}
