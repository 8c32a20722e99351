package bench

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
)

// loadSpec is what a load client does: the same request again and again, on one connection per client. It writes and reads the
// connections itself, as pgbench does those of the database: http.Client passes each request through three goroutines, which takes
// longer than some of what is measured.
type loadSpec struct {
	URL     string
	Method  string
	IDs     []uuid.UUID // tasks, in turn
	Once    bool        // each task only once: the load ends with them
	Body    string
	Want    int // status of each answer
	Clients int
	WarmUp  time.Duration
	Measure time.Duration
}

// loadResult is what a load client measured: requests that were answered after the warm-up.
type loadResult struct {
	All      int // answered, the warm-up included
	Requests int
	Seconds  float64
	P50, P99 float64 // ms
}

func (l *loadSpec) run(ctx context.Context) (loadResult, error) {
	address, err := url.Parse(l.URL)
	if err != nil {
		return loadResult{}, err
	}
	var next atomic.Int64
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var (
		mu        sync.Mutex
		latencies []time.Duration
		all       atomic.Int64
		last      time.Time
		failure   error
		work      sync.WaitGroup
	)
	from := time.Now().Add(l.WarmUp)
	end := from.Add(l.Measure)
	for range l.Clients {
		work.Go(func() {
			client := &loadClient{host: address.Host}
			defer client.close()
			var own []time.Duration
			var at time.Time
			for ctx.Err() == nil {
				n := int(next.Add(1) - 1)
				began := time.Now()
				if l.Once && n >= len(l.IDs) || began.After(end) && len(own) > 0 {
					break
				}
				if err := client.once(l, l.IDs[n%len(l.IDs)]); err != nil {
					mu.Lock()
					if failure == nil {
						failure = err
					}
					mu.Unlock()
					cancel()
					return
				}
				all.Add(1)
				if at = time.Now(); at.After(from) {
					own = append(own, at.Sub(began))
				}
			}
			mu.Lock()
			defer mu.Unlock()
			latencies = append(latencies, own...)
			if at.After(last) {
				last = at
			}
		})
	}
	work.Wait()
	result := loadResult{All: int(all.Load()), Requests: len(latencies), Seconds: last.Sub(from).Seconds()}
	result.P50, result.P99 = percentiles(latencies)
	if failure == nil && len(latencies) == 0 {
		failure = fmt.Errorf("no request was answered after the warm-up")
	}
	return result, failure
}

// loadClient is one keep-alive connection.
type loadClient struct {
	host    string
	conn    net.Conn // nil: not connected
	reader  *bufio.Reader
	request []byte
}

func (c *loadClient) once(l *loadSpec, id uuid.UUID) error {
	if c.conn == nil {
		conn, err := net.Dial("tcp", c.host)
		if err != nil {
			return err
		}
		c.conn, c.reader = conn, bufio.NewReader(conn)
	}
	if err := c.conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return err
	}
	c.request = fmt.Appendf(c.request[:0], "%s /task/%s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		l.Method, id, c.host, len(l.Body), l.Body)
	if _, err := c.conn.Write(c.request); err != nil {
		return err
	}
	resp, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != l.Want {
		err = fmt.Errorf("%s /task/%s: %s: %s", l.Method, id, resp.Status, answer)
	}
	if resp.Close {
		c.close()
	}
	return err
}

func (c *loadClient) close() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}
