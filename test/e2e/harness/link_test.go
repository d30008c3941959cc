package harness

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// TestLink: what a party says comes back by way of a link, later where that is slowed, and
// not while it is cut; a cut in one direction leaves the other one. Once all is mended the
// next connection is as the first one was.
func TestLink(t *testing.T) {
	t.Parallel()
	l, err := NewLinks().To("127.0.0.1", echo(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	said := func(patience time.Duration) (time.Duration, error) {
		begun := time.Now()
		c, err := net.Dial("tcp", l.Address)
		if err != nil {
			return 0, err
		}
		defer c.Close()
		if err := c.SetDeadline(begun.Add(patience)); err != nil {
			return 0, err
		}
		if _, err := io.WriteString(c, "hello\n"); err != nil {
			return 0, err
		}
		answer, err := bufio.NewReader(c).ReadString('\n')
		if err == nil && answer != "hello\n" {
			err = errors.New(answer)
		}
		return time.Since(begun), err
	}
	comes := func(when string) {
		t.Helper()
		if _, err := said(10 * time.Second); err != nil {
			t.Errorf("%s: %v", when, err)
		}
	}
	comes("at first")
	for name, h := range map[string]Harm{
		"cut": {Cut: true}, "cut there": {Cut: true, Only: "upstream"}, "cut back": {Cut: true, Only: "downstream"}, "reset": {Reset: true},
		"slow": {Delay: 200 * time.Millisecond},
	} {
		mend, err := l.Do(h)
		if err != nil {
			t.Fatal(err)
		}
		patience := 10 * time.Second
		if h.Cut {
			patience = 500 * time.Millisecond // nothing comes: any is as good
		}
		took, err := said(patience)
		switch {
		case h.Delay > 0 && (err != nil || took < h.Delay): // there and back, each a half at least
			t.Errorf("%s: %s, %v", name, took, err)
		case h.Cut && !errors.Is(err, os.ErrDeadlineExceeded):
			t.Errorf("%s: %v", name, err)
		case h.Reset && (err == nil || errors.Is(err, os.ErrDeadlineExceeded)):
			t.Errorf("%s: %v", name, err)
		}
		if err := mend(); err != nil {
			t.Fatal(err)
		}
		comes("once mended, of " + name)
	}
}

// echo is the address of a server that says what it is told.
func echo(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return echoOn(t, l)
}

// echoOn is the same on a listener.
func echoOn(t *testing.T, l net.Listener) string {
	t.Helper()
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return // by Close
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c) // until either end goes
			}()
		}
	}()
	return l.Addr().String()
}
