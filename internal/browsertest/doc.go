// Package browsertest tests the page of Task Runner in a real browser: whole replicas, a real database, real receivers, and
// Chromium, which is driven over its DevTools protocol. It is a module of its own, so that the library for that is none of the
// service's.
//
// All tests share one Chromium; each has a tab with a profile of its own. A tab in which something goes wrong fails its test,
// also where the test does not look: an error or a warning in the console, an exception, a violation of the page's policy, a
// request that fails. A test allows what it causes by itself.
//
// Parts of the page are found by their attribute data-test. Run it by make test/browser; ARGS="-run Live -artifacts" picks tests
// and keeps what the window showed when one failed. A change of the service's go.mod needs a go mod tidy here too.
package browsertest
