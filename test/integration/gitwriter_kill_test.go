package integration

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
	"github.com/kubescribe/kubescribe/test/integration/natstest"
)

// gitWriter is the git-writer binary, built once.
var gitWriter = built("git-writer")

// process runs a git-writer in a process of its own, until it is killed.
func (s *stand) process(cache string) (kill func()) {
	s.Helper()
	_, kill = s.processOf(cache)
	return kill
}

// processOf is process; signal sends it one.
func (s *stand) processOf(cache string) (signal func(os.Signal), kill func()) {
	s.Helper()
	bin, err := gitWriter()
	if err != nil {
		s.Fatal(err)
	}
	cmd := exec.CommandContext(s.Context(), bin, "--nats", s.nats.URL(), "--nats-password-file", natstest.PasswordFile(s.T, subject.UserGitWriter), "--listen", "127.0.0.1:0", "--cache-dir", cache)
	var stderr said
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		s.Fatal(err)
	}
	return func(sig os.Signal) {
			s.Helper()
			if err := cmd.Process.Signal(sig); err != nil {
				s.Fatal(err)
			}
		}, func() {
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
	long(t)
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

// TestGitWriterStandsStill: a git-writer that stands still in the middle of a push, for longer than its
// lease lasts, and then goes on: another one has the branch by then, and the push is refused. Each change is
// there once.
func TestGitWriterStandsStill(t *testing.T) {
	long(t)
	t.Parallel()
	s := newStand(t)
	d := s.register("live", "live", false)
	signal, kill := s.processOf(t.TempDir())
	defer kill()
	s.write(d, configMap(event.Create, "web", "1", 1))
	s.wantVersions(1)

	pushing, goesOn, answered := make(chan struct{}), make(chan struct{}), make(chan string, 1)
	var held atomic.Bool
	s.gate.set(func(next http.Handler, w http.ResponseWriter, r *http.Request) bool {
		if !isPush(r) || !held.CompareAndSwap(false, true) {
			return false
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		close(pushing)
		<-goesOn
		answer := httptest.NewRecorder()
		next.ServeHTTP(answer, r)
		answered <- answer.Body.String()
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes())
		return true
	})
	s.write(d, configMap(event.Update, "web", "2", 2))
	<-pushing
	signal(syscall.SIGSTOP)
	defer s.process(t.TempDir())()
	s.write(d, configMap(event.Update, "web", "3", 3))
	s.wantVersions(3) // by the other one, once the lease is over
	signal(syscall.SIGCONT)
	close(goesOn)
	if got := <-answered; !strings.Contains(got, "ng refs/heads/main") {
		t.Errorf("what was pushed too late was answered %q", got)
	}
	for n := 4; n < 10; n++ {
		s.write(d, configMap(event.Update, "web", fmt.Sprint(n), n))
		s.wantVersions(n)
	}
	if got := s.versions(); len(got) != 9 {
		t.Errorf("the versions are %q", got)
	}
}
