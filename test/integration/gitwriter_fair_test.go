package integration

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/kubescribe/kubescribe/shared/event"
)

// TestGitWriterFair: beside a burst of one destination, whose push takes as long as it likes, a change
// of a quiet one on another branch waits for nothing, and one on the same branch for no more than the
// push that is under way: it is part of the next, with all of the burst that came before it.
func TestGitWriterFair(t *testing.T) {
	t.Parallel()
	const burst = 400
	s := newStand(t)
	s.commitFile("README.md", "hello\n")
	loud, near := s.register("loud", "loud", false), s.register("near", "near", false)
	elsewhere := s.registerOn("next", "elsewhere", "elsewhere", false)
	under, done := make(chan struct{}), make(chan struct{})
	landed := make(chan int, 100) // how many of the quiet one's are there behind each push to main
	var pushes atomic.Int64
	s.gate.set(func(next http.Handler, w http.ResponseWriter, r *http.Request) bool {
		if !s.pushesTo(r, "main") {
			return false
		}
		if pushes.Add(1) == 1 {
			close(under)
			<-done
		}
		next.ServeHTTP(w, r)
		landed <- len(s.committed(near))
		return true
	})
	goOn := sync.OnceFunc(func() { close(done) })
	s.start()
	t.Cleanup(goOn) // before the writer is stopped, which waits for its push
	var changes []event.Change
	for n := range 2*burst + 1 {
		changes = append(changes, configMap(event.Create, fmt.Sprint("web-", n), "x", n+1))
	}
	s.write(loud, changes[0])
	<-under
	s.write(loud, changes[1:burst+1]...)
	s.write(near, configMap(event.Create, "web", "quiet", 1))
	s.write(loud, changes[burst+1:]...)
	s.write(elsewhere, configMap(event.Create, "web", "quiet", 1))
	s.until("the other branch has its change", func() bool { return slices.Equal(s.committed(elsewhere), []string{"1"}) })
	if got := len(s.committed(loud)); got != 0 {
		t.Errorf("of the burst, whose push stands still, there are %d", got)
	}
	goOn()
	if first, second := <-landed, <-landed; first != 0 || second != 1 {
		t.Errorf("behind the push under way the branch has %d of the quiet one's changes, behind the next %d; want 0 and 1", first, second)
	}
	s.until("the burst is written", func() bool { return len(s.committed(loud)) == len(changes) })
}
