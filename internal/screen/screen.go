package screen

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"golang.org/x/term"
)

// Screen writes to a terminal, or to whatever else standard output is. On a terminal the last lines, the frame, are
// drawn again in place, and other lines appear above them; elsewhere nothing is ever overwritten and there are no
// colours. Its methods may be called from any goroutine.
type Screen struct {
	out   io.Writer
	live  bool // frames are drawn
	style Style
	size  func() (width, height int)

	mu    sync.Mutex
	frame []string // what stands at the bottom now
}

// plainWidth is the width of lines where there is no terminal to ask.
const plainWidth = 120

// New returns a screen on a file. Colours are used on a terminal only, and not when NO_COLOR is set to anything
// (no-color.org) or the terminal is a dumb one.
func New(f *os.File) *Screen {
	s := &Screen{out: f, style: Style{Width: plainWidth, ASCII: !utf8Locale()}}
	if !term.IsTerminal(int(f.Fd())) || os.Getenv("TERM") == "dumb" {
		return s
	}
	s.live = true
	s.style.Colour = os.Getenv("NO_COLOR") == ""
	s.size = func() (width, height int) {
		width, height, err := term.GetSize(int(f.Fd()))
		if err != nil || width <= 0 {
			return plainWidth, 0
		}
		return width, height
	}
	return s
}

// NewPlain returns a screen on something that is no terminal.
func NewPlain(w io.Writer) *Screen {
	return &Screen{out: w, style: Style{Width: plainWidth}}
}

// utf8Locale reports whether the locale's characters are UTF-8. Without any setting they are taken to be.
func utf8Locale() bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := os.Getenv(name); v != "" {
			v = strings.ToUpper(v)
			return strings.Contains(v, "UTF-8") || strings.Contains(v, "UTF8")
		}
	}
	return true
}

// Live reports whether frames are drawn.
func (s *Screen) Live() bool { return s.live }

// Style says how lines are drawn at the present size.
func (s *Screen) Style() Style {
	st := s.style
	if s.live {
		st.Width, st.Height = s.size()
	}
	return st
}

// Println writes lines; a frame stays below them.
func (s *Screen) Println(lines ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b strings.Builder
	b.WriteString(s.erase())
	for _, line := range lines {
		b.WriteString(line + "\n")
	}
	b.WriteString(s.drawn())
	s.write(b.String())
}

// Printf writes one line.
func (s *Screen) Printf(format string, args ...any) { s.Println(fmt.Sprintf(format, args...)) }

// Strong returns a text in bold letters, where there are any.
func (s *Screen) Strong(text string) string { return s.style.Paint(text, Bold) }

// Draw replaces the frame by what the function makes of the present size of the terminal. It does nothing where there is
// no terminal.
func (s *Screen) Draw(frame func(Style) []string) {
	if !s.live {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.Style()
	erase := s.erase()
	s.frame = frame(st)
	s.write(erase + s.drawn())
}

// Finish replaces the frame by lines that stay, however many they are: they get the width of the terminal only.
func (s *Screen) Finish(lines func(Style) []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.Style()
	st.Height = 0
	text := s.erase() + strings.Join(lines(st), "\n") + "\n"
	if s.frame != nil {
		s.frame = nil
		text += showCursor
	}
	s.write(text)
}

// Close leaves the frame where it is and gives the terminal back as it was. Lines can be written afterwards too.
func (s *Screen) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.frame != nil {
		s.frame = nil
		s.write(showCursor)
	}
}

// ANSI sequences.
const (
	hideCursor = "\x1b[?25l"
	showCursor = "\x1b[?25h"
	noWrap     = "\x1b[?7l" // a line that is too long, because the window just shrank, must not become two
	wrap       = "\x1b[?7h"
	toEnd      = "\x1b[J" // erases from the cursor to the end of the screen
)

// erase returns what removes the frame. The cursor stands below its last line.
func (s *Screen) erase() string {
	if len(s.frame) == 0 {
		return ""
	}
	return fmt.Sprintf("\x1b[%dA\r%s", len(s.frame), toEnd)
}

// drawn returns the frame as it is written.
func (s *Screen) drawn() string {
	if len(s.frame) == 0 {
		return ""
	}
	return hideCursor + noWrap + strings.Join(s.frame, "\n") + "\n" + wrap
}

// write writes at once, so that no half of a frame is seen. A terminal that is gone is no reason to stop anything.
func (s *Screen) write(text string) { _, _ = io.WriteString(s.out, text) }
