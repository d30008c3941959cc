package harness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// Command is a program to be run.
type Command struct {
	Bins    Bins
	Program string // its name in Bins
	Args    []string
	Env     []string // besides what [environment] gives
	Log     string   // file that standard error, and output without Stdout, are appended to
	Stdout  io.Writer
	Clock   bool   // its time of day can be stepped: [Process.StepClock]
	Place   *Place // where it runs; nil: here
}

// Process is a program that was started. Its methods may be called from any
// goroutine. It does not outlive the process that started it.
type Process struct {
	Name string
	Log  string // file

	cmd    *exec.Cmd
	begin  int64         // where in Log this process's words begin
	clock  int64         // where in its memory is how far its clock is off, with Command.Clock
	exited chan struct{} // closed once the process is gone
	waited error         // what waiting for it gave; valid once exited is closed
}

// StartProcess starts a program and returns at once.
func StartProcess(c Command) (*Process, error) {
	cmd, err := c.Exec()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(c.Log), 0o755); err != nil {
		return nil, fmt.Errorf("starting %s: %w", c.Program, err)
	}
	log, err := os.OpenFile(c.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", c.Program, err)
	}
	defer func() { _ = log.Close() }() // the process has its own
	at, err := log.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", c.Program, err)
	}
	p := &Process{Name: c.Program, Log: c.Log, cmd: cmd, begin: at, exited: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = log, log
	if c.Stdout != nil {
		p.cmd.Stdout = c.Stdout
	}
	p.cmd.SysProcAttr = attributes()
	start := p.cmd.Start
	if c.Clock {
		start = p.startWithClock
	}
	if c.Place != nil {
		err = c.Place.do(start)
	} else {
		err = start()
	}
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", c.Program, err)
	}
	go func() {
		defer close(p.exited)
		p.waited = p.cmd.Wait()
	}()
	return p, nil
}

// startWithClock starts the process with a clock that can be stepped.
func (p *Process) startWithClock() error {
	runtime.LockOSThread() // whom the process waits for
	defer runtime.UnlockOSThread()
	if err := stepped(p.cmd.SysProcAttr); err != nil {
		return err
	}
	if err := p.cmd.Start(); err != nil {
		return err
	}
	var err error
	if p.clock, err = giveClock(p.PID()); err != nil {
		_ = p.cmd.Process.Kill() // gone already is as good
		_ = p.cmd.Wait()         // it was killed
	}
	return err
}

// Exec is the command as it is to be run, without a place for what it prints.
func (c Command) Exec() (*exec.Cmd, error) {
	path, err := c.Bins.Program(c.Program)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(path, c.Args...)
	cmd.Env = append(environment(), c.Env...)
	return cmd, nil
}

// environment is this process's, without what would let the machine's Git or
// Kubernetes settings in.
func environment() []string {
	var env []string
	for _, kv := range os.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		switch {
		case strings.HasPrefix(name, "GIT_"), strings.HasPrefix(name, "KUBE"), strings.HasPrefix(name, "XDG_"),
			name == "HOME", name == "SSH_AUTH_SOCK":
		default:
			env = append(env, kv)
		}
	}
	return append(env, "HOME=/nonexistent", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL="+os.DevNull)
}

// PID is the process's number.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Exited is closed once the process is gone.
func (p *Process) Exited() <-chan struct{} { return p.exited }

// Kill sends SIGKILL and waits until the process is gone. It is not told.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // gone already is as good
	<-p.exited
}

// Pause has the process stand still, with all that it holds, until Resume.
func (p *Process) Pause() error { return p.Signal(syscall.SIGSTOP) }

// Resume ends a Pause.
func (p *Process) Resume() error { return p.Signal(syscall.SIGCONT) }

// Signal sends a signal and does not wait for what comes of it.
func (p *Process) Signal(s syscall.Signal) error {
	if err := p.cmd.Process.Signal(s); err != nil {
		return fmt.Errorf("sending %s to %s: %w", s, p.Name, err)
	}
	return nil
}

// Terminate sends SIGTERM and waits for an orderly end. It returns how long that
// took, and an error unless the exit code is 0. A process that is still there
// when ctx ends is killed.
func (p *Process) Terminate(ctx context.Context) (time.Duration, error) {
	begun := time.Now()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return 0, fmt.Errorf("stopping %s: %w", p.Name, err)
	}
	select {
	case <-p.exited:
	case <-ctx.Done():
		p.Kill()
		return time.Since(begun), fmt.Errorf("stopping %s: it still ran after %s and was killed", p.Name, time.Since(begun).Round(time.Millisecond))
	}
	took := time.Since(begun)
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		return took, fmt.Errorf("stopping %s: it exited with code %d; its log ends with:\n%s", p.Name, code, p.Tail(20))
	}
	return took, nil
}

// Exit waits for the process to end by itself and returns its exit code.
func (p *Process) Exit(ctx context.Context) (int, error) {
	select {
	case <-p.exited:
	case <-ctx.Done():
		return 0, fmt.Errorf("%s still runs; its log ends with:\n%s", p.Name, p.Tail(20))
	}
	if p.waited != nil && !errors.As(p.waited, new(*exec.ExitError)) {
		return 0, fmt.Errorf("waiting for %s: %w", p.Name, p.waited)
	}
	return p.cmd.ProcessState.ExitCode(), nil
}

// Output is what this process has logged so far, not what earlier ones wrote to
// the same file.
func (p *Process) Output() []byte {
	b, err := os.ReadFile(p.Log)
	if err != nil || int64(len(b)) < p.begin {
		return nil // removed: nothing can be said
	}
	return b[p.begin:]
}

// Tail is the last lines that this process has logged.
func (p *Process) Tail(lines int) string {
	all := bytes.Split(bytes.TrimRight(p.Output(), "\n"), []byte("\n"))
	return string(bytes.Join(all[max(0, len(all)-lines):], []byte("\n")))
}
