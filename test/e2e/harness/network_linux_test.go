package harness

import (
	"bufio"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// envOnNetwork says that this test's program is in a network namespace of its own.
const envOnNetwork = "HARNESS_ON_NETWORK"

// TestNetwork plays what a network promises, where nobody else is.
func TestNetwork(t *testing.T) {
	if os.Getenv(envOnNetwork) != "" {
		n, err := NewNetwork()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := NewNetwork(); err == nil {
			t.Error("a network that is in use is taken for one's own")
		}
		t.Run("places", func(t *testing.T) { places(t, n) })
		t.Run("processes", func(t *testing.T) { processes(t, n) })
		return
	}
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, "-test.run=^TestNetwork$", "-test.v")
	cmd.Env = append(os.Environ(), envOnNetwork+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWNET | syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSPC) {
		t.Skipf("namespaces cannot be made here: %v", err)
	}
	if err != nil || !strings.Contains(string(out), "--- PASS: TestNetwork/processes") {
		t.Errorf("%v: %s", err, out)
	}
}

// patience is how long the network may take. It is there to fail, not to measure.
const patience = 30 * time.Second

// places: who is at one reaches this process at its Host, and nobody else, and is reached. While
// it is unplugged, at either end of the cable, nothing comes through, no connection ends by it,
// and nobody new gets through; what was said meanwhile comes once it is plugged in.
func places(t *testing.T, n *Network) {
	p, neighbour := place(t, n), place(t, n)
	host := echoOn(t, listenAt(t, nil, p.Host))
	out, in := connect(t, p, host), connect(t, nil, echoOn(t, listenAt(t, p, p.Address)))
	for what, address := range map[string]string{
		"this process's loopback": echo(t), "a neighbour": echoOn(t, listenAt(t, neighbour, neighbour.Address)),
		"a neighbour's host": echoOn(t, listenAt(t, nil, neighbour.Host)),
	} {
		if c, err := dial(p, address, time.Second); err == nil {
			c.Close()
			t.Errorf("who is at a place reaches %s", what)
		}
	}
	for _, behind := range []bool{false, true} {
		if err := p.Unplug(behind); err != nil {
			t.Fatal(err)
		}
		for name, c := range map[string]*talk{"out": out, "in": in} {
			if err := c.say(300 * time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("unplugged (behind the wall: %t), %s: %v", behind, name, err)
			}
		}
		if c, err := dial(p, host, 300*time.Millisecond); err == nil {
			c.Close()
			t.Errorf("unplugged (behind the wall: %t): a new connection gets through", behind)
		}
		if err := p.Plug(); err != nil {
			t.Fatal(err)
		}
		for name, c := range map[string]*talk{"out": out, "in": in} {
			if err := errors.Join(c.hear(patience), c.say(patience)); err != nil {
				t.Errorf("plugged in again (behind the wall: %t), %s: %v", behind, name, err)
			}
		}
		connect(t, p, host)
	}
}

// processes: one that is started at a place runs there, with a clock of its own, too.
func processes(t *testing.T, n *Network) {
	p := place(t, n)
	program, err := exec.LookPath("readlink")
	if err != nil {
		t.Fatal(err)
	}
	var there string
	if err := p.do(func() (err error) { there, err = os.Readlink(ownNamespace); return err }); err != nil {
		t.Fatal(err)
	}
	if here, err := os.Readlink(ownNamespace); here == there || err != nil {
		t.Errorf("a place is %s, and so is this (%v)", there, err)
	}
	for _, clock := range []bool{false, runtime.GOARCH == "amd64"} {
		process, err := StartProcess(Command{
			Bins: Bins(filepath.Dir(program)), Program: "readlink", Args: []string{"/proc/self/ns/net"},
			Log: filepath.Join(t.TempDir(), "log"), Clock: clock, Place: p,
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		if code, err := process.Exit(ctx); code != 0 || err != nil || strings.TrimSpace(string(process.Output())) != there {
			t.Errorf("a process at %s says %q (%d, %v)", there, process.Output(), code, err)
		}
	}
}

func place(t *testing.T, n *Network) *Place {
	t.Helper()
	p, err := n.Place()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// at does something at a place, or here if that is nil.
func at(p *Place, something func() error) error {
	if p == nil {
		return something()
	}
	return p.do(something)
}

func listenAt(t *testing.T, p *Place, host string) (l net.Listener) {
	t.Helper()
	err := at(p, func() (err error) { l, err = net.Listen("tcp", host+":0"); return err })
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func dial(p *Place, address string, within time.Duration) (c net.Conn, err error) {
	err = at(p, func() (err error) { c, err = net.DialTimeout("tcp", address, within); return err })
	return c, err
}

// talk is a connection to an [echo].
type talk struct {
	net.Conn
	heard *bufio.Reader
}

// connect makes one from a place, or from here, over which something is said until the test ends.
func connect(t *testing.T, from *Place, to string) *talk {
	t.Helper()
	c, err := dial(from, to, patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	made := &talk{c, bufio.NewReader(c)}
	if err := made.say(patience); err != nil {
		t.Fatal(err)
	}
	return made
}

// say says something, and hears it.
func (c *talk) say(within time.Duration) error {
	if err := c.SetDeadline(time.Now().Add(within)); err != nil {
		return err
	}
	if _, err := c.Write([]byte("hello\n")); err != nil {
		return err
	}
	return c.hear(within)
}

// hear hears what was said.
func (c *talk) hear(within time.Duration) error {
	if err := c.SetDeadline(time.Now().Add(within)); err != nil {
		return err
	}
	line, err := c.heard.ReadString('\n')
	if err == nil && line != "hello\n" {
		err = errors.New(line)
	}
	return err
}
