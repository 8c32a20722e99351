package migrate

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	enginesql "github.com/taskrunner/taskrunner/sql"
)

// file is one SQL file of the code.
type file struct {
	name string // path inside the folder sql, for messages
	text string
}

// The first and the last file of the code.
const (
	rolesFile  = "access/roles.sql"
	grantsFile = "access/grants.sql"
)

// source is the SQL that a binary carries.
type source struct {
	migrations fs.FS  // the folder migrations, for goose
	version    int64  // the highest migration
	revision   int    // the number in REVISION
	code       []file // in the order in which they are applied
	hash       string // over names and texts of the code, hex
	roles      []string
}

// Revision is the number of the SQL code in this binary.
func Revision() (int, error) {
	source, err := load(enginesql.FS)
	if err != nil {
		return 0, err
	}
	return source.revision, nil
}

// load reads the folder sql. The code's order: access/roles.sql, functions, views, triggers, the rest of access,
// access/grants.sql last; by name inside each. Roles come first because grants name them; grants last because they name
// everything else.
func load(fsys fs.FS) (*source, error) {
	s := &source{roles: Roles}
	text, err := fs.ReadFile(fsys, "REVISION")
	if err != nil {
		return nil, fmt.Errorf("migrate: %w", err)
	}
	if s.revision, err = strconv.Atoi(strings.TrimSpace(string(text))); err != nil || s.revision < 1 {
		return nil, fmt.Errorf("migrate: sql/REVISION holds %q, not a number above 0", strings.TrimSpace(string(text)))
	}
	if s.migrations, err = fs.Sub(fsys, "migrations"); err != nil {
		return nil, fmt.Errorf("migrate: %w", err)
	}
	names, err := fs.Glob(s.migrations, "*.sql")
	if err != nil || len(names) == 0 {
		return nil, fmt.Errorf("migrate: no files in sql/migrations (%v)", err)
	}
	for _, name := range names {
		number, _, _ := strings.Cut(name, "_")
		v, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("migrate: sql/migrations/%s does not begin with its number", name)
		}
		s.version = max(s.version, v)
	}
	if err := s.loadCode(fsys); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *source) loadCode(fsys fs.FS) error {
	access, err := fs.Glob(fsys, "access/*.sql")
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	order := []string{rolesFile}
	for _, dir := range []string{"functions", "views", "triggers"} {
		names, err := fs.Glob(fsys, dir+"/*.sql") // sorted
		if err != nil {
			return fmt.Errorf("migrate: %w", err)
		}
		order = append(order, names...)
	}
	for _, name := range access {
		if name != rolesFile && name != grantsFile {
			order = append(order, name)
		}
	}
	order = append(order, grantsFile)

	sum := sha256.New()
	for _, name := range order {
		if dir := path.Dir(name); dir == "access" && !slices.Contains(access, name) {
			continue // a fixture without roles or grants
		}
		text, err := fs.ReadFile(fsys, name)
		if err != nil {
			return fmt.Errorf("migrate: %w", err)
		}
		s.code = append(s.code, file{name: name, text: string(text)})
		// The lengths keep text from moving between files unnoticed.
		fmt.Fprintf(sum, "%s %d\n%s", name, len(text), text)
	}
	s.hash = hex.EncodeToString(sum.Sum(nil))
	return nil
}

// access returns the files of the folder access, in order.
func (s *source) access() []file {
	var files []file
	for _, f := range s.code {
		if path.Dir(f.name) == "access" {
			files = append(files, f)
		}
	}
	return files
}

// Hash returns a fingerprint of everything under a folder laid out as sql, migrations included: two folders with the
// same Hash make the same database. Tests name their template database by it.
func Hash(fsys fs.FS) (string, error) {
	s, err := load(fsys)
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	fmt.Fprintf(sum, "%d %s\n", s.revision, s.hash)
	names, err := fs.Glob(s.migrations, "*.sql") // sorted
	if err != nil {
		return "", fmt.Errorf("migrate: %w", err)
	}
	for _, name := range names {
		text, err := fs.ReadFile(s.migrations, name)
		if err != nil {
			return "", fmt.Errorf("migrate: %w", err)
		}
		fmt.Fprintf(sum, "%s %d\n%s", name, len(text), text)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
