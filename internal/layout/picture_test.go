package layout

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// The links of graphs of which everybody would draw the same picture.
var (
	worked = [][2]int32{{0, 1}, {0, 2}, {0, 3}, {1, 4}, {2, 4}, {3, 4}} // contract, section 6.2
	ladder = func() (links [][2]int32) {
		for i := int32(0); i < 16; i += 2 {
			links = append(links, [2]int32{i, i + 2}, [2]int32{i, i + 1}, [2]int32{i + 1, i + 3})
		}
		return links
	}()
	tree = func() (links [][2]int32) {
		for v := range int32(30) {
			links = append(links, [2]int32{v / 2, v + 1})
		}
		return links
	}()
	grid5 = func() (links [][2]int32) {
		for v := range int32(25) {
			if v%5 < 4 {
				links = append(links, [2]int32{v, v + 1})
			}
			if v < 20 {
				links = append(links, [2]int32{v, v + 5})
			}
		}
		return links
	}()
)

// TestCrossings: graphs that can be drawn without crossings are, also if their tasks were inserted in an order that does not
// help.
func TestCrossings(t *testing.T) {
	for _, g := range []struct {
		name  string
		nodes int
		links [][2]int32
	}{{"worked example", 5, worked}, {"ladder", 18, ladder}, {"tree", 31, tree}, {"diamond grid", 25, grid5}} {
		for _, order := range []string{"as it is", "turned", "mixed"} {
			t.Run(g.name+" "+order, func(t *testing.T) {
				links := make([][2]int32, len(g.links))
				for i, l := range g.links {
					for end, v := range l {
						switch order {
						case "turned": // right to left, last to first
							links[i][1-end] = int32(g.nodes) - 1 - v
						case "mixed":
							links[i][end] = v * 7 % int32(g.nodes) // 7 divides none of them
						default:
							links[i][end] = v
						}
					}
				}
				r := check(t, g.nodes, links)
				require.Zero(t, crossed(r, links), "%+v", r)
			})
		}
	}
}

// crossed counts the pairs of links that cross where both are straight lines between centres.
func crossed(r Result, links [][2]int32) (count int) {
	side := func(a, b, c int32) float32 {
		return (r.X[b]-r.X[a])*(r.Y[c]-r.Y[a]) - (r.Y[b]-r.Y[a])*(r.X[c]-r.X[a])
	}
	for i, p := range links {
		for _, q := range links[:i] {
			if side(p[0], p[1], q[0])*side(p[0], p[1], q[1]) < 0 && side(q[0], q[1], p[0])*side(q[0], q[1], p[1]) < 0 {
				count++
			}
		}
	}
	return count
}

// TestCrossingsOfRandomGraphs holds what was reached, with some room for processors that round otherwise.
func TestCrossingsOfRandomGraphs(t *testing.T) {
	for _, g := range []struct{ nodes, links, most int }{{8, 8, 22}, {12, 24, 140}, {25, 50, 760}, {50, 100, 3600}} {
		total := 0
		for i := range 20 {
			parts, _ := split(g.nodes+i%5, random(g.nodes+i%5, g.links+i, g.nodes/2))
			for _, p := range parts {
				o := newOrdering(p, layerOf(p))
				o.improve()
				total += o.crossings()
			}
		}
		require.LessOrEqual(t, total, g.most, "%d tasks, %d links", g.nodes, g.links)
	}
}

// TestLinksPassNoTask: whatever is linked, and however layers are broken, no link passes behind a task, and few of them bend often.
func TestLinksPassNoTask(t *testing.T) {
	for _, g := range []struct{ nodes, links, reach, most int }{
		{8, 12, 6, 40}, {12, 20, 8, 90}, {20, 40, 12, 300}, {50, 100, 50, 1600}, {300, 600, 20, 5000}, {400, 500, 399, 10_000},
	} {
		bends := 0
		for i := range 10 {
			nodes, links := g.nodes+i%5, random(g.nodes, g.links+i, g.reach)
			bends += len(check(t, nodes, links).BendX)
		}
		t.Logf("%d tasks: %d", g.nodes, bends)
		require.LessOrEqual(t, bends, g.most, "%d tasks", g.nodes)
	}
}

// TestStraightLinksDoNotBend: a link that one curve brings past the tasks between needs no points.
func TestStraightLinksDoNotBend(t *testing.T) {
	r := check(t, 3, [][2]int32{{0, 1}, {1, 2}, {0, 2}})
	require.Equal(t, []int32{0, 0, 0}, r.Bends)
	require.Empty(t, r.BendX)
}

// TestTooManyLongLinks: where a thousand links cross each other only the ends of long ones are drawn. Those of short ones are not cut.
func TestTooManyLongLinks(t *testing.T) {
	const tasks = 500
	links := random(tasks, 3000, tasks)
	r := check(t, tasks, links)
	cut := 0
	for k, l := range links {
		if r.Bends[k] == Cut {
			require.True(t, r.long(l[0], l[1]), "link %v", l)
			cut++
		}
	}
	require.Greater(t, cut, mostLong)
	for _, n := range Layered(tasks, links[:mostLong]).Bends {
		require.NotEqual(t, int32(Cut), n)
	}
}

func abs(x float32) float32 { return max(x, -x) }

func TestWorkedExample(t *testing.T) {
	r := Layered(5, worked)
	require.Equal(t, []int32{0, 1, 1, 1, 2}, r.Layer)
	require.Equal(t, []float32{80, 320, 320, 320, 560}, r.X)
	require.Equal(t, []float32{80, 20, 80, 140, 80}, r.Y)
	require.Equal(t, float32(640), r.Width)
	require.Equal(t, float32(160), r.Height)

	// One more after it changes nothing of the rest.
	more := Layered(6, append([][2]int32{{4, 5}}, worked...))
	require.Equal(t, r.X, more.X[:5])
	require.Equal(t, r.Y, more.Y[:5])
	require.Equal(t, float32(80), more.Y[5])
}

func TestParentsAreAmidTheirChildren(t *testing.T) {
	r := Layered(31, tree)
	for v := range 15 {
		require.InDelta(t, (r.Y[2*v+1]+r.Y[2*v+2])/2, r.Y[v], 1, "task %d", v)
	}
}

func TestLinksAreShort(t *testing.T) {
	// 5 has a late child alone, and 6 nothing but its parent.
	r := Layered(7, [][2]int32{{0, 1}, {1, 2}, {2, 3}, {3, 4}, {5, 4}, {0, 6}})
	require.Equal(t, []int32{0, 1, 2, 3, 4, 3, 1}, r.Layer)
}

// TestAspect: what has no long way to go is neither a line nor a column.
func TestAspect(t *testing.T) {
	for _, tasks := range []int{100, 3000} {
		var fan, pairs, bush [][2]int32
		for v := range int32(tasks - 2) {
			fan = append(fan, [2]int32{0, v + 1}, [2]int32{v + 1, int32(tasks - 1)})
			bush = append(bush, [2]int32{v / 10, v + 1})
			if v%2 == 0 {
				pairs = append(pairs, [2]int32{v, v + 1})
			}
		}
		for name, links := range map[string][][2]int32{"no links": nil, "fan": fan, "pairs": pairs, "bush": bush} {
			t.Run(fmt.Sprint(name, " of ", tasks), func(t *testing.T) {
				r := Layered(tasks, links)
				checkPlaces(t, tasks, r)
				require.Less(t, r.Width, 4*r.Height)
				require.Less(t, r.Height, 4*r.Width)
			})
		}
	}
}
