package bus

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"iter"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/fault"
	"github.com/kubescribe/kubescribe/shared/faultpoint"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// chunkBytes is about how much one chunk of a series holds: what a reader has in
// memory of it.
const chunkBytes = 256 << 10

// ErrSeries says that what a series' end promises is not there, or not that: the
// attempt that it belongs to has to be made again.
var ErrSeries = errors.New("a series of a run is not whole")

// fullFor is how long room in KS_SNAP is waited for: who answers an attempt that was
// replaced meanwhile must not wait for ever, and take the room once there is some.
const fullFor = 2 * time.Minute

// ErrSnapFull says that there was no room for a series for so long that it was given
// up: another attempt, behind which the room of this one is free, may find some.
var ErrSnapFull = errors.New("the stream " + subject.Snap + " is full: runs that close make room; if it stays full, raise its limit (nats stream edit " + subject.Snap + " --max-bytes)")

// ErrNoRoom says that a content is not in its series, because the series would hold more
// bytes with it than it may. The series goes on without it.
var ErrNoRoom = errors.New("a series of contents has no room for another one")

// SeriesWriter writes one side's answer to an attempt at a run. Any number of
// writers may write the same series, each under a nonce of its own: the first to
// close it is the one that is read. It is not safe for concurrent use.
type SeriesWriter struct {
	FullFor time.Duration // how long room in KS_SNAP is waited for; the bus's at first
	Room    int           // how many bytes of contents there may be, beside the first one; 0: any

	bus    *Bus
	series subject.Series
	nonce  string
	chunk  event.Chunk
	body   []byte // contents
	last   string // path of the newest content
	end    event.End
	digest hash.Hash
}

// WriteSeries begins an answer. After an error that is not poison or ErrNoRoom, it is not to
// be closed: another one has to be begun.
func (b *Bus) WriteSeries(s subject.Series) *SeriesWriter {
	return &SeriesWriter{FullFor: b.FullFor, bus: b, series: s, nonce: nuid.Next(), digest: sha256.New()}
}

// Entry adds an entry, which must be behind the one before. It is durable once the
// series is closed.
func (w *SeriesWriter) Entry(ctx context.Context, e event.Entry) error {
	if err := w.chunk.Add(e); err != nil {
		return err
	}
	w.end.Count++
	if w.chunk.Len() < chunkBytes {
		return nil
	}
	return w.store(ctx, w.chunk.Take())
}

// Content adds a change with its manifest. Its Path is set, and behind that of the one
// before. One that no message can hold is fault.Poison, and the series goes on without
// it; so it does without one that Room does not hold, which is ErrNoRoom.
func (w *SeriesWriter) Content(ctx context.Context, c event.Change) error {
	if c.Path <= w.last {
		return fmt.Errorf("%w: content %q after %q", event.ErrMalformed, c.Path, w.last)
	}
	item := event.AppendContent(nil, c)
	if len(item) > MaxPayload {
		return fault.As(fault.Poison, fmt.Errorf("%s is %d bytes with its envelope, and a message holds %d", c.Object, len(item), MaxPayload))
	}
	if w.Room > 0 && w.end.Count > 0 && w.end.Bytes+len(item) > w.Room {
		return ErrNoRoom
	}
	if len(w.body) > 0 && len(w.body)+len(item) > chunkBytes {
		if err := w.store(ctx, w.body); err != nil {
			return err
		}
		w.body = nil
	}
	w.body, w.last = append(w.body, item...), c.Path
	w.end.Count++
	w.end.Bytes += len(item)
	return nil
}

// Close stores the end of the series, whose counts and digest are filled in. won is
// false if another answer was closed before: then that one counts.
//
// A crash before it leaves chunks that nobody reads, until the run's series are
// purged; after it, an answer.
func (w *SeriesWriter) Close(ctx context.Context, end event.End) (won bool, err error) {
	if w.chunk.Len() > 0 {
		if err := w.store(ctx, w.chunk.Take()); err != nil {
			return false, err
		}
	}
	if len(w.body) > 0 {
		if err := w.store(ctx, w.body); err != nil {
			return false, err
		}
	}
	end.V, end.Nonce = event.Version, w.nonce
	end.Chunks, end.Count, end.Bytes, end.Digest = w.end.Chunks, w.end.Count, w.end.Bytes, hex.EncodeToString(w.digest.Sum(nil))
	stored, err := w.storeOnce(ctx, faultpoint.End, w.series.End(), event.Encode(end))
	if err != nil || stored {
		return stored, err
	}
	// Stored before, by somebody or by us, with the answer lost.
	first, err := w.bus.SeriesEnd(ctx, w.series)
	return err == nil && first.Nonce == w.nonce, err
}

func (w *SeriesWriter) store(ctx context.Context, body []byte) error {
	if _, err := w.storeOnce(ctx, faultpoint.Chunk, w.series.Chunk(w.nonce, w.end.Chunks), body); err != nil {
		return err
	}
	w.end.Chunks++
	_, _ = w.digest.Write(body) // never fails: hash.Hash
	return nil
}

// storeOnce stores a message of KS_SNAP under a subject that takes one, and goes
// on trying until it knows that one is there: through lost answers and restarts of
// the server, and for FullFor through a full stream. stored is false if it was there
// already.
func (w *SeriesWriter) storeOnce(ctx context.Context, step faultpoint.Step, subj string, body []byte) (stored bool, err error) {
	b := w.bus
	var backoff fault.Backoff
	var full time.Time // since when the stream is; zero while it is not
	for said := false; ; said = true {
		_, err = faultpoint.Answered(step, string(w.series.Side), func() (*jetstream.PubAck, error) {
			return b.publish(ctx, &nats.Msg{Subject: subj, Data: body})
		})
		if err == nil {
			return true, nil
		}
		wait := backoff.Next()
		if isCode(err, errLimitReached) { // of the subject, or of the whole stream
			_, lerr := b.LastFor(ctx, subject.Snap, subj)
			if lerr == nil {
				return false, nil
			}
			if errors.Is(lerr, ErrNoMessage) {
				if full.IsZero() {
					full = time.Now()
				}
				left := w.FullFor - time.Since(full)
				if left <= 0 {
					w.abandon(ctx)
					return false, fmt.Errorf("storing %s: %w", subj, ErrSnapFull)
				}
				wait = min(wait, left)
			}
		}
		if errors.Is(err, nats.ErrMaxPayload) || isCode(err, errTooLarge) {
			return false, fault.As(fault.Poison, fmt.Errorf("storing %s: %w", subj, err))
		}
		if ctx.Err() == nil && !said {
			b.log.Warn("a run's message is unanswered or refused, retrying", "subject", subj, "err", err)
		}
		if fault.Wait(ctx, wait) != nil {
			return false, fmt.Errorf("storing %s: %w", subj, err)
		}
	}
}

// abandon gives back the room of a series that is given up: others wait for it. Failing,
// or after a crash before it, that goes with the attempt.
func (w *SeriesWriter) abandon(ctx context.Context) {
	if err := w.bus.Purge(ctx, subject.Snap, w.series.Chunks(w.nonce), 0); err != nil {
		w.bus.log.Warn("what was given up stays until its run has closed", "subject", w.series.Chunks(w.nonce), "err", err)
	}
}

// SeriesEnd is what closed a series; ErrNoMessage while nothing has, ErrSeries if
// that is no end.
func (b *Bus) SeriesEnd(ctx context.Context, s subject.Series) (event.End, error) {
	m, err := b.LastFor(ctx, subject.Snap, s.End())
	if err != nil {
		return event.End{}, err
	}
	end, err := event.Decode[event.End](m.Data)
	if errors.Is(err, event.ErrMalformed) {
		err = fmt.Errorf("%w: %s: %w", ErrSeries, s.End(), err)
	}
	return end, err
}

// Entries reads a series of entries that was closed, in order. An error is the last
// thing it yields: ErrSeries if something is missing or not what the end promises,
// which is known only at the last entry. It can be read again.
func (b *Bus) Entries(ctx context.Context, s subject.Series, end event.End) iter.Seq2[event.Entry, error] {
	return series(ctx, b, s, end, event.Entries)
}

// Contents reads a series of contents, as [Bus.Entries] does.
func (b *Bus) Contents(ctx context.Context, s subject.Series, end event.End) iter.Seq2[event.Change, error] {
	return series(ctx, b, s, end, event.Contents)
}

func series[T any](ctx context.Context, b *Bus, s subject.Series, end event.End, parse func([]byte) iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		digest, count := sha256.New(), 0
		for n := range end.Chunks {
			m, err := b.LastFor(ctx, subject.Snap, s.Chunk(end.Nonce, n))
			if errors.Is(err, ErrNoMessage) {
				err = fmt.Errorf("%w: chunk %d of %s is missing", ErrSeries, n, s.End())
			}
			if err != nil {
				yield(none, err)
				return
			}
			_, _ = digest.Write(m.Data) // never fails: hash.Hash
			for e, err := range parse(m.Data) {
				if err != nil {
					yield(none, fmt.Errorf("%w: chunk %d of %s: %w", ErrSeries, n, s.End(), err))
					return
				}
				count++
				if !yield(e, nil) {
					return
				}
			}
		}
		if got := hex.EncodeToString(digest.Sum(nil)); got != end.Digest || count != end.Count {
			yield(none, fmt.Errorf("%w: %s has %d items of digest %s, its end says %d of %s", ErrSeries, s.End(), count, got, end.Count, end.Digest))
		}
	}
}

// Purge removes the messages of a stream under a filter, up to and without a
// sequence; 0: all there are.
func (b *Bus) Purge(ctx context.Context, stream, filter string, before uint64) error {
	s, err := b.js.Stream(impatient{ctx}, stream)
	if err != nil {
		return fmt.Errorf("purging %s: %w", filter, err)
	}
	opts := []jetstream.StreamPurgeOpt{jetstream.WithPurgeSubject(filter)}
	if before > 0 {
		opts = append(opts, jetstream.WithPurgeSequence(before))
	}
	if err := faultpoint.Do(faultpoint.Purge, stream, func() error { return s.Purge(impatient{ctx}, opts...) }); err != nil {
		return fmt.Errorf("purging %s: %w", filter, err)
	}
	return nil
}
