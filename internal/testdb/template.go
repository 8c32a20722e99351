package testdb

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/taskrunner/taskrunner/internal/migrate"
	enginesql "github.com/taskrunner/taskrunner/sql"
)

// templateLock is the advisory lock under which a template is made, in the maintenance database: "tr-templ" in ASCII.
const templateLock int64 = 0x74722d74656d706c

var template struct {
	once sync.Once
	name string
	err  error
}

// sharedTemplate returns the template database for the present folder sql, making it if this server has none. An error
// is kept: it would only come again.
func sharedTemplate(ctx context.Context, admin string) (string, error) {
	template.once.Do(func() {
		template.name, template.err = ensureTemplate(ctx, admin)
		if template.err != nil {
			template.err = fmt.Errorf("testdb: template database: %w", template.err)
		}
	})
	return template.name, template.err
}

// ensureTemplate makes the template unless it is there. Its name holds the hash of the SQL files, so a changed file
// means a new template; several processes may share the server, and checkouts too. A template is finished when it is
// marked as one; a half-made one of a process that died is thrown away.
func ensureTemplate(ctx context.Context, admin string) (string, error) {
	hash, err := migrate.Hash(enginesql.FS)
	if err != nil {
		return "", err
	}
	name := "taskrunner_template_" + hash[:16]
	conn, err := pgx.Connect(ctx, admin)
	if err != nil {
		return "", err
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, "select pg_advisory_lock($1)", templateLock); err != nil {
		return "", err
	}
	// The lock ends with the connection.

	var finished bool
	err = conn.QueryRow(ctx, "select exists (select from pg_database where datname = $1 and datistemplate)", name).Scan(&finished)
	if err != nil || finished {
		return name, err
	}
	if err := dropOld(ctx, conn); err != nil {
		return "", err
	}
	if _, err := conn.Exec(ctx, "drop database if exists "+name+" with (force)"); err != nil {
		return "", err
	}
	if _, err := conn.Exec(ctx, "create database "+name+" template template0 encoding 'UTF8'"); err != nil {
		return "", err
	}
	dsn, err := withDatabase(admin, name)
	if err != nil {
		return "", err
	}
	if dsn, err = asOrdinaryOwner(ctx, conn, dsn, name); err != nil {
		return "", err
	}
	if _, err := migrate.Up(ctx, dsn, nil); err != nil {
		return "", err
	}
	// Nobody connects from now on, or copying would fail.
	_, err = conn.Exec(ctx, "alter database "+name+" with is_template true allow_connections false")
	return name, err
}

// owner is who owns the engine in templates, and by that in test databases.
const owner = "test_taskrunner_owner"

// asOrdinaryOwner gives the database to a user who may do nothing else, creates the roles that he may not create, and returns
// the DSN as which he connects: the engine must need no superuser, neither to be installed nor to run. Who is none himself
// stays what he is.
func asOrdinaryOwner(ctx context.Context, conn *pgx.Conn, dsn, database string) (string, error) {
	var super bool
	if err := conn.QueryRow(ctx, "select rolsuper from pg_roles where rolname = current_user").Scan(&super); err != nil || !super {
		return dsn, err
	}
	roles, err := enginesql.FS.ReadFile("access/roles.sql")
	if err != nil {
		return "", err
	}
	for _, statement := range []string{
		string(roles),
		"do $$ begin create role " + owner + " nologin; exception when duplicate_object then null; end $$",
		"alter database " + database + " owner to " + owner,
	} {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return "", err
		}
	}
	u, err := url.Parse(dsn)
	if err != nil {
		return "", err
	}
	query := u.Query()
	query.Set("role", owner)
	u.RawQuery = query.Encode()
	return u.String(), nil
}

// dropOld drops templates of former states of the SQL files, and test databases of processes that were killed, once they
// are a week old: a server that is kept would fill up with them. A database's age is that of a file in its folder.
func dropOld(ctx context.Context, conn *pgx.Conn) error {
	rows, err := conn.Query(ctx, `
		select datname, datistemplate from pg_database
		where datname ~ '^taskrunner_(template|test)_[0-9a-z]{16}$'
		  and (pg_stat_file('base/' || oid || '/PG_VERSION', true)).modification < now() - interval '7 days'`)
	if err != nil {
		return err
	}
	type database struct {
		Name     string
		Template bool
	}
	old, err := pgx.CollectRows(rows, pgx.RowToStructByPos[database])
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) && pgErr.Code == "42501" {
		return nil // not a superuser: then somebody else cleans up
	}
	if err != nil {
		return err
	}
	for _, db := range old {
		if db.Template {
			if _, err := conn.Exec(ctx, "alter database "+db.Name+" is_template false"); err != nil {
				return err
			}
		}
		if _, err := conn.Exec(ctx, "drop database if exists "+db.Name+" with (force)"); err != nil {
			return err
		}
	}
	return nil
}
