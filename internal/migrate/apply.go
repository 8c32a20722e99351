package migrate

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/pressly/goose/v3"
)

const gooseTable = "taskrunner_private.goose_db_version"

// Waiting for locks. "create or replace trigger" and "alter table" need a lock on their table that no writer may hold, and
// while they wait all later writers queue up behind them: so each wait is short, and the pauses between them let the writers
// through. It is far below deadlock_timeout (1 s), so where a writer waits for us and we for him, it is us who give up.
const (
	lockTimeout  = "200ms"
	lockTries    = 60
	firstPause   = 100 * time.Millisecond
	longestPause = 5 * time.Second
)

// runMigrations runs the missing migrations and returns their file names. Each is a transaction of its own, tried again when
// it does not get a lock in time, unless its file says "+goose NO TRANSACTION".
func (m *migration) runMigrations(ctx context.Context) ([]string, error) {
	if err := m.createSchema(ctx); err != nil {
		return nil, err
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, m.session.db, m.source.migrations,
		goose.WithTableName(gooseTable), goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()))
	if err != nil {
		return nil, err
	}
	var ran []string
	note := func(r *goose.MigrationResult) {
		name := path.Base(r.Source.Path)
		ran = append(ran, name)
		m.log.Info("migration applied", "file", name, "duration", r.Duration.Round(time.Millisecond))
	}
	for {
		err = m.retry(ctx, "migrations", func() error { return m.runNext(ctx, provider, note) })
		if errors.Is(err, goose.ErrNoNextVersion) {
			return ran, nil
		}
		if err != nil {
			return ran, err
		}
	}
}

// runNext runs the next migration.
func (m *migration) runNext(ctx context.Context, provider *goose.Provider, note func(*goose.MigrationResult)) error {
	timeout, err := m.patience(ctx, provider)
	if err != nil {
		return err
	}
	if err := m.session.set(ctx, "lock_timeout", timeout); err != nil {
		return err
	}
	result, err := provider.UpByOne(ctx)
	var partial *goose.PartialError
	if errors.As(err, &partial) {
		return fmt.Errorf("sql/migrations/%s: %w", path.Base(partial.Failed.Source.Path), partial.Err)
	}
	if err == nil {
		note(result)
	}
	return err
}

// patience is how long the next migration may wait for a lock. What is no transaction builds or drops indexes concurrently:
// that keeps no writer out, but waits for all transactions that are older, and cut short leaves a broken index.
func (m *migration) patience(ctx context.Context, provider *goose.Provider) (string, error) {
	version, err := provider.GetDBVersion(ctx)
	if err != nil {
		return "", err
	}
	for _, source := range provider.ListSources() { // in order
		if source.Version <= version {
			continue
		}
		text, err := fs.ReadFile(m.source.migrations, path.Base(source.Path))
		if err != nil {
			return "", err
		}
		if strings.Contains(string(text), "+goose NO TRANSACTION") {
			return "0", nil
		}
		break
	}
	return lockTimeout, nil
}

// createSchema makes the private schema, where goose keeps its table. "if not exists" alone would demand the right to
// create schemas even where it exists.
func (m *migration) createSchema(ctx context.Context) error {
	return m.session.use(ctx, func(conn *pgx.Conn) error {
		var exists bool
		err := conn.QueryRow(ctx, "select exists (select from pg_catalog.pg_namespace where nspname = 'taskrunner_private')").Scan(&exists)
		if err != nil || exists {
			return err
		}
		if _, err := conn.Exec(ctx, "create schema if not exists taskrunner_private"); err != nil {
			return fmt.Errorf("create schema taskrunner_private: %w", err)
		}
		return nil
	})
}

// applyCode runs the files and records revision, hash and roles, all in one transaction: other sessions see the old
// code or the new, never a mixture.
func (m *migration) applyCode(ctx context.Context, files []file) error {
	return m.retry(ctx, "code", func() error {
		return m.session.use(ctx, func(conn *pgx.Conn) error {
			return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
				return m.applyIn(ctx, tx, files)
			})
		})
	})
}

func (m *migration) applyIn(ctx context.Context, tx pgx.Tx, files []file) error {
	// Bodies may name functions of later files, so they are checked when they run: the tests run each.
	_, err := tx.Exec(ctx, "set local check_function_bodies = off; set local lock_timeout = '"+lockTimeout+"'")
	if err != nil {
		return err
	}
	// The roles are looked up before the grants, never after: one that another session creates meanwhile then counts as
	// a change at the next start, instead of as granted.
	db, err := readApplied(ctx, tx, m.source.roles)
	if err != nil {
		return err
	}
	for _, f := range files {
		// The simple protocol takes a whole file of statements.
		if _, err := tx.Conn().PgConn().Exec(ctx, f.text).ReadAll(); err != nil {
			return fmt.Errorf("sql/%s%s: %w", f.name, lineOf(err, f.text), err)
		}
		if f.name == rolesFile {
			if db, err = readApplied(ctx, tx, m.source.roles); err != nil {
				return err
			}
		}
	}
	args := []any{m.source.revision, m.source.hash, hashRoles(db.roles)}
	tag, err := tx.Exec(ctx, `update taskrunner_private.code_version
		set revision = $1, hash = $2, roles_hash = $3, applied_at = now()`, args...)
	if err == nil && tag.RowsAffected() == 0 {
		_, err = tx.Exec(ctx, `insert into taskrunner_private.code_version (revision, hash, roles_hash) values ($1, $2, $3)`, args...)
	}
	if err != nil {
		return fmt.Errorf("record the code revision: %w", err)
	}
	return nil
}

// retry repeats f while it fails for a reason that passes, with growing, jittered pauses.
func (m *migration) retry(ctx context.Context, what string, f func() error) error {
	pause := firstPause
	for try := 1; ; try++ {
		err := f()
		if err == nil || !passes(err) {
			return err
		}
		if try == lockTries {
			return fmt.Errorf("gave up after %d tries (a long transaction holds a lock on a taskrunner table: see pg_locks): %w", try, err)
		}
		m.log.Info("trying again", "step", what, "try", try, "reason", err)
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w; the last try: %w", context.Cause(ctx), err)
		case <-time.After(pause + rand.N(pause)):
		}
		pause = min(2*pause, longestPause)
	}
}

// passes reports whether the statement may succeed when repeated: a lock that was not to be had, a deadlock, or another
// database of the cluster that changed the same role at the same moment (a duplicate key, or "tuple concurrently
// updated", an internal error without a code of its own).
func passes(err error) bool {
	var pgErr *pgconn.PgError
	if !errors.As(err, &pgErr) {
		return false
	}
	switch pgErr.Code {
	case "55P03", "40P01", "40001":
		return true
	case "23505":
		return pgErr.TableName == "pg_authid" || pgErr.TableName == "pg_auth_members"
	case "XX000":
		return strings.HasPrefix(pgErr.Message, "tuple concurrently")
	}
	return false
}

// lineOf returns ":<line>" for an error that PostgreSQL places in the text.
func lineOf(err error, text string) string {
	var pgErr *pgconn.PgError
	if !errors.As(err, &pgErr) || pgErr.Position <= 0 {
		return ""
	}
	runes := []rune(text) // the position counts characters
	if int(pgErr.Position) > len(runes) {
		return ""
	}
	return fmt.Sprintf(":%d", 1+strings.Count(string(runes[:pgErr.Position-1]), "\n"))
}
