package layout

// layerPasses bounds how often tasks are moved to and fro; each pass only shortens links.
const layerPasses = 4

// layerOf puts each task one layer behind the last of its parents (longest path: the fewest layers there can be), and then
// shortens links by moving tasks where more links get shorter than longer, in the manner of Nikolov, Tarawneh and Branke
// (2005): right, towards the children, and back left, towards the parents. A task with as many links on either side ends near
// its parents, and a task without parents right before its first child.
func layerOf(p part) []int32 {
	n := int32(len(p.nodes))
	layer := make([]int32, n)
	behind := func(v int32) int32 {
		first := int32(0)
		for _, u := range p.parents.of(v) {
			first = max(first, layer[u]+1)
		}
		return first
	}
	last := int32(0)
	for v := range n {
		layer[v] = behind(v)
		last = max(last, layer[v])
	}
	for range layerPasses {
		for v := n - 1; v >= 0; v-- {
			if out := p.children.degree(v); out > 0 && out >= p.parents.degree(v) {
				before := last
				for _, c := range p.children.of(v) {
					before = min(before, layer[c]-1)
				}
				layer[v] = before
			}
		}
		for v := range n {
			if in := p.parents.degree(v); in > 0 && in >= p.children.degree(v) {
				layer[v] = behind(v)
			}
		}
	}
	return layer
}
