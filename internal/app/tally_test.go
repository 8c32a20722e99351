package app

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTallyReportsOnceASecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var reported []int64
		u := newTally(func(n int64) { reported = append(reported, n) })
		u.flush()
		for range 1000 {
			u.add(2)
		}
		time.Sleep(tallyEvery)
		synctest.Wait()
		u.add(3)
		u.flush() // at the end of the process
		time.Sleep(2 * tallyEvery)
		require.Equal(t, []int64{2000, 3}, reported)
	})
}
