// Package layout places the tasks of a graph for a picture: layers from left to right, every link to the right, few
// crossings, no two tasks on one place. It is the method of Sugiyama, Tagawa and Toda (1981) in its usual steps, each in
// a file of its own:
//
//	dag.go    links that cannot be drawn are dropped, so that the rest has no cycle; parts that hang together
//	layer.go  which layer a task is in
//	order.go  the order within the layers
//	place.go  how high each is
//	pack.go   the parts beside each other
//	route.go  the ways of links, around tasks
//
// The result is a function of the graph alone: no clock and no chance, and all effort is bounded by the size.
package layout

// The measures of the picture. All are even, so that halves are whole numbers.
const (
	NodeWidth  = 160
	NodeHeight = 40

	rowPitch    = NodeHeight + 20 // from a task to the one below
	columnPitch = NodeWidth + 20  // from a task to the next one in the same layer, when a layer is too long for one column
	layerGap    = 80              // between layers, on top of the columns' own
	partGap     = 40              // between parts
)

// Result says where each task is. X and Y are centres.
type Result struct {
	Layer         []int32 // a layer is a strip from top to bottom; no two overlap, and they are numbered from left to right
	X, Y          []float32
	Width, Height float32

	// Bends says of each link at how many points it bends: the next so many of BendX and BendY, or Cut. A link begins at the right
	// of its parent and ends at the left of its child; from one point to the next it is a curve that is level at both.
	Bends        []int32
	BendX, BendY []float32
}

// Layered places nodes tasks, of which links are {parent, child}. A link from a lower layer to a higher one goes right;
// links that do not connect two tasks, or close a cycle, count as absent.
func Layered(nodes int, links [][2]int32) Result {
	parts, single := split(nodes, links)
	boxes := make([]box, 0, len(parts)+1)
	for _, p := range parts {
		boxes = append(boxes, p.arrange())
	}
	r := pack(nodes, boxes, single)
	r.route(boxes, links)
	return r
}

// box is a part with its tasks in place relative to its own corner.
type box struct {
	nodes   []int32 // their numbers in the whole graph
	layer   []int32
	column  []int32 // within the layer
	y       []int32
	columns []int32 // of each layer
	height  int32

	links [][2]int32 // from task to task of the part
	lanes []int32    // the heights at which they pass the layers between, if they have places there
}

func (p part) arrange() box {
	layer := layerOf(p)
	o := newOrdering(p, layer)
	o.improve()
	b := place(o)
	b.nodes, b.layer, b.links = p.nodes, layer, p.links
	return b
}
