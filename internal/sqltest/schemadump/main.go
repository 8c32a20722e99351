// Command schemadump writes the file sql/schema.sql from a throwaway database:
//
//	go run ./internal/sqltest/schemadump
//
// It takes the server that tests use (internal/testdb). With the argument "-" it writes to standard output.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/taskrunner/taskrunner/internal/migrate"
	"github.com/taskrunner/taskrunner/internal/sqltest/schema"
	"github.com/taskrunner/taskrunner/internal/testdb"
)

const (
	file    = "sql/schema.sql"
	timeout = 3 * time.Minute
)

func main() {
	flag.Parse()
	target := file
	if flag.NArg() > 0 {
		target = flag.Arg(0)
	}
	if err := run(target); err != nil {
		fmt.Fprintf(os.Stderr, "schemadump: %v\n", err)
		os.Exit(1)
	}
}

func run(target string) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	server, err := testdb.StartServer(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Stop(context.WithoutCancel(ctx))) }()
	text, err := dump(ctx, server.DSN)
	if err != nil {
		return err
	}
	if target == "-" {
		_, err = os.Stdout.WriteString(text)
		return err
	}
	return os.WriteFile(target, []byte(text), 0o644)
}

// dump migrates a new database and reads its schema.
func dump(ctx context.Context, dsn string) (_ string, err error) {
	admin, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return "", err
	}
	defer admin.Close(ctx)
	database := "taskrunner_schemadump_" + strings.ToLower(rand.Text())
	if _, err := admin.Exec(ctx, "create database "+database+" template template0 encoding 'UTF8'"); err != nil {
		return "", err
	}
	defer func() {
		_, dropErr := admin.Exec(context.WithoutCancel(ctx), "drop database "+database+" with (force)")
		err = errors.Join(err, dropErr)
	}()
	target, err := url.Parse(dsn)
	if err != nil {
		return "", err
	}
	target.Path = "/" + database
	if _, err := migrate.Up(ctx, target.String(), nil); err != nil {
		return "", err
	}
	conn, err := pgx.Connect(ctx, target.String())
	if err != nil {
		return "", err
	}
	defer conn.Close(ctx)
	return schema.Dump(ctx, conn)
}
