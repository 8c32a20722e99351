package layout

import (
	"cmp"
	"math"
	"slices"
)

// aspect is how much wider than high the whole is meant to be.
const aspect = 1.6

// stack is parts one below the other. They share layers, so that a layer is one strip of the whole picture.
type stack struct {
	boxes   []box
	columns []int32
	height  int32
}

// pack puts the parts into stacks, and the stacks beside each other: parts of many layers first, as long as a stack does not
// get taller than the tallest part or what makes the whole look square (first fit decreasing, as shelves are filled).
// Tasks without links come last, in a grid.
func pack(nodes int, boxes []box, single []int32) Result {
	slices.SortStableFunc(boxes, func(a, b box) int { return cmp.Compare(len(b.columns), len(a.columns)) })
	area, tall := float64(len(single))*columnPitch*rowPitch, int32(0)
	for _, b := range boxes {
		area += float64(width(b.columns)) * float64(b.height+partGap)
		tall = max(tall, b.height)
	}
	tall = max(tall, int32(math.Sqrt(area/aspect)))

	var stacks []stack
	for _, b := range boxes {
		if last := len(stacks) - 1; last < 0 || stacks[last].height+partGap+b.height > tall {
			stacks = append(stacks, stack{})
		}
		stacks[len(stacks)-1].add(b)
	}
	if len(single) > 0 {
		stacks = append(stacks, stack{})
		stacks[len(stacks)-1].add(grid(single, max(1, tall/rowPitch)))
	}

	r := Result{Layer: make([]int32, nodes), X: make([]float32, nodes), Y: make([]float32, nodes)}
	x, layers := int32(0), int32(0)
	for _, s := range stacks {
		left := make([]int32, len(s.columns)) // of each layer
		for l, columns := range s.columns {
			left[l] = x
			x += columns*columnPitch - (columnPitch - NodeWidth) + layerGap
		}
		for _, b := range s.boxes {
			for i, v := range b.nodes {
				r.Layer[v] = layers + b.layer[i]
				r.X[v] = float32(left[b.layer[i]] + b.column[i]*columnPitch + NodeWidth/2)
				r.Y[v] = float32(b.y[i])
			}
		}
		layers += int32(len(s.columns))
		r.Height = max(r.Height, float32(s.height))
	}
	r.Width = float32(max(0, x-layerGap))
	return r
}

// width is what layers of so many columns take, with the gap to what follows.
func width(columns []int32) int32 {
	w := int32(0)
	for _, c := range columns {
		w += c*columnPitch + layerGap
	}
	return w
}

// add puts a part at the bottom.
func (s *stack) add(b box) {
	if len(s.boxes) > 0 {
		s.height += partGap
	}
	for _, ys := range [][]int32{b.y, b.lanes} {
		for i := range ys {
			ys[i] += s.height
		}
	}
	s.height += b.height
	for l, c := range b.columns {
		if l == len(s.columns) {
			s.columns = append(s.columns, 0)
		}
		s.columns[l] = max(s.columns[l], c)
	}
	s.boxes = append(s.boxes, b)
}

// grid puts tasks without links into columns of at most so many, row by row: one layer.
func grid(tasks []int32, rows int32) box {
	n := int32(len(tasks))
	columns := (n + rows - 1) / rows
	b := box{nodes: tasks, layer: make([]int32, n), column: make([]int32, n), y: make([]int32, n), columns: []int32{columns}}
	for i := range n {
		b.column[i] = i % columns
		b.y[i] = i/columns*rowPitch + NodeHeight/2
	}
	b.height = b.y[n-1] + NodeHeight/2
	return b
}
