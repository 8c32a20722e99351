package testdb

import (
	"context"
	"fmt"
	"os"

	"go.uber.org/goleak"
)

// Main runs a package's tests, stops the server if one was started, fails the run if goroutines are left over, and
// exits. It is the body of TestMain. m is its *testing.M, or what wraps it to end something else before goroutines are counted.
func Main(m interface{ Run() int }, options ...goleak.Option) {
	code := m.Run()
	if shared.server != nil {
		ctx, cancel := context.WithTimeout(context.Background(), cleanupTimeout)
		if err := shared.server.Stop(ctx); err != nil {
			fmt.Fprintf(os.Stderr, "testdb: stop the server: %v\n", err)
			code = max(code, 1)
		}
		cancel()
	}
	if code == 0 {
		// testcontainers keeps its connection to the reaper until the process ends, on purpose.
		options = append(options, goleak.IgnoreAnyFunction("github.com/testcontainers/testcontainers-go.(*Reaper).connect.func1"))
		if err := goleak.Find(options...); err != nil {
			fmt.Fprintf(os.Stderr, "testdb: goroutines left over: %v\n", err)
			code = 1
		}
	}
	os.Exit(code)
}
