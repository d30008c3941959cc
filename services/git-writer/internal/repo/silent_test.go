package repo

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"runtime/pprof"
	"strings"
	"testing"
	"time"

	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	gitssh "github.com/go-git/go-git/v5/plumbing/transport/ssh"
	"golang.org/x/crypto/ssh"

	"github.com/kubescribe/kubescribe/shared/gittest"
)

// An SSH host that accepts connections and says nothing, or that stops in the
// middle of the handshake, is given up with everything that was opened for it: an
// outage of hours leaves nothing behind.
func TestSilentSSHHostLeavesNothing(t *testing.T) {
	for name, greeting := range map[string]string{"silent": "", "stops": "SSH-2.0-quiet\r\n"} {
		t.Run(name, func(t *testing.T) {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = listener.Close() })
			const tries = 6 // to fetch, and every other one to push
			ended := make(chan struct{}, tries)
			go func() {
				for {
					conn, err := listener.Accept()
					if err != nil {
						return
					}
					_, _ = io.WriteString(conn, greeting)
					go func() {
						_, _ = io.Copy(io.Discard, conn) // until the client closes it
						_ = conn.Close()
						ended <- struct{}{}
					}()
				}
			}()
			b := New(Config{
				URL: "ssh://git@" + listener.Addr().String() + "/org/repo", Branch: "main", Dir: t.TempDir(), Timeout: 100 * time.Millisecond,
				Auth: func(context.Context) (Access, error) {
					return Access{Method: &gitssh.Password{
						User: "git", Password: "s3cr3t",
						HostKeyCallbackHelper: gitssh.HostKeyCallbackHelper{HostKeyCallback: ssh.InsecureIgnoreHostKey()},
					}}, nil
				},
			})
			for i := range tries {
				var err error
				if i%2 == 0 {
					_, err = b.Fetch(t.Context())
				} else {
					_, err = b.remote.receivePack(t.Context(), &packp.Command{Name: b.remote.ref}, nil)
				}
				if !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), "nothing came or went for 100ms") {
					t.Fatalf("error %v", err)
				}
			}
			late := time.NewTimer(20 * time.Second)
			defer late.Stop()
			for i := range tries {
				select {
				case <-ended:
				case <-late.C:
					t.Fatalf("%d connections are open still", tries-i)
				}
			}
			again := time.NewTicker(10 * time.Millisecond)
			defer again.Stop()
			for sshGoroutines() > 0 || remembered() > 0 {
				select {
				case <-again.C:
				case <-late.C:
					t.Fatalf("%d goroutines and %d sessions are there still", sshGoroutines(), remembered())
				}
			}
		})
	}
}

// TestEndlessPeer: a server whose answer comes a byte at a time, and never ends, is given up.
func TestEndlessPeer(t *testing.T) {
	r := newRemoteRepo(t, gittest.Options{})
	b := r.fetched()
	put(t, b, 1, "a.yaml", "1")
	was := b.remote.longest
	b.remote.longest = time.Second
	r.meddle(func(w http.ResponseWriter, req *http.Request, _ http.Handler) {
		more := time.NewTicker(20 * time.Millisecond)
		defer more.Stop()
		for req.Context().Err() == nil {
			<-more.C
			_, _ = io.WriteString(w, " ")
			_ = http.NewResponseController(w).Flush()
		}
	})
	for name, does := range map[string]func() error{
		"fetch": func() error { _, err := b.Fetch(t.Context()); return err },
		"push":  func() error { _, err := b.Push(t.Context()); return err },
	} {
		if err := does(); !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), "no end within 1s") {
			t.Errorf("%s: error %v", name, err)
		}
	}
	r.meddle(nil)
	b.remote.longest = was
	push(t, b)
}

// remembered is how many sessions may still be dialed for.
func remembered() (n int) {
	dialing.Range(func(any, any) bool { n++; return true })
	return n
}

// sshGoroutines is how many goroutines are in SSH code.
func sshGoroutines() (n int) {
	var b strings.Builder
	_ = pprof.Lookup("goroutine").WriteTo(&b, 2)
	for stack := range strings.SplitSeq(b.String(), "\n\n") {
		if strings.Contains(stack, "golang.org/x/crypto/ssh.") || strings.Contains(stack, "transport/ssh.") {
			n++
		}
	}
	return n
}
