package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/taskrunner/taskrunner/internal/groupcommit"
	"github.com/taskrunner/taskrunner/internal/task"
)

// The SQLSTATEs of the engine (contract, section 13.3).
const (
	stateIllegal   = "TR001" // transition, protected column, or an ended task
	stateUnknown   = "TR002"
	stateCycle     = "TR003"
	stateRule      = "TR004"
	stateStale     = "TR005"
	stateLimit     = "TR006"
	stateInvalid   = "TR007"
	stateRefused   = "TR008"
	stateIsolation = "TR009"
)

// mapError is the one place where database errors become the domain's. What is not a *task.Error is internal.
func mapError(op string, err error) error {
	if err == nil {
		return nil
	}
	wrapped := fmt.Errorf("store: %s: %w", op, err)
	var known *task.Error
	if errors.As(err, &known) {
		return err
	}
	var pgErr *pgconn.PgError
	isPg := errors.As(err, &pgErr)
	var acquiring *acquireError
	switch {
	case errors.Is(err, ErrPoolExhausted):
		return &task.Error{Code: task.CodeUnavailable, Message: "all database connections are in use", Err: wrapped}
	case errors.Is(err, groupcommit.ErrClosed):
		return &task.Error{Code: task.CodeUnavailable, Message: "the service is shutting down", Err: wrapped}
	case errors.Is(err, context.Canceled):
		return wrapped // the caller is gone
	case errors.As(err, &acquiring):
		return &task.Error{Code: task.CodeUnavailable, Message: "the database cannot be reached", Err: wrapped}
	case isPg && strings.HasPrefix(pgErr.Code, "TR"):
		return engineError(wrapped, pgErr)
	case locked(err):
		return &task.Error{Code: task.CodeBusy, Message: "another transaction holds what this needs", Err: wrapped}
	case conflicted(err):
		return &task.Error{Code: task.CodeUnavailable, Message: "the database is busy", Err: wrapped}
	case connectionLost(err):
		return &task.Error{Code: task.CodeUnavailable, Message: "the database connection was lost", Err: wrapped}
	case isPg && pgErr.Code == "57014", errors.Is(err, errSlow):
		return &task.Error{Code: task.CodeUnavailable, Err: wrapped,
			Message: "the database took too long for this: ask for less, with other filters for instance, or try again later"}
	case isPg && exhausted(pgErr):
		return &task.Error{Code: task.CodeUnavailable, Message: "the database cannot serve the request now", Err: wrapped}
	case isPg && (pgErr.Code == "26000" || pgErr.Code == "42P05"):
		return fmt.Errorf("prepared statements do not survive here, set POOL_PREPARED_STATEMENTS=0: %w", wrapped)
	case isPg && (strings.HasPrefix(pgErr.Code, "22") || strings.HasPrefix(pgErr.Code, "54")):
		// The API refuses what PostgreSQL cannot hold; this is for what it did not think of.
		return &task.Error{Code: task.CodeInvalid, Message: "the request holds a value that the database cannot store",
			Err: wrapped}
	default:
		return wrapped
	}
}

// engineError turns an error that the engine raised into the domain's. DETAIL is the list of faults as a JSON array, or
// the present status of the task.
func engineError(err error, pgErr *pgconn.PgError) error {
	e := &task.Error{Message: pgErr.Message, Err: err}
	if json.Unmarshal([]byte(pgErr.Detail), &e.Details) != nil {
		e.Details = nil
		if status := task.Status(pgErr.Detail); status.Valid() {
			e.Status = status
		}
	}
	switch pgErr.Code {
	case stateIllegal, stateRefused:
		e.Code = task.CodeState
	case stateUnknown:
		e.Code = task.CodeUnknown
		if e.Details != nil { // not the subject of the call, but a dependency in its body
			e.Code = task.CodeInvalid
		}
	case stateStale:
		e.Code = task.CodeStale
	case stateLimit:
		// The engine names the limit in the error's field CONSTRAINT where it is more than a wrong value.
		switch pgErr.ConstraintName {
		case "request_size":
			e.Code = task.CodeTooMany
		case "counter_range":
			e.Code = task.CodeOverflow
		default:
			e.Code = task.CodeInvalid
		}
	case stateCycle, stateRule, stateInvalid:
		e.Code = task.CodeInvalid
	default: // TR009 and what this binary does not know
		return err
	}
	if e.Code == task.CodeInvalid && e.Details == nil {
		e.Details = []string{pgErr.Message}
	}
	return e
}

// conflicted reports that the transaction was rolled back because of others: serialisation failure, deadlock, or a
// prepared statement that a new version of the engine's code made invalid.
func conflicted(err error) bool {
	var pgErr *pgconn.PgError
	if !errors.As(err, &pgErr) {
		return false
	}
	switch pgErr.Code {
	case "40001", "40P01":
		return true
	case "0A000":
		return pgErr.Message == "cached plan must not change result type" // has no code of its own
	}
	return false
}

// errHeld is the error of a step that left out what somebody else holds, and so wrote nothing.
var errHeld = errors.New("somebody else holds the row")

// locked reports that a lock was not to be had within lockWait; nothing was written.
func locked(err error) bool {
	var pgErr *pgconn.PgError
	return errors.Is(err, errHeld) || errors.As(err, &pgErr) && pgErr.Code == "55P03"
}

// neverSent reports that the connection was lost before anything of the query was sent.
func neverSent(err error) bool {
	var acquiring *acquireError
	return pgconn.SafeToRetry(err) && !errors.As(err, &acquiring)
}

// connectionLost reports that the connection ended before the answer was complete, so that nobody knows whether the
// query was carried out.
func connectionLost(err error) bool {
	var acquiring *acquireError
	if errors.As(err, &acquiring) {
		return false
	}
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) {
		// 08: connection exception, which poolers send; 57P01 to 57P03: the server stops or starts.
		return strings.HasPrefix(pgErr.Code, "08") || strings.HasPrefix(pgErr.Code, "57P0")
	}
	return isNetwork(err)
}

// exhausted reports a server that cannot do it now: 53 lacks memory, disk or connections, 55P03 is a lock_timeout, 25006 a
// standby.
func exhausted(pgErr *pgconn.PgError) bool {
	return strings.HasPrefix(pgErr.Code, "53") || pgErr.Code == "55P03" || pgErr.Code == "25006"
}

func isNetwork(err error) bool {
	var netErr net.Error
	return errors.As(err, &netErr) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, pgconn.ErrConnClosed)
}
