package modeltest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// SQLSTATEs (contract 13.3).
const (
	codeIllegal    = "TR001"
	codeUnknown    = "TR002"
	codeCycle      = "TR003"
	codeRules      = "TR004"
	codeStale      = "TR005"
	codeInvalid    = "TR007"
	codeNotYet     = "TR008"
	codeForeignKey = "23503"
	codeUnique     = "23505"

	// Some are TR008 for a moment only: somebody else decides, or a rule is being used for the first time.
	codeFirst = "TR008 at first"

	codeRepeat   = "40001"
	codeDeadlock = "40P01"
)

// verdict holds the SQLSTATEs of which the contract asks for one; nil: the operation goes through. With "" among them it may
// go through as well.
type verdict []string

func (v verdict) or(code string) verdict {
	if slices.Contains(v, code) {
		return v
	}
	return append(v, code)
}

// fits: the database answered with this SQLSTATE, "" if it went through.
func (v verdict) fits(code string) bool {
	if code == "" && v == nil {
		return true
	}
	if code == codeFirst {
		code = codeNotYet
	}
	return slices.Contains(v, code)
}

// ref names a task.
type ref struct {
	id   uuid.UUID
	name string
}

func (r ref) String() string { return r.name }

func ids(refs []ref) []uuid.UUID {
	list := make([]uuid.UUID, len(refs))
	for i, r := range refs {
		list[i] = r.id
	}
	return list
}

// op is an operation. It keeps what the database answered, for apply.
type op interface {
	// role is the login that runs it: owner, or one of the contract's roles without the prefix.
	role() string
	// run does it, in the transaction given.
	run(ctx context.Context, tx pgx.Tx) error
	// apply does to the model what the contract says, with what the transaction has changed in the database. When it is
	// refused it leaves the model half changed. The error says what is wrong with the answer.
	apply(m *model, seen observation) (verdict, error)
	fmt.Stringer
}

// base is the common part of operations.
type base struct{ login string }

func (b base) role() string { return b.login }

// observation is what a transaction has changed, and the number it got in the order of commits.
type observation struct {
	Seq        int64         `json:"seq"`
	Xid        string        `json:"xid"`
	Tasks      []row         `json:"tasks"`
	Deliveries []deliveryRow `json:"deliveries"`
	Released   []uuid.UUID   `json:"released"` // rows of queued_task that it made ready
	Noted      []uuid.UUID   `json:"noted"`    // rows of dead_end_check that it wrote
	Taken      []uuid.UUID   `json:"taken"`    // and those that it removed
}

// task returns the row of a task, if it was changed.
func (o observation) task(id uuid.UUID) (row, bool) {
	i := slices.IndexFunc(o.Tasks, func(r row) bool { return r.ID == id })
	if i < 0 {
		return row{}, false
	}
	return o.Tasks[i], true
}

// seqOf returns the place of a new task in the order of insertion; 0 when nobody knows it.
func (o observation) seqOf(id uuid.UUID) int64 {
	r, _ := o.task(id)
	return r.Seq
}

// sqlstate returns the code of an error of the server, "" for another error.
func sqlstate(err error) string {
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) {
		return pgErr.Code
	}
	return ""
}

// observe reads what the transaction has changed; all reads the whole database instead.
func observe(ctx context.Context, tx pgx.Tx, all bool) (observation, error) {
	var o observation
	var text []byte
	if err := tx.QueryRow(ctx, "select audit.observe($1)::text", all).Scan(&text); err != nil {
		return o, fmt.Errorf("observe: %w", err)
	}
	if err := json.Unmarshal(text, &o); err != nil {
		return o, fmt.Errorf("observe: %w", err)
	}
	return o, nil
}

// toJSON is for values that always encode.
func toJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// joined lists values for people.
func joined[T any](list []T) string {
	words := make([]string, len(list))
	for i, v := range list {
		words[i] = fmt.Sprint(v)
	}
	return strings.Join(words, " ")
}

// sameIDs compares two sets.
func sameIDs(what string, got, want []uuid.UUID) error {
	got, want = slices.Clone(got), slices.Clone(want)
	byText := func(a, b uuid.UUID) int { return strings.Compare(a.String(), b.String()) }
	slices.SortFunc(got, byText)
	slices.SortFunc(want, byText)
	if !slices.Equal(got, want) {
		return fmt.Errorf("%s: got %v, want %v", what, got, want)
	}
	return nil
}
