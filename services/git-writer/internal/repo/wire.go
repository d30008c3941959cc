package repo

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// errStalled is why a watchdog ends a context.
var errStalled = errors.New("no progress")

// watchdog ends a context when alive was not called for a while.
type watchdog struct {
	quiet  time.Duration
	timer  *time.Timer
	cancel context.CancelCauseFunc
}

func watch(ctx context.Context, quiet time.Duration) (context.Context, *watchdog) {
	ctx, cancel := context.WithCancelCause(ctx)
	w := &watchdog{quiet: quiet, cancel: cancel}
	w.timer = time.AfterFunc(quiet, func() { cancel(errStalled) })
	return ctx, w
}

func (w *watchdog) alive() { w.timer.Reset(w.quiet) }

func (w *watchdog) stop() {
	w.timer.Stop()
	w.cancel(context.Canceled)
}

// moving calls alive for whatever is read.
type moving struct {
	io.Reader
	watch *watchdog
}

func (m moving) Read(p []byte) (int, error) {
	n, err := m.Reader.Read(p)
	if n > 0 {
		m.watch.alive()
	}
	return n, err
}

const (
	// maxErrorPage is what is read of the body of an answer that is an error.
	maxErrorPage = 16 << 10
	// maxDrain is what is read of a body nobody wants to keep its connection.
	maxDrain = 256 << 10
)

// wire is the transport of one session. It tells the watchdog of every byte,
// remembers how the last request was answered, and reads bodies to
// their end when they are closed, without which the connection could not be
// used again.
type wire struct {
	base  http.RoundTripper // nil: the default
	watch *watchdog

	mu   sync.Mutex
	last int           // status of the last answer
	wait time.Duration // its Retry-After
}

// RoundTrip is http.RoundTripper.
func (w *wire) RoundTrip(req *http.Request) (*http.Response, error) {
	w.note(0, 0)
	if req.Body != nil && req.Body != http.NoBody {
		watched := *req
		watched.Body = struct {
			io.Reader
			io.Closer
		}{moving{req.Body, w.watch}, req.Body}
		req = &watched
	}
	base := w.base
	if base == nil {
		base = http.DefaultTransport
	}
	res, err := base.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	w.watch.alive()
	w.note(res.StatusCode, retryAfter(res.Header.Get("Retry-After")))
	body := &drained{Reader: moving{res.Body, w.watch}, body: res.Body}
	if res.StatusCode >= 300 {
		body.Reader = io.LimitReader(body.Reader, maxErrorPage)
	}
	res.Body = body
	return res, nil
}

func (w *wire) note(status int, wait time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last, w.wait = status, wait
}

func (w *wire) status() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.last
}

func (w *wire) retryAfter() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.wait
}

// retryAfter reads the header of that name: seconds or a date (RFC 9110, 10.2.3).
func retryAfter(value string) time.Duration {
	if seconds, err := strconv.Atoi(value); err == nil {
		return max(0, time.Duration(seconds)*time.Second)
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, time.Until(at))
	}
	return 0
}

// drained is a body that is read to its end on Close.
type drained struct {
	io.Reader
	body io.ReadCloser
}

// Close reads a bounded rest, so that the connection can be used again.
func (d *drained) Close() error {
	_, _ = io.CopyN(io.Discard, d.Reader, maxDrain)
	return d.body.Close()
}
