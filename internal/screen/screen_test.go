package screen

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// terminal interprets what a screen writes, as far as screens use it: new lines, "up n", "erase to the end".
type terminal struct {
	lines []string // all but the one the cursor stands in
}

func (t *terminal) Write(b []byte) (int, error) {
	text := string(b)
	for _, s := range []string{hideCursor, showCursor, noWrap, wrap} {
		text = strings.ReplaceAll(text, s, "")
	}
	for text != "" {
		switch {
		case strings.HasPrefix(text, "\x1b["):
			n, length := 0, 2
			for text[length] >= '0' && text[length] <= '9' {
				n = n*10 + int(text[length]-'0')
				length++
			}
			if text[length] == 'A' {
				t.lines = t.lines[:len(t.lines)-n] // what is above is erased right after
			}
			text = text[length+1:]
		case text[0] == '\r':
			text = text[1:]
		default:
			line, rest, _ := strings.Cut(text, "\n")
			t.lines, text = append(t.lines, line), rest
		}
	}
	return len(b), nil
}

func TestFramesAreDrawnInPlace(t *testing.T) {
	t.Parallel()
	term := &terminal{}
	s := &Screen{out: term, live: true, size: func() (int, int) { return 40, 10 }}
	frame := func(lines ...string) {
		s.Draw(func(st Style) []string {
			require.Equal(t, 40, st.Width)
			require.Equal(t, 10, st.Height)
			return lines
		})
	}
	s.Println("head")
	frame("a 1", "b 1")
	require.Equal(t, []string{"head", "a 1", "b 1"}, term.lines)
	frame("a 2")
	require.Equal(t, []string{"head", "a 2"}, term.lines)
	s.Println("news")
	require.Equal(t, []string{"head", "news", "a 2"}, term.lines, "other lines appear above the frame")
	frame("a 3", "b 3", "c 3")
	s.Close()
	s.Println("foot")
	require.Equal(t, []string{"head", "news", "a 3", "b 3", "c 3", "foot"}, term.lines)
}

// At the end everything is written, in place of a frame that had to leave something out.
func TestTheEndIsNotCut(t *testing.T) {
	t.Parallel()
	term := &terminal{}
	s := &Screen{out: term, live: true, size: func() (int, int) { return 40, 2 }}
	s.Draw(func(Style) []string { return []string{"a", "and 2 more"} })
	s.Finish(func(st Style) []string {
		require.Equal(t, Style{Width: 40}, st)
		return []string{"a", "b", "c"}
	})
	require.Equal(t, []string{"a", "b", "c"}, term.lines)
	require.Empty(t, s.frame)
}

func TestCloseGivesTheCursorBack(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	s := &Screen{out: &out, live: true, size: func() (int, int) { return 40, 10 }}
	s.Draw(func(Style) []string { return []string{"x"} })
	s.Close()
	s.Close()
	text := out.String()
	require.Greater(t, strings.LastIndex(text, showCursor), strings.LastIndex(text, hideCursor))
	require.Equal(t, 1, strings.Count(text, showCursor))
}

// Where there is no terminal nothing is overwritten, and there is no colour whatever the environment says.
func TestAFileGetsPlainLines(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "out"))
	require.NoError(t, err)
	defer f.Close()
	t.Setenv("TERM", "xterm-256color")
	t.Setenv("NO_COLOR", "")
	s := New(f)
	require.False(t, s.Live())
	s.Draw(func(Style) []string { t.Error("drawn"); return nil })
	s.Printf("%s %d", s.Strong("task"), 1)
	s.Close()
	text, err := os.ReadFile(f.Name())
	require.NoError(t, err)
	require.Equal(t, "task 1\n", string(text))
}

func TestUTF8Locale(t *testing.T) {
	for _, c := range []struct {
		all, ctype, lang string
		want             bool
	}{
		{"", "", "", true},
		{"", "", "en_US.UTF-8", true},
		{"", "", "C", false},
		{"", "C.utf8", "C", true},
		{"POSIX", "C.utf8", "en_US.UTF-8", false},
	} {
		t.Setenv("LC_ALL", c.all)
		t.Setenv("LC_CTYPE", c.ctype)
		t.Setenv("LANG", c.lang)
		require.Equal(t, c.want, utf8Locale(), "%+v", c)
	}
}
