package worker

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/task"
)

var errAway = &task.Error{Code: task.CodeUnavailable, Message: "away"}

type names = []string

func groupOf(b *backlog[string], now time.Time) (got names) {
	group, _ := b.next(now)
	for _, r := range group {
		got = append(got, r.value)
	}
	return got
}

func named(name string, lane int) result[string] {
	return result[string]{value: name, key: uuid.NewSHA1(uuid.Nil, []byte(name)), lane: lane, expires: time.Now().Add(time.Hour)}
}

func TestAGroupIsWhatCameMeanwhile(t *testing.T) {
	t.Parallel()
	now := time.Now()
	var b backlog[string]
	require.Empty(t, groupOf(&b, now))
	b.add(named("a", 0))
	require.Equal(t, names{"a"}, groupOf(&b, now))
	b.add(named("b", 0))
	b.add(named("c", 1))
	b.add(named("d", 0))
	b.add(named("b", 0)) // the same task, claimed twice
	require.Empty(t, groupOf(&b, now), "one is being written")
	require.Equal(t, 5, b.size())
	b.done(nil, now)
	require.Equal(t, names{"b", "d"}, groupOf(&b, now), "one lane, each key once")
	b.done(nil, now)
	require.Equal(t, names{"c"}, groupOf(&b, now))
	b.done(nil, now)
	require.Equal(t, names{"b"}, groupOf(&b, now))
	b.done(nil, now)
	require.Zero(t, b.size())
}

func TestGroupsAreBounded(t *testing.T) {
	t.Parallel()
	var b backlog[string]
	for i := range maxGroup + 1 {
		b.add(named(string(rune('a'+i)), 0))
	}
	require.Len(t, groupOf(&b, time.Now()), maxGroup)
	b.done(nil, time.Now())
	require.Len(t, groupOf(&b, time.Now()), 1)
}

func TestAnUnreachableDatabaseIsWaitedFor(t *testing.T) {
	t.Parallel()
	now := time.Now()
	var b backlog[string]
	b.add(named("a", 0))
	b.add(named("b", 0))
	pause := firstPause
	for range 6 {
		require.Equal(t, names{"a", "b"}, groupOf(&b, now))
		b.done(errAway, now)
		group, again := b.next(now)
		require.Empty(t, group)
		require.Equal(t, now.Add(pause), again)
		now, pause = again, min(2*pause, longestPause)
	}
	require.Equal(t, names{"a", "b"}, groupOf(&b, now), "still together")
	b.done(nil, now)
	require.Zero(t, b.size())
}

// What is wrong with one result must hold up no other.
func TestAFailedGroupGoesOneByOne(t *testing.T) {
	t.Parallel()
	now := time.Now()
	var b backlog[string]
	for _, name := range []string{"a", "bad", "c"} {
		b.add(named(name, 0))
	}
	written := names{}
	for range 20 {
		group := groupOf(&b, now)
		if len(group) == 0 {
			_, again := b.next(now)
			require.False(t, again.IsZero())
			now = again
			continue
		}
		if slices.Contains(group, "bad") {
			b.done(errors.New("refused"), now)
			continue
		}
		written = append(written, group...)
		b.done(nil, now)
		if len(written) == 2 { // others go on together, in turns with the bad one
			b.add(named("d", 0))
			b.add(named("e", 0))
		}
	}
	require.Equal(t, names{"a", "c", "d", "e"}, written)
	require.Equal(t, 1, b.size())

	require.Empty(t, b.expire(now, 1))
	dropped := b.expire(now.Add(2*time.Hour), 1)
	require.Len(t, dropped, 1)
	require.Equal(t, "bad", dropped[0].value)
	require.Zero(t, b.size())
}

// What is of use even when it is late stays, as far as it is not too many, and is tried less and less often.
func TestWhatLastsIsKept(t *testing.T) {
	t.Parallel()
	now := time.Now()
	var b backlog[string]
	for _, name := range []string{"a", "b", "c", "d"} {
		r := named(name, 0)
		r.lasting = name != "b"
		b.add(r)
	}
	late := now.Add(2 * time.Hour)
	var dropped names
	for _, r := range b.expire(late, 2) {
		dropped = append(dropped, r.value)
	}
	require.Equal(t, names{"a", "b"}, dropped, "of what lasts the oldest")
	require.Empty(t, b.expire(late, 2))
	require.Equal(t, names{"c", "d"}, groupOf(&b, late))
	b.done(nil, late)
	r := named("e", 0)
	r.lasting = true
	b.add(r)
	for pause := firstPause; pause < 10*latePause; pause *= 2 {
		require.Equal(t, names{"e"}, groupOf(&b, late))
		b.done(errors.New("refused"), late)
		_, again := b.next(late)
		require.Equal(t, late.Add(min(pause, latePause)), again)
		late = again
	}
}
