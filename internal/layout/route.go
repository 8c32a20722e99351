package layout

import (
	"cmp"
	"math"
	"slices"
)

const (
	// clearance is what is left between a link and a task that it passes. Between two rows there is room for twice as much.
	clearance = 6

	// A link is long from so much on. Where there are so many long ones, or they pass so many columns in all, one says nothing on its
	// way, that a thousand others cross: only the ends of long ones are drawn.
	longX, longY = 900, 700
	mostLong     = 600
	mostPassed   = 1 << 18
)

// Cut is in place of the number of bends of a link of which only the ends are drawn.
const Cut = -1

// point is a place that a link goes through level, at the left or the right side of a column.
type point struct {
	x, y float32
	next int // the first column that is not passed there
}

// router finds the ways of links. For it the picture is columns of tasks, with a gap between any two columns and between any two
// tasks of a column.
type router struct {
	*Result
	x      []float32   // the middle of each column, from left to right
	rows   [][]float32 // the heights of its tasks, ascending
	layer  []int32
	column []int // of each task
}

// route finds the way of each link such that it passes no task: straight to its child in one curve if that does, otherwise through
// the places that it has in the order of the layers between, if it has some, in as few curves as will do.
func (r *Result) route(boxes []box, links [][2]int32) {
	rt := newRouter(r)
	cut := rt.crowded(boxes)
	ways := map[[2]int32][]point{}
	long := map[[2]int32]bool{}
	for _, b := range boxes {
		lanes := b.lanes
		for _, l := range b.links {
			a, c := b.nodes[l[0]], b.nodes[l[1]]
			var own []int32 // a height for each layer between
			if b.lanes != nil {
				n := r.Layer[c] - r.Layer[a] - 1
				own, lanes = lanes[:n], lanes[n:]
			}
			if cut && r.long(a, c) {
				long[[2]int32{a, c}] = true
			} else if way := rt.way(a, c, own); len(way) > 0 {
				ways[[2]int32{a, c}] = way
			}
		}
	}
	r.Bends = make([]int32, len(links))
	for k, l := range links {
		if long[l] {
			r.Bends[k] = Cut
			continue
		}
		r.Bends[k] = int32(len(ways[l]))
		for _, p := range ways[l] {
			r.BendX, r.BendY = append(r.BendX, p.x), append(r.BendY, p.y)
		}
	}
	r.enclose()
}

func newRouter(r *Result) *router {
	rt := &router{Result: r, column: make([]int, len(r.X))}
	tasks := make([]int32, len(r.X))
	for v := range tasks {
		tasks[v] = int32(v)
	}
	slices.SortFunc(tasks, func(v, w int32) int { return cmp.Or(cmp.Compare(r.X[v], r.X[w]), cmp.Compare(r.Y[v], r.Y[w])) })
	for _, v := range tasks {
		last := len(rt.x) - 1
		if last < 0 || rt.x[last] != r.X[v] {
			rt.x, rt.rows, rt.layer = append(rt.x, r.X[v]), append(rt.rows, nil), append(rt.layer, r.Layer[v])
			last++
		}
		rt.rows[last] = append(rt.rows[last], r.Y[v])
		rt.column[v] = last
	}
	return rt
}

func (r *Result) long(a, c int32) bool {
	return r.X[c]-r.X[a] > longX || max(r.Y[c]-r.Y[a], r.Y[a]-r.Y[c]) > longY
}

// crowded reports whether there are too many long links.
func (rt *router) crowded(boxes []box) bool {
	count, passed := 0, 0
	for _, b := range boxes {
		for _, l := range b.links {
			if a, c := b.nodes[l[0]], b.nodes[l[1]]; rt.long(a, c) {
				count, passed = count+1, passed+rt.column[c]-rt.column[a]
			}
		}
	}
	return count >= mostLong || passed > mostPassed
}

// way returns the points at which a link bends.
func (rt *router) way(a, c int32, lanes []int32) []point {
	from := point{rt.X[a] + NodeWidth/2, rt.Y[a], rt.column[a] + 1}
	to := point{rt.X[c] - NodeWidth/2, rt.Y[c], rt.column[c]}
	if rt.clear(from, to) {
		return nil
	}
	way := append([]point{from}, rt.level(a, c, lanes, from, to)...)
	// Points without which nothing is in the way are left out.
	kept := 1
	for i := 1; i < len(way); i++ {
		next := to
		if i+1 < len(way) {
			next = way[i+1]
		}
		if !rt.clear(way[kept-1], next) {
			way[kept] = way[i]
			kept++
		}
	}
	return way[1:kept]
}

// level finds a way of level stretches, which change their height between columns: as few of them as there can be through the
// gaps between tasks that it chooses.
func (rt *router) level(a, c int32, lanes []int32, from, to point) (way []point) {
	towards := float32(1) // of a task in the way, the side that is nearer to the child
	if to.y < from.y {
		towards = -1
	}
	first, top, bottom, sum := from.next, from.y, from.y, float32(0) // the stretch so far
	at := from.y + towards
	turned := false
	for k := from.next; k <= to.next; k++ {
		switch l := rt.layer[k]; {
		case l == rt.Layer[c]:
			at = to.y - towards
		case l > rt.Layer[a] && lanes != nil:
			at = float32(lanes[l-rt.Layer[a]-1])
		}
		above, below := to.y, to.y
		if k < to.next {
			above, below = rt.gap(k, at)
			at = min(max(at, above), below)
		}
		if max(top, above) <= min(bottom, below) {
			top, bottom, sum = max(top, above), min(bottom, below), sum+at
			continue
		}
		if k > first { // otherwise the link turns at once
			y := min(max(float32(math.Round(float64(sum)/float64(k-first))), top), bottom)
			if turned {
				way = append(way, point{rt.x[first] - NodeWidth/2, y, first})
			}
			way = append(way, point{rt.x[k-1] + NodeWidth/2, y, k})
		}
		turned = true
		first, top, bottom, sum = k, above, below, at
	}
	if first < to.next {
		way = append(way, point{rt.x[first] - NodeWidth/2, to.y, first})
	}
	return way
}

// gap returns from where to where there is nothing in a column around a height, or next to the task there.
func (rt *router) gap(k int, y float32) (top, bottom float32) {
	const far = 1 << 24
	const half = NodeHeight/2 + clearance
	rows := rt.rows[k]
	i, _ := slices.BinarySearch(rows, y)
	top, bottom = -far, far
	if i > 0 {
		top = rows[i-1] + half
	}
	if i < len(rows) {
		bottom = rows[i] - half
	}
	return top, bottom
}

// clear reports whether the curve between two points passes no task.
func (rt *router) clear(p, q point) bool {
	const half = NodeHeight/2 + clearance
	for k := p.next; k < q.next; k++ {
		y1, y2 := curve(p, q, rt.x[k]-NodeWidth/2), curve(p, q, rt.x[k]+NodeWidth/2)
		i, _ := slices.BinarySearch(rt.rows[k], min(y1, y2)-half)
		for ; i < len(rt.rows[k]) && rt.rows[k][i] < max(y1, y2)+half; i++ {
			if rt.rows[k][i] > min(y1, y2)-half {
				return false
			}
		}
	}
	return true
}

// curve returns the height at x of the curve from p to q: that of Bézier with the points {middle, p.y} and {middle, q.y}. It goes to
// the right all the way, and only up or only down.
func curve(p, q point, x float32) float32 {
	if p.y == q.y {
		return p.y
	}
	part := (x - p.x) / (q.x - p.x)
	s := part
	for range 6 { // Newton's method; the slope is 3/4 at least
		s -= (s*(1.5+s*(s-1.5)) - part) / (1.5 + 3*s*(s-1))
	}
	return p.y + (q.y-p.y)*s*s*(3-2*s)
}

// enclose makes room for links that pass above or below all tasks.
func (r *Result) enclose() {
	if len(r.BendY) == 0 {
		return
	}
	down := max(0, -slices.Min(r.BendY))
	for _, ys := range [][]float32{r.Y, r.BendY} {
		for i := range ys {
			ys[i] += down
		}
	}
	r.Height = max(r.Height+down, slices.Max(r.BendY))
}
