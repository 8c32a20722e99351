package tracing

import (
	"cmp"
	"context"
	"net/http"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// Request begins the span of a request that a route has. It belongs to the trace that the client names, if it names one, else it
// begins one.
func (t *Tracer) Request(ctx context.Context, r *http.Request, route string) context.Context {
	ctx = withHeader(ctx, r.Header)
	if t == nil {
		return ctx
	}
	ctx, _ = t.tracer.Start(ctx, r.Method+" "+route, trace.WithSpanKind(trace.SpanKindServer),
		trace.WithAttributes(attribute.String("http.request.method", r.Method), attribute.String("http.route", route)))
	return ctx
}

// EndRequest ends the span of a request, if it has one, with the status of its answer.
func EndRequest(ctx context.Context, status int) {
	span := trace.SpanFromContext(ctx)
	if span.IsRecording() {
		span.SetAttributes(attribute.Int("http.response.status_code", status))
		if status >= http.StatusInternalServerError {
			failed(span, strconv.Itoa(status))
		}
	}
	span.End()
}

// Note says in the span of a context which task, batch or delivery it is about, by the name that it has in the log too.
func Note(ctx context.Context, name string, id uuid.UUID) {
	if span := trace.SpanFromContext(ctx); span.IsRecording() {
		span.SetAttributes(attribute.String(name, id.String()))
	}
}

// Call is a webhook call.
type Call struct {
	Traceparent string // that is stored with the action; "" without one
	Trigger     string // as in X-Task-Trigger
	TaskID      uuid.UUID
	BatchID     *uuid.UUID
	Attempt     int32
}

// Call begins the span of a webhook call, in the trace of the action, or else in that of its graph.
func (t *Tracer) Call(ctx context.Context, c Call) (context.Context, trace.Span) {
	ctx = with(ctx, c.Traceparent)
	if t == nil {
		return ctx, trace.SpanFromContext(ctx)
	}
	attributes := append(make([]attribute.KeyValue, 0, 4), attribute.String("task_id", c.TaskID.String()),
		attribute.String("trigger", c.Trigger), attribute.Int("attempt", int(c.Attempt)))
	graph := c.TaskID
	if c.BatchID != nil {
		graph = *c.BatchID
		attributes = append(attributes, attribute.String("batch_id", graph.String()))
	}
	return t.tracer.Start(context.WithValue(ctx, graphKey{}, graph), "webhook "+c.Trigger,
		trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(attributes...))
}

// Target says in the span of a context whom the call goes to.
func Target(ctx context.Context, r *http.Request) {
	if span := trace.SpanFromContext(ctx); span.IsRecording() {
		span.SetAttributes(attribute.String("http.request.method", r.Method), attribute.String("server.address", r.URL.Hostname()))
		if port, err := strconv.Atoi(r.URL.Port()); err == nil {
			span.SetAttributes(attribute.Int("server.port", port))
		}
	}
}

// EndCall ends the span of a call. status is nil when there was no answer, and problem is "" when it went well. Of a problem only the
// first words are kept: what follows may be what the other side said.
func EndCall(span trace.Span, status *int32, problem string) {
	if span.IsRecording() {
		if status != nil {
			span.SetAttributes(attribute.Int("http.response.status_code", int(*status)))
		}
		if problem != "" {
			kind, _, _ := strings.Cut(problem, ":")
			kind, _, _ = strings.Cut(kind, " after ")
			if status != nil {
				kind = strconv.Itoa(int(*status))
			}
			failed(span, kind)
		}
	}
	span.End()
}

func failed(span trace.Span, kind string) {
	span.SetAttributes(attribute.String("error.type", cmp.Or(kind, "_OTHER")))
	span.SetStatus(codes.Error, "")
}
