package migrate_test

import (
	"crypto/rand"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/migrate"
	"github.com/taskrunner/taskrunner/internal/testdb"
)

// testRoles returns two names that no other test uses, since roles belong to the whole server. They are dropped after
// the databases: the one that was made first is dropped last.
func testRoles(dbs ...*testdb.DB) []string {
	prefix := "tr_" + strings.ToLower(rand.Text()[:12])
	roles := []string{prefix + "_a", prefix + "_b"}
	for _, role := range roles {
		dbs[0].DropRole(role)
	}
	return roles
}

// withRoles is the small engine with files that create the roles and grant them the table task.
func withRoles(roles []string, changes map[string]string) fs.FS {
	list := "array['" + strings.Join(roles, "','") + "']"
	files := map[string]string{
		"access/roles.sql": note("roles") + fmt.Sprintf(`do $$ declare r text; begin
			foreach r in array %s loop
				if not exists (select from pg_roles where rolname = r) then
					begin
						execute format('create role %%I nologin', r);
					exception when duplicate_object or unique_violation or insufficient_privilege then null;
					end;
				end if;
			end loop; end $$;`, list),
		"access/grants.sql": note("grants") + fmt.Sprintf(`do $$ declare r text; begin
			for r in select rolname from pg_roles where rolname = any (%s) loop
				execute format('grant usage on schema taskrunner_private to %%I', r);
				execute format('grant select on all tables in schema taskrunner_private to %%I', r);
			end loop; end $$;`, list),
	}
	for name, text := range changes {
		files[name] = text
	}
	return engine(files)
}

func mayRead(t *testing.T, db *testdb.DB, role string) bool {
	t.Helper()
	var may bool
	require.NoError(t, db.Pool.QueryRow(t.Context(), "select has_table_privilege($1, 'taskrunner_private.task', 'select')", role).Scan(&may))
	return may
}

func TestUpCreatesRolesAndReappliesAccessWhenTheyChange(t *testing.T) {
	b := setup(t)
	roles := testRoles(b.db)
	up := func() migrate.Result {
		res, err := migrate.UpWithRoles(t.Context(), withRoles(roles, nil), b.db.DSN, nil, roles)
		require.NoError(t, err)
		return res
	}
	res := up()
	require.Empty(t, res.MissingRoles)
	require.Empty(t, res.RoleStatements)
	require.True(t, mayRead(t, b.db, roles[0]))
	require.Equal(t, allCode, b.ran())
	require.Equal(t, migrate.Unchanged, up().Outcome)

	// Somebody drops a role and makes it again: it has lost its grants.
	b.exec("drop owned by " + roles[0] + "; drop role " + roles[0] + "; create role " + roles[0])
	require.False(t, mayRead(t, b.db, roles[0]))
	require.Equal(t, migrate.AccessApplied, up().Outcome)
	require.True(t, mayRead(t, b.db, roles[0]))
	require.Equal(t, []string{"roles", "grants"}, b.ran())
	require.Equal(t, migrate.Unchanged, up().Outcome)
}

func TestUpWithoutTheRightToCreateRoles(t *testing.T) {
	b := setup(t)
	roles := testRoles(b.db)
	owner := b.db.Login(t, "")
	b.exec(fmt.Sprintf("alter database %s owner to %s", b.db.Name, userOf(t, owner)))

	up := func() migrate.Result {
		res, err := migrate.UpWithRoles(t.Context(), withRoles(roles, nil), owner, nil, roles)
		require.NoError(t, err)
		return res
	}
	res := up()
	require.Equal(t, migrate.Applied, res.Outcome)
	require.Equal(t, roles, res.MissingRoles)
	require.Equal(t, []string{"create role " + roles[0] + " nologin;", "create role " + roles[1] + " nologin;"}, res.RoleStatements)
	res = up()
	require.Equal(t, migrate.Unchanged, res.Outcome)
	require.Equal(t, roles, res.MissingRoles, "every start says so")

	// Somebody who may runs the statements; the next start grants.
	b.exec(strings.Join(res.RoleStatements, "\n"))
	res = up()
	require.Equal(t, migrate.AccessApplied, res.Outcome)
	require.Empty(t, res.MissingRoles)
	require.True(t, mayRead(t, b.db, roles[1]))
}

// Two databases of one server that create the same roles at the same moment.
func TestUpCreatesRolesConcurrently(t *testing.T) {
	t.Parallel()
	dbs := []*testdb.DB{testdb.NewEmpty(t), testdb.NewEmpty(t), testdb.NewEmpty(t)}
	for range 5 {
		roles := testRoles(dbs...)
		errs := make([]error, len(dbs))
		var wg sync.WaitGroup
		for i, db := range dbs {
			wg.Go(func() {
				_, errs[i] = migrate.UpWithRoles(t.Context(), withRoles(roles, nil), db.DSN, nil, roles)
			})
		}
		wg.Wait()
		for i, db := range dbs {
			require.NoError(t, errs[i])
			require.True(t, mayRead(t, db, roles[0]))
			require.True(t, mayRead(t, db, roles[1]))
		}
		for _, db := range dbs {
			_, err := db.Pool.Exec(t.Context(), "drop schema taskrunner_private cascade")
			require.NoError(t, err)
		}
	}
}

func TestCheckWithoutRights(t *testing.T) {
	b := setup(t)
	roles := testRoles(b.db)
	service := b.db.Login(t, "")
	fsys := withRoles(roles, nil)

	conn := testdb.ConnectTo(t, service)
	st, err := migrate.CheckFrom(t.Context(), fsys, conn)
	require.NoError(t, err)
	require.Equal(t, migrate.Older, st.State)
	require.Zero(t, st.DatabaseRevision)
	require.Contains(t, st.String(), "taskrunner migrate")
	_, err = migrate.UpFrom(t.Context(), fsys, service, nil)
	require.ErrorContains(t, err, "42501", "an empty database needs rights")

	_, err = migrate.UpWithRoles(t.Context(), fsys, b.db.DSN, nil, roles)
	require.NoError(t, err)
	_, err = migrate.CheckFrom(t.Context(), fsys, conn)
	require.ErrorContains(t, err, "42501", "it may not read the version")

	b.exec("grant " + roles[0] + " to " + userOf(t, service))
	st, err = migrate.CheckFrom(t.Context(), fsys, conn)
	require.NoError(t, err)
	require.Equal(t, migrate.Fits, st.State)

	// What fits already needs no right, and Check does not disturb a transaction.
	res, err := migrate.UpWithRoles(t.Context(), fsys, service, nil, roles)
	require.NoError(t, err)
	require.Equal(t, migrate.Unchanged, res.Outcome)
	require.NoError(t, pgx.BeginFunc(t.Context(), conn, func(tx pgx.Tx) error {
		_, err := migrate.CheckFrom(t.Context(), fsys, tx)
		return err
	}))

	newer := withRoles(roles, map[string]string{"REVISION": "2", "migrations/00003_more.sql": "-- +goose Up\nselect 1;"})
	st, err = migrate.CheckFrom(t.Context(), newer, conn)
	require.NoError(t, err)
	require.Equal(t, migrate.Status{State: migrate.Older, Version: 3, DatabaseVersion: 2, Revision: 2, DatabaseRevision: 1,
		RolesChanged: true, MissingRoles: st.MissingRoles}, st)
}

func userOf(t *testing.T, dsn string) string {
	t.Helper()
	config, err := pgx.ParseConfig(dsn)
	require.NoError(t, err)
	return config.User
}
