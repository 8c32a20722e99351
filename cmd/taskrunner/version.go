package main

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/taskrunner/taskrunner/internal/migrate"
)

// version and commit are set at link time (-ldflags "-X main.version=v1.2.3 -X main.commit=…"); otherwise they are the
// module's, as go install and go build record them.
var version, commit string

func init() {
	info, _ := debug.ReadBuildInfo()
	version = cmp.Or(version, moduleVersion(info))
	commit = cmp.Or(commit, moduleCommit(info), "unknown")
}

// moduleVersion is "dev" for a build outside a versioned checkout.
func moduleVersion(info *debug.BuildInfo) string {
	if info != nil && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "dev"
}

// moduleCommit is "" for a build outside a checkout.
func moduleCommit(info *debug.BuildInfo) (commit string) {
	if info == nil {
		return ""
	}
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			commit = s.Value + commit
		case s.Key == "vcs.modified" && s.Value == "true":
			commit += " and changes"
		}
	}
	return commit
}

// versionCmd prints what this binary is.
type versionCmd struct{}

// Run prints it.
func (versionCmd) Run(s streams) error {
	revision, err := migrate.Revision()
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.out, "taskrunner %s\ncommit %s\n%s %s/%s\nsql revision %d\n",
		version, commit, runtime.Version(), runtime.GOOS, runtime.GOARCH, revision)
	return err
}
