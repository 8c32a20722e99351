package main

import (
	"fmt"
	"runtime/debug"
)

// version is set at link time (-ldflags "-X main.version=v1.2.3"); otherwise it is the module's, as go install and go build
// record it.
var version string

func init() {
	if version == "" {
		version = moduleVersion()
	}
}

// moduleVersion is "dev" for a build outside a versioned checkout.
func moduleVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "dev"
}

// versionCmd prints the version.
type versionCmd struct{}

// Run prints it.
func (versionCmd) Run() error {
	fmt.Println("taskrunner", version)
	return nil
}
