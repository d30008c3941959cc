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
	var stderr said
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		s.Fatal(err)
	}
	return func() {
		s.Helper()
		_ = cmd.Process.Kill() // or it has ended
		_ = cmd.Wait()
		if is, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || !is.Signaled() {
			s.Fatalf("it ended by itself: %v\n%s", cmd.ProcessState, stderr.String())
		}
	}
}

// TestGitWriterKilled: a git-writer that is killed at any time, thirty times over 3,000
// changes, commits each of them once, in order.
func TestGitWriterKilled(t *testing.T) {
	t.Parallel()
	const kills, half = 30, 50
	s := newStand(t)
	d := s.register("live", "live", false)
	cache, written, within := t.TempDir(), 0, 0
	writes := func() {
		var changes []event.Change
		for range half {
			written++
			changes = append(changes, configMap(event.Update, fmt.Sprintf("web-%d", written%7), fmt.Sprint(written), written))
		}
		s.write(d, changes...)
	}
	for range kills {
		kill := s.process(cache)
		begun := len(s.versions())
		writes()
		s.until("it writes", func() bool { return len(s.versions()) > begun })
		writes()
		time.Sleep(time.Duration(rand.IntN(1000<<rand.IntN(8))) * time.Microsecond) //nolint:forbidigo // at some time
		kill()
		if len(s.versions()) < written {
			within++
		}
	}
	s.start()
	s.wantVersions(written)
	if got := len(s.versions()); got != written {
		t.Errorf("%d commits of %d changes", got, written)
	}
	if t.Logf("killed %d of %d times with changes that were not on the remote", within, kills); within == 0 {
		t.Error("that is never")
	}
}
