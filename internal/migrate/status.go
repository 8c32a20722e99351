package migrate

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"

	enginesql "github.com/taskrunner/taskrunner/sql"
)

// Roles are the roles that the schema's grants go to (contract, 13.4), sorted.
var Roles = []string{"taskrunner_admin", "taskrunner_producer", "taskrunner_reader", "taskrunner_service", "taskrunner_worker"}

// State compares a database with a binary.
type State string

const (
	// Fits: migrations and code are exactly this binary's.
	Fits State = "fits"
	// Older: migrations or code are missing (all of them in an empty database): run migrate.
	Older State = "older"
	// Newer: a newer binary has been here. This one must not claim tasks.
	Newer State = "newer"
	// Conflict: the same revision with other code. Only a build whose sql/REVISION was forgotten can do this.
	Conflict State = "conflict"
)

// Status is the result of Check.
type Status struct {
	State State

	Version, DatabaseVersion   int64 // highest migration of the binary, of the database (0: none)
	Revision, DatabaseRevision int   // code revision of the binary, of the database (0: none)

	// RolesChanged: the roles that exist are not those that the grants were applied to; the schema's owner should
	// migrate again. A database that fits in all else works.
	RolesChanged bool
	MissingRoles []string // of Roles, those that do not exist
}

// settled reports whether there is nothing for Up to do.
func (s Status) settled() bool { return s.State == Fits && !s.RolesChanged }

// String explains the state in a sentence that says what to do.
func (s Status) String() string {
	has := fmt.Sprintf("the database has migration %d and code revision %d, this binary %d and %d",
		s.DatabaseVersion, s.DatabaseRevision, s.Version, s.Revision)
	switch s.State {
	case Older:
		return has + ": run \"taskrunner migrate\" as a user that may change the schema"
	case Newer:
		return has + ": it belongs to a newer version of the program; this one claims nothing"
	case Conflict:
		return fmt.Sprintf("revision %d was applied to this database with other code: raise the number in sql/REVISION, "+
			"or delete the database if it is a development one", s.Revision)
	}
	return has
}

// Querier is what Check needs: a *pgx.Conn, a *pgxpool.Pool or a pgx.Tx.
type Querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// Check compares the database with this binary. It needs no right beyond reading taskrunner_private.code_version and
// goose_db_version, which taskrunner_service has, works through any pooler, and changes nothing. An error means that it
// could not look: a state that does not fit is no error.
func Check(ctx context.Context, conn Querier) (Status, error) {
	src, err := embedded()
	if err != nil {
		return Status{}, err
	}
	return checkFrom(ctx, src, conn)
}

// embedded is the SQL of this binary. Replicas check it again and again.
var embedded = sync.OnceValues(func() (*source, error) { return load(enginesql.FS) })

// CheckFrom is [Check] with other SQL files, laid out as in the folder sql.
func CheckFrom(ctx context.Context, fsys fs.FS, conn Querier) (Status, error) {
	src, err := load(fsys)
	if err != nil {
		return Status{}, err
	}
	return checkFrom(ctx, src, conn)
}

func checkFrom(ctx context.Context, src *source, conn Querier) (Status, error) {
	st, err := check(ctx, conn, src)
	if err != nil {
		return Status{}, fmt.Errorf("migrate: %w", err)
	}
	return st, nil
}

// applied is what a database says about itself. The zero value is an empty database.
type applied struct {
	version   int64
	revision  int
	hash      string
	rolesHash string
	roles     []string // that exist, as "name oid", sorted
}

func check(ctx context.Context, conn Querier, src *source) (Status, error) {
	db, err := readApplied(ctx, conn, src.roles)
	if err != nil {
		return Status{}, err
	}
	return compare(src, db), nil
}

// compare decides the state. Newer wins over everything: whatever else differs, a newer binary knows better.
func compare(src *source, db applied) Status {
	st := Status{
		Version: src.version, DatabaseVersion: db.version,
		Revision: src.revision, DatabaseRevision: db.revision,
		RolesChanged: db.revision > 0 && db.rolesHash != hashRoles(db.roles),
		MissingRoles: missingRoles(src.roles, db.roles),
	}
	switch {
	case db.version > src.version || db.revision > src.revision:
		st.State = Newer
	case db.revision == src.revision && db.hash != src.hash:
		st.State = Conflict
	case db.version < src.version || db.revision < src.revision:
		st.State = Older
	default:
		st.State = Fits
	}
	return st
}

// readApplied reads what was applied. The tables are looked up in the catalog first: naming one that does not exist
// would be an error, which ends the transaction of a caller that has one.
func readApplied(ctx context.Context, conn Querier, roles []string) (applied, error) {
	var db applied
	var hasVersion, hasCode bool
	err := conn.QueryRow(ctx, `
		select coalesce(bool_or(c.relname = 'goose_db_version'), false),
		       coalesce(bool_or(c.relname = 'code_version'), false),
		       (select coalesce(array_agg(r.rolname || ' ' || r.oid order by r.rolname), '{}')
		        from pg_catalog.pg_roles r where r.rolname = any ($1::text[]))
		from pg_catalog.pg_class c
		join pg_catalog.pg_namespace n on n.oid = c.relnamespace
		where n.nspname = 'taskrunner_private' and c.relkind = 'r'`, roles).Scan(&hasVersion, &hasCode, &db.roles)
	if err != nil {
		return db, fmt.Errorf("look for the version tables: %w", err)
	}
	if hasVersion {
		// goose deletes the row of a migration that is taken back, so the highest is the current one.
		err := conn.QueryRow(ctx, `select coalesce(max(version_id), 0) from taskrunner_private.goose_db_version where is_applied`).
			Scan(&db.version)
		if err != nil {
			return db, fmt.Errorf("read the migration version: %w", err)
		}
	}
	if hasCode {
		err := conn.QueryRow(ctx, `select revision, hash, roles_hash from taskrunner_private.code_version`).
			Scan(&db.revision, &db.hash, &db.rolesHash)
		if err != nil && !errors.Is(err, pgx.ErrNoRows) {
			return db, fmt.Errorf("read the code revision: %w", err)
		}
	}
	return db, nil
}

// hashRoles fingerprints the existing roles. The oid is part of it because a role that was dropped and created again has
// lost its grants.
func hashRoles(roles []string) string {
	sum := sha256.Sum256([]byte(strings.Join(roles, "\n")))
	return hex.EncodeToString(sum[:])
}

func missingRoles(wanted, existing []string) []string {
	var missing []string
	for _, role := range wanted {
		if !slices.ContainsFunc(existing, func(e string) bool { return strings.HasPrefix(e, role+" ") }) {
			missing = append(missing, role)
		}
	}
	return missing
}
