package bus

import (
	"context"
	"crypto/tls"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/fault"
	"github.com/kubescribe/kubescribe/shared/gittest"
	"github.com/kubescribe/kubescribe/shared/subject"
	"github.com/kubescribe/kubescribe/test/integration/natstest"
)

// TestAccessTLS: a server is trusted by the authorities that are named, and by no others, and
// is shown the certificate that it asks for.
func TestAccessTLS(t *testing.T) {
	t.Parallel()
	authority, err := gittest.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	serves, err := authority.Serves(tls.RequireAndVerifyClientCert)
	if err != nil {
		t.Fatal(err)
	}
	certificate, key, err := authority.Issue("router")
	if err != nil {
		t.Fatal(err)
	}
	s := natstest.StartTLS(t, serves)
	dir := t.TempDir()
	file := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	whole := bus.Access{URL: s.URL(), CA: file("ca", authority.PEM), Cert: file("cert", certificate), Key: file("key", key)}
	for name, tt := range map[string]struct {
		without func(*bus.Access)
		refused string
	}{
		"all":                {func(*bus.Access) {}, ""},
		"no authority":       {func(a *bus.Access) { a.CA = "" }, "certificate signed by unknown authority"},
		"no certificate":     {func(a *bus.Access) { a.Cert, a.Key = "", "" }, "tls: certificate required"},
		"another's":          {func(a *bus.Access) { a.CA = a.Cert }, "certificate signed by unknown authority"},
		"no TLS, by the URL": {func(a *bus.Access) { *a = bus.Access{URL: "nats" + a.URL[len("tls"):]} }, "certificate signed by unknown authority"},
	} {
		t.Run(name, func(t *testing.T) {
			a := whole
			tt.without(&a)
			ctx, cancel := context.WithCancel(t.Context())
			if tt.refused != "" { // it goes on trying: the server may be given another certificate
				cancel()
			}
			defer cancel()
			b, err := bus.Connect(ctx, bus.Config{Access: a, Log: slog.New(slog.DiscardHandler)})
			if err == nil {
				defer b.Close()
			}
			if (err != nil) != (tt.refused != "") || err != nil && !strings.Contains(err.Error(), tt.refused) {
				t.Errorf("connecting: %v, want %q", err, tt.refused)
			}
		})
	}
}

// TestPasswordChanged: a password that changes on both sides is used from the next connection on, and
// nobody needs to be started again.
func TestPasswordChanged(t *testing.T) {
	t.Parallel()
	s := natstest.Start(t)
	file := filepath.Join(t.TempDir(), "password")
	write := func(password string) {
		if err := os.WriteFile(file, []byte(password+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(natstest.Password(subject.UserRouter))
	cfg := bus.Config{
		Access: bus.Access{URL: s.URL(), PasswordFile: file}, As: subject.UserRouter, Log: slog.New(slog.DiscardHandler),
	}
	b, err := bus.Connect(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	until := func(what string, so func() bool) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), natstest.Patience)
		defer cancel()
		for !so() {
			if fault.Wait(ctx, 10*time.Millisecond) != nil {
				t.Fatal(what, b.Ready())
			}
		}
	}
	s.SetPassword(subject.UserRouter, "another one")
	s.Restart(t)
	if _, err := bus.Connect(t.Context(), cfg); err == nil {
		t.Fatal("the former password counts")
	}
	until("it does not lose its connection", func() bool { return b.Ready() != nil })
	write("another one")
	until("it does not come back", func() bool { return b.Ready() == nil })
}
