package harness

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// envTellTime has this test's program tell the time.
const envTellTime = "HARNESS_TELL_TIME"

// TestStepClock: a process has the time that it was given, forward and back, and what it
// measures is what passes; its neighbour has the machine's time.
func TestStepClock(t *testing.T) {
	if os.Getenv(envTellTime) != "" {
		tellTime()
		return
	}
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	start := func(clock bool) *Process {
		p, err := StartProcess(Command{
			Bins: Bins(filepath.Dir(self)), Program: filepath.Base(self), Args: []string{"-test.run=^TestStepClock$"},
			Env: []string{envTellTime + "=1"}, Log: filepath.Join(t.TempDir(), "time"), Clock: clock,
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(p.Kill)
		return p
	}
	p, neighbour := start(true), start(false)
	for _, by := range []time.Duration{0, time.Hour, -10 * time.Minute, 0} {
		if err := p.StepClock(by); err != nil {
			t.Fatal(err)
		}
		awaitTime(t, p, by)
		awaitTime(t, neighbour, 0)
	}
}

// tellTime prints the time of day, and how long it has run, as it measures it.
func tellTime() {
	begun := time.Now()
	for range time.Tick(time.Millisecond) {
		fmt.Println(time.Now().Unix(), time.Since(begun).Milliseconds())
	}
}

// awaitTime waits until what a process tells is so far off.
func awaitTime(t *testing.T, p *Process, off time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	err := Poll(ctx, time.Millisecond, "a process to have its time", func(context.Context) error {
		lines := strings.Split(string(p.Output()), "\n")
		if len(lines) < 2 {
			return fmt.Errorf("it says %q", lines)
		}
		last := strings.Fields(lines[len(lines)-2])
		if len(last) != 2 {
			return fmt.Errorf("it says %q", last)
		}
		day, err := strconv.ParseInt(last[0], 10, 64)
		if err != nil {
			return err
		}
		ran, err := strconv.Atoi(last[1])
		if err != nil {
			return err
		}
		if is := time.Until(time.Unix(day, 0)) - off; is.Abs() > 2*time.Second || ran < 0 || ran > 60_000 {
			return fmt.Errorf("it says %q, %s off", last, is)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
