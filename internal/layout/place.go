package layout

import (
	"math"
	"slices"
)

const (
	placeCost  = 1 << 22 // what settling may cost, as in order.go
	minSettles = 4
	maxSettles = 60

	bendHeight = 30 // what a link takes that passes between tasks

	tallest    = 2  // times as high as wide: from there on layers are broken into several columns,
	shortLayer = 24 // but not those of so few tasks

	// How much links pull: between a task and a bend more than between tasks, so that long links are straight, in the manner of
	// Gansner, Koutsofios, North and Vo (1993). Theirs are 2 and 8; but we draw one curve from task to task, which passed through
	// other tasks twice as often with those. What nothing pulls stays where it is.
	endWeight  = 8
	bendWeight = 16
	loneWeight = 1e-3
)

// row is what shares one height in one layer: a task, a bend, or as many tasks as there are columns.
type row struct {
	vertices []int32
	height   int32
	y        float64
}

// placing is an ordering with heights.
type placing struct {
	*ordering
	rows   [][]row
	y      []float64
	blocks []block // of settle, kept to be used again
}

// place finds the heights. Every layer is settled between its neighbours, several times, to and fro. Links are drawn from
// task to task: least squares suit that better than the medians of Brandes and Koepf (2001), which are for links that bend.
func place(o *ordering) box {
	columns := o.columns()
	p := &placing{ordering: o, rows: make([][]row, len(o.layers)), y: make([]float64, len(o.layer))}
	column := make([]int32, len(o.layer))
	for l, layer := range o.layers {
		p.rows[l] = rows(layer, int(columns[l]), o.tasks)
		top := 0.0
		for _, r := range p.rows[l] {
			top -= float64(r.height) / 2
		}
		for i := range p.rows[l] {
			r := &p.rows[l][i]
			r.y = top + float64(r.height)/2
			top += float64(r.height)
			for c, v := range r.vertices {
				p.y[v], column[v] = r.y, int32(c)
			}
		}
	}
	times := min(maxSettles, max(minSettles, placeCost/(len(o.layer)+len(o.children.to))))
	for range times / 2 {
		for l := range p.rows {
			p.settle(l)
		}
		for l := len(p.rows) - 1; l >= 0; l-- {
			p.settle(l)
		}
	}

	b := box{column: column[:o.tasks], y: make([]int32, o.tasks), columns: columns}
	top, bottom := math.Inf(1), math.Inf(-1)
	for _, y := range p.y[:o.tasks] {
		top, bottom = min(top, y), max(bottom, y)
	}
	for v, y := range p.y[:len(o.layer)] {
		// Distances are whole numbers, so that rounding makes none smaller.
		y := int32(math.Round(y-top)) + NodeHeight/2
		if v < o.tasks {
			b.y[v] = y
		} else {
			b.lanes = append(b.lanes, y)
		}
	}
	b.height = int32(math.Round(bottom-top)) + NodeHeight
	return b
}

// columns decides into how many columns each layer is broken: such that the picture becomes not too tall. Bends do not count,
// and go where there is more than one column.
func (o *ordering) columns() []int32 {
	columns := make([]int32, len(o.layers))
	lengths := make([]int32, len(o.layers))
	longest := int32(0)
	for _, l := range o.layer[:o.tasks] {
		lengths[l]++
		longest = max(longest, lengths[l])
	}
	broken := func(length int32) []int32 {
		for l, n := range lengths {
			columns[l] = (n + length - 1) / length
		}
		return columns
	}
	low, high := min(longest, shortLayer), longest // the greatest length that will do is searched for
	for low < high {
		mid := (low + high + 1) / 2
		if mid*rowPitch <= tallest*width(broken(mid)) {
			low = mid
		} else {
			high = mid - 1
		}
	}
	if low < longest {
		o.unbend()
	}
	return broken(low)
}

// rows cuts a layer into rows of so many columns.
func rows(layer []int32, columns, tasks int) []row {
	rs := make([]row, 0, len(layer)/columns+1)
	for vs := range slices.Chunk(layer, columns) {
		height := int32(rowPitch)
		if int(vs[0]) >= tasks {
			height = bendHeight
		}
		rs = append(rs, row{vertices: vs, height: height})
	}
	return rs
}

// settle moves the rows of a layer to where they are wanted, as near as their order and heights allow, by least squares. That
// is isotonic regression, which pooling adjacent violators solves in one pass (Barlow, Bartholomew, Bremner and Brunk
// 1972): a row that would have to be above its predecessor forms a block with it, which stands where its rows want it on
// average.
func (p *placing) settle(l int) {
	rs := p.rows[l]
	blocks := p.blocks[:0]
	offset := 0.0 // of a row from the first, if all stand close
	for i := range rs {
		if i > 0 {
			offset += float64(rs[i-1].height+rs[i].height) / 2
		}
		want, weight := p.wanted(rs[i])
		b := block{sum: (want - offset) * weight, weight: weight, rows: 1}
		for len(blocks) > 0 && blocks[len(blocks)-1].y() >= b.y() {
			a := blocks[len(blocks)-1]
			b = block{a.sum + b.sum, a.weight + b.weight, a.rows + b.rows}
			blocks = blocks[:len(blocks)-1]
		}
		blocks = append(blocks, b)
	}
	p.blocks = blocks
	i, offset := 0, 0.0
	for _, b := range blocks {
		y := b.y()
		for range b.rows {
			if i > 0 {
				offset += float64(rs[i-1].height+rs[i].height) / 2
			}
			rs[i].y = y + offset
			for _, v := range rs[i].vertices {
				p.y[v] = rs[i].y
			}
			i++
		}
	}
}

// block is a number of rows that stand close.
type block struct {
	sum, weight float64
	rows        int
}

func (b block) y() float64 { return b.sum / b.weight }

// wanted says where a row wants to be: amid the neighbours of its vertices. Those on the side that pulls more count alone: a task
// stands amid its children, whatever its one parent would prefer.
func (p *placing) wanted(r row) (y, weight float64) {
	sum := 0.0
	for _, v := range r.vertices {
		inSum, in := p.pull(v, p.parents)
		outSum, out := p.pull(v, p.children)
		if in >= out {
			sum, weight = sum+inSum, weight+in
		}
		if out >= in {
			sum, weight = sum+outSum, weight+out
		}
	}
	return (sum + loneWeight*r.y) / (weight + loneWeight), weight + loneWeight
}

// pull sums where the neighbours on one side of a vertex are, by weight.
func (p *placing) pull(v int32, neighbours adjacency) (sum, weight float64) {
	for _, u := range neighbours.of(v) {
		w := p.weight(v, u)
		sum += w * p.y[u]
		weight += w
	}
	return sum, weight
}

func (p *placing) weight(v, u int32) float64 {
	switch vTask, uTask := int(v) < p.tasks, int(u) < p.tasks; {
	case vTask && uTask:
		return 1
	case vTask || uTask:
		return endWeight
	default:
		return bendWeight
	}
}
