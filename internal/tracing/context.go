package tracing

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"log/slog"
	"math/rand/v2"
	"net/http"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// Header is where a request or a call says which trace it belongs to.
const Header = "traceparent"

// headerKey is how net/http spells it.
const headerKey = "Traceparent"

// Traceparent is what a call made in the context has to say about its trace; "" when the context carries none.
func Traceparent(ctx context.Context) string {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return "" // without allocating anything
	}
	var p parent
	propagation.TraceContext{}.Inject(ctx, &p)
	return string(p)
}

// with returns a context that carries the trace of a traceparent, or an unchanged one when it is none: that is no error. What
// tracing systems say about themselves in tracestate is not carried on.
func with(ctx context.Context, traceparent string) context.Context {
	if traceparent == "" {
		return ctx
	}
	p := parent(traceparent)
	return propagation.TraceContext{}.Extract(ctx, &p)
}

// withHeader is with for the headers of a request.
func withHeader(ctx context.Context, h http.Header) context.Context {
	if given := h[headerKey]; len(given) == 1 {
		return with(ctx, given[0])
	}
	return ctx
}

// parent carries a traceparent and nothing else.
type parent string

// Get implements [propagation.TextMapCarrier].
func (p *parent) Get(key string) string {
	if key == Header {
		return string(*p)
	}
	return ""
}

// Set implements [propagation.TextMapCarrier].
func (p *parent) Set(key, value string) {
	if key == Header {
		*p = parent(value)
	}
}

// Keys implements [propagation.TextMapCarrier].
func (p *parent) Keys() []string { return []string{Header} }

// graphKey is the key of the graph whose trace a context begins.
type graphKey struct{}

// ids makes the ids of spans and traces. A graph that nobody has given a trace, for it came by SQL, has one that follows from its id,
// so that all replicas use the same one.
type ids struct{}

// NewIDs implements the SDK's IDGenerator.
func (g ids) NewIDs(ctx context.Context) (id trace.TraceID, span trace.SpanID) {
	if graph, ok := ctx.Value(graphKey{}).(uuid.UUID); ok {
		sum := sha256.Sum256(graph[:]) // the ids themselves are not evenly spread, as sampling wants them
		copy(id[:], sum[:])
	} else {
		for !id.IsValid() {
			fill(id[:])
		}
	}
	return id, g.NewSpanID(ctx, id)
}

// NewSpanID implements the SDK's IDGenerator.
func (ids) NewSpanID(context.Context, trace.TraceID) (span trace.SpanID) {
	for !span.IsValid() {
		fill(span[:])
	}
	return span
}

// fill fills whole words with random bits; ids are no secrets.
func fill(b []byte) {
	for ; len(b) > 0; b = b[8:] {
		binary.NativeEndian.PutUint64(b, rand.Uint64())
	}
}

// Logger returns a logger whose lines carry the id of the trace of their context, if it has one.
func Logger(log *slog.Logger) *slog.Logger { return slog.New(handler{log.Handler()}) }

type handler struct{ slog.Handler }

func (h handler) Handle(ctx context.Context, r slog.Record) error {
	if span := trace.SpanContextFromContext(ctx); span.IsValid() {
		r.AddAttrs(slog.String("trace_id", span.TraceID().String()))
	}
	return h.Handler.Handle(ctx, r)
}

func (h handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return handler{h.Handler.WithAttrs(attrs)}
}

func (h handler) WithGroup(name string) slog.Handler { return handler{h.Handler.WithGroup(name)} }
