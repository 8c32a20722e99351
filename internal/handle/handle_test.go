package handle_test

import (
	"net/url"
	"regexp"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/taskrunner/taskrunner/internal/handle"
)

func TestURL(t *testing.T) {
	t.Parallel()
	s, err := handle.New("https://runner.example.com/base//", [][]byte{[]byte("first")})
	require.NoError(t, err)
	id := uuid.MustParse("0198b6c4-0000-7000-8000-000000000001")
	require.Equal(t, "https://runner.example.com/base/task/0198b6c4-0000-7000-8000-000000000001?attempt=2&token="+s.Token(id, 2), s.URL(id, 2))
	u, err := url.Parse(s.URL(id, 2))
	require.NoError(t, err)
	require.Equal(t, s.Token(id, 2), u.Query().Get("token"))
	require.Regexp(t, regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`), s.Token(id, 2))
}

func TestVerify(t *testing.T) {
	t.Parallel()
	id, other := uuid.New(), uuid.New()
	old, err := handle.New("http://h", [][]byte{[]byte("old")})
	require.NoError(t, err)
	rotated, err := handle.New("http://h", [][]byte{[]byte("new"), []byte("old")})
	require.NoError(t, err)

	require.True(t, old.Verify(id, 1, old.Token(id, 1)))
	require.True(t, rotated.Verify(id, 1, old.Token(id, 1)), "all keys verify")
	require.False(t, old.Verify(id, 1, rotated.Token(id, 1)), "the first key signs")
	require.False(t, old.Verify(other, 1, old.Token(id, 1)))
	require.False(t, old.Verify(id, 2, old.Token(id, 1)))
	require.False(t, old.Verify(id, 1, ""))
	require.False(t, old.Verify(id, 1, old.Token(id, 1)+"="))
	require.False(t, old.Verify(id, 1, old.Token(id, 1)[:42]))
}

func TestKeysAreNeeded(t *testing.T) {
	t.Parallel()
	_, err := handle.New("http://h", nil)
	require.Error(t, err)
	_, err = handle.New("http://h", [][]byte{[]byte("a"), {}})
	require.Error(t, err)
}
