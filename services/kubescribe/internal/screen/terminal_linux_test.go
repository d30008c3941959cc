package screen

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/kubescribe/kubescribe/shared/service"
)

// tty is a terminal of that many columns: what a program writes to, and what whoever
// sits before it reads.
func tty(t *testing.T, columns uint16) (program, person *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("this machine has no pseudo-terminals: /dev/ptmx is missing")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = person.Close() })
	fd := int(person.Fd())
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: columns})
	}
	if err == nil {
		program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = program.Close() })
	return program, person
}

// TestTerminal: the log is for people, and a line that is wider than the terminal is
// cut, since one that wraps could not be cleared.
func TestTerminal(t *testing.T) {
	program, person := tty(t, 20)
	s := New(program)
	s.Draw("LIVE_PROCESSING  pending 3")
	service.NewLogger(s.Log(), slog.LevelInfo).Info("run begun")
	s.Draw("short")
	const end = "THE END"
	if _, err := s.Log().Write([]byte(end)); err != nil {
		t.Fatal(err)
	}
	var shown strings.Builder
	for buf := make([]byte, 1024); !strings.Contains(shown.String(), end); {
		n, err := person.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		shown.Write(buf[:n])
	}
	lines := strings.Split(shown.String(), clearLine)
	if len(lines) != 5 || lines[1] != "LIVE_PROCESSING  p…" || lines[3] != "short" {
		t.Fatalf("it shows %q", lines)
	}
	logged, below, _ := strings.Cut(lines[2], "\n")
	if strings.Contains(logged, "{") || !strings.Contains(logged, "run begun") || below != lines[1] {
		t.Errorf("a log line shows as %q", lines[2])
	}
}
