package natstest

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// anybody is who a client is that names no user: it may do anything.
const anybody = "anybody"

// setUsers has a server know kubescribe's users, each with its permissions.
func setUsers(t testing.TB, o *server.Options) {
	t.Helper()
	var config strings.Builder
	for _, u := range subject.Users() {
		fmt.Fprintf(&config, "%s: %q\n", bus.PasswordVariable(u), Password(u))
	}
	config.WriteString(strings.Replace(bus.Accounts(), "users: [\n", fmt.Sprintf("users: [\n{user: %[1]s, password: %[1]s}\n", anybody), 1))
	file := filepath.Join(t.TempDir(), "accounts.conf")
	if err := os.WriteFile(file, []byte(config.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	users, err := server.ProcessConfigFile(file)
	if err != nil {
		t.Fatal(err)
	}
	o.Accounts, o.Users, o.NoAuthUser = users.Accounts, users.Users, anybody
}

// Password is a user's.
func Password(u subject.User) string { return "password of the " + string(u) }

// PasswordFile is a file that holds it, for as long as the test lasts.
func PasswordFile(t testing.TB, u subject.User) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte(Password(u)), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// SetPassword gives a user another one, from the next start on.
func (n *Server) SetPassword(u subject.User, password string) {
	for _, known := range n.opts.Users {
		if known.Username == string(u) {
			known.Password = password
		}
	}
}

// ConnectAs opens a bus connection of a user that ends with the test.
func (a Address) ConnectAs(t testing.TB, u subject.User) *bus.Bus {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	b, err := bus.Connect(ctx, bus.Config{
		Access: bus.Access{URL: a.URL()}, Username: string(u), Password: Password(u), As: u, Name: string(u), Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

// StartTLS runs a server until the test ends that speaks TLS alone, at localhost.
func StartTLS(t testing.TB, c *tls.Config) *Server {
	t.Helper()
	n := newServer(t, "test")
	n.Address = Address(strings.Replace(n.URL(), "nats://127.0.0.1", "tls://localhost", 1))
	n.opts.TLSConfig = c
	n.start(t)
	t.Cleanup(func() { n.stop() })
	return n
}

// refusals is a server's log, of which it keeps what it has refused to users.
type refusals struct {
	mu  sync.Mutex
	all []string
}

// check fails the test where something was refused: a role lacks a permission.
func (r *refusals) check(t testing.TB) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, one := range r.all {
		t.Errorf("the NATS server has refused: %s", one)
	}
}

// Refused is what the server has refused to users so far. From then on it is the caller's to judge.
func (n *Server) Refused() []string {
	n.refused.mu.Lock()
	defer n.refused.mu.Unlock()
	all := n.refused.all
	n.refused.all = nil
	return all
}

// Errorf implements the server's Logger.
func (r *refusals) Errorf(format string, v ...any) {
	if said := fmt.Sprintf(format, v...); strings.Contains(said, "Violation") {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.all = append(r.all, said)
	}
}

// Noticef, Warnf, Fatalf, Debugf and Tracef are the rest of it.
func (*refusals) Noticef(string, ...any) {}
func (*refusals) Warnf(string, ...any)   {}
func (*refusals) Fatalf(string, ...any)  {}
func (*refusals) Debugf(string, ...any)  {}
func (*refusals) Tracef(string, ...any)  {}
