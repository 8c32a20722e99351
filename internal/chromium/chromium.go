// Package chromium finds the browser with which the web page is tested and measured.
package chromium

import (
	"errors"
	"os"
	"os/exec"
)

// Env holds the path of a Chromium, or of a Chrome.
const Env = "CHROMIUM"

// Find returns the path of the browser.
func Find() (string, error) {
	if path := os.Getenv(Env); path != "" {
		return exec.LookPath(path)
	}
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome",
		"/Applications/Chromium.app/Contents/MacOS/Chromium", "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("there is no Chromium: install its package (chromium on Debian and in Homebrew), or set " +
		Env + " to the path of a Chromium or Chrome")
}
