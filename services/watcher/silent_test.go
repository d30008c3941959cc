package watcher

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
)

// silent is a server that takes connections and never says more than that, and
// how many it has taken.
func silent(says string) (*rest.Config, *atomic.Int32) {
	taken := new(atomic.Int32)
	return &rest.Config{Host: "http://api.example.com", Dial: func(context.Context, string, string) (net.Conn, error) {
		taken.Add(1)
		here, there := net.Pipe()
		go func() {
			_, _ = there.Read(make([]byte, 1<<10))
			_, _ = io.WriteString(there, says)
			_, _ = io.Copy(io.Discard, there)
		}()
		return here, nil
	}}, taken
}

// TestSilentServer: a server that takes a connection and never says anything is
// given up on, and so can be complained of.
func TestSilentServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rc, _ := silent("")
		client, err := kubernetes.NewForConfig(rc)
		if err != nil {
			t.Fatal(err)
		}
		w := &Watcher{cfg: Config{REST: rc}, client: client}
		begun := time.Now()
		if _, err := w.clusterID(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("asked for its cluster: %v", err)
		}
		if took := time.Since(begun); took != answerWait {
			t.Errorf("it was given up on after %v", took)
		}
	})
}

// TestSilentDefinitions: a watch of the definitions that is never answered, or
// dies unnoticed, is followed by another.
func TestSilentDefinitions(t *testing.T) {
	for name, says := range map[string]string{
		"no answer": "",
		"no event":  "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rc, taken := silent(says)
				client, err := metadata.NewForConfig(rc)
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				s := &session{Watcher: &Watcher{metadata: client, log: slog.New(slog.DiscardHandler)}}
				s.followDefinitions(ctx, follower{of: crds, kick: make(chan struct{}, 1), defined: s.defined})
				if n := taken.Load(); n < 5 || n > 6 {
					t.Errorf("it asked %d times in an hour", n)
				}
			})
		})
	}
}
