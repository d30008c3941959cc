//go:build faultpoints

package faultpoint

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// given is an order to this process, with nothing seen before.
func given(t *testing.T, o Order) (file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "order")
	orders.file, orders.seen = file, map[string]bool{}
	t.Cleanup(func() { orders.file = "" })
	if err := o.Give(file); err != nil {
		t.Fatal(err)
	}
	return file
}

// steps does a step so many times, and counts how often it was done and went wrong.
func steps(times int) (done int, wrong []error) {
	for range times {
		if _, err := Answered(Put, "KS_PHASE", func() (int, error) { done++; return done, nil }); err != nil {
			wrong = append(wrong, err)
		}
	}
	return done, wrong
}

func TestFail(t *testing.T) {
	file := given(t, Order{Point: "put KS_PHASE", Do: Fail, Hit: 2})
	if err := Do(Put, "KS_CURSOR", func() error { return nil }); err != nil { // another point
		t.Error(err)
	}
	if done, wrong := steps(4); done != 3 || len(wrong) != 1 || !errors.Is(wrong[0], ErrFailed) {
		t.Errorf("done %d times, %v", done, wrong)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("the order stands after it was carried out")
	}
	if seen, err := os.ReadFile(file + Seen); string(seen) != "put KS_CURSOR\nput KS_PHASE\n" {
		t.Errorf("seen: %q, %v", seen, err)
	}
}

func TestLose(t *testing.T) {
	given(t, Order{Point: "put KS_PHASE", Do: Lose, Hit: 2})
	own := errors.New("its own")
	if err := Do(Put, "KS_PHASE", func() error { return own }); err != own { // was not done, so it has no answer to lose
		t.Error(err)
	}
	if done, wrong := steps(4); done != 4 || len(wrong) != 1 || !errors.Is(wrong[0], ErrLost) {
		t.Errorf("done %d times, %v", done, wrong)
	}
}

func TestStall(t *testing.T) {
	until := filepath.Join(t.TempDir(), "go on")
	file := given(t, Order{Point: "end cluster", Do: Stall, Hit: 1, Until: until})
	done := make(chan error, 1)
	go func() { done <- Do(End, "cluster-3", func() error { return nil }) }()
	for _, err := os.Stat(file); err == nil; _, err = os.Stat(file) {
		select {
		case <-done:
			t.Fatal("it goes on")
		default:
		}
	}
	if err := Do(End, "run", func() error { return nil }); err != nil { // others go on meanwhile
		t.Error(err)
	}
	select {
	case <-done:
		t.Fatal("it goes on before it may")
	default:
	}
	if err := os.WriteFile(until, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// envCrash makes TestCrash the process that crashes.
const envCrash = "KUBESCRIBE_TEST_CRASH"

// TestCrash: who crashes is killed, before the step or behind it, and so is who is to go
// with it.
func TestCrash(t *testing.T) {
	if file := os.Getenv(envCrash); file != "" {
		_ = Do(Push, "the remote", func() error { return os.WriteFile(file, nil, 0o600) })
		os.Exit(3)
	}
	for action, done := range map[Action]bool{CrashBefore: false, CrashAfter: true} {
		other := exec.Command("sleep", "1000")
		if err := other.Start(); err != nil {
			t.Fatal(err)
		}
		file, step := filepath.Join(t.TempDir(), "order"), filepath.Join(t.TempDir(), "step")
		if err := (Order{Point: "push the remote", Do: action, Hit: 1, With: []int{other.Process.Pid}}).Give(file); err != nil {
			t.Fatal(err)
		}
		this := exec.Command(os.Args[0], "-test.run=^TestCrash$")
		this.Env = append(os.Environ(), Env+"="+file, envCrash+"="+step)
		for _, cmd := range []*exec.Cmd{this, other} {
			if cmd == this {
				_ = cmd.Start()
			}
			_ = cmd.Wait()
			if by := cmd.ProcessState.Sys().(syscall.WaitStatus).Signal(); by != syscall.SIGKILL {
				t.Errorf("%s: %s: %s, want SIGKILL", action, cmd.Path, by)
			}
		}
		if _, err := os.Stat(step); (err == nil) != done {
			t.Errorf("%s: the step was done: %t", action, err == nil)
		}
		if seen, _ := os.ReadFile(file + Seen); strings.TrimSpace(string(seen)) != "push the remote" {
			t.Errorf("%s: seen: %q", action, seen)
		}
	}
}
