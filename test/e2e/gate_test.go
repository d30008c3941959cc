package e2e_test

import (
	"bytes"
	"net/http"
	"strings"
	"sync"
)

// hold says where a gate holds a push.
type hold int

const (
	beforeLanding hold = iota + 1 // the repository has seen nothing of it
	afterLanding                  // it is in the branch, and its sender does not know
)

// gate stands before a remote. While it is shut, pushes hang: their senders get
// no answer until they give up or it opens.
type gate struct {
	mu   sync.Mutex
	hold hold          // 0 while it is open; guarded by mu
	shut chan struct{} // closed when it opens; guarded by mu
	held int           // how many pushes have been held; guarded by mu
}

// close shuts the gate. The function that is returned opens it.
func (g *gate) close(where hold) (open func()) {
	shut := make(chan struct{})
	g.mu.Lock()
	defer g.mu.Unlock()
	g.hold, g.shut = where, shut
	return sync.OnceFunc(func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.hold = 0
		close(shut)
	})
}

// holds is how many pushes are held, or were.
func (g *gate) holds() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.held
}

// state is where a request is to be held, and until when.
func (g *gate) state(r *http.Request) (hold, <-chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if r.Method != http.MethodPost || !strings.HasSuffix(r.URL.Path, "/git-receive-pack") {
		return 0, nil
	}
	return g.hold, g.shut
}

// wait holds a request, and reports whether it was let go.
func (g *gate) wait(r *http.Request, shut <-chan struct{}) bool {
	g.mu.Lock()
	g.held++
	g.mu.Unlock()
	select {
	case <-shut:
		return true
	case <-r.Context().Done():
		return false
	}
}

func (g *gate) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		where, shut := g.state(r)
		switch where {
		case beforeLanding:
			if g.wait(r, shut) {
				next.ServeHTTP(w, r)
			}
		case afterLanding:
			kept := &answer{header: http.Header{}, code: http.StatusOK}
			next.ServeHTTP(kept, r)
			if g.wait(r, shut) {
				kept.send(w)
			}
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// answer keeps an HTTP answer back.
type answer struct {
	header http.Header
	code   int
	body   bytes.Buffer
}

func (a *answer) Header() http.Header         { return a.header }
func (a *answer) WriteHeader(code int)        { a.code = code }
func (a *answer) Write(p []byte) (int, error) { return a.body.Write(p) }

func (a *answer) send(w http.ResponseWriter) {
	for name, values := range a.header {
		w.Header()[name] = values
	}
	w.WriteHeader(a.code)
	_, _ = w.Write(a.body.Bytes()) // its receiver may be gone
}
