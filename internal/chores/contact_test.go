package chores

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestContact(t *testing.T) {
	t.Parallel()
	start := time.Now()
	at := func(seconds float64) time.Time { return start.Add(time.Duration(seconds * float64(time.Second))) }
	var c contact
	require.False(t, c.steady(at(0)), "never heard of it")
	beat := func(from, to float64) {
		for s := from; s <= to; s++ {
			c.answered(at(s))
		}
	}
	beat(0, 4)
	require.False(t, c.steady(at(4.5)), "not for 5 s yet")
	beat(5, 7)
	require.True(t, c.steady(at(7.5)))
	require.False(t, c.steady(at(10)), "no answer for too long")

	c.answered(at(10)) // a gap of 3 s, with no error
	require.False(t, c.steady(at(10)))
	beat(11, 15)
	require.True(t, c.steady(at(15)))

	c.lost()
	require.False(t, c.steady(at(15)))
	beat(16, 20)
	require.False(t, c.steady(at(20)))
	c.answered(at(21))
	require.True(t, c.steady(at(21)))
}

func TestNextPulse(t *testing.T) {
	t.Parallel()
	began := time.Now()
	now := began.Add(3 * time.Millisecond)
	for name, tc := range map[string]struct {
		due     time.Duration // after began; 0: none
		overdue int
		want    time.Duration // after began
	}{
		"nothing scheduled":        {0, 0, time.Second},
		"between the seconds":      {300 * time.Millisecond, 0, 302 * time.Millisecond},
		"at once":                  {4 * time.Millisecond, 0, 8 * time.Millisecond},
		"later than the next":      {5 * time.Second, 0, time.Second},
		"handed out now":           {time.Millisecond, 0, 20 * time.Millisecond},
		"overdue, nothing to do":   {-time.Hour, 1, 40 * time.Millisecond},
		"and again":                {-time.Hour, 2, 80 * time.Millisecond},
		"not more than every time": {-time.Hour, 9, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var due *time.Time
			if tc.due != 0 {
				at := began.Add(tc.due)
				due = &at
			}
			require.Equal(t, tc.want, nextPulse(began, now, due, tc.overdue, pulseEvery).Sub(began))
		})
	}
	require.Equal(t, now.Add(5*time.Second+shortest), nextPulse(began, now.Add(5*time.Second), nil, 0, pulseEvery), "after a pulse that took long")
}
