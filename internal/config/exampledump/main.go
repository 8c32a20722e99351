// Command exampledump writes config.example.toml, into the working directory.
package main

import (
	"fmt"
	"os"

	"github.com/taskrunner/taskrunner/internal/config"
)

func main() {
	if err := os.WriteFile("config.example.toml", []byte(config.Example()), 0o644); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
