package browsertest

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/taskrunner/taskrunner/internal/chromium"
	"github.com/taskrunner/taskrunner/internal/testdb"
)

func TestMain(m *testing.M) { testdb.Main(withChromium{m}) }

// withChromium ends the browser after the tests.
type withChromium struct{ tests *testing.M }

func (w withChromium) Run() int {
	code := w.tests.Run()
	if shared.end != nil {
		shared.end()
	}
	return code
}

var shared struct {
	once sync.Once
	ctx  context.Context // of its first tab, which stays empty
	end  func()
	err  error
}

// sharedChromium returns the browser of all tests, which the first one starts.
func sharedChromium(t *testing.T) context.Context {
	t.Helper()
	shared.once.Do(func() { shared.ctx, shared.end, shared.err = startChromium() })
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.ctx
}

func startChromium() (ctx context.Context, end func(), err error) {
	path, err := chromium.Find()
	if err != nil {
		return nil, nil, err
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.WindowSize(1280, 800))
	if os.Getuid() == 0 {
		options = append(options, chromedp.NoSandbox) // it refuses to run as root with one
	}
	allocator, endAllocator := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, endBrowser := chromedp.NewContext(allocator)
	end = func() {
		endBrowser()
		endAllocator()
	}
	if err := chromedp.Do(ctx); err != nil {
		end()
		return nil, nil, fmt.Errorf("start %s: %w", path, err)
	}
	return ctx, end, nil
}
