// Package testdb gives each test a PostgreSQL database of its own, with the engine in it.
//
//	func TestClaim(t *testing.T) {
//		t.Parallel()
//		db := testdb.New(t)
//		_, err := db.Pool.Exec(t.Context(), `insert into taskrunner.batch …`)
//
// New copies a template database that is migrated once per server and state of the folder sql, which takes about
// 50 ms; the copy is dropped when the test ends. Databases do not hear each other's notifications, so tests can run in
// parallel.
//
// The server comes from TEST_DATABASE_URL, else from Docker, local binaries or fetched ones (server.go); a test that
// gets none fails, it is never skipped. A package tested alone starts its own server. For many packages, start one for
// all of them: go run ./internal/testdb/withpg -- go test ./...
//
// A package with goroutines worth checking for leaks has
//
//	func TestMain(m *testing.M) { testdb.Main(m) }
package testdb

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// setupTimeout bounds New, the start of a server and the template included.
	setupTimeout = 3 * time.Minute
	// cleanupTimeout bounds what is done after a test.
	cleanupTimeout = 30 * time.Second
	// poolPatience is how long the end of a test waits for connections to be given back to DB.Pool.
	poolPatience = 10 * time.Second
	// poolSize is the most connections of DB.Pool. The server allows 300 in all.
	poolSize = 20
)

// DB is the database of one test.
type DB struct {
	Name string
	DSN  string        // as superuser, direct
	Pool *pgxpool.Pool // as superuser, at most 20 connections; closed when the test ends

	admin string // DSN of the maintenance database
	mu    sync.Mutex
	roles []string // to drop after the database
}

// New creates a database for the test, with the engine's schema and code, and drops it when the test ends. Connections
// that are still open then are ended by force.
func New(t testing.TB) *DB {
	t.Helper()
	return create(t, true)
}

// NewEmpty creates a database without anything in it.
func NewEmpty(t testing.TB) *DB {
	t.Helper()
	return create(t, false)
}

func create(t testing.TB, migrated bool) *DB {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), setupTimeout)
	defer cancel()
	admin, err := sharedServer(ctx)
	if err != nil {
		t.Fatal(err)
	}
	template := "template0 encoding 'UTF8'"
	if migrated {
		if template, err = sharedTemplate(ctx, admin); err != nil {
			t.Fatal(err)
		}
	}
	db := &DB{Name: "taskrunner_test_" + randomName(), admin: admin}
	if err := execAdmin(ctx, admin, "create database "+db.Name+" template "+template); err != nil {
		t.Fatalf("testdb: %v", err)
	}
	t.Cleanup(func() { db.cleanup(t) })
	if db.DSN, err = withDatabase(admin, db.Name); err != nil {
		t.Fatalf("testdb: %v", err)
	}
	config, err := pgxpool.ParseConfig(db.DSN)
	if err != nil {
		t.Fatalf("testdb: %v", err)
	}
	config.MaxConns = poolSize
	if db.Pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		t.Fatalf("testdb: %v", err)
	}
	return db
}

// Connect opens a connection of its own, closed when the test ends.
func (db *DB) Connect(t testing.TB) *pgx.Conn {
	t.Helper()
	return ConnectTo(t, db.DSN)
}

// ConnectTo opens a connection to a DSN, that of a Login for instance, closed when the test ends.
func ConnectTo(t testing.TB, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatalf("testdb: connect: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), cleanupTimeout)
		defer cancel()
		_ = conn.Close(ctx)
	})
	return conn
}

// Login creates a user of this database who has exactly the given role ("taskrunner_worker"; "" for none), and returns
// his DSN. Roles belong to the whole server, so the user has a name of his own; he is dropped when the test ends.
func (db *DB) Login(t testing.TB, role string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), cleanupTimeout)
	defer cancel()
	name, password := "test_login_"+randomName(), rand.Text()
	db.DropRole(name)
	statement := fmt.Sprintf("create role %s login password '%s'", name, password)
	if role != "" {
		statement += "; grant " + pgx.Identifier{role}.Sanitize() + " to " + name
	}
	if err := execAdmin(ctx, db.admin, statement); err != nil {
		t.Fatalf("testdb: login with role %q: %v", role, err)
	}
	u, err := url.Parse(db.DSN)
	if err != nil {
		t.Fatalf("testdb: %v", err)
	}
	u.User = url.UserPassword(name, password)
	return u.String()
}

// DropRole has a role dropped when the test ends, after the database, in which it may own something or have rights. The
// role need not exist.
func (db *DB) DropRole(name string) {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.roles = append(db.roles, name)
}

// cleanup drops the database, then the roles.
func (db *DB) cleanup(t testing.TB) {
	ctx, cancel := context.WithTimeout(context.Background(), cleanupTimeout)
	defer cancel()
	if db.Pool != nil {
		closePool(t, db.Pool, poolPatience)
	}
	if err := execAdmin(ctx, db.admin, "drop database if exists "+db.Name+" with (force)"); err != nil {
		t.Errorf("testdb: %v", err)
	}
	for _, name := range db.roles {
		if err := execAdmin(ctx, db.admin, "drop role if exists "+pgx.Identifier{name}.Sanitize()); err != nil {
			t.Errorf("testdb: %v", err)
		}
	}
}

// closePool closes the pool, or reports connections that the test did not give back: Close would wait for them forever.
func closePool(t testing.TB, pool *pgxpool.Pool, patience time.Duration) {
	closed := make(chan struct{})
	go func() {
		pool.Close()
		close(closed)
	}()
	select {
	case <-closed:
	case <-time.After(patience):
		t.Errorf("testdb: %d connections were not given back to the pool (rows not closed, transaction not ended?)",
			pool.Stat().AcquiredConns())
	}
}

// randomName returns 16 lower-case letters and digits, usable in an identifier without quotes.
func randomName() string { return strings.ToLower(rand.Text()[:16]) }

// execAdmin runs statements on the maintenance database, on a connection of its own. It repeats what other tests'
// statements on the shared catalogs can spoil.
func execAdmin(ctx context.Context, dsn, statements string) error {
	const tries = 10
	for try := 1; ; try++ {
		err := execOnce(ctx, dsn, statements)
		if err == nil || try == tries || !spoilt(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(time.Duration(try) * 20 * time.Millisecond):
		}
	}
}

func execOnce(ctx context.Context, dsn, statements string) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, statements)
	return err
}

// spoilt reports an error that comes from other statements at the same moment: too many connections, a database in use
// (an autovacuum worker in the template), "tuple concurrently updated".
func spoilt(err error) bool {
	var pgErr *pgconn.PgError
	if !errors.As(err, &pgErr) {
		return false
	}
	return pgErr.Code == "53300" || pgErr.Code == "55006" ||
		pgErr.Code == "XX000" && strings.HasPrefix(pgErr.Message, "tuple concurrently")
}

// withDatabase replaces the database in a connection URL.
func withDatabase(dsn, database string) (string, error) {
	u, err := url.Parse(dsn)
	if err != nil || u.Scheme == "" {
		return "", errors.New("TEST_DATABASE_URL must be a URL: postgres://user:password@host:port/database")
	}
	u.Path = "/" + database
	return u.String(), nil
}
