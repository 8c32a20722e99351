package migrate

import (
	"maps"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

func folder(files map[string]string) fstest.MapFS {
	fsys := fstest.MapFS{
		"REVISION":                   {Data: []byte("3\n")},
		"migrations/00001_first.sql": {Data: []byte("-- +goose Up\n")},
	}
	for name, text := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return fsys
}

func TestLoadOrder(t *testing.T) {
	t.Parallel()
	src, err := load(folder(map[string]string{
		"access/aaa.sql": "", "access/grants.sql": "", "access/roles.sql": "", "access/schema.sql": "",
		"functions/b.sql": "", "functions/a.sql": "", "views/v.sql": "",
		"triggers/t_500.sql": "", "triggers/t_100.sql": "",
		"migrations/00012_more.sql": "", "functions/README.md": "", "schema.sql": "",
	}))
	require.NoError(t, err)
	var names []string
	for _, f := range src.code {
		names = append(names, f.name)
	}
	require.Equal(t, []string{
		"access/roles.sql", "functions/a.sql", "functions/b.sql", "views/v.sql", "triggers/t_100.sql", "triggers/t_500.sql",
		"access/aaa.sql", "access/schema.sql", "access/grants.sql",
	}, names)
	require.Equal(t, 3, src.revision)
	require.EqualValues(t, 12, src.version)
	names = nil
	for _, f := range src.access() {
		names = append(names, f.name)
	}
	require.Equal(t, []string{"access/roles.sql", "access/aaa.sql", "access/schema.sql", "access/grants.sql"}, names)
}

func TestHashes(t *testing.T) {
	t.Parallel()
	base := map[string]string{"functions/a.sql": "select 1;", "functions/b.sql": "select 2;", "access/grants.sql": "select 3;"}
	first, err := load(folder(base))
	require.NoError(t, err)
	firstAll, err := Hash(folder(base))
	require.NoError(t, err)

	for name, tc := range map[string]struct {
		change              map[string]string
		codeSame, wholeSame bool
	}{
		"nothing":             {nil, true, true},
		"a function's text":   {map[string]string{"functions/a.sql": "select 9;"}, false, false},
		"text that moved":     {map[string]string{"functions/a.sql": "select 1;select 2;", "functions/b.sql": ""}, false, false},
		"one more trigger":    {map[string]string{"triggers/t.sql": ""}, false, false},
		"grants":              {map[string]string{"access/grants.sql": ""}, false, false},
		"a migration":         {map[string]string{"migrations/00001_first.sql": "-- +goose Up\nselect 1;"}, true, false},
		"one more migration":  {map[string]string{"migrations/00002_second.sql": "-- +goose Up\n"}, true, false},
		"the revision":        {map[string]string{"REVISION": "4"}, true, false},
		"a file that is none": {map[string]string{"README.md": "x", "functions/notes.txt": "x"}, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files := maps.Clone(base)
			maps.Copy(files, tc.change)
			src, err := load(folder(files))
			require.NoError(t, err)
			require.Equal(t, tc.codeSame, src.hash == first.hash)
			all, err := Hash(folder(files))
			require.NoError(t, err)
			require.Equal(t, tc.wholeSame, all == firstAll)
		})
	}
}

func TestLoadRefuses(t *testing.T) {
	t.Parallel()
	noRevision := folder(nil)
	delete(noRevision, "REVISION")
	noMigrations := folder(nil)
	delete(noMigrations, "migrations/00001_first.sql")
	for name, tc := range map[string]struct {
		fsys fstest.MapFS
		want string
	}{
		"no REVISION":                {noRevision, "REVISION"},
		"text in REVISION":           {folder(map[string]string{"REVISION": "three"}), `sql/REVISION holds "three"`},
		"zero in REVISION":           {folder(map[string]string{"REVISION": "0"}), "not a number above 0"},
		"no migrations":              {noMigrations, "no files in sql/migrations"},
		"a migration with no number": {folder(map[string]string{"migrations/tables.sql": ""}), "sql/migrations/tables.sql does not begin with its number"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := load(tc.fsys)
			require.ErrorContains(t, err, tc.want)
		})
	}
}

func TestCompare(t *testing.T) {
	t.Parallel()
	src := &source{version: 4, revision: 7, hash: "ours", roles: []string{"taskrunner_admin", "taskrunner_reader"}}
	roles := []string{"taskrunner_admin 100", "taskrunner_reader 101"}
	same := hashRoles(roles)
	for name, tc := range map[string]struct {
		db    applied
		state State
	}{
		"empty":                         {applied{}, Older},
		"the same":                      {applied{4, 7, "ours", same, roles}, Fits},
		"migration missing":             {applied{3, 7, "ours", same, roles}, Older},
		"code of an earlier revision":   {applied{4, 6, "theirs", same, roles}, Older},
		"earlier revision, same code":   {applied{4, 6, "ours", same, roles}, Older},
		"migrated, code never applied":  {applied{4, 0, "", "", roles}, Older},
		"code of a later revision":      {applied{4, 8, "theirs", same, roles}, Newer},
		"later revision, same code":     {applied{4, 8, "ours", same, roles}, Newer},
		"later migration":               {applied{5, 7, "ours", same, roles}, Newer},
		"later migration, earlier code": {applied{5, 6, "theirs", same, roles}, Newer},
		"later migration, other code":   {applied{5, 7, "theirs", same, roles}, Newer},
		"same revision, other code":     {applied{4, 7, "theirs", same, roles}, Conflict},
		"other code, migration missing": {applied{3, 7, "theirs", same, roles}, Conflict},
		"earlier migration, later code": {applied{3, 8, "theirs", same, roles}, Newer},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st := compare(src, tc.db)
			require.Equal(t, tc.state, st.State)
			require.NotEmpty(t, st.String())
		})
	}

	t.Run("roles", func(t *testing.T) {
		t.Parallel()
		st := compare(src, applied{4, 7, "ours", same, roles})
		require.False(t, st.RolesChanged)
		require.Empty(t, st.MissingRoles)
		st = compare(src, applied{4, 7, "ours", same, roles[:1]})
		require.Equal(t, Fits, st.State, "a missing role does not keep a replica from running")
		require.True(t, st.RolesChanged)
		require.Equal(t, []string{"taskrunner_reader"}, st.MissingRoles)
		st = compare(src, applied{4, 7, "ours", same, []string{roles[0], "taskrunner_reader 202"}})
		require.True(t, st.RolesChanged, "a role created anew has no grants")
		require.Empty(t, st.MissingRoles)
		st = compare(src, applied{})
		require.False(t, st.RolesChanged, "nothing was granted in an empty database")
	})
}
