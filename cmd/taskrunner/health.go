package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"
)

// healthCmd asks a service on this machine for its health. It is there for the health checks of containers, whose image
// has nothing else that could ask.
type healthCmd struct {
	Port int `name:"port" env:"PORT" toml:"port" default:"8085" help:"Port of the API."`
}

// healthTimeout is above the service's own limit for its question to the database (2 s).
const healthTimeout = 5 * time.Second

// Run prints the answer of GET /health and fails unless it is 200.
func (c *healthCmd) Run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	url := "http://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(c.Port)) + "/health"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("health: %w", err)
	}
	// No proxy: it is this machine that is asked.
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return fmt.Errorf("health: %w", err)
	}
	defer resp.Body.Close()
	const most = 1 << 16
	answer, err := io.ReadAll(io.LimitReader(resp.Body, most))
	if err != nil {
		return fmt.Errorf("health: %w", err)
	}
	fmt.Println(string(answer))
	if resp.StatusCode != http.StatusOK {
		return errors.New("health: the service answered " + resp.Status)
	}
	return nil
}
