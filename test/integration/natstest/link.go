package natstest

import (
	"bytes"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// Link is a way to the server on which bytes can be made to stand still, as for a
// client that is paused.
type Link struct {
	Address
	still sync.RWMutex // held for reading by who passes bytes on
	last  atomic.Pointer[last]
	first atomic.Pointer[first]
	lossy atomic.Pointer[lossy]
}

// first is what a connection is to stand still before.
type first struct {
	bytes   []byte
	reached chan struct{} // closed once it does
	resumed chan struct{} // closed when it need not any more
}

// last is what a connection is to end behind.
type last struct {
	bytes  []byte
	passed chan struct{} // closed once it has
}

// lossy is what connections end behind, again and again.
type lossy struct {
	bytes       []byte
	every       int64
	seen, ended atomic.Int64
}

// Link opens a way to the server, of several to the first, until the test ends.
func (a Address) Link(t testing.TB) *Link {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &Link{Address: Address("nats://" + listener.Addr().String())}
	first, _, _ := strings.Cut(a.URL(), ",")
	server := strings.TrimPrefix(first, "nats://")
	var all sync.WaitGroup
	all.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return // closed
			}
			upstream, err := net.Dial("tcp", server)
			if err != nil {
				client.Close()
				continue
			}
			all.Go(func() { l.pass(upstream, client) })
			all.Go(func() { l.pass(client, upstream) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		all.Wait() // the clients have been closed
	})
	return l
}

// Pause has nothing pass until resume is called, at the latest until the test ends;
// what was sent meanwhile passes then.
func (l *Link) Pause(t testing.TB) (resume func()) {
	l.still.Lock()
	resume = sync.OnceFunc(l.still.Unlock)
	t.Cleanup(resume)
	return resume
}

// StillBefore has the connection that is to pass what contains these bytes pass nothing
// in that direction until resume is called, at the latest until the test ends. The
// channel is closed once it stands still.
func (l *Link) StillBefore(t testing.TB, bytes string) (reached <-chan struct{}, resume func()) {
	at := &first{[]byte(bytes), make(chan struct{}), make(chan struct{})}
	l.first.Store(at)
	resume = sync.OnceFunc(func() { close(at.resumed) })
	t.Cleanup(resume)
	return at.reached, resume
}

// EndBehind has the connection that passes what contains these bytes end right behind
// it, once: what the other end says of it does not arrive. The channel is closed then.
func (l *Link) EndBehind(bytes string) (passed <-chan struct{}) {
	end := &last{[]byte(bytes), make(chan struct{})}
	l.last.Store(end)
	return end.passed
}

// EndBehindEvery has the connection end that passes what contains these bytes for the n-th time, and
// each n-th time again, as EndBehind does. What it returns counts how often it did.
func (l *Link) EndBehindEvery(bytes string, nth int64) (ended func() int64) {
	e := &lossy{bytes: []byte(bytes), every: nth}
	l.lossy.Store(e)
	return e.ended.Load
}

// pass passes bytes on until either end is closed, and closes both.
func (l *Link) pass(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if at := l.first.Load(); at != nil && bytes.Contains(buf[:n], at.bytes) && l.first.CompareAndSwap(at, nil) {
			close(at.reached)
			<-at.resumed
		}
		l.still.RLock()
		_, werr := to.Write(buf[:n])
		l.still.RUnlock()
		if err != nil || werr != nil {
			return
		}
		if end := l.last.Load(); end != nil && bytes.Contains(buf[:n], end.bytes) && l.last.CompareAndSwap(end, nil) {
			close(end.passed)
			return
		}
		if e := l.lossy.Load(); e != nil && bytes.Contains(buf[:n], e.bytes) && e.seen.Add(1)%e.every == 0 {
			e.ended.Add(1)
			return
		}
	}
}
