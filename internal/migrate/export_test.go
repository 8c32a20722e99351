package migrate

import (
	"context"
	"io/fs"
	"log/slog"

	"github.com/jackc/pgx/v5"
)

// UpWithRoles is UpFrom with other roles than Roles: those belong to the whole server, which other tests use too.
func UpWithRoles(ctx context.Context, fsys fs.FS, dsn string, log *slog.Logger, roles []string) (Result, error) {
	src, err := load(fsys)
	if err != nil {
		return Result{}, err
	}
	src.roles = roles
	return up(ctx, src, dsn, log)
}

// IsPooled tests one connection as Up does.
func IsPooled(ctx context.Context, dsn string) (bool, error) {
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return false, err
	}
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return false, err
	}
	defer conn.Close(ctx)
	return isPooled(ctx, conn, config)
}

// LockKey is the key of the migration lock.
const LockKey = lockKey
