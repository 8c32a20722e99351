package layout

import (
	"cmp"
	"container/heap"
	"slices"
)

// adjacency has the neighbours of each vertex, in to[start[v]:start[v+1]].
type adjacency struct {
	start, to []int32
}

func (a adjacency) of(v int32) []int32 { return a.to[a.start[v]:a.start[v+1]] }

func (a adjacency) degree(v int32) int32 { return a.start[v+1] - a.start[v] }

// both makes the adjacencies towards the children and towards the parents; neighbours come in the order of the links.
func both(vertices int, links [][2]int32) (children, parents adjacency) {
	one := func(from, to int) adjacency {
		a := adjacency{make([]int32, vertices+1), make([]int32, len(links))}
		for _, l := range links {
			a.start[l[from]+1]++
		}
		for v := range vertices {
			a.start[v+1] += a.start[v]
		}
		next := slices.Clone(a.start[:vertices])
		for _, l := range links {
			a.to[next[l[from]]] = l[to]
			next[l[from]]++
		}
		return a
	}
	return one(0, 1), one(1, 0)
}

// part is a set of tasks that hang together, with at least one link. Its tasks have numbers of its own, in which every
// link goes from a smaller to a greater one.
type part struct {
	nodes             []int32 // the tasks' numbers in the whole graph
	links             [][2]int32
	children, parents adjacency
}

// split takes the graph apart: its parts in the order of their first tasks, and the tasks without links.
func split(nodes int, links [][2]int32) (parts []part, single []int32) {
	links = sound(nodes, links)
	rank := ranks(nodes, links)
	links = slices.DeleteFunc(links, func(l [2]int32) bool { return rank[l[0]] >= rank[l[1]] })

	root := make([]int32, nodes)
	for v := range root {
		root[v] = int32(v)
	}
	find := func(v int32) int32 {
		for root[v] != v {
			root[v] = root[root[v]]
			v = root[v]
		}
		return v
	}
	for _, l := range links {
		// The smaller one becomes the root, so that a part is known by its first task.
		a, b := find(l[0]), find(l[1])
		root[max(a, b)] = min(a, b)
	}

	byRank := make([]int32, nodes)
	for v, r := range rank {
		byRank[r] = int32(v)
	}
	partOf := make([]int32, nodes) // of a root
	linked := make([]bool, nodes)
	for _, l := range links {
		linked[l[0]], linked[l[1]] = true, true
	}
	for v := range nodes {
		switch {
		case !linked[v]:
			single = append(single, int32(v))
		case find(int32(v)) == int32(v):
			partOf[v] = int32(len(parts))
			parts = append(parts, part{})
		}
	}
	local := make([]int32, nodes)
	for _, v := range byRank {
		if linked[v] {
			p := &parts[partOf[find(v)]]
			local[v] = int32(len(p.nodes))
			p.nodes = append(p.nodes, v)
		}
	}
	for _, l := range links {
		p := &parts[partOf[find(l[0])]]
		p.links = append(p.links, [2]int32{local[l[0]], local[l[1]]})
	}
	for i := range parts {
		p := &parts[i]
		slices.SortFunc(p.links, byEnds)
		p.children, p.parents = both(len(p.nodes), p.links)
	}
	return parts, single
}

func byEnds(a, b [2]int32) int {
	return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1]))
}

// sound returns the links that connect two tasks, each once and sorted: what comes out does not depend on the order of the
// links.
func sound(nodes int, links [][2]int32) [][2]int32 {
	known := func(v int32) bool { return v >= 0 && int(v) < nodes }
	s := make([][2]int32, 0, len(links))
	for _, l := range links {
		if known(l[0]) && known(l[1]) && l[0] != l[1] {
			s = append(s, l)
		}
	}
	slices.SortFunc(s, byEnds)
	return slices.Compact(s)
}

// ranks numbers the tasks so that links go from smaller to greater numbers: in their own order, as far as links allow it
// (Kahn 1962, with a heap). Where only cycles are left, it goes on with the first task of those left.
func ranks(nodes int, links [][2]int32) []int32 {
	children, parents := both(nodes, links)
	rank := make([]int32, nodes)
	open := make([]int32, nodes) // parents without a number
	var ready minHeap
	for v := range rank {
		rank[v] = -1
		if open[v] = parents.degree(int32(v)); open[v] == 0 {
			ready = append(ready, int32(v)) // ascending, so it is a heap
		}
	}
	first := 0
	for next := range int32(nodes) {
		if len(ready) == 0 {
			for rank[first] >= 0 {
				first++
			}
			ready = append(ready, int32(first))
		}
		v := heap.Pop(&ready).(int32)
		rank[v] = next
		for _, c := range children.of(v) {
			if open[c]--; open[c] == 0 && rank[c] < 0 {
				heap.Push(&ready, c)
			}
		}
	}
	return rank
}

type minHeap []int32

func (h minHeap) Len() int           { return len(h) }
func (h minHeap) Less(i, j int) bool { return h[i] < h[j] }
func (h minHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *minHeap) Push(v any)        { *h = append(*h, v.(int32)) }
func (h *minHeap) Pop() any {
	last := len(*h) - 1
	v := (*h)[last]
	*h = (*h)[:last]
	return v
}
