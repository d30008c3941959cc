package e2e_test

import (
	"net/http"
	"sync"
)

// gate stands before a remote. While it is shut, pushes hang: their senders get
// no answer until they give up or it opens.
type gate struct {
	mu   sync.Mutex
	shut chan struct{} // closed when it opens; nil while it is open; guarded by mu
	held int           // how many pushes have been held; guarded by mu
}

// close shuts the gate. The function that is returned opens it.
func (g *gate) close() (open func()) {
	shut := make(chan struct{})
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = shut
	return sync.OnceFunc(func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.shut = nil
		close(shut)
	})
}

// holds is how many pushes have been held so far.
func (g *gate) holds() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.held
}

func (g *gate) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.mu.Lock()
		shut := g.shut
		if shut != nil && r.Method == http.MethodPost {
			g.held++
		} else {
			shut = nil
		}
		g.mu.Unlock()
		if shut != nil {
			select {
			case <-shut:
			case <-r.Context().Done():
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}
