package repo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Why a watchdog ends a context.
var (
	errStalled = errors.New("no progress")
	errEndless = errors.New("no end")
)

// watchdog ends a context when alive was not called for a while.
type watchdog struct {
	quiet  time.Duration
	timer  *time.Timer
	all    *time.Timer
	cancel context.CancelCauseFunc
}

func watch(ctx context.Context, quiet, longest time.Duration) (context.Context, *watchdog) {
	ctx, cancel := context.WithCancelCause(ctx)
	w := &watchdog{quiet: quiet, cancel: cancel}
	w.timer = time.AfterFunc(quiet, func() { cancel(errStalled) })
	w.all = time.AfterFunc(longest, func() { cancel(errEndless) })
	return ctx, w
}

func (w *watchdog) alive() { w.timer.Reset(w.quiet) }

func (w *watchdog) stop() {
	w.timer.Stop()
	w.all.Stop()
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
	base  http.RoundTripper
	watch *watchdog

	mu  sync.Mutex
	was reply
}

// reply is how a request was answered.
type reply struct {
	status int           // 0: it was not
	page   bool          // a web page came, for browsers and not for Git
	words  string        // what an answer that is an error says, if that is text for people
	wait   time.Duration // its Retry-After
}

func (r reply) String() string {
	text := strings.TrimSpace(fmt.Sprint(r.status, " ", http.StatusText(r.status)))
	if r.words != "" {
		text += ": " + r.words
	}
	return text
}

// RoundTrip is http.RoundTripper.
func (w *wire) RoundTrip(req *http.Request) (*http.Response, error) {
	w.note(reply{})
	if req.Body != nil && req.Body != http.NoBody {
		watched := *req
		watched.Body = struct {
			io.Reader
			io.Closer
		}{moving{req.Body, w.watch}, req.Body}
		req = &watched
	}
	res, err := w.base.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	w.watch.alive()
	body := &drained{Reader: moving{res.Body, w.watch}, body: res.Body}
	res.Body = body
	kind, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
	was := reply{status: res.StatusCode, page: kind == "text/html", wait: retryAfter(res.Header.Get("Retry-After"))}
	if res.StatusCode >= 300 {
		body.Reader = io.LimitReader(body.Reader, maxErrorPage)
		if kind == "text/plain" || strings.HasPrefix(kind, "application/x-git-") {
			words, _ := io.ReadAll(body.Reader) // what came before a failure will do
			was.words = string(words)
		}
	}
	w.note(was)
	return res, nil
}

func (w *wire) note(was reply) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.was = was
}

// last is how the last request was answered.
func (w *wire) last() reply {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.was
}

// maxRetryAfter bounds what a server may ask for: hosting services ask for up to
// an hour, which is how long their rate limits last, and a mistake in a header
// must not stop a branch for a year.
const maxRetryAfter = time.Hour

// retryAfter reads the header of that name: seconds or a date (RFC 9110, 10.2.3).
func retryAfter(value string) time.Duration {
	if at, err := http.ParseTime(value); err == nil {
		return min(max(0, time.Until(at)), maxRetryAfter)
	}
	// A number that is out of range is the nearest one that is not.
	seconds, err := strconv.ParseInt(value, 10, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0
	}
	return time.Duration(min(max(0, seconds), int64(maxRetryAfter/time.Second))) * time.Second
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
