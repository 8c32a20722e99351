package bench

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
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
			client := &loadClient{spec: l, host: address.Host}
			defer client.close()
			var own []time.Duration
			var at time.Time
			for ctx.Err() == nil {
				n := int(next.Add(1) - 1)
				began := time.Now()
				if l.Once && n >= len(l.IDs) || began.After(end) && len(own) > 0 {
					break
				}
				if err := client.once(l.IDs[n%len(l.IDs)]); err != nil {
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
	spec    *loadSpec
	host    string
	conn    net.Conn // nil: not connected
	reader  *bufio.Reader
	request []byte
}

func (c *loadClient) once(id uuid.UUID) error {
	if c.conn == nil {
		conn, err := net.Dial("tcp", c.host)
		if err != nil {
			return err
		}
		if err := conn.SetDeadline(time.Now().Add(c.spec.WarmUp + c.spec.Measure + time.Minute)); err != nil {
			return err
		}
		c.conn, c.reader = conn, bufio.NewReader(conn)
	}
	c.request = append(append(append(c.request[:0], c.spec.Method...), " /task/"...), id.String()...)
	c.request = append(append(append(c.request, " HTTP/1.1\r\nHost: "...), c.host...), "\r\nContent-Type: application/json\r\nContent-Length: "...)
	c.request = append(append(strconv.AppendInt(c.request, int64(len(c.spec.Body)), 10), "\r\n\r\n"...), c.spec.Body...)
	if _, err := c.conn.Write(c.request); err != nil {
		return err
	}
	return c.answer()
}

// answer reads an answer. It reads what the service sends (a length, no chunks) and knows nothing else of HTTP, because
// http.ReadResponse takes half as long as all else that a request costs here.
func (c *loadClient) answer() error {
	line, err := c.reader.ReadSlice('\n')
	if err != nil {
		return err
	}
	const version = "HTTP/1.1 "
	if len(line) < len(version)+3 || string(line[:len(version)]) != version {
		return fmt.Errorf("not an answer: %q", line)
	}
	status, err := strconv.Atoi(string(line[len(version) : len(version)+3]))
	if err != nil {
		return fmt.Errorf("not an answer: %q", line)
	}
	length, last := -1, false
	for {
		if line, err = c.reader.ReadSlice('\n'); err != nil {
			return err
		}
		if line = bytes.TrimRight(line, "\r\n"); len(line) == 0 {
			break
		}
		if value, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			if length, err = strconv.Atoi(string(value)); err != nil {
				return fmt.Errorf("not a length: %q", line)
			}
		}
		last = last || string(line) == "Connection: close"
	}
	if length < 0 {
		return errors.New("an answer without Content-Length")
	}
	if status != c.spec.Want {
		body := make([]byte, length)
		_, err := io.ReadFull(c.reader, body)
		return cmp.Or(err, fmt.Errorf("%s: %d: %s", c.spec.Method, status, body))
	}
	if _, err := c.reader.Discard(length); err != nil {
		return err
	}
	if last {
		c.close()
	}
	return nil
}

func (c *loadClient) close() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}
