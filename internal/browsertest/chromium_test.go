package browsertest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/taskrunner/taskrunner/internal/testdb"
)

// chromiumEnv holds the path of a Chromium, or of a Chrome.
const chromiumEnv = "CHROMIUM"

func TestMain(m *testing.M) { testdb.Main(withChromium{m}) }

// withChromium ends the browser after the tests.
type withChromium struct{ tests *testing.M }

func (w withChromium) Run() int {
	code := w.tests.Run()
	if chromium.end != nil {
		chromium.end()
	}
	return code
}

var chromium struct {
	once sync.Once
	ctx  context.Context // of its first tab, which stays empty
	end  func()
	err  error
}

// sharedChromium returns the browser of all tests, which the first one starts.
func sharedChromium(t *testing.T) context.Context {
	t.Helper()
	chromium.once.Do(func() { chromium.ctx, chromium.end, chromium.err = startChromium() })
	if chromium.err != nil {
		t.Fatal(chromium.err)
	}
	return chromium.ctx
}

func startChromium() (ctx context.Context, end func(), err error) {
	path, err := findChromium()
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

func findChromium() (string, error) {
	if path := os.Getenv(chromiumEnv); path != "" {
		return exec.LookPath(path)
	}
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome",
		"/Applications/Chromium.app/Contents/MacOS/Chromium", "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("tests of the page need Chromium: install its package (chromium on Debian and in Homebrew), or set " +
		chromiumEnv + " to the path of a Chromium or Chrome")
}
