package browsertest

import "testing"

// The page is there, and nothing is wrong with it.
func TestPageOpens(t *testing.T) {
	t.Parallel()
	hooks := newReceiver(t)
	s := startService(t)
	made := s.submit("nightly", hooks.task("extract", "etl", "/hold"))
	b := newTab(t, s.url)
	b.open(made.view())
	b.wait("document.body.innerText.includes('extract')")
}
