// Package tracing makes the spans of requests, of their statements and of webhook calls (OpenTelemetry), and says which trace
// something belongs to: a context carries it, and actions store it as a traceparent of W3C Trace Context, so that the calls of a graph
// belong to the trace of the request that created it.
//
// A nil *Tracer makes no spans and costs nothing, but what clients say about their traces is carried on.
//
// What a span says may be read by whoever reads traces: routes, never paths or queries; hosts, never URLs; names of statements, never
// their arguments; SQLSTATEs, never messages.
package tracing

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/taskrunner/taskrunner/internal/outage"
)

// A collector that is away costs a bounded queue of spans, of which the newest are dropped, and at a stop flushTimeout.
const (
	queueSize     = 4096
	exportEvery   = time.Second
	exportTimeout = 10 * time.Second
	flushTimeout  = 3 * time.Second
)

// Options are the settings of a Tracer.
type Options struct {
	Endpoint string // of a collector that speaks OTLP over gRPC: http://host:port, or https:// with TLS
	Service  string
	Version  string       // of this program
	Instance string       // this process among those of the service
	Ratio    float64      // part of the traces begun here that is recorded
	Log      *slog.Logger // required
}

// Tracer makes spans and sends them to a collector.
type Tracer struct {
	provider *sdk.TracerProvider
	tracer   trace.Tracer
	log      *slog.Logger
}

// New returns a Tracer. It does not wait for the collector. Beside the options the exporter reads OTEL_EXPORTER_OTLP_HEADERS,
// …_CERTIFICATE and the like, and OTEL_RESOURCE_ATTRIBUTES adds to what is said about the process.
func New(ctx context.Context, o Options) (*Tracer, error) {
	client, err := otlptracegrpc.New(ctx, otlptracegrpc.WithEndpointURL(o.Endpoint), otlptracegrpc.WithTimeout(exportTimeout),
		otlptracegrpc.WithRetry(otlptracegrpc.RetryConfig{
			Enabled: true, InitialInterval: time.Second, MaxInterval: exportTimeout / 2, MaxElapsedTime: exportTimeout,
		}))
	if err != nil {
		return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_ENDPOINT: %w", err)
	}
	about, err := resource.New(ctx, resource.WithFromEnv(), resource.WithTelemetrySDK(), resource.WithAttributes(
		attribute.String("service.name", o.Service), attribute.String("service.version", o.Version),
		attribute.String("service.instance.id", o.Instance)))
	if err != nil {
		return nil, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	provider := sdk.NewTracerProvider(sdk.WithResource(about), sdk.WithIDGenerator(ids{}),
		sdk.WithSampler(sdk.ParentBased(sdk.TraceIDRatioBased(o.Ratio))),
		sdk.WithBatcher(&exporter{Exporter: client, trouble: outage.New(o.Log, "export traces")},
			sdk.WithMaxQueueSize(queueSize), sdk.WithBatchTimeout(exportEvery), sdk.WithExportTimeout(exportTimeout)))
	return &Tracer{provider: provider, tracer: provider.Tracer("github.com/taskrunner/taskrunner"), log: o.Log}, nil
}

// Close sends what is left, if that does not take long.
func (t *Tracer) Close() {
	if t == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
	defer cancel()
	if err := t.provider.Shutdown(ctx); err != nil {
		t.log.Warn("the last traces are lost", "error", err)
	}
}

// exporter logs the errors of another one, which would go to a logger of the whole process.
type exporter struct {
	*otlptrace.Exporter
	trouble *outage.Log
}

// ExportSpans implements [sdk.SpanExporter]. It is called by one goroutine at a time.
func (e *exporter) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	if err := e.Exporter.ExportSpans(ctx, spans); err != nil {
		e.trouble.Failed(err)
	} else {
		e.trouble.Worked()
	}
	return nil
}
