package layout

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// BenchmarkLayered lays out graphs of stages, and graphs in which anything may follow anything before it.
func BenchmarkLayered(b *testing.B) {
	for _, size := range [][2]int{{12, 20}, {500, 1000}, {10_000, 30_000}, {100_000, 300_000}} {
		for _, shape := range []struct {
			name  string
			reach int
		}{{"near", 1 + size[0]/20}, {"far", size[0]}} {
			b.Run(fmt.Sprintf("%s/tasks=%d/links=%d", shape.name, size[0], size[1]), func(b *testing.B) {
				links := random(size[0], size[1], shape.reach)
				for b.Loop() {
					Layered(size[0], links)
				}
			})
		}
	}
}

// random makes links to children from parents that are at most so far before them.
func random(nodes, count, reach int) [][2]int32 {
	r := rand.New(rand.NewPCG(1, 2))
	links := make([][2]int32, count)
	for i := range links {
		child := 1 + r.IntN(nodes-1)
		links[i] = [2]int32{int32(child - 1 - r.IntN(min(child, reach))), int32(child)}
	}
	return links
}
