package tracing

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Without tracing nothing is allocated for a request, its statements and its calls.
func TestOffCostsNothing(t *testing.T) {
	var off *Tracer
	r := httptest.NewRequest(http.MethodPost, "/task", nil)
	id, status := uuid.New(), int32(200)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		ctx := off.Request(r.Context(), r, "/task")
		Note(ctx, "task_id", id)
		EndStatement(off.Statement(ctx, "Submit"), nil)
		if Traceparent(ctx) != "" {
			t.Error("there is a trace")
		}
		EndRequest(ctx, 200)
		ctx, span := off.Call(ctx, Call{Trigger: "start", TaskID: id, BatchID: &id})
		Target(ctx, r)
		EndCall(span, &status, "")
	}))
	off.Close()
}

// Graphs that came by SQL have traces that all replicas agree on, and of which a part is recorded.
func TestTraceOfAGraph(t *testing.T) {
	t.Parallel()
	const graphs = 1000
	sampled := 0
	for range graphs {
		id, err := uuid.NewV7()
		require.NoError(t, err)
		ctx := context.WithValue(t.Context(), graphKey{}, id)
		one, span := ids{}.NewIDs(ctx)
		two, other := ids{}.NewIDs(ctx)
		require.Equal(t, one, two)
		require.NotEqual(t, span, other)
		require.True(t, one.IsValid() && span.IsValid())
		if sdk.TraceIDRatioBased(0.25).ShouldSample(sdk.SamplingParameters{ParentContext: ctx, TraceID: one}).Decision == sdk.RecordAndSample {
			sampled++
		}
	}
	require.InDelta(t, graphs/4, sampled, graphs/10)
	one, _ := ids{}.NewIDs(t.Context())
	two, _ := ids{}.NewIDs(t.Context())
	require.NotEqual(t, one, two)
}

func TestStatementName(t *testing.T) {
	t.Parallel()
	for sql, want := range map[string]string{
		"-- name: Submit :one\nselect 1": "Submit", "begin": "begin", "commit;": "commit", "select set_config('a', $1, true)": "select", "": "",
	} {
		require.Equal(t, want, statementName(sql))
	}
}

// A statement's span says how it failed and not what the server quoted.
func TestFailedCall(t *testing.T) {
	t.Parallel()
	recorded := &recorder{}
	tracer := &Tracer{tracer: sdk.NewTracerProvider(sdk.WithSyncer(recorded)).Tracer("test")}
	ctx, span := tracer.Call(t.Context(), Call{Trigger: "end", TaskID: uuid.New()})
	EndStatement(tracer.Statement(ctx, "Submit"), errors.New("hunter2"))
	EndCall(span, nil, "DNS error: hunter2")
	_, span = tracer.Call(t.Context(), Call{Trigger: "end", TaskID: uuid.New()})
	EndCall(span, nil, "timeout after 10s")
	require.Equal(t, []string{"connection", "DNS error", "timeout"}, recorded.kinds)
	require.Equal(t, trace.SpanKindClient, recorded.last.SpanKind())
	require.Empty(t, recorded.last.Status().Description)
}

type recorder struct {
	kinds []string
	last  sdk.ReadOnlySpan
}

func (r *recorder) ExportSpans(_ context.Context, spans []sdk.ReadOnlySpan) error {
	for _, span := range spans {
		r.last = span
		for _, a := range span.Attributes() {
			if a.Key == "error.type" {
				r.kinds = append(r.kinds, a.Value.AsString())
			}
		}
	}
	return nil
}

func (r *recorder) Shutdown(context.Context) error { return nil }
