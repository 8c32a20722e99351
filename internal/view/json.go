package view

import (
	"bytes"
	"encoding/json"
	"strconv"
	"time"

	"github.com/taskrunner/taskrunner/internal/layout"
	"github.com/taskrunner/taskrunner/internal/task"
)

// mostExact is the largest number up to which JavaScript rounds none.
const mostExact = 1<<53 - 1

// GraphJSON writes a graph for the page. It is made of columns, not of objects: of 10,000 tasks that is a third of the bytes, and
// their scripts keep them in arrays anyway.
func GraphJSON(g task.ViewGraph, p layout.Result) []byte {
	b := make([]byte, 0, 1024+160*len(g.Tasks)+16*len(g.Links))
	b = append(b, `{"batch_id":"`...)
	b = append(b, g.BatchID.String()...)
	b = append(b, `","batch_name":`...)
	b = appendValue(b, g.BatchName)
	b = append(b, `,"created_at":`...)
	b = appendValue(b, g.CreatedAt)
	b = appendRevision(append(b, ','), g.Revision, g.Now)
	b = append(b, `,"statuses":`...)
	b = appendValue(b, task.ViewStatuses)

	numbers, kinds, kind := map[string]int64{}, []string{}, make([]int64, len(g.Tasks))
	for i, t := range g.Tasks {
		n, known := numbers[t.Kind]
		if !known {
			n = int64(len(kinds))
			numbers[t.Kind], kinds = n, append(kinds, t.Kind)
		}
		kind[i] = n
	}
	b = append(b, `,"kinds":`...)
	b = appendValue(b, kinds)

	n := len(g.Tasks)
	b = append(b, `,"tasks":{`...)
	b = appendColumn(b, "id", n, func(b []byte, i int) []byte {
		id, _ := g.Tasks[i].ID.MarshalText() // cannot fail
		return append(append(append(b, '"'), id...), '"')
	})
	names := make([]string, n)
	for i, t := range g.Tasks {
		names[i] = t.Name
	}
	b = append(b, `,"name":`...)
	b = appendValue(b, names)
	b = appendNumbers(append(b, ','), "kind", n, func(i int) int64 { return kind[i] })
	b = appendStates(b, n, func(i int) *task.ViewState { return &g.States[i] })
	b = appendNumbers(append(b, ','), "created_at", n, func(i int) int64 { return g.Tasks[i].CreatedAt })
	b = appendNumbers(append(b, ','), "layer", n, func(i int) int64 { return int64(p.Layer[i]) })
	b = appendColumn(append(b, ','), "x", n, func(b []byte, i int) []byte { return appendLength(b, p.X[i]) })
	b = appendColumn(append(b, ','), "y", n, func(b []byte, i int) []byte { return appendLength(b, p.Y[i]) })

	n = len(g.Links)
	b = appendNumbers(append(b, `},"links":{`...), "parent", n, func(i int) int64 { return int64(g.Links[i][0]) })
	b = appendNumbers(append(b, ','), "child", n, func(i int) int64 { return int64(g.Links[i][1]) })
	b = appendNumbers(append(b, ','), "required", n, func(i int) int64 {
		if g.Required[i] {
			return 1
		}
		return 0
	})
	b = appendNumbers(append(b, ','), "bends", n, func(i int) int64 {
		if p.Bends[i] == layout.Cut {
			return task.Null
		}
		return int64(p.Bends[i])
	})
	n = len(p.BendX)
	b = appendColumn(append(b, `},"bends":{`...), "x", n, func(b []byte, i int) []byte { return appendLength(b, p.BendX[i]) })
	b = appendColumn(append(b, ','), "y", n, func(b []byte, i int) []byte { return appendLength(b, p.BendY[i]) })
	b = append(b, `},"external_links":`...)
	b = appendValue(b, append([]task.Link{}, g.External...))
	b = appendLength(append(b, `,"width":`...), p.Width)
	b = appendLength(append(b, `,"height":`...), p.Height)
	return append(b, '}')
}

// StatesJSON writes states for the page: those of the tasks with these indices, or of all.
func StatesJSON(s task.ViewStates, indices []int32) []byte {
	n := len(indices)
	index := func(i int) int64 { return int64(indices[i]) }
	if indices == nil {
		n, index = len(s.States), func(i int) int64 { return int64(i) }
	}
	b := appendRevision(append(make([]byte, 0, 256+48*n), '{'), s.Revision, s.Now)
	b = appendNumbers(append(b, ','), "index", n, index)
	b = appendStates(b, n, func(i int) *task.ViewState { return &s.States[index(i)] })
	return append(b, '}')
}

func appendRevision(b []byte, r task.ViewRevision, now time.Time) []byte {
	b = append(append(append(b, `"revision":"`...), r.String()...), `","now":`...)
	return strconv.AppendInt(b, now.UnixMilli(), 10)
}

func appendStates(b []byte, n int, state func(i int) *task.ViewState) []byte {
	b = appendNumbers(append(b, ','), "status", n, func(i int) int64 { return int64(state(i).Status) })
	b = appendNumbers(append(b, ','), "priority", n, func(i int) int64 { return int64(state(i).Priority) })
	b = appendCounts(append(b, ','), "success", n, func(i int) int64 { return state(i).Success })
	b = appendCounts(append(b, ','), "failures", n, func(i int) int64 { return state(i).Failures })
	b = appendCounts(append(b, ','), "expected_count", n, func(i int) int64 { return state(i).Expected })
	b = appendNumbers(append(b, ','), "started_at", n, func(i int) int64 { return state(i).StartedAt })
	return appendNumbers(append(b, ','), "ended_at", n, func(i int) int64 { return state(i).EndedAt })
}

func appendNumbers(b []byte, name string, n int, number func(i int) int64) []byte {
	return appendColumn(b, name, n, func(b []byte, i int) []byte {
		if number := number(i); number != task.Null {
			return strconv.AppendInt(b, number, 10)
		}
		return append(b, `null`...)
	})
}

// appendCounts writes numbers of which JavaScript would round some: these are texts.
func appendCounts(b []byte, name string, n int, number func(i int) int64) []byte {
	return appendColumn(b, name, n, func(b []byte, i int) []byte {
		switch number := number(i); {
		case number == task.Null:
			return append(b, `null`...)
		case number > mostExact || number < -mostExact:
			return append(strconv.AppendInt(append(b, '"'), number, 10), '"')
		default:
			return strconv.AppendInt(b, number, 10)
		}
	})
}

func appendColumn(b []byte, name string, n int, element func(b []byte, i int) []byte) []byte {
	b = append(append(append(b, '"'), name...), `":[`...)
	for i := range n {
		if i > 0 {
			b = append(b, ',')
		}
		b = element(b, i)
	}
	return append(b, ']')
}

// appendLength writes what is drawn: tenths are fine enough.
func appendLength(b []byte, length float32) []byte {
	return bytes.TrimSuffix(strconv.AppendFloat(b, float64(length), 'f', 1, 32), []byte(".0"))
}

func appendValue(b []byte, value any) []byte {
	buffer := bytes.NewBuffer(b)
	e := json.NewEncoder(buffer)
	e.SetEscapeHTML(false)
	if err := e.Encode(value); err != nil { // texts, times and ids
		panic(err)
	}
	return bytes.TrimSuffix(buffer.Bytes(), []byte("\n"))
}
