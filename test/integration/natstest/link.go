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

// way is one direction of a connection.
type way struct {
	lost atomic.Bool // what is sent on it arrives nowhere
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
			var there, back way
			all.Go(func() { l.pass(upstream, client, &there, &back) })
			all.Go(func() { l.pass(client, upstream, &back, &there) })
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
func (l *Link) pass(to, from net.Conn, there, back *way) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if at := l.first.Load(); at != nil && bytes.Contains(buf[:n], at.bytes) && l.first.CompareAndSwap(at, nil) {
			close(at.reached)
			<-at.resumed
		}
		ends := l.ends(buf[:n])
		if ends != nil {
			back.lost.Store(true) // before what is answered: it could be quicker than the end
		}
		var werr error
		if !there.lost.Load() {
			l.still.RLock()
			_, werr = to.Write(buf[:n])
			l.still.RUnlock()
		}
		if ends != nil && werr == nil {
			ends()
		}
		if ends != nil || err != nil || werr != nil {
			return
		}
	}
}

// ends returns what is to be done once these bytes have passed and the connection ends behind them;
// nil where it goes on.
func (l *Link) ends(passing []byte) func() {
	if end := l.last.Load(); end != nil && bytes.Contains(passing, end.bytes) && l.last.CompareAndSwap(end, nil) {
		return func() { close(end.passed) }
	}
	if e := l.lossy.Load(); e != nil && bytes.Contains(passing, e.bytes) && e.seen.Add(1)%e.every == 0 {
		return func() { e.ended.Add(1) }
	}
	return nil
}
