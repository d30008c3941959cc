package integration

import (
	"fmt"
	"math/rand/v2"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/kubescribe/kubescribe/shared/event"
)

// gitWriter is the git-writer binary, built once.
var gitWriter = built("git-writer")

// process runs a git-writer in a process of its own, until it is killed.
func (s *stand) process(cache string) (kill func()) {
	s.Helper()
	bin, err := gitWriter()
	if err != nil {
		s.Fatal(err)
	}
	cmd := exec.CommandContext(s.Context(), bin, "--nats", s.nats.URL(), "--listen", "127.0.0.1:0", "--cache-dir", cache)
	if err := cmd.Start(); err != nil {
		s.Fatal(err)
	}
	return func() {
		s.Helper()
		if err := cmd.Process.Kill(); err != nil {
			s.Fatal(err)
		}
		_ = cmd.Wait()
		if is, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || !is.Signaled() {
			s.Fatalf("it ended by itself: %v", cmd.ProcessState)
		}
	}
}

// TestGitWriterKilled: a git-writer that is killed at any time, thirty times over 3,000
// changes, commits each of them once, in order.
func TestGitWriterKilled(t *testing.T) {
	t.Parallel()
	const kills, each = 30, 100
	s := newStand(t)
	d := s.register("live", "live", false)
	cache, written := t.TempDir(), 0
	for range kills {
		kill := s.process(cache)
		begun := len(s.versions())
		for range each / 10 {
			var changes []event.Change
			for range 10 {
				written++
				changes = append(changes, configMap(event.Update, fmt.Sprintf("web-%d", written%7), fmt.Sprint(written), written))
			}
			s.write(d, changes...)
		}
		s.until("it writes", func() bool { return len(s.versions()) > begun })
		time.Sleep(time.Duration(rand.IntN(100)) * time.Millisecond) //nolint:forbidigo // at some time
		kill()
	}
	s.start()
	s.wantVersions(written)
	if got := len(s.versions()); got != written {
		t.Errorf("%d commits of %d changes", got, written)
	}
}
