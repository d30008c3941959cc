package natstest

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Process is one node in a process of its own, which can be killed.
type Process struct {
	Address
	bin, config string
	cmd         *exec.Cmd
	words       *bytes.Buffer // of the process that runs now; read once it has ended
}

// Build builds the server's program into a directory.
func Build(dir string) (bin string, err error) {
	bin = filepath.Join(dir, "nats-server")
	cmd := exec.Command("go", "build", "-o", bin, "github.com/nats-io/nats-server/v2") //nolint:noctx // for all tests
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the NATS server: %w\n%s", err, out)
	}
	return bin, nil
}

// StartProcess runs the program until the test ends.
func StartProcess(t testing.TB, bin string) *Process {
	t.Helper()
	port, dir := freePort(t), t.TempDir()
	p := &Process{Address: address(port), bin: bin, config: filepath.Join(dir, "nats.conf")}
	config := fmt.Sprintf("listen: \"127.0.0.1:%d\"\nmax_payload: %d\njetstream {store_dir: %q, sync_interval: always}\n", port, maxPayload, filepath.Join(dir, "store"))
	if err := os.WriteFile(p.config, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	p.start(t)
	t.Cleanup(p.kill)
	return p
}

func (p *Process) start(t testing.TB) {
	t.Helper()
	p.cmd, p.words = exec.Command(p.bin, "-c", p.config), &bytes.Buffer{} //nolint:noctx // it is killed
	p.cmd.Stderr = p.words
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for err := p.ready(ctx); err != nil; err = p.ready(ctx) {
		select {
		case <-ctx.Done():
			p.kill()
			t.Fatalf("the NATS server is not ready: %v\n%s", err, p.words)
		case <-tick.C:
		}
	}
}

// ready is nil once JetStream answers.
func (p *Process) ready(ctx context.Context) error {
	nc, err := nats.Connect(p.URL())
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	_, err = js.AccountInfo(ctx)
	return err
}

func (p *Process) kill() {
	_ = p.cmd.Process.Kill() // or it has ended
	_ = p.cmd.Wait()
}

// Restart kills the server, and starts it on what that has left.
func (p *Process) Restart(t testing.TB) {
	t.Helper()
	p.kill()
	p.start(t)
}
