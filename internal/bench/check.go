package bench

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Limits of what can be asked for: beyond them a run takes hours, or more connections than a server has.
const (
	maxTasks   = 10_000_000
	maxBatch   = 100_000
	maxWorkers = 1000
	maxClients = 1000
	maxSeconds = 600
)

// Check returns what is wrong, all at once; each message begins with the name of the setting. The URL may be missing yet.
func (c Config) Check() error {
	var errs []error
	if c.URL != "" {
		_, err := withDatabase(c.URL, "")
		errs = append(errs, err)
	}
	all := strings.Join(Shapes(), ", ")
	if len(c.Shapes) == 0 {
		errs = append(errs, fmt.Errorf("--shapes must name one at least: %s", all))
	}
	least, needs := 1, ""
	for _, name := range c.Shapes {
		s, ok := shapeByName(name)
		if name == insertName {
			s, ok = shapeByName(insertShape)
		}
		if !ok {
			errs = append(errs, fmt.Errorf("--shapes: there is no %q, only %s", name, all))
		} else if s.least > least {
			least, needs = s.least, fmt.Sprintf(" for the shape %s", name)
		}
	}
	if len(c.Sizes) == 0 {
		errs = append(errs, errors.New("--sizes must name one at least"))
	}
	for _, n := range c.Sizes {
		if n < least || n > maxTasks {
			errs = append(errs, fmt.Errorf("--sizes must be from %d to %d%s, not %d", least, maxTasks, needs, n))
		}
	}
	if c.Batch < 1 || c.Batch > maxBatch {
		errs = append(errs, fmt.Errorf("--batch must be from 1 to %d, not %d", maxBatch, c.Batch))
	}
	if c.Workers < 1 || c.Workers > maxWorkers {
		errs = append(errs, fmt.Errorf("--workers must be from 1 to %d, not %d", maxWorkers, c.Workers))
	}
	return errors.Join(errs...)
}

// CheckHTTP is Check for Reports and Submits.
func (c Config) CheckHTTP() error {
	var errs []error
	if c.URL != "" {
		_, err := withDatabase(c.URL, "")
		errs = append(errs, err)
	}
	if c.Clients < 1 || c.Clients > maxClients {
		errs = append(errs, fmt.Errorf("--clients must be from 1 to %d, not %d", maxClients, c.Clients))
	}
	if c.Duration <= 0 || c.Duration > maxSeconds*time.Second {
		errs = append(errs, fmt.Errorf("--duration must be more than 0 and at most %d s, not %v", maxSeconds, c.Duration))
	}
	return errors.Join(errs...)
}
