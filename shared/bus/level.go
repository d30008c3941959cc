package bus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

const (
	// levelEvery is how often a stream is asked how full it is, at most. What this process
	// publishes in between is added.
	levelEvery = time.Second
	// storedBytes is what the server stores beside a message's subject, headers and body.
	storedBytes = 32
)

// ErrFull says that a stream is so full that nothing more goes into it but what makes room:
// checkpoints, fences and what tells of a loss.
var ErrFull = errors.New("the stream is full")

// Level is how full a stream is.
type Level struct {
	Stream string
	Bytes  uint64
	Limit  uint64 // in bytes; 0: there is none
}

// Share is how much of the limit is taken, from 0 to 1.
func (l Level) Share() float64 {
	if l.Limit == 0 {
		return 0
	}
	return float64(l.Bytes) / float64(l.Limit)
}

// From 80 % on room is made, and at 90 % whoever publishes stops by itself: what is left is
// the reserve.
const (
	pressed = 0.8
	full    = 0.9
)

// Pressed reports whether room has to be made.
func (l Level) Pressed() bool { return l.Share() >= pressed }

// Full reports whether only the reserve is left.
func (l Level) Full() bool { return l.Share() >= full }

// quotaShare is how much of a stream somebody may hold who cannot move, once room has to be
// made.
const quotaShare = 0.25

// Quota is how many bytes may be kept for a reader that cannot move: any number while the
// stream is not pressed, a quarter of the limit once it is, and none once it is full. The
// quota sinks in between, so that those who hold most give way first, and none of many
// that hold little stops everybody else.
func (l Level) Quota() (bytes uint64, limited bool) {
	if !l.Pressed() {
		return 0, false
	}
	left := min(max((full-l.Share())/(full-pressed), 0), 1)
	return uint64(quotaShare * left * float64(l.Limit)), true
}

// gauge remembers how full a stream was a moment ago.
type gauge struct {
	mu    sync.Mutex
	level Level
	read  time.Time
}

func (b *Bus) gauge(stream string) *gauge {
	g, _ := b.gauges.LoadOrStore(stream, &gauge{})
	return g.(*gauge)
}

// Level is how full a stream is, as of a second ago at most, and with what was published
// here since.
func (b *Bus) Level(ctx context.Context, stream string) (Level, error) {
	g := b.gauge(stream)
	g.mu.Lock()
	defer g.mu.Unlock()
	if time.Since(g.read) < levelEvery {
		return g.level, nil
	}
	s, err := b.js.Stream(impatient{ctx}, stream)
	if err != nil {
		return Level{}, fmt.Errorf("reading how full %s is: %w", stream, err)
	}
	info := s.CachedInfo()
	g.level = Level{Stream: stream, Bytes: info.State.Bytes, Limit: uint64(max(info.Config.MaxBytes, 0))} //nolint:gosec // not negative
	g.read = time.Now()
	return g.level, nil
}

// stored adds to a stream's level what was just published.
func (b *Bus) stored(stream string, outs ...Output) {
	g := b.gauge(stream)
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, o := range outs {
		g.level.Bytes += o.size()
	}
}

// room is an error, ErrFull, while a stream is full. Where that cannot be asked there is
// room: the publish finds out.
func (b *Bus) room(ctx context.Context, stream string) error {
	l, err := b.Level(ctx, stream)
	if err != nil || !l.Full() {
		return nil //nolint:nilerr // see above
	}
	return fmt.Errorf("%w: %s holds %d of its %d bytes, and waits until its readers have moved on", ErrFull, stream, l.Bytes, l.Limit)
}

func (o Output) size() uint64 {
	n := len(o.Subject) + len(o.Data) + storedBytes
	for name, values := range o.Header {
		for _, v := range values {
			n += len(name) + len(v) + 4
		}
	}
	return uint64(n) //nolint:gosec // a length
}
