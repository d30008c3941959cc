// Package screen shows a status line under the log of a terminal.
package screen

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"golang.org/x/term"

	"github.com/kubescribe/kubescribe/shared/service"
)

const clearLine = "\r\x1b[K"

// Screen is a place to log to, and, on a terminal, one line below that changes.
type Screen struct {
	w    io.Writer
	live bool

	mu   sync.Mutex
	line string // what stands there now; guarded by mu
}

// New shows on w.
func New(w io.Writer) *Screen { return &Screen{w: w, live: service.IsTerminal(w)} }

// Log is where log lines go. It is w itself where there is no terminal.
func (s *Screen) Log() io.Writer {
	if !s.live {
		return s.w
	}
	return logWriter{s}
}

// Draw replaces the line; "" removes it.
func (s *Screen) Draw(line string) {
	if !s.live {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.line = s.fit(line)
	_, _ = fmt.Fprint(s.w, clearLine+s.line) // a terminal that is gone is nobody's loss
}

// fit cuts a line to the terminal's width: a wrapped one could not be cleared.
func (s *Screen) fit(line string) string {
	line = strings.Map(func(r rune) rune {
		if r < ' ' {
			return ' '
		}
		return r
	}, line)
	f, ok := s.w.(*os.File)
	if !ok {
		return line
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if r := []rune(line); err == nil && width > 1 && len(r) >= width {
		return string(r[:width-2]) + "…"
	}
	return line
}

// logWriter writes above the line.
type logWriter struct{ s *Screen }

func (l logWriter) Write(p []byte) (int, error) {
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	if _, err := fmt.Fprint(l.s.w, clearLine); err != nil {
		return 0, err
	}
	n, err := l.s.w.Write(p)
	if err == nil {
		_, err = fmt.Fprint(l.s.w, l.s.line)
	}
	return n, err
}

// Fd tells that it is a terminal, so that logs are written for people.
func (l logWriter) Fd() uintptr {
	if f, ok := l.s.w.(*os.File); ok {
		return f.Fd()
	}
	return ^uintptr(0)
}
