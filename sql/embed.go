// Package sql holds the engine: the SQL files of this folder, embedded in the binary so that it can bring any database
// to the state it was built for (internal/migrate). The folder's README.md is the way in.
package sql

import "embed"

// FS holds the migrations, the code files and REVISION, under the names they have in this folder.
//
//go:embed migrations/*.sql access/*.sql functions/*.sql views/*.sql triggers/*.sql REVISION
var FS embed.FS
