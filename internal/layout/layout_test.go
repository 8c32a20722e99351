package layout

import (
	"cmp"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestLayered says what holds of every picture: nothing overlaps, links go right, layers are strips from left to right, and
// all is within the picture.
func TestLayered(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nodes := rapid.IntRange(0, 200).Draw(t, "nodes")
		check(t, nodes, acyclic(t, nodes))
	})
}

// acyclic draws links that make no cycle, in any order, under numbers in any order.
func acyclic(t *rapid.T, nodes int) [][2]int32 {
	if nodes < 2 {
		return nil
	}
	numbers := make([]int32, nodes)
	for i := range numbers {
		numbers[i] = int32(i)
	}
	if rapid.Bool().Draw(t, "shuffled") {
		numbers = rapid.Permutation(numbers).Draw(t, "numbers")
	}
	reach := rapid.IntRange(1, nodes).Draw(t, "reach")
	var links [][2]int32
	for range rapid.IntRange(0, 3*nodes).Draw(t, "links") {
		child := rapid.IntRange(1, nodes-1).Draw(t, "child")
		parent := rapid.IntRange(max(0, child-reach), child-1).Draw(t, "parent")
		links = append(links, [2]int32{numbers[parent], numbers[child]})
	}
	return links
}

// check lays a graph without cycles out and says what is wrong with it.
func check(t require.TestingT, nodes int, links [][2]int32) Result {
	r := Layered(nodes, links)
	backwards := slices.Clone(links)
	slices.Reverse(backwards)
	require.Equal(t, turned(r), Layered(nodes, backwards), "another one of the same graph")
	checkPlaces(t, nodes, r)
	checkWays(t, r, links)
	for _, l := range links {
		require.Greater(t, r.Layer[l[1]], r.Layer[l[0]], "link %v", l)
		require.GreaterOrEqual(t, r.X[l[1]]-r.X[l[0]], float32(NodeWidth+layerGap), "link %v", l)
	}
	return r
}

// turned is the same picture with the links the other way round.
func turned(r Result) Result {
	x, y := r.BendX, r.BendY
	r.Bends, r.BendX, r.BendY = slices.Clone(r.Bends), nil, nil
	slices.Reverse(r.Bends)
	for _, n := range r.Bends {
		if n > 0 {
			last := len(x) - int(n)
			r.BendX, r.BendY = append(r.BendX, x[last:]...), append(r.BendY, y[last:]...)
			x, y = x[:last], y[:last]
		}
	}
	return r
}

// checkWays goes along the links as they are drawn, and looks at which tasks they pass.
func checkWays(t require.TestingT, r Result, links [][2]int32) {
	require.Len(t, r.Bends, len(links))
	require.Len(t, r.BendY, len(r.BendX))
	type cell struct{ x, y int }
	near := map[cell][]int{} // tasks that reach into it
	for v := range r.X {
		x, y := int(r.X[v]), int(r.Y[v])
		for i := (x - NodeWidth/2) / columnPitch; i <= (x+NodeWidth/2)/columnPitch; i++ {
			for j := (y - NodeHeight/2) / rowPitch; j <= (y+NodeHeight/2)/rowPitch; j++ {
				near[cell{i, j}] = append(near[cell{i, j}], v)
			}
		}
	}
	bend := 0
	for k, l := range links {
		at := [2]float32{r.X[l[0]] + NodeWidth/2, r.Y[l[0]]}
		for i := range r.Bends[k] + 1 { // none if it is cut
			to := [2]float32{r.X[l[1]] - NodeWidth/2, r.Y[l[1]]}
			if i < r.Bends[k] {
				to = [2]float32{r.BendX[bend], r.BendY[bend]}
				require.GreaterOrEqual(t, to[1], float32(0))
				require.LessOrEqual(t, to[1], r.Height)
				bend++
			}
			require.Greater(t, to[0], at[0], "link %v goes right", l)
			for s := float32(0.02); s < 1; s += 0.02 {
				q := 1 - s
				x := q*q*q*at[0] + 3*q*s*(at[0]+to[0])/2 + s*s*s*to[0]
				y := q*q*(q+3*s)*at[1] + s*s*(s+3*q)*to[1]
				for _, v := range near[cell{int(x) / columnPitch, int(y) / rowPitch}] {
					if abs(x-r.X[v]) < NodeWidth/2 && abs(y-r.Y[v]) < NodeHeight/2 {
						require.Fail(t, "behind a task", "link %v at %v, %v: task %d", l, x, y, v)
					}
				}
			}
			at = to
		}
	}
	require.Equal(t, len(r.BendX), bend)
}

// TestLayeredOdd: whatever the links are, everything has a place.
func TestLayeredOdd(t *testing.T) { rapid.Check(t, odd) }

func FuzzLayered(f *testing.F) { f.Fuzz(rapid.MakeFuzz(odd)) }

func odd(t *rapid.T) {
	nodes := rapid.IntRange(0, 50).Draw(t, "nodes")
	end := rapid.Int32Range(-1, int32(nodes))
	var links [][2]int32
	for range rapid.IntRange(0, 3*nodes).Draw(t, "links") {
		links = append(links, [2]int32{end.Draw(t, "parent"), end.Draw(t, "child")})
	}
	checkPlaces(t, nodes, Layered(nodes, links))
}

// TestLayeredCycle: a link that closes a cycle is the one that goes left.
func TestLayeredCycle(t *testing.T) {
	const nodes = 2000
	cycle := make([][2]int32, nodes)
	for v := range cycle {
		cycle[v] = [2]int32{int32(v), int32((v + 1) % nodes)}
	}
	r := Layered(nodes, cycle)
	checkPlaces(t, nodes, r)
	r.Bends = r.Bends[:nodes-1]
	require.Equal(t, check(t, nodes, cycle[:nodes-1]), r)
}

func checkPlaces(t require.TestingT, nodes int, r Result) {
	require.Len(t, r.Layer, nodes)
	require.Len(t, r.X, nodes)
	require.Len(t, r.Y, nodes)
	type span struct{ left, right float32 }
	layers := map[int32]span{}
	columns := map[float32][]int{}
	for v := range nodes {
		require.GreaterOrEqual(t, r.X[v], float32(NodeWidth/2))
		require.GreaterOrEqual(t, r.Y[v], float32(NodeHeight/2))
		require.LessOrEqual(t, r.X[v], r.Width-NodeWidth/2)
		require.LessOrEqual(t, r.Y[v], r.Height-NodeHeight/2)
		s, ok := layers[r.Layer[v]]
		if !ok {
			s = span{r.X[v], r.X[v]}
		}
		layers[r.Layer[v]] = span{min(s.left, r.X[v]), max(s.right, r.X[v])}
		columns[r.X[v]] = append(columns[r.X[v]], v)
	}
	end := float32(-1)
	for l := range int32(len(layers)) { // there are no empty ones
		s, ok := layers[l]
		require.True(t, ok, "layer %d is empty", l)
		require.Greater(t, s.left, end, "layer %d", l)
		end = s.right
	}
	xs := slices.Sorted(maps.Keys(columns))
	for i, x := range xs {
		require.True(t, i == 0 || x-xs[i-1] >= columnPitch, "columns at %v and %v", xs[max(0, i-1)], x)
		column := columns[x]
		slices.SortFunc(column, func(a, b int) int { return cmp.Compare(r.Y[a], r.Y[b]) })
		for i, v := range column[1:] {
			require.GreaterOrEqual(t, r.Y[v]-r.Y[column[i]], float32(rowPitch), "tasks %d and %d", column[i], v)
		}
	}
}
