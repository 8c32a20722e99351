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

// WriteJSON prints results for programs: one array.
func WriteJSON(w io.Writer, results []Result) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(results)
}
