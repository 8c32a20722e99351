package api

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/bearer"
	"github.com/taskrunner/taskrunner/internal/openapitest"
)

// The document describes the operations that the table of endpoints has and no others: paths with their parameters,
// methods, and who may call.
func TestDocumentHasTheRoutes(t *testing.T) {
	t.Parallel()
	words := map[bearer.Scope]string{bearer.Read: " read", bearer.Write: " write", bearer.Admin: " admin"}
	var routes, described []string
	folders := []string{}
	for _, r := range (&server{}).routes() {
		line := r.method + " " + r.pattern + words[r.scope]
		if r.manner == byHandle {
			line += " or handle"
		}
		routes = append(routes, line)
		if folder, ok := strings.CutSuffix(r.pattern, "*"); ok {
			folders = append(folders, folder)
		}
	}
	seen := map[string]bool{}
	for _, o := range openapitest.Load(t).Operations {
		path := o.Path
		for _, folder := range folders { // of which the document describes every file
			if strings.HasPrefix(path, folder) {
				path = folder + "*"
			}
		}
		line := o.Method + " " + path
		if o.Scope != "" {
			line += " " + o.Scope
		}
		if o.ByHandle {
			line += " or handle"
		}
		if !seen[line] {
			described = append(described, line)
		}
		seen[line] = true
		for _, p := range o.Parameters {
			if p.In == "path" {
				require.Contains(t, o.Path, "{"+p.Name+"}", "%s has no such parameter", o.ID)
			}
		}
		for segment := range strings.SplitSeq(o.Path, "/") {
			if strings.HasPrefix(segment, "{") {
				require.True(t, o.HasParameter("path", strings.Trim(segment, "{}")), "%s does not describe %s", o.ID, segment)
			}
		}
	}
	require.ElementsMatch(t, routes, described)
}
