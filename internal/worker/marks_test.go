package worker

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/task"
)

func claim(priority int32, seq int64) task.Claim {
	return task.Claim{TaskID: uuid.New(), Priority: priority, Seq: seq}
}

func TestMarksFollowTheClaims(t *testing.T) {
	t.Parallel()
	var m marks
	require.Empty(t, m.list())
	m.advance([]task.Claim{claim(5, 10), claim(5, 12), claim(0, 3)})
	require.Equal(t, []task.Mark{{Priority: 5, Seq: 12}, {Priority: 0, Seq: 3}}, m.list())
	m.advance([]task.Claim{claim(5, 11), claim(-1, 7)}) // one from behind the mark moves nothing
	require.Equal(t, []task.Mark{{Priority: 5, Seq: 12}, {Priority: 0, Seq: 3}, {Priority: -1, Seq: 7}}, m.list())
	require.True(t, m.covers(claim(5, 12)))
	require.False(t, m.covers(claim(5, 13)))
	require.False(t, m.covers(claim(4, 1)))
}

// Reading from the start that ended for want of slots consumed nothing behind its last claim.
func TestMarksAreCut(t *testing.T) {
	t.Parallel()
	var m marks
	m.advance([]task.Claim{claim(9, 50), claim(5, 100), claim(0, 30)})
	last := claim(5, 20)
	m.advance([]task.Claim{claim(9, 40), last})
	m.cut(last)
	require.Equal(t, []task.Mark{{Priority: 9, Seq: 50}, {Priority: 5, Seq: 20}}, m.list())
}

func TestMarksAreBounded(t *testing.T) {
	t.Parallel()
	var m marks
	for p := range int32(maxMarks) {
		m.advance([]task.Claim{claim(p, 1)})
	}
	m.advance([]task.Claim{claim(0, 2)}) // used again
	m.advance([]task.Claim{claim(100, 1)})
	list := m.list()
	require.Len(t, list, maxMarks)
	require.Equal(t, task.Mark{Priority: 100, Seq: 1}, list[0])
	require.Equal(t, task.Mark{Priority: 0, Seq: 2}, list[maxMarks-1])
	require.False(t, m.covers(claim(1, 1)), "the one that was longest unused is forgotten")
}

func TestLookback(t *testing.T) {
	t.Parallel()
	start := time.Now()
	var l lookback
	plan := func(after time.Duration) [2]bool {
		full, rescan := l.plan(start.Add(after))
		return [2]bool{full, rescan}
	}
	full, rescan, ahead := [2]bool{true, true}, [2]bool{false, true}, [2]bool{false, false}

	require.Equal(t, full, plan(0), "the first claim")
	l.looked(start.Add(-20*time.Millisecond), start) // it took 20 ms
	require.Equal(t, ahead, plan(0))
	require.Equal(t, ahead, plan(199*time.Millisecond))
	require.Equal(t, rescan, plan(200*time.Millisecond), "ten times the last look")
	require.Equal(t, rescan, plan(999*time.Millisecond))
	require.Equal(t, full, plan(time.Second), "once a second")

	l.hint()
	require.Equal(t, rescan, plan(0), "woken: what is missing comes from the start at once")
	require.Equal(t, full, plan(200*time.Millisecond), "and all of it when it is cheap")
	l.looked(start, start.Add(time.Minute)) // a look of a minute
	require.Equal(t, ahead, plan(time.Minute))
	require.Equal(t, ahead, plan(time.Minute+999*time.Millisecond))
	require.Equal(t, full, plan(time.Minute+time.Second), "however long a look takes")
}

// queue stands for a queue read as the database does: ahead of the marks, then from the start.
func TestConsumedHintsAtMoreBehind(t *testing.T) {
	t.Parallel()
	s := &StartLoop{}
	s.consumed([]task.Claim{claim(0, 10)}, true, false)
	s.lookback.looked(time.Now(), time.Now())

	s.consumed([]task.Claim{claim(0, 11), claim(0, 5)}, false, false)
	require.False(t, s.lookback.behind, "the look from the start came to its end")
	s.consumed([]task.Claim{claim(0, 12), claim(0, 6)}, false, true)
	require.True(t, s.lookback.behind, "it ended for want of slots")
	require.Equal(t, []task.Mark{{Priority: 0, Seq: 12}}, s.marks.list())
}

func TestDeliveriesConsumed(t *testing.T) {
	t.Parallel()
	at := time.Now()
	due := func(seconds ...int) (list []task.Delivery) {
		for _, s := range seconds {
			list = append(list, task.Delivery{NextTryAt: at.Add(time.Duration(s) * time.Second)})
		}
		return list
	}
	d := &DeliverLoop{}
	d.consumed(due(3, 1, 2), true, false)
	require.Equal(t, at.Add(3*time.Second), d.mark)
	d.consumed(due(2), false, false)
	require.Equal(t, at.Add(3*time.Second), d.mark)
	require.False(t, d.lookback.behind)
	d.consumed(due(4, 1), false, true)
	require.Equal(t, at.Add(4*time.Second), d.mark)
	require.True(t, d.lookback.behind)
	d.consumed(due(1, 2), true, true)
	require.Equal(t, at.Add(2*time.Second), d.mark, "reading from the start ended there")
}
