package groupcommit

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	errUndone = errors.New("rolled back")
	errStuck  = errors.New("held by somebody else")
	errLost   = errors.New("connection lost")
)

// request adds n to a key.
type request struct {
	key  string
	n    int
	size int
	sole bool // never to be joined
}

// target is what requests are written to. Each write takes a second of the bubble's time.
type target struct {
	mu     sync.Mutex
	groups [][]string // "key n" of each request of each group
	alone  []string
	sums   map[string]int
	limit  int             // of a sum; 0: none
	held   map[string]bool // by somebody else
	skips  bool            // a group leaves out what is held
	group  func(n int, group []request) error
	single func(request) error
	open   atomic.Int32 // writes of groups in flight
}

const (
	patience = 10 * time.Second
	retry    = 100 * time.Millisecond
)

func newQueue(t *testing.T, w *target, change ...func(*Config[string, request, string])) *Queue[string, request, string] {
	t.Helper()
	w.sums, w.held = map[string]int{}, map[string]bool{}
	c := Config[string, request, string]{
		Key:  func(r request) string { return r.key },
		Size: func(r request) int { return r.size },
		Join: func(a, b request) (request, bool) {
			if a.sole || b.sole {
				return request{}, false
			}
			return request{key: a.key, n: a.n + b.n}, true
		},
		Shared:   func(answer string) bool { return answer != "overflow" },
		MaxItems: 100, MaxSize: 1000,
		Write: w.write, WriteAlone: w.writeAlone,
		Undone:   func(err error) bool { return errors.Is(err, errUndone) || errors.Is(err, errStuck) },
		Stuck:    func(err error) bool { return errors.Is(err, errStuck) },
		Patience: patience, Grace: time.Second,
	}
	for _, f := range change {
		f(&c)
	}
	q := New(c)
	t.Cleanup(q.Close)
	return q
}

func (w *target) write(ctx context.Context, group []request) ([]string, error) {
	if w.open.Add(1) > 1 {
		return nil, errors.New("two groups at once")
	}
	defer w.open.Add(-1)
	w.mu.Lock()
	names, seen := []string{}, map[string]bool{}
	for _, r := range group {
		if seen[r.key] {
			w.mu.Unlock()
			return nil, errors.New("a key twice")
		}
		seen[r.key] = true
		names = append(names, fmt.Sprint(r.key, " ", r.n))
	}
	w.groups = append(w.groups, names)
	n := len(w.groups)
	w.mu.Unlock()
	select {
	case <-time.After(time.Second):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if w.group != nil {
		if err := w.group(n, group); err != nil {
			return nil, err
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range group {
		if w.held[r.key] && !w.skips {
			return nil, errStuck
		}
	}
	answers := []string{}
	for _, r := range group {
		if w.held[r.key] {
			answers = append(answers, "held")
		} else {
			answers = append(answers, w.add(r))
		}
	}
	return answers, nil
}

// add needs mu.
func (w *target) add(r request) string {
	if w.limit > 0 && w.sums[r.key]+r.n > w.limit {
		return "overflow"
	}
	w.sums[r.key] += r.n
	return "done"
}

func (w *target) writeAlone(ctx context.Context, r request, wait time.Duration) (string, error) {
	for began := time.Now(); ; {
		w.mu.Lock()
		if !w.held[r.key] {
			defer w.mu.Unlock()
			if w.single != nil {
				if err := w.single(r); err != nil {
					return "", err
				}
			}
			w.alone = append(w.alone, fmt.Sprint(r.key, " ", r.n))
			return w.add(r), nil
		}
		w.mu.Unlock()
		if time.Since(began) >= wait {
			return "", errStuck
		}
		select {
		case <-time.After(retry):
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}

func (w *target) hold(key string, held bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.held[key] = held
}

// outcome is what a caller got, and how long he waited.
type outcome struct {
	answer string
	err    error
	took   time.Duration
}

// ask makes a request and returns once it stands in the queue.
func ask(ctx context.Context, q *Queue[string, request, string], r request) <-chan outcome {
	got := make(chan outcome, 1)
	go func() {
		began := time.Now()
		answer, err := q.Do(ctx, r)
		got <- outcome{answer, err, time.Since(began)}
	}()
	synctest.Wait()
	return got
}

func TestALoneRequestIsWrittenAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &target{}
		q := newQueue(t, w)
		require.Equal(t, outcome{"done", nil, time.Second}, <-ask(t.Context(), q, request{key: "a", n: 1}))
		require.Equal(t, outcome{"done", nil, time.Second}, <-ask(t.Context(), q, request{key: "a", n: 2}))
		require.Equal(t, [][]string{{"a 1"}, {"a 2"}}, w.groups)
	})
}

func TestAGroupIsWhatArrivedMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &target{}
		q := newQueue(t, w)
		first := ask(t.Context(), q, request{key: "a", n: 1})
		var others []<-chan outcome
		for _, r := range []request{{key: "b", n: 1}, {key: "c", n: 1}, {key: "a", n: 2}} {
			others = append(others, ask(t.Context(), q, r))
		}
		require.Equal(t, outcome{"done", nil, time.Second}, <-first)
		for _, got := range others {
			require.Equal(t, outcome{"done", nil, 2 * time.Second}, <-got)
		}
		require.Equal(t, [][]string{{"a 1"}, {"b 1", "c 1", "a 2"}}, w.groups)
	})
}

// A group holds one request per key at most, and later ones follow in their order, whatever else goes on.
func TestOrderPerKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &target{}
		q := newQueue(t, w, func(c *Config[string, request, string]) { c.Join = nil })
		var all []<-chan outcome
		for _, r := range []request{
			{key: "x", n: 0}, {key: "a", n: 1}, {key: "a", n: 2}, {key: "b", n: 1}, {key: "a", n: 3}, {key: "b", n: 2}, {key: "c", n: 1},
		} {
			all = append(all, ask(t.Context(), q, r))
		}
		for _, got := range all {
			require.NoError(t, (<-got).err)
		}
		require.Equal(t, [][]string{{"x 0"}, {"a 1", "b 1", "c 1"}, {"a 2", "b 2"}, {"a 3"}}, w.groups)
	})
}

func TestJoin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &target{}
		q := newQueue(t, w)
		var all []<-chan outcome
		for _, r := range []request{
			{key: "x"}, {key: "a", n: 1}, {key: "b", n: 5}, {key: "a", n: 2}, {key: "a", n: 3, sole: true}, {key: "a", n: 4},
		} {
			all = append(all, ask(t.Context(), q, r))
		}
		for _, got := range all {
			require.Equal(t, "done", (<-got).answer)
		}
		require.Equal(t, [][]string{{"x 0"}, {"a 3", "b 5"}, {"a 3"}, {"a 4"}}, w.groups, "nothing overtakes what cannot be joined")
		require.Equal(t, 10, w.sums["a"])
	})
}

// An answer that the parts of a joined request do not share: each gets the one that it would have got alone.
func TestPartsOfARefusedSum(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &target{limit: 10}
		q := newQueue(t, w)
		numbers := []int{0, 4, 7, 5, 2, 1}
		var all []<-chan outcome
		for i, n := range numbers {
			all = append(all, ask(t.Context(), q, request{key: map[bool]string{true: "x", false: "a"}[i == 0], n: n}))
		}
		other := ask(t.Context(), q, request{key: "b", n: 3})
		time.Sleep(1500 * time.Millisecond) // the sum is being written
		late := ask(t.Context(), q, request{key: "a", n: 1})
		var answers []string
		for _, got := range all {
			answers = append(answers, (<-got).answer)
		}
		require.Equal(t, []string{"done", "done", "overflow", "done", "overflow", "done"}, answers)
		require.Equal(t, "done", (<-other).answer)
		require.Equal(t, "overflow", (<-late).answer)
		require.Equal(t, []string{"a 4", "a 7", "a 5", "a 2", "a 1"}, w.alone[:5])
		require.Equal(t, 10, w.sums["a"])
	})
}

func TestGroupsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &target{}
		q := newQueue(t, w, func(c *Config[string, request, string]) { c.MaxItems, c.MaxSize = 3, 10 })
		var all []<-chan outcome
		for _, r := range []request{
			{key: "x"}, {key: "a"}, {key: "b"}, {key: "c"}, {key: "d", size: 6}, {key: "e", size: 4}, {key: "f", size: 1}, {key: "g", size: 50},
			{key: "h"},
		} {
			all = append(all, ask(t.Context(), q, r))
		}
		for _, got := range all {
			require.NoError(t, (<-got).err)
		}
		require.Equal(t, [][]string{{"x 0"}, {"a 0", "b 0", "c 0"}, {"d 0", "e 0"}, {"f 0"}, {"g 0"}, {"h 0"}}, w.groups)
	})
}

func TestACallerLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &target{}
		q := newQueue(t, w)
		canceled, cancel := context.WithCancel(t.Context())
		lone := ask(canceled, q, request{key: "x", n: 1})
		taken := ask(canceled, q, request{key: "a", n: 1})
		time.Sleep(1500 * time.Millisecond)
		require.Equal(t, "done", (<-lone).answer)
		waiting := ask(canceled, q, request{key: "b", n: 1})
		other := ask(t.Context(), q, request{key: "c", n: 1})
		cancel()
		require.Equal(t, outcome{"", context.Canceled, 1500 * time.Millisecond}, <-taken)
		require.Equal(t, outcome{"", context.Canceled, 0}, <-waiting)
		require.Equal(t, outcome{"", context.Canceled, 0}, <-ask(canceled, q, request{key: "d", n: 1}))
		require.Equal(t, "done", (<-other).answer)
		require.Equal(t, map[string]int{"x": 1, "a": 1, "c": 1}, w.sums, "what was taken is written, what waited is not")

		canceled, cancel = context.WithCancel(t.Context())
		lone = ask(canceled, q, request{key: "x", n: 1})
		cancel()
		require.Equal(t, outcome{"done", nil, time.Second}, <-lone, "who writes it himself has no eye for anything else")
	})
}

// An error after which nobody knows what was written is everybody's answer, and nothing is written again.
func TestUnknownEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &target{group: func(n int, _ []request) error {
			switch n {
			case 2:
				return errLost
			case 3:
				panic("at the disco")
			}
			return nil
		}}
		q := newQueue(t, w)
		first := ask(t.Context(), q, request{key: "x"})
		a, b := ask(t.Context(), q, request{key: "a", n: 1}), ask(t.Context(), q, request{key: "b", n: 1})
		require.NoError(t, (<-first).err)
		require.ErrorIs(t, (<-a).err, errLost)
		require.ErrorIs(t, (<-b).err, errLost)
		require.ErrorContains(t, (<-ask(t.Context(), q, request{key: "a", n: 1})).err, "panic: at the disco")
		require.NoError(t, (<-ask(t.Context(), q, request{key: "a", n: 1})).err)
		require.Len(t, w.groups, 4)
		require.Empty(t, w.alone)
	})
}

func TestAnswersAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t, &target{}, func(c *Config[string, request, string]) {
			c.Write = func(context.Context, []request) ([]string, error) { return []string{"one", "two"}, nil }
		})
		require.ErrorContains(t, (<-ask(t.Context(), q, request{key: "a"})).err, "2 answers to 1 requests")
	})
}

// A group that was rolled back is written one by one; the fault of one is no other's.
func TestOneByOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &target{
			group:  func(n int, _ []request) error { return map[int]error{2: errUndone}[n] },
			single: func(r request) error { return map[string]error{"b": errUndone}[r.key] },
		}
		q := newQueue(t, w)
		var all []<-chan outcome
		for _, key := range []string{"x", "a", "b", "c"} {
			all = append(all, ask(t.Context(), q, request{key: key, n: 1}))
		}
		var errs []error
		for _, got := range all {
			errs = append(errs, (<-got).err)
		}
		require.Equal(t, []error{nil, nil, errUndone, nil}, errs)
		require.Equal(t, []string{"a 1", "c 1"}, w.alone)
		require.NoError(t, (<-ask(t.Context(), q, request{key: "b", n: 1})).err)
		require.Len(t, w.groups, 3, "afterwards it is in groups again")

		// Alone, the error is the answer at once.
		w.group = func(int, []request) error { return errUndone }
		require.Equal(t, outcome{"", errUndone, time.Second}, <-ask(t.Context(), q, request{key: "b", n: 1}))
		require.Len(t, w.alone, 2)
	})
}

// What somebody holds delays the group it was in by one write, nobody else, and goes through when it is free.
func TestStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &target{}
		q := newQueue(t, w)
		w.hold("a", true)
		first := ask(t.Context(), q, request{key: "x"})
		a1, b := ask(t.Context(), q, request{key: "a", n: 1}), ask(t.Context(), q, request{key: "b", n: 1})
		a2 := ask(t.Context(), q, request{key: "a", n: 2, sole: true})
		require.NoError(t, (<-first).err)
		require.Equal(t, outcome{"done", nil, 2 * time.Second}, <-b)
		time.Sleep(3 * time.Second)
		synctest.Wait()
		a3 := ask(t.Context(), q, request{key: "a", n: 3})
		for range 3 {
			require.Equal(t, outcome{"done", nil, time.Second}, <-ask(t.Context(), q, request{key: "b", n: 1}), "it does not wait")
		}
		w.hold("a", false)
		for _, got := range []<-chan outcome{a1, a2, a3} {
			require.Equal(t, "done", (<-got).answer)
		}
		require.Equal(t, []string{"b 1", "a 1"}, w.alone, "the first is written alone, the others in groups again")
		require.Equal(t, [][]string{{"a 2"}, {"a 3"}}, w.groups[len(w.groups)-2:])
	})
}

// What a group left out is written alone, in order, and the others of the group have their answers.
func TestHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &target{skips: true}
		q := newQueue(t, w, func(c *Config[string, request, string]) {
			c.Held = func(answer string) bool { return answer == "held" }
		})
		w.hold("a", true)
		first := ask(t.Context(), q, request{key: "x"})
		a1, b := ask(t.Context(), q, request{key: "a", n: 1}), ask(t.Context(), q, request{key: "b", n: 1})
		a2 := ask(t.Context(), q, request{key: "a", n: 2, sole: true})
		require.NoError(t, (<-first).err)
		require.Equal(t, outcome{"done", nil, 2 * time.Second}, <-b)
		require.Equal(t, outcome{"done", nil, time.Second}, <-ask(t.Context(), q, request{key: "b", n: 1}), "it does not wait")
		require.Equal(t, [][]string{{"x 0"}, {"a 1", "b 1"}, {"b 1"}}, w.groups)
		w.hold("a", false)
		for _, got := range []<-chan outcome{a1, a2} {
			require.Equal(t, "done", (<-got).answer)
		}
		require.Equal(t, []string{"a 1"}, w.alone)
		require.Equal(t, [][]string{{"a 2"}}, w.groups[3:])
	})
}

// Each has the same patience, counted from its arrival, and afterwards the key is tried alone first.
func TestPatienceEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &target{}
		q := newQueue(t, w, func(c *Config[string, request, string]) { c.Join = nil })
		w.hold("a", true)
		a1, a2 := ask(t.Context(), q, request{key: "a", n: 1}), ask(t.Context(), q, request{key: "a", n: 2})
		time.Sleep(4 * time.Second)
		left, cancel := context.WithCancel(t.Context())
		gone := ask(left, q, request{key: "a", n: 3})
		a4 := ask(t.Context(), q, request{key: "a", n: 4})
		cancel()
		require.Equal(t, outcome{"", context.Canceled, 0}, <-gone)
		require.Equal(t, outcome{"", errStuck, patience}, <-a1)
		require.Equal(t, outcome{"", errStuck, patience}, <-a2)
		require.Equal(t, outcome{"", errStuck, patience}, <-a4)

		groups := len(w.groups)
		a5 := ask(t.Context(), q, request{key: "a", n: 5})
		require.Equal(t, outcome{"done", nil, time.Second}, <-ask(t.Context(), q, request{key: "b", n: 1}))
		w.hold("a", false)
		require.Equal(t, "done", (<-a5).answer)
		require.Equal(t, [][]string{{"b 1"}}, w.groups[groups:])
		require.Equal(t, []string{"a 5"}, w.alone)
		synctest.Wait()
		require.Empty(t, q.lanes)
	})
}

// With Join, one patient try takes all that wait for the same.
func TestStuckRequestsAreJoined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &target{}
		q := newQueue(t, w)
		w.hold("a", true)
		var all []<-chan outcome
		for range 64 {
			all = append(all, ask(t.Context(), q, request{key: "a", n: 1}))
		}
		time.Sleep(5 * time.Second)
		w.hold("a", false)
		for _, got := range all {
			require.Equal(t, "done", (<-got).answer)
		}
		require.Equal(t, 64, w.sums["a"])
		require.LessOrEqual(t, len(w.groups), 2)
	})
}

func TestIdleLanesAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &target{}
		q := newQueue(t, w)
		for i := range laneSweep + 1 {
			w.hold(fmt.Sprint(i), true)
		}
		for range 2 {
			var all []<-chan outcome
			for i := range laneSweep + 1 {
				all = append(all, ask(t.Context(), q, request{key: fmt.Sprint(i)}))
			}
			for _, got := range all {
				require.ErrorIs(t, (<-got).err, errStuck)
			}
			synctest.Wait()
			require.Len(t, q.lanes, laneSweep+1)
			time.Sleep(2 * laneLife)
		}
		w.hold("new", true)
		require.ErrorIs(t, (<-ask(t.Context(), q, request{key: "new"})).err, errStuck)
		synctest.Wait()
		require.Len(t, q.lanes, 1)
		time.Sleep(2 * laneLife)
		w.hold("new", false)
		groups := len(w.groups)
		require.NoError(t, (<-ask(t.Context(), q, request{key: "new"})).err)
		require.Len(t, w.groups, groups+1)
	})
}

// Close writes what waits, gives up what is stuck, and lets nothing new in.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &target{}
		q := newQueue(t, w)
		w.hold("stuck", true)
		stuck := ask(t.Context(), q, request{key: "stuck", n: 1})
		behind := ask(t.Context(), q, request{key: "stuck", n: 1, sole: true})
		time.Sleep(2 * time.Second)
		first := ask(t.Context(), q, request{key: "a", n: 1})
		second := ask(t.Context(), q, request{key: "b", n: 1})
		gone, cancel := context.WithCancel(t.Context())
		third := ask(gone, q, request{key: "c", n: 1})
		cancel()
		<-third
		q.Grace = time.Minute
		q.Close()
		for _, got := range []<-chan outcome{first, second} {
			require.Equal(t, "done", (<-got).answer)
		}
		require.ErrorIs(t, (<-stuck).err, context.Canceled)
		require.Error(t, (<-behind).err)
		require.Equal(t, map[string]int{"a": 1, "b": 1}, w.sums)
		require.ErrorIs(t, (<-ask(t.Context(), q, request{key: "a"})).err, ErrClosed)
		q.Close()
	})
}

// A write that does not end is given up after Grace.
func TestCloseDoesNotWaitForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t, &target{}, func(c *Config[string, request, string]) {
			c.Write = func(ctx context.Context, _ []request) ([]string, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			}
		})
		got := ask(t.Context(), q, request{key: "a"})
		began := time.Now()
		q.Close()
		require.Equal(t, q.Grace, time.Since(began))
		require.ErrorIs(t, (<-got).err, context.Canceled)
	})
}

// Many callers, keys that are held for a while, groups that fail in both ways, callers that leave: what was answered done
// is written once, in order, and what was refused is not written.
func TestRandom(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 1))
			var mu sync.Mutex
			draw := func(n int) int { mu.Lock(); defer mu.Unlock(); return random.IntN(n) }
			w := &target{}
			w.group = func(int, []request) error {
				return map[int]error{0: errUndone, 1: errLost}[draw(20)]
			}
			w.single = func(request) error { return map[int]error{0: errUndone, 1: errLost}[draw(20)] }
			q := newQueue(t, w)
			var work sync.WaitGroup
			const keys = 4
			least, most := map[string]int{}, map[string]int{}
			for range 30 {
				work.Go(func() {
					for range 20 {
						time.Sleep(time.Duration(draw(4000)) * time.Millisecond)
						r := request{key: fmt.Sprint(draw(keys)), n: 1 + draw(5), sole: draw(2) == 0}
						ctx, cancel := t.Context(), context.CancelFunc(func() {})
						if draw(5) == 0 {
							ctx, cancel = context.WithTimeout(ctx, time.Duration(draw(3000))*time.Millisecond)
						}
						answer, err := q.Do(ctx, r)
						cancel()
						mu.Lock()
						switch {
						case err == nil && answer == "done":
							least[r.key] += r.n
							most[r.key] += r.n
						case errors.Is(err, context.DeadlineExceeded):
							most[r.key] += r.n
						case !errors.Is(err, errUndone) && !errors.Is(err, errLost) && !errors.Is(err, errStuck):
							t.Errorf("%q, %v", answer, err)
						}
						mu.Unlock()
					}
				})
			}
			stop := make(chan struct{})
			work.Go(func() {
				for {
					key := fmt.Sprint(draw(keys))
					w.hold(key, true)
					time.Sleep(time.Duration(draw(15)) * time.Second)
					w.hold(key, false)
					select {
					case <-stop:
						return
					case <-time.After(time.Duration(draw(5)) * time.Second):
					}
				}
			})
			time.Sleep(3 * time.Minute)
			close(stop)
			work.Wait()
			q.Close()
			for key, n := range w.sums {
				require.LessOrEqual(t, least[key], n, "seed %d", seed)
				require.GreaterOrEqual(t, most[key], n, "seed %d", seed)
			}
			require.False(t, q.turn || q.repeating)
			require.Empty(t, q.waiting)
		})
	}
}

// The order of one key's requests holds also when they change between groups, lanes and back.
func TestOrderInTrouble(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 2))
			var mu sync.Mutex
			draw := func(n int) int { mu.Lock(); defer mu.Unlock(); return random.IntN(n) }
			var order []int // of key a, as they were written
			w := &target{}
			note := func(r request) {
				if r.key == "a" {
					order = append(order, r.n)
				}
			}
			w.single = func(r request) error { note(r); return nil }
			w.group = func(_ int, group []request) error {
				w.mu.Lock()
				defer w.mu.Unlock()
				if draw(3) == 0 || slices.ContainsFunc(group, func(r request) bool { return w.held[r.key] }) {
					return errStuck
				}
				for _, r := range group {
					note(r)
				}
				return nil
			}
			q := newQueue(t, w, func(c *Config[string, request, string]) { c.Join, c.Patience = nil, time.Hour })
			var all []<-chan outcome
			for n := range 50 {
				all = append(all, ask(t.Context(), q, request{key: "a", n: n}), ask(t.Context(), q, request{key: "b", n: n}))
				w.hold("a", draw(3) == 0)
				time.Sleep(time.Duration(draw(1500)) * time.Millisecond)
				synctest.Wait()
			}
			w.hold("a", false)
			for _, got := range all {
				require.NoError(t, (<-got).err)
			}
			require.True(t, slices.IsSorted(order), "seed %d: %v", seed, order)
			require.Len(t, order, 50)
		})
	}
}

// Real goroutines, for the race detector.
func TestManyAtOnce(t *testing.T) {
	var sum atomic.Int64
	q := New(Config[int, int, int]{
		Key: func(n int) int { return n % 7 }, MaxItems: 50, MaxSize: 1,
		Join: func(a, b int) (int, bool) { return 0, false },
		Write: func(_ context.Context, group []int) ([]int, error) {
			for _, n := range group {
				if n%100 == 0 {
					return nil, errUndone
				}
			}
			for _, n := range group {
				sum.Add(int64(n))
			}
			return group, nil
		},
		WriteAlone: func(_ context.Context, n int, _ time.Duration) (int, error) {
			sum.Add(int64(n))
			return n, nil
		},
		Undone: func(error) bool { return true }, Stuck: func(error) bool { return false },
	})
	var work sync.WaitGroup
	for i := range 32 {
		work.Go(func() {
			for k := range 200 {
				n := i*200 + k
				got, err := q.Do(context.Background(), n)
				if n%100 == 0 && errors.Is(err, errUndone) { // it was in a group of its own
					sum.Add(int64(n))
					continue
				}
				if err != nil || got != n {
					t.Errorf("%d: %d, %v", n, got, err)
				}
			}
		})
	}
	work.Wait()
	q.Close()
	require.EqualValues(t, 6400*6399/2, sum.Load())
}

// overdue is how long a group of passing keeps others waiting; a write of one without a gate takes no time.
const overdue = 200 * time.Millisecond

// gates are keys whose groups are written when somebody opens them. They note how many are written at once.
type gates struct {
	mu     sync.Mutex
	closed map[string]chan error
	groups [][]string
	order  []string // "key n", as written
	open   int
	most   int
}

func passing(t *testing.T, change ...func(*Config[string, request, string])) (*Queue[string, request, string], *gates) {
	t.Helper()
	g := &gates{closed: map[string]chan error{}}
	q := newQueue(t, &target{}, append([]func(*Config[string, request, string]){func(c *Config[string, request, string]) {
		c.MaxGroups, c.Overdue, c.Join, c.Write = 3, overdue, nil, g.write
	}}, change...)...)
	return q, g
}

func (g *gates) shut(key string) chan<- error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed[key] = make(chan error)
	return g.closed[key]
}

// written returns the groups whose writing has begun, and what was written.
func (g *gates) written() (groups [][]string, order []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.groups), slices.Clone(g.order)
}

func (g *gates) write(ctx context.Context, group []request) ([]string, error) {
	g.mu.Lock()
	names := []string{}
	var gate chan error
	for _, r := range group {
		names = append(names, fmt.Sprint(r.key, " ", r.n))
		if c := g.closed[r.key]; c != nil {
			gate = c
			delete(g.closed, r.key)
		}
	}
	g.groups = append(g.groups, names)
	g.open++
	g.most = max(g.most, g.open)
	g.mu.Unlock()
	var err error
	if gate != nil {
		select {
		case err = <-gate:
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open--
	if err != nil {
		return nil, err
	}
	g.order = append(g.order, names...)
	return make([]string, len(group)), nil
}

// quick wants a request to be answered at this very moment.
func quick(t *testing.T, got <-chan outcome) {
	t.Helper()
	select {
	case o := <-got:
		require.Equal(t, outcome{}, o)
	default:
		t.Fatal("it waits")
	}
}

// Others wait for an overdue group no longer, but those of its keys do, and keep their order.
func TestAnOverdueGroupIsPassed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, g := passing(t)
		gate := g.shut("a")
		a := []<-chan outcome{ask(t.Context(), q, request{key: "a", n: 1}), ask(t.Context(), q, request{key: "a", n: 2})}
		b := ask(t.Context(), q, request{key: "b", n: 1})
		time.Sleep(overdue - 1)
		synctest.Wait()
		groups, _ := g.written()
		require.Equal(t, [][]string{{"a 1"}}, groups, "until then they wait")
		require.Equal(t, outcome{took: overdue}, <-b)
		for n := range 3 {
			a = append(a, ask(t.Context(), q, request{key: "a", n: n + 3}))
			quick(t, ask(t.Context(), q, request{key: "b", n: n + 2}))
		}
		groups, _ = g.written()
		require.Equal(t, [][]string{{"a 1"}, {"b 1"}, {"b 2"}, {"b 3"}, {"b 4"}}, groups)
		gate <- nil
		for _, got := range a {
			require.NoError(t, (<-got).err)
		}
		synctest.Wait()
		groups, _ = g.written()
		require.Equal(t, [][]string{{"a 2"}, {"a 3"}, {"a 4"}, {"a 5"}}, groups[5:])
		require.Equal(t, 2, g.most)
		require.Empty(t, q.aside)
		require.False(t, q.turn)
		require.Zero(t, q.flying)
	})
}

func TestGroupsAtOnceAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, g := passing(t)
		var all []<-chan outcome
		var opened []chan<- error
		for i := range 4 {
			opened = append(opened, g.shut(fmt.Sprint(i)))
			all = append(all, ask(t.Context(), q, request{key: fmt.Sprint(i)}))
			time.Sleep(2 * overdue)
		}
		all = append(all, ask(t.Context(), q, request{key: "free"}))
		time.Sleep(time.Hour)
		synctest.Wait()
		groups, _ := g.written()
		require.Equal(t, [][]string{{"0 0"}, {"1 0"}, {"2 0"}}, groups)
		opened[1] <- nil
		time.Sleep(2 * overdue)
		synctest.Wait()
		groups, _ = g.written()
		require.Equal(t, [][]string{{"3 0", "free 0"}}, groups[3:], "one in the place of one, with all that wait")
		opened[0] <- nil
		quick(t, ask(t.Context(), q, request{key: "other"}))
		opened[2] <- nil
		opened[3] <- nil
		for _, got := range all {
			require.NoError(t, (<-got).err)
		}
		synctest.Wait()
		require.Equal(t, 3, g.most)
	})
}

// A group that was passed may end in any way, and its keys go on in order.
func TestAPassedGroupFails(t *testing.T) {
	for name, end := range map[string]error{"undone": errUndone, "stuck": errStuck, "lost": errLost} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var g *gates
				q, g := passing(t, func(c *Config[string, request, string]) {
					c.WriteAlone = func(_ context.Context, r request, _ time.Duration) (string, error) {
						g.mu.Lock()
						defer g.mu.Unlock()
						g.order = append(g.order, fmt.Sprint(r.key, " ", r.n))
						return "", nil
					}
				})
				gx, ga := g.shut("x"), g.shut("a")
				x := ask(t.Context(), q, request{key: "x"})
				all := []<-chan outcome{ask(t.Context(), q, request{key: "a", n: 1}), ask(t.Context(), q, request{key: "b", n: 1})}
				gx <- nil
				require.NoError(t, (<-x).err)
				for n := 2; n < 5; n++ {
					all = append(all, ask(t.Context(), q, request{key: "a", n: n}), ask(t.Context(), q, request{key: "b", n: n}))
				}
				time.Sleep(2 * overdue)
				quick(t, ask(t.Context(), q, request{key: "c"}))
				ga <- end
				lost := 0
				for _, got := range all {
					if err := (<-got).err; err != nil {
						require.ErrorIs(t, err, errLost)
						lost++
					}
				}
				require.Equal(t, map[bool]int{true: 2}[end == errLost], lost)
				for _, key := range []string{"a", "b"} {
					var order []string
					for _, name := range g.order {
						if name[:1] == key {
							order = append(order, name)
						}
					}
					require.True(t, slices.IsSorted(order), order)
					require.Len(t, order, 4-lost/2)
				}
			})
		})
	}
}

// Close writes what waits beside and behind an overdue group.
func TestCloseWithAnOverdueGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, g := passing(t, func(c *Config[string, request, string]) { c.Grace = time.Minute })
		gate := g.shut("a")
		a1, a2 := ask(t.Context(), q, request{key: "a", n: 1}), ask(t.Context(), q, request{key: "a", n: 2})
		b := ask(t.Context(), q, request{key: "b"})
		closed := make(chan struct{})
		go func() { q.Close(); close(closed) }()
		require.Equal(t, outcome{took: overdue}, <-b)
		synctest.Wait()
		select {
		case <-closed:
			t.Fatal("it did not wait")
		default:
		}
		gate <- nil
		<-closed
		require.NoError(t, (<-a1).err)
		require.NoError(t, (<-a2).err)
		require.Equal(t, []string{"b 0", "a 1", "a 2"}, g.order)
	})
}

// What takes too long for a group is written with patience, which begins anew, while others are written in groups.
func TestLate(t *testing.T) {
	errLate := errors.New("took too long")
	synctest.Test(t, func(t *testing.T) {
		gate, first := make(chan struct{}), true
		var patient []time.Duration
		var g *gates
		q, g := passing(t, func(c *Config[string, request, string]) {
			c.Late = func(err error) bool { return errors.Is(err, errLate) }
			c.Undone = c.Late
			c.WriteAlone = func(_ context.Context, r request, patience time.Duration) (string, error) {
				if patience > 0 {
					patient = append(patient, patience)
					<-gate
				} else if first {
					first = false
					time.Sleep(time.Second)
					return "", errLate
				}
				g.mu.Lock()
				defer g.mu.Unlock()
				g.order = append(g.order, fmt.Sprint(r.key, " ", r.n))
				return "", nil
			}
		})
		long := g.shut("a")
		a1, a2 := ask(t.Context(), q, request{key: "a", n: 1}), ask(t.Context(), q, request{key: "a", n: 2})
		time.Sleep(3 * patience)
		long <- errLate
		time.Sleep(2 * patience)
		synctest.Wait()
		require.Equal(t, []time.Duration{patience}, patient)
		quick(t, ask(t.Context(), q, request{key: "b"}))
		close(gate)
		require.NoError(t, (<-a1).err)
		require.NoError(t, (<-a2).err)
		require.Equal(t, []string{"b 0", "a 1", "a 2"}, g.order)
		synctest.Wait()
		require.Empty(t, q.lanes)
	})
}

// Requests whose callers have left are let go of at once, wherever they wait, and what is left of them soon.
func TestWhoLeavesLeavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, g := passing(t, func(c *Config[string, request, string]) {
			c.WriteAlone = func(ctx context.Context, _ request, patience time.Duration) (string, error) {
				if patience == 0 {
					return "", errStuck
				}
				<-ctx.Done()
				return "", ctx.Err()
			}
		})
		var gates []chan<- error
		var all []<-chan outcome
		for _, key := range []string{"lane", "aside", "long", "longer"} {
			gates = append(gates, g.shut(key))
			all = append(all, ask(t.Context(), q, request{key: key}))
			if key == "lane" {
				gates[0] <- errStuck
			} else {
				time.Sleep(2 * overdue)
			}
		}
		in := func(place string) []*item[string, request, string] {
			q.mu.Lock()
			defer q.mu.Unlock()
			switch place {
			case "lane":
				return slices.Clone(q.lanes[place].items)
			case "aside":
				return slices.Clone(q.aside[place])
			}
			return slices.Clone(q.waiting)
		}
		stays := map[string]<-chan outcome{}
		for _, key := range []string{"lane", "aside", "any"} {
			stays[key] = ask(t.Context(), q, request{key: key, n: 1})
		}
		// While all groups are in flight, requests stand in waiting, whatever their key.
		for _, key := range []string{"lane", "aside", "any"} {
			gone, cancel := context.WithCancel(t.Context())
			var callers sync.WaitGroup
			for range 1000 {
				callers.Go(func() { _, _ = q.Do(gone, request{key: key, size: 5}) })
			}
			synctest.Wait()
			cancel()
			callers.Wait()
			kept := in("any")
			require.Less(t, len(kept), 3*fewLeft)
			for _, it := range kept {
				require.Equal(t, it.left, it.request == request{} && it.size == 0)
			}
		}
		// One place becomes free: they go where they have to wait.
		gates[3] <- nil
		require.NoError(t, (<-stays["any"]).err)
		for _, key := range []string{"lane", "aside"} {
			gone, cancel := context.WithCancel(t.Context())
			var callers sync.WaitGroup
			for range 1000 {
				callers.Go(func() { _, _ = q.Do(gone, request{key: key, size: 5}) })
			}
			synctest.Wait()
			require.Greater(t, len(in(key)), 1000)
			cancel()
			callers.Wait()
			kept := in(key)
			require.Less(t, len(kept), 3*fewLeft)
			require.Equal(t, request{key: key, n: 1}, kept[0].request, "who stays keeps his place")
			for _, it := range kept[1:] {
				require.Equal(t, request{}, it.request)
			}
		}
		gates[1] <- nil
		gates[2] <- nil
		require.NoError(t, (<-stays["aside"]).err)
		for _, got := range all[1:] {
			require.NoError(t, (<-got).err)
		}
		q.Close()
		require.Error(t, (<-all[0]).err)
		require.Error(t, (<-stays["lane"]).err)
		require.Empty(t, q.waiting)
		require.Empty(t, q.aside)
		require.Zero(t, q.left)
	})
}

// The order of each key's requests holds when groups pass each other, fail, and lanes come and go.
func TestOrderWhenGroupsPass(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 3))
			var mu sync.Mutex
			draw := func(n int) int { mu.Lock(); defer mu.Unlock(); return random.IntN(n) }
			const keys, each = 6, 30
			order := map[string][]int{}
			busy := map[string]bool{}
			open, most := 0, 0
			write := func(group []request) {
				mu.Lock()
				for _, r := range group {
					require.False(t, busy[r.key], "a key is written twice at once")
					busy[r.key] = true
				}
				mu.Unlock()
				time.Sleep(time.Duration(draw(5)*draw(5)*50) * time.Millisecond)
				mu.Lock()
				defer mu.Unlock()
				for _, r := range group {
					delete(busy, r.key)
				}
			}
			note := func(group []request) {
				mu.Lock()
				defer mu.Unlock()
				for _, r := range group {
					order[r.key] = append(order[r.key], r.n)
				}
			}
			q, _ := passing(t, func(c *Config[string, request, string]) {
				c.Patience = time.Hour
				c.Write = func(_ context.Context, group []request) ([]string, error) {
					mu.Lock()
					open++
					most = max(most, open)
					mu.Unlock()
					write(group)
					mu.Lock()
					open--
					mu.Unlock()
					if draw(4) == 0 {
						return nil, errStuck
					}
					note(group)
					return make([]string, len(group)), nil
				}
				c.WriteAlone = func(_ context.Context, r request, patience time.Duration) (string, error) {
					write([]request{r})
					if patience == 0 && draw(2) == 0 {
						return "", errStuck
					}
					note([]request{r})
					return "", nil
				}
			})
			var all []<-chan outcome
			for n := range each {
				for k := range keys {
					all = append(all, ask(t.Context(), q, request{key: fmt.Sprint(k), n: n}))
					time.Sleep(time.Duration(draw(40)) * time.Millisecond)
				}
			}
			for _, got := range all {
				require.NoError(t, (<-got).err)
			}
			for _, numbers := range order {
				require.True(t, slices.IsSorted(numbers), "seed %d: %v", seed, numbers)
				require.Len(t, numbers, each)
			}
			require.Greater(t, most, 1)
			require.LessOrEqual(t, most, 3)
		})
	}
}
