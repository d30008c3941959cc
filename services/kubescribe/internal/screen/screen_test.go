package screen

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/kubescribe/kubescribe/shared/service"
)

// TestNoTerminal: what is no terminal gets the log as it is, and no line.
func TestNoTerminal(t *testing.T) {
	var out bytes.Buffer
	s := New(&out)
	if s.live {
		t.Error("a buffer passes for a terminal")
	}
	if s.Log() != io.Writer(&out) {
		t.Error("the log does not go to it directly")
	}
	s.Draw("LIVE_PROCESSING  pending 3")
	service.NewLogger(s.Log(), slog.LevelInfo).Info("run begun")
	s.Draw("")
	if got := out.String(); strings.Count(got, "\n") != 1 || !strings.HasPrefix(got, "{") || strings.Contains(got, "\x1b") || strings.Contains(got, "pending") {
		t.Errorf("it shows %q", got)
	}
}

// terminal is a screen on what passes for a terminal, and what it was sent.
func terminal() (*Screen, *bytes.Buffer) {
	var out bytes.Buffer
	return &Screen{w: &out, live: true}, &out
}

func TestLineStaysBelowTheLog(t *testing.T) {
	s, out := terminal()
	s.Draw("one")
	if n, err := s.Log().Write([]byte("logged\n")); n != 7 || err != nil {
		t.Errorf("it wrote %d, %v", n, err)
	}
	s.Draw("two")
	s.Draw("")
	const wipe = "\r\x1b[K"
	if want := wipe + "one" + wipe + "logged\none" + wipe + "two" + wipe; out.String() != want {
		t.Errorf("it shows %q, want %q", out.String(), want)
	}
	out.Reset()
	if _, err := s.Log().Write([]byte("later\n")); err != nil || out.String() != wipe+"later\n" {
		t.Errorf("after the line was removed, a log line shows %q, %v", out.String(), err)
	}
}

// TestLineIsOneLine: no commit message can move the cursor.
func TestLineIsOneLine(t *testing.T) {
	s, out := terminal()
	s.Draw("last commit \x1b[2J\n\"x\ty\"")
	if got := strings.TrimPrefix(out.String(), clearLine); got != "last commit  [2J \"x y\"" {
		t.Errorf("it shows %q", got)
	}
}

// TestConcurrentLines: log lines are whole, whoever draws meanwhile.
func TestConcurrentLines(t *testing.T) {
	s, out := terminal()
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			for range 50 {
				s.Draw(fmt.Sprintf("line %d", i))
				_, _ = fmt.Fprintf(s.Log(), "log %d\n", i)
			}
		})
	}
	all.Wait()
	n := 0
	for line := range strings.Lines(out.String()) {
		if i := strings.LastIndex(line, clearLine); strings.HasSuffix(line, "\n") {
			if text := line[i+len(clearLine):]; !strings.HasPrefix(text, "log ") || len(text) != len("log 0\n") {
				t.Errorf("a log line shows %q", text)
			}
			n++
		}
	}
	if n != 200 {
		t.Errorf("%d log lines of 200", n)
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

// TestTerminalGone: logging says so, drawing does not care.
func TestTerminalGone(t *testing.T) {
	s := &Screen{w: broken{}, live: true}
	s.Draw("x")
	if _, err := s.Log().Write([]byte("x")); err == nil {
		t.Error("writing to nothing worked")
	}
}
