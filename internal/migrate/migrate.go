// Package migrate brings a database to the state that this binary was built for, and tells whether it is there.
//
// The engine's SQL has two kinds. What holds or shapes data is in sql/migrations and runs once each, in
// order, by goose. Code (functions, views, triggers, grants) is one idempotent file each and is re-applied as a whole,
// in one transaction, when the number in sql/REVISION is higher than the one the database has. A hash alone would have
// no order: an old replica that restarts during a rolling upgrade would put its old functions back.
//
// [Up] changes the database, [Check] only looks. A process without the right to change the schema calls Check and goes
// on when the state is [Fits].
package migrate

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"

	"github.com/jackc/pgx/v5"

	enginesql "github.com/taskrunner/taskrunner/sql"
)

// Outcome says what Up did.
type Outcome string

const (
	// Unchanged: the database fitted already; nothing was written.
	Unchanged Outcome = "unchanged"
	// Applied: migrations ran, code was applied, or both.
	Applied Outcome = "applied"
	// AccessApplied: only the roles and grants were applied again, because the set of roles had changed.
	AccessApplied Outcome = "access applied"
	// DatabaseNewer: the database belongs to a newer binary and was left alone. This process must not claim tasks.
	DatabaseNewer Outcome = "database newer"
)

// Result is what Up did and what the caller should log.
type Result struct {
	Outcome    Outcome
	Migrations []string // file names of the migrations that ran, in order
	Revision   int      // the code revision that the database has now

	// MissingRoles are the taskrunner_* roles that do not exist, because the user may not create roles. The schema works
	// without them, only nobody but its owner can be granted anything. RoleStatements create them: whoever may create
	// roles runs these, and the next Up by the schema's owner grants their rights.
	MissingRoles   []string
	RoleStatements []string
}

// Up brings the database to this binary's migrations and code. It is safe to call from any number of processes at once:
// they take turns, and those who come later find nothing to do.
//
// dsn must be a direct connection (LISTEN_DATABASE_URL): the migration lock belongs to a session, and a pooler in
// transaction mode deals statements out to different sessions. Such a connection is refused with [ErrPooled].
//
// The user needs the right to create schemas, unless the database fits already: then nothing is written and any user
// that may read taskrunner_private.code_version will do. A process that may lack the right calls [Check] first, because
// Up cannot tell "may not" from "should have been migrated by somebody else": it just fails with SQLSTATE 42501.
//
// Errors: [ErrRevision], [ErrPooled], [ErrEncoding], a failed connection, or a failed statement with the file it stands in.
// After an error the database is unchanged but for whole migrations that ran before it, and Up can be called again.
func Up(ctx context.Context, dsn string, log *slog.Logger) (Result, error) {
	return UpFrom(ctx, enginesql.FS, dsn, log)
}

// UpFrom is [Up] with other SQL files, laid out as in the folder sql.
func UpFrom(ctx context.Context, fsys fs.FS, dsn string, log *slog.Logger) (Result, error) {
	src, err := load(fsys)
	if err != nil {
		return Result{}, err
	}
	return up(ctx, src, dsn, log)
}

func up(ctx context.Context, src *source, dsn string, log *slog.Logger) (_ Result, err error) {
	defer func() {
		if ended := ctx.Err(); err != nil && ended != nil && !errors.Is(err, ended) { // drivers call it a bad connection
			err = fmt.Errorf("%w (%w)", ended, err)
		}
	}()
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s, err := openSession(ctx, dsn)
	if err != nil {
		return Result{}, fmt.Errorf("migrate: %w", err)
	}
	defer s.close()
	m := migration{source: src, session: s, log: log.With("component", "migrate")}
	res, err := m.up(ctx)
	if err != nil {
		return Result{}, fmt.Errorf("migrate: %w", err)
	}
	return res, nil
}

// migration is one run of Up.
type migration struct {
	source  *source
	session *session
	log     *slog.Logger
}

func (m *migration) up(ctx context.Context) (Result, error) {
	// Most starts end here: no lock, nothing written.
	st, err := m.status(ctx)
	if err != nil {
		return Result{}, err
	}
	if st.settled() {
		return m.result(Unchanged, st, nil), nil
	}
	if st.State == Newer {
		m.log.Warn("database left alone", "reason", st.String())
		return m.result(DatabaseNewer, st, nil), nil
	}

	if err := m.session.requireUTF8(ctx); err != nil {
		return Result{}, err
	}
	if err := m.session.requireDirect(ctx); err != nil {
		return Result{}, err
	}
	if err := m.session.liftTimeouts(ctx); err != nil {
		return Result{}, err
	}
	unlock, err := m.session.lock(ctx, m.log)
	if err != nil {
		return Result{}, err
	}
	defer unlock()

	// Look again: whoever held the lock before us has probably done the work.
	if st, err = m.status(ctx); err != nil {
		return Result{}, err
	}
	switch {
	case st.settled():
		return m.result(Unchanged, st, nil), nil
	case st.State == Newer:
		m.log.Warn("database left alone", "reason", st.String())
		return m.result(DatabaseNewer, st, nil), nil
	}

	ran, err := m.runMigrations(ctx)
	if err != nil {
		return Result{}, err
	}
	outcome := Applied
	switch {
	case st.DatabaseRevision < st.Revision:
		err = m.applyCode(ctx, m.source.code)
	case st.RolesChanged:
		err = m.applyCode(ctx, m.source.access())
		if len(ran) == 0 {
			outcome = AccessApplied
		}
	}
	if err != nil {
		return Result{}, err
	}
	if st, err = m.status(ctx); err != nil {
		return Result{}, err
	}
	return m.result(outcome, st, ran), nil
}

// status looks at the database and turns a hash that changed without the revision into an error.
func (m *migration) status(ctx context.Context) (Status, error) {
	var st Status
	err := m.session.use(ctx, func(conn *pgx.Conn) (err error) {
		st, err = check(ctx, conn, m.source)
		return err
	})
	if err == nil && st.State == Conflict {
		err = fmt.Errorf("%w: %s", ErrRevision, st)
	}
	return st, err
}

func (m *migration) result(o Outcome, st Status, ran []string) Result {
	res := Result{Outcome: o, Migrations: ran, Revision: st.DatabaseRevision, MissingRoles: st.MissingRoles}
	for _, role := range st.MissingRoles {
		res.RoleStatements = append(res.RoleStatements, "create role "+role+" nologin;")
	}
	return res
}

// ErrRevision is returned when the code files differ from those that were applied under the same revision.
var ErrRevision = errors.New("the SQL code changed but sql/REVISION did not grow")

// ErrEncoding is returned by Up for a database that cannot hold every text.
var ErrEncoding = errors.New("the database must have the encoding UTF8")

// ErrPooled is returned by Up for a connection whose statements may run in different sessions.
var ErrPooled = errors.New("this is a pooled connection (PgBouncer in transaction mode, or the like), migrations need a direct one: " +
	"set LISTEN_DATABASE_URL to the address of PostgreSQL itself")

// String joins the outcome and the migrations for a log line.
func (r Result) String() string {
	if len(r.Migrations) == 0 {
		return fmt.Sprintf("%s, code revision %d", r.Outcome, r.Revision)
	}
	return fmt.Sprintf("%s, code revision %d, migrations %s", r.Outcome, r.Revision, strings.Join(r.Migrations, ", "))
}
