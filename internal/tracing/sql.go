package tracing

import (
	"context"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// Statements makes spans of the statements that requests have sent to PostgreSQL. What is sent for nobody in particular has none: the
// claims of the loops, and what many share.
type Statements struct{ tracer *Tracer }

// Statements returns the tracer of connections.
func (t *Tracer) Statements() *Statements { return &Statements{t} }

var (
	_ pgx.QueryTracer = (*Statements)(nil)
	_ pgx.BatchTracer = (*Statements)(nil)
)

// Statement begins the span of a statement of the context's span, if that is recorded.
func (t *Tracer) Statement(ctx context.Context, name string) context.Context {
	if t == nil || !trace.SpanFromContext(ctx).IsRecording() {
		return ctx
	}
	return t.start(ctx, name)
}

func (t *Tracer) start(ctx context.Context, name string) context.Context {
	ctx, span := t.tracer.Start(ctx, name, trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(attribute.String("db.system.name", "postgresql"), attribute.String("db.query.summary", name)))
	return context.WithValue(ctx, statementKey{}, span)
}

// statementKey is the key of the span of a statement.
type statementKey struct{}

// EndStatement ends the span of a statement that has begun with the context, if there is one.
func EndStatement(ctx context.Context, err error) {
	span, ok := ctx.Value(statementKey{}).(trace.Span)
	if !ok {
		return
	}
	if err != nil {
		kind := "connection"
		var pgErr *pgconn.PgError
		if errors.As(err, &pgErr) {
			kind = pgErr.Code
			span.SetAttributes(attribute.String("db.response.status_code", kind))
		}
		failed(span, kind)
	}
	span.End()
}

// TraceQueryStart implements [pgx.QueryTracer].
func (s *Statements) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	if !trace.SpanFromContext(ctx).IsRecording() {
		return ctx
	}
	return s.tracer.start(ctx, statementName(data.SQL))
}

// TraceQueryEnd implements [pgx.QueryTracer].
func (s *Statements) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryEndData) {
	EndStatement(ctx, data.Err)
}

// TraceBatchStart implements [pgx.BatchTracer]: one span for what is sent at once.
func (s *Statements) TraceBatchStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceBatchStartData) context.Context {
	if !trace.SpanFromContext(ctx).IsRecording() {
		return ctx
	}
	var names []string
	for _, query := range data.Batch.QueuedQueries {
		if strings.HasPrefix(query.SQL, namePrefix) {
			names = append(names, statementName(query.SQL))
		}
	}
	if len(names) == 0 {
		names = []string{"batch"}
	}
	return s.tracer.start(ctx, strings.Join(names, ", "))
}

// TraceBatchQuery implements [pgx.BatchTracer].
func (s *Statements) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}

// TraceBatchEnd implements [pgx.BatchTracer].
func (s *Statements) TraceBatchEnd(ctx context.Context, _ *pgx.Conn, data pgx.TraceBatchEndData) {
	EndStatement(ctx, data.Err)
}

// namePrefix is how statements of sqlc begin.
const namePrefix = "-- name: "

// statementName is the name of a statement of sqlc, and the first word of another one.
func statementName(sql string) string {
	sql = strings.TrimPrefix(sql, namePrefix)
	if end := strings.IndexFunc(sql, func(r rune) bool { return r <= ' ' || r == ';' || r == '(' }); end > 0 {
		sql = sql[:end]
	}
	return sql
}
