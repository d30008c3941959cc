package harness

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// NATS is a NATS server with JetStream, a process of its own.
type NATS struct {
	*Process
	URL string
	Dir string // where it keeps all

	bins  Bins
	clock bool   // as Command.Clock
	place *Place // as Command.Place
}

// StartNATS starts a server that keeps all of its state in a directory, on a port of
// its own, and returns once it takes clients.
func StartNATS(ctx context.Context, bins Bins, dir string, maxPayload int) (*NATS, error) {
	n := &NATS{bins: bins, Dir: dir}
	config := fmt.Sprintf("listen: \"127.0.0.1:-1\"\nmax_payload: %d\njetstream {store_dir: %q, sync_interval: always}\n%s", maxPayload, filepath.Join(dir, "store"), natsUsers())
	if err := os.WriteFile(n.config(), []byte(config), 0o600); err != nil {
		return nil, fmt.Errorf("starting the NATS server: %w", err)
	}
	if err := n.start(ctx); err != nil {
		return nil, err
	}
	address := natsAddress.FindSubmatch(n.Output())
	if address == nil {
		n.Kill()
		return nil, errors.New("starting the NATS server: its log does not say where it listens")
	}
	n.URL = "nats://" + string(address[1])
	config = strings.Replace(config, "127.0.0.1:-1", string(address[1]), 1)
	if err := os.WriteFile(n.config(), []byte(config), 0o600); err != nil {
		n.Kill()
		return nil, fmt.Errorf("starting the NATS server: %w", err)
	}
	return n, nil
}

// natsPassword is that of each of kubescribe's users.
const natsPassword = "harness"

// NATSPassword writes a file with the password of each user of a server's that this package starts.
// Who names none may do anything.
func NATSPassword(dir string) (file string, err error) {
	file = filepath.Join(dir, "nats.password")
	return file, os.WriteFile(file, []byte(natsPassword), 0o600)
}

// natsUsers is the part of a server's configuration that has kubescribe's users, each with its
// permissions, and one who may do anything: who names none.
func natsUsers() string {
	var c strings.Builder
	fmt.Fprintf(&c, "no_auth_user: harness\nPASSWORD: %s\n", natsPassword)
	for _, u := range subject.Users() {
		fmt.Fprintf(&c, "%s: $PASSWORD\n", bus.PasswordVariable(u))
	}
	c.WriteString(strings.Replace(bus.Accounts(), "users: [\n", "users: [\n      {user: harness, password: harness}\n", 1))
	return c.String()
}

// natsAddress is how the server's log says where it listens.
var natsAddress = regexp.MustCompile(`Listening for client connections on (127\.0\.0\.1:\d+)`)

func (n *NATS) config() string { return filepath.Join(n.Dir, "nats.conf") }

// Reconfigure replaces words of the server's configuration, which it goes by from its next
// Restart or Reload on.
func (n *NATS) Reconfigure(was, is string) error {
	b, err := os.ReadFile(n.config())
	if err == nil && strings.Count(string(b), was) != 1 {
		err = fmt.Errorf("%q is not in it once", was)
	}
	if err == nil {
		err = os.WriteFile(n.config(), []byte(strings.Replace(string(b), was, is, 1)), 0o600)
	}
	if err != nil {
		return fmt.Errorf("configuring the NATS server: %w", err)
	}
	return nil
}

// Reload has the server read its configuration anew, without a restart.
func (n *NATS) Reload() error { return n.Signal(syscall.SIGHUP) }

// Restart kills the server and starts it on the same state and address.
func (n *NATS) Restart(ctx context.Context) error {
	n.Kill()
	return n.start(ctx)
}

func (n *NATS) start(ctx context.Context) error {
	p, err := StartProcess(Command{
		Bins: n.bins, Program: "nats-server", Args: []string{"-c", n.config()}, Log: filepath.Join(n.Dir, "nats.log"),
		Clock: n.clock, Place: n.place,
	})
	if err != nil {
		return err
	}
	n.Process = p
	err = Poll(ctx, pollStart, "the NATS server to be ready", func(context.Context) error {
		select {
		case <-p.Exited():
			return nil
		default:
		}
		if !strings.Contains(string(p.Output()), "Server is ready") {
			return errors.New("its log does not say it")
		}
		return nil
	})
	select {
	case <-p.Exited():
		err = errors.Join(err, errors.New("it ended"))
	default:
	}
	if err != nil {
		p.Kill()
		return fmt.Errorf("starting the NATS server: %w; its log ends with:\n%s", err, p.Tail(20))
	}
	return nil
}
