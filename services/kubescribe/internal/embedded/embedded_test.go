package embedded

import (
	"encoding/json"
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/kubescribe/kubescribe/services/kubescribe/internal/datadir"
	"github.com/kubescribe/kubescribe/shared/bus"
)

func open(t *testing.T) *datadir.Dir {
	t.Helper()
	dir, err := datadir.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = dir.Close() })
	return dir
}

// told is what nats.json says.
func told(t *testing.T, dir *datadir.Dir) (a Access) {
	t.Helper()
	b, err := os.ReadFile(dir.Join("nats.json"))
	if err == nil {
		err = json.Unmarshal(b, &a)
	}
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// provision uses the server as a local program does, and returns the install.
func provision(t *testing.T, a Access) (string, error) {
	t.Helper()
	b, err := bus.Connect(t.Context(), bus.Config{Access: bus.Access{URL: a.URL}, Username: a.User, Password: a.Password, Name: "test", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return "", err
	}
	defer b.Close()
	if err := b.Provision(t.Context(), bus.Options{Replicas: 1}); err != nil {
		return "", err
	}
	return b.Install.Incarnation, nil
}

// TestStart: who reads nats.json reaches the server, and nobody with a password of
// an earlier start; what it holds stays.
func TestStart(t *testing.T) {
	dir, log := open(t), slog.New(slog.DiscardHandler)
	s, err := Start(dir, log)
	if err != nil {
		t.Fatal(err)
	}
	first := told(t, dir)
	if first != s.Access || !strings.HasPrefix(first.URL, "nats://127.0.0.1:") {
		t.Errorf("nats.json says %s of user %s", first.URL, first.User)
	}
	install, err := provision(t, first)
	if err != nil {
		t.Fatal(err)
	}
	s.Stop()

	if s, err = Start(dir, log); err != nil {
		t.Fatal(err)
	}
	defer s.Stop()
	second := told(t, dir)
	if second.Password == first.Password {
		t.Error("the password of the first start is the second's too")
	}
	if again, err := provision(t, second); err != nil || again != install {
		t.Errorf("after a restart it holds install %q, want %q, %v", again, install, err)
	}
	for name, a := range map[string]Access{"an earlier password": {second.URL, second.User, first.Password}, "none": {URL: second.URL}} {
		if _, err := provision(t, a); err == nil {
			t.Errorf("it lets in who has %s", name)
		}
	}
}

// TestStartFails: a store that cannot be opened is an error, not a bus in memory,
// and a server that nobody could be told of does not stay.
func TestStartFails(t *testing.T) {
	for name, tt := range map[string]struct {
		prepare func(dir *datadir.Dir) error
		says    string
	}{
		"no store":     {func(dir *datadir.Dir) error { return os.WriteFile(dir.Join("nats"), nil, 0o600) }, "storage directory is not a directory"},
		"no nats.json": {func(dir *datadir.Dir) error { return os.MkdirAll(dir.Join("nats.json", "x"), 0o700) }, "nats.json"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := open(t)
			if err := tt.prepare(dir); err != nil {
				t.Fatal(err)
			}
			s, err := Start(dir, slog.New(slog.DiscardHandler))
			if err == nil {
				s.Stop()
				t.Fatal("it started")
			}
			if !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), "embedded NATS server") {
				t.Errorf("it says %v", err)
			}
		})
	}
}
