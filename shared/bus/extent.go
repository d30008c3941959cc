package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/kubescribe/kubescribe/shared/fault"
)

// Extent is what of its messages a stream holds.
type Extent struct {
	First, Last uint64    // First is Last+1 if it holds none
	Messages    uint64    // how many it holds; the others up to Last were removed
	Oldest      time.Time // when First was stored; zero if there is none
}

// Extent is what a stream holds now.
func (b *Bus) Extent(ctx context.Context, stream string) (Extent, error) {
	e, _, err := b.extent(ctx, stream)
	return e, err
}

func (b *Bus) extent(ctx context.Context, stream string) (e Extent, info *jetstream.StreamInfo, err error) {
	s, err := b.js.Stream(impatient{ctx}, stream)
	if err != nil {
		return e, nil, fmt.Errorf("reading stream %s: %w", stream, err)
	}
	info = s.CachedInfo()
	e = Extent{First: max(info.State.FirstSeq, 1), Last: info.State.LastSeq, Messages: info.State.Msgs}
	if info.State.Msgs > 0 {
		e.Oldest = info.State.FirstTime.UTC()
	}
	return e, info, nil
}

const (
	// lagWait is for how long a leader may not have yet what another node has.
	lagWait  = 3 * time.Second
	lagEvery = 20 * time.Millisecond
	// lagRest is how long a stream whose leader was waited for in vain is not waited for again,
	// while it ends where it did: thousands may have read it.
	lagRest = time.Minute
)

// end is where a stream was found to end, though somebody has read a message behind that.
type end struct {
	made  time.Time // the stream
	last  uint64
	past  uint64 // the message that was waited for in vain
	found time.Time
}

// holds is whether a stream that ends at last now needs not to be waited for again, for a
// message with a sequence. One that comes before the message that was waited for may be new: what is stored behind the end
// is handed out before the leader has it, as ever.
func (e end) holds(made time.Time, last, seq uint64, now time.Time) bool {
	return made.Equal(e.made) && last == e.last && seq >= e.past && now.Sub(e.found) < lagRest
}

// ExtentPast is what a stream holds of which somebody has read a message with a sequence. Of
// several nodes another one than the leader may have it first, and have handed it out: where the leader says that
// the stream ends before it, that is believed only once it goes on saying so.
func (b *Bus) ExtentPast(ctx context.Context, stream string, seq uint64) (Extent, error) {
	for begun := time.Now(); ; {
		e, info, err := b.extent(ctx, stream)
		if err != nil || e.Last >= seq || info.Config.Replicas < 2 {
			return e, err
		}
		if ended, is := b.ended.Load(stream); is && ended.(end).holds(info.Created, e.Last, seq, time.Now()) {
			return e, nil
		}
		if time.Since(begun) > lagWait {
			b.ended.Store(stream, end{info.Created, e.Last, seq, time.Now()})
			return e, nil
		}
		if err := fault.Wait(ctx, lagEvery); err != nil {
			return e, fmt.Errorf("reading stream %s: %w", stream, err)
		}
	}
}

// SeqSince is the sequence from which on a stream holds what was stored at a time or
// later: that of the next message, if there is none. It asks the leader, some 20 times:
// what the server itself finds by a time may be one message too late.
func (b *Bus) SeqSince(ctx context.Context, stream string, t time.Time) (uint64, error) {
	e, err := b.Extent(ctx, stream)
	if err != nil {
		return 0, err
	}
	from, to := e.First, e.Last+1
	for from < to {
		mid := from + (to-from)/2
		m, err := b.leaderGet(ctx, stream, map[string]any{"seq": mid, "next_by_subj": ">"})
		switch {
		case errors.Is(err, ErrNoMessage):
			to = mid
		case err != nil:
			return 0, err
		case m.Time.Before(t):
			from = m.Seq + 1
		default:
			to = mid
		}
	}
	return to, nil
}
