package testdb

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/url"
	"os"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/moby/moby/api/types/container"
	"github.com/testcontainers/testcontainers-go"
)

// engineTimeout bounds the question whether a Docker engine answers.
const engineTimeout = 5 * time.Second

// startDocker starts a container, if a Docker engine answers. testcontainers' own reaper removes it when this process
// dies without stopping it.
func startDocker(ctx context.Context) (*Server, error) {
	quiet := log.New(io.Discard, "", 0)
	if err := engineAnswers(ctx, quiet); err != nil {
		return nil, fmt.Errorf("no Docker engine answers: %w", err)
	}
	password := rand.Text()
	cmd := []string{"postgres"}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		cmd = append(cmd, "-c", name+"="+settings[name])
	}
	c, err := testcontainers.Run(ctx, cmp.Or(os.Getenv(ImageEnv), "postgres:"+cmp.Or(os.Getenv(MajorEnv), "15")),
		testcontainers.WithLogger(quiet),
		testcontainers.WithEnv(map[string]string{"POSTGRES_PASSWORD": password}),
		testcontainers.WithExposedPorts("5432/tcp"),
		testcontainers.WithCmd(cmd...),
		testcontainers.WithHostConfigModifier(func(h *container.HostConfig) {
			h.ShmSize = 256 << 20 // Docker's 64 MB are too few for parallel queries
		}))
	stop := func(ctx context.Context) error {
		return testcontainers.TerminateContainer(c, testcontainers.StopContext(ctx), testcontainers.StopTimeout(0))
	}
	if err != nil {
		return nil, errors.Join(err, stop(context.WithoutCancel(ctx)))
	}
	dsn, err := awaitContainer(ctx, c, password)
	if err != nil {
		return nil, errors.Join(err, stop(context.WithoutCancel(ctx)))
	}
	return &Server{DSN: dsn, Source: "Docker image " + c.Image, stop: stop}, nil
}

// engineAnswers asks the engine for its health. testcontainers panics in some cases of a missing engine.
func engineAnswers(ctx context.Context, logger *log.Logger) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v", r)
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, engineTimeout)
	defer cancel()
	provider, err := testcontainers.NewDockerProvider(testcontainers.Generic2DockerOptions(testcontainers.WithLogger(logger))...)
	if err != nil {
		return err
	}
	defer provider.Close()
	return provider.Health(ctx)
}

// awaitContainer waits until the server answers over TCP. The image's first start runs a server without TCP to set
// itself up, so the first answer comes from the real one.
func awaitContainer(ctx context.Context, c testcontainers.Container, password string) (string, error) {
	host, err := c.Host(ctx)
	if err != nil {
		return "", err
	}
	port, err := c.MappedPort(ctx, "5432/tcp")
	if err != nil {
		return "", err
	}
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword("postgres", password), Host: net.JoinHostPort(host, port.Port()),
		Path: "/postgres", RawQuery: "sslmode=disable",
	}
	for {
		conn, err := pgx.Connect(ctx, u.String())
		if err == nil {
			return u.String(), conn.Close(ctx)
		}
		if state, stateErr := c.State(ctx); stateErr == nil && !state.Running {
			return "", fmt.Errorf("the container ended: %s", state.Status)
		}
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("PostgreSQL in the container does not answer: %w", err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}
