package migrate_test

import (
	"io/fs"
	"testing"
	"testing/fstest"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/migrate"
	"github.com/taskrunner/taskrunner/internal/testdb"
	enginesql "github.com/taskrunner/taskrunner/sql"
)

// embedded copies the real engine.
func embedded(t *testing.T) fstest.MapFS {
	t.Helper()
	fsys := fstest.MapFS{}
	require.NoError(t, fs.WalkDir(enginesql.FS, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := enginesql.FS.ReadFile(path)
		fsys[path] = &fstest.MapFile{Data: data}
		return err
	}))
	return fsys
}

// catalog is everything that applying code can change, as text.
const catalog = `
	select 'function ' || p.oid::regprocedure || ' ' || p.proowner::regrole || ' ' || coalesce(p.proacl::text, '') || ' ' || md5(pg_get_functiondef(p.oid))
	from pg_proc p where p.pronamespace::regnamespace::text like 'taskrunner%'
	union all
	select 'trigger ' || tgrelid::regclass || ' ' || pg_get_triggerdef(oid) from pg_trigger where not tgisinternal
	union all
	select 'relation ' || c.relkind::text || ' ' || c.oid::regclass || ' ' || coalesce(c.relacl::text, '') || ' ' || coalesce(md5(pg_get_viewdef(c.oid)), '')
	from pg_class c where c.relnamespace::regnamespace::text like 'taskrunner%'
	union all
	select 'column ' || attrelid::regclass::text || '.' || attname || ' ' || attacl::text from pg_attribute where attacl is not null and attrelid::regclass::text like 'taskrunner%'
	order by 1`

func dump(t *testing.T, db *testdb.DB) []string {
	t.Helper()
	rows, err := db.Pool.Query(t.Context(), catalog)
	require.NoError(t, err)
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	return lines
}

// Every code file of the engine can be applied again without a change.
func TestEmbeddedCodeIsIdempotent(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	st, err := migrate.Check(t.Context(), db.Pool)
	require.NoError(t, err)
	require.Equal(t, migrate.Fits, st.State)
	require.False(t, st.RolesChanged)
	require.Empty(t, st.MissingRoles)

	before := dump(t, db)
	require.NotEmpty(t, before)
	res, err := migrate.UpFrom(t.Context(), embeddedPlus(t, embedded(t), 1), db.DSN, nil)
	require.NoError(t, err)
	require.Equal(t, migrate.Applied, res.Outcome)
	require.Equal(t, before, dump(t, db))
}
