package layout

import (
	"cmp"
	"slices"
)

// ordering is a part whose tasks are in an order within each layer. Where room allows, a link over several layers is cut
// into links between neighbouring ones by a vertex that is no task in each layer between, so that it has a place in their
// order; otherwise links stay as they are.
type ordering struct {
	part
	tasks             int // vertices from here on are no tasks
	layer             []int32
	layers            [][]int32 // the vertices of each, from top to bottom
	children, parents adjacency // with bends
	at                []int32   // the place of each vertex in its layer

	moving []int32 // of sort, kept to be used again
	keys   []uint64
}

// The effort that ordering may cost, in vertices and links looked at. More of it was measured to save less than one crossing in
// a hundred.
const (
	bends     = 4       // so many vertices that are no tasks for each task and link, at most,
	fewBends  = 1000    // or so many,
	mostBends = 1 << 18 // but never more than these
	sweepCost = 1 << 20 // of all sweeps; at least minSweeps are made
	minSweeps = 4
	maxSweeps = 24
	swapCost  = 1 << 14 // up to this size neighbours are also exchanged in pairs
)

func newOrdering(p part, layer []int32) *ordering {
	o := &ordering{part: p, tasks: len(p.nodes), layer: layer, layers: make([][]int32, slices.Max(layer)+1)}
	between := 0
	for _, l := range p.links {
		between += int(layer[l[1]]-layer[l[0]]) - 1
	}
	o.children, o.parents = p.children, p.parents
	if between <= min(mostBends, max(fewBends, bends*(len(p.nodes)+len(p.links)))) {
		o.bend(p.links, between)
	}
	o.begin()
	return o
}

// bend cuts long links.
func (o *ordering) bend(links [][2]int32, between int) {
	cut := make([][2]int32, 0, len(links)+between)
	layer := slices.Grow(slices.Clip(o.layer), between)
	for _, l := range links {
		from := l[0]
		for at := layer[from] + 1; at < layer[l[1]]; at++ {
			to := int32(len(layer))
			layer = append(layer, at)
			cut = append(cut, [2]int32{from, to})
			from = to
		}
		cut = append(cut, [2]int32{from, l[1]})
	}
	o.layer = layer
	o.children, o.parents = both(len(layer), cut)
}

// unbend takes the bends out again.
func (o *ordering) unbend() {
	o.layer = o.layer[:o.tasks]
	o.children, o.parents = o.part.children, o.part.parents
	for l := range o.layers {
		o.layers[l] = slices.DeleteFunc(o.layers[l], func(v int32) bool { return int(v) >= o.tasks })
		o.number(l)
	}
}

// begin sets the first order: that of a walk in depth from the tasks without parents, which draws trees without crossings.
func (o *ordering) begin() {
	n := int32(len(o.layer))
	o.at = make([]int32, n)
	seen := make([]bool, n)
	var stack []int32
	for s := range int32(o.tasks) {
		if o.parents.degree(s) > 0 {
			continue
		}
		stack = append(stack, s)
		for len(stack) > 0 {
			v := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			if seen[v] {
				continue
			}
			seen[v] = true
			o.at[v] = int32(len(o.layers[o.layer[v]]))
			o.layers[o.layer[v]] = append(o.layers[o.layer[v]], v)
			for _, c := range slices.Backward(o.children.of(v)) {
				stack = append(stack, c)
			}
		}
	}
}

// improve sorts each layer by the barycentres of its vertices' neighbours, those on the left when going right and those on
// the right when going left, several times (Sugiyama, Tagawa and Toda 1981). The order with the fewest crossings stays.
func (o *ordering) improve() {
	size := len(o.layer) + len(o.children.to)
	sweeps := min(maxSweeps, max(minSweeps, sweepCost/size))
	best, fewest := o.copyLayers(), o.crossings()
	for i := 0; i < sweeps && fewest > 0; i++ {
		if i%2 == 0 {
			for l := 1; l < len(o.layers); l++ {
				o.sort(l, o.parents)
			}
		} else {
			for l := len(o.layers) - 2; l >= 0; l-- {
				o.sort(l, o.children)
			}
		}
		if size <= swapCost {
			o.swap()
		}
		if c := o.crossings(); c < fewest {
			best, fewest = o.copyLayers(), c
		}
	}
	o.layers = best
	for l := range o.layers {
		o.number(l)
	}
}

func (o *ordering) copyLayers() [][]int32 {
	layers := make([][]int32, len(o.layers))
	for l, vs := range o.layers {
		layers[l] = slices.Clone(vs)
	}
	return layers
}

func (o *ordering) number(l int) {
	for i, v := range o.layers[l] {
		o.at[v] = int32(i)
	}
}

// sort orders one layer by barycentres. Vertices without neighbours on that side stay where they are. Where links are not
// cut, neighbours are in layers of different lengths; that is why a place is taken as a share of its layer.
func (o *ordering) sort(l int, neighbours adjacency) {
	layer := o.layers[l]
	moving := o.moving[:0]
	keys := o.keys[:0] // the barycentre in the upper half, the number within moving below it: equal ones keep their order
	for _, v := range layer {
		if ns := neighbours.of(v); len(ns) > 0 {
			sum := 0.0
			for _, u := range ns {
				sum += (float64(o.at[u]) + 0.5) / float64(len(o.layers[o.layer[u]]))
			}
			keys = append(keys, uint64(sum/float64(len(ns))*(1<<32))<<32|uint64(len(moving)))
			moving = append(moving, v)
		}
	}
	slices.Sort(keys)
	next := 0
	for i, v := range layer {
		if neighbours.degree(v) > 0 {
			layer[i] = moving[uint32(keys[next])]
			next++
		}
	}
	o.number(l)
	o.moving, o.keys = moving, keys
}

// crossings counts the crossings of links between neighbouring layers, with a tree of sums (Barth, Jünger and Mutzel 2002).
func (o *ordering) crossings() int {
	total := 0
	var places, sums []int32
	for l := range len(o.layers) - 1 {
		n := len(o.layers[l+1])
		sums = append(sums[:0], make([]int32, n+1)...)
		links := int32(0)
		for _, v := range o.layers[l] {
			places = places[:0]
			for _, c := range o.children.of(v) {
				if int(o.layer[c]) == l+1 {
					places = append(places, o.at[c])
				}
			}
			for _, at := range places { // crossed are those before that end below
				below := links
				for i := at + 1; i > 0; i -= i & -i {
					below -= sums[i]
				}
				total += int(below)
			}
			for _, at := range places {
				for i := at + 1; int(i) <= n; i += i & -i {
					sums[i]++
				}
			}
			links += int32(len(places))
		}
	}
	return total
}

// swap exchanges vertices with their neighbours in the layer as long as that saves crossings (Gansner, Koutsofios, North and
// Vo 1993, "transpose").
func (o *ordering) swap() {
	for range 8 {
		better := false
		for l, layer := range o.layers {
			for _, v := range layer {
				for _, a := range []adjacency{o.parents, o.children} {
					slices.SortFunc(a.of(v), func(u, w int32) int { return cmp.Compare(o.at[u], o.at[w]) })
				}
			}
			for i := 1; i < len(layer); i++ {
				v, w := layer[i-1], layer[i]
				saved := 0
				for _, a := range []adjacency{o.parents, o.children} {
					saved += o.inversions(a.of(v), a.of(w)) - o.inversions(a.of(w), a.of(v))
				}
				if saved > 0 {
					layer[i-1], layer[i] = w, v
					better = true
				}
			}
			o.number(l)
		}
		if !better {
			return
		}
	}
}

// inversions counts the pairs of which the first is below the second; both lists are sorted by place.
func (o *ordering) inversions(a, b []int32) int {
	count, j := 0, 0
	for _, u := range a {
		for j < len(b) && o.at[b[j]] < o.at[u] {
			j++
		}
		count += j
	}
	return count
}
