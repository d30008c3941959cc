package branch

import (
	"context"
	"errors"
	"time"

	"github.com/kubescribe/kubescribe/services/git-writer/ledger"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/outcome"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// item is a message that was taken, on its way into a batch.
type item struct {
	taken
	seq     uint64
	pending uint64 // how many more messages the server has
	time    time.Time
}

// first is which held versions go before it: a BARRIER promises that all that came before
// it is on the remote.
func (it *item) first(b *batch) []ledger.Version {
	switch {
	case it.barrier != nil:
		return b.Held
	case it.write != nil:
		return b.First(it.write.asWrite())
	}
	return nil
}

// next is the next item: one that was set aside, a version that the branch lists as held,
// or the next message of KS_WRITE, if it comes within so long or before a turn does. Nil:
// none does.
func (s *session) next(ctx context.Context, r source, b *batch, wait time.Duration) (*item, error) {
	if it := s.aside; it != nil {
		s.aside = nil
		return it, nil
	}
	for v, is := b.Held.Unread(); is; v, is = b.Held.Unread() {
		w, err := s.again(ctx, v)
		switch {
		case err != nil:
			return nil, err
		case w != nil:
			return &item{taken{write: w}, v.Seq, b.pending, w.msg.Time}, nil
		}
		b.Drop(v.Seq)
	}
	if due, is := b.NextDue(); is {
		wait = min(wait, max(bufferWait, due.Sub(s.clock.Now(s.Now()))))
	}
	m, ok, err := r.Next(ctx, wait)
	if err != nil || !ok {
		return nil, err
	}
	s.clock.See(m.Time, s.Now())
	b.pending = m.Pending
	t, err := s.take(ctx, m)
	return &item{t, m.Seq, m.Pending, m.Time}, err
}

// put takes an item into a batch.
func (s *session) put(b *batch, it *item) {
	switch {
	case it.barrier != nil:
		b.barrier = it.barrier
		b.End(it.seq, it.time)
	case it.write == nil:
		b.Pass(it.seq, it.time)
	case b.Add(it.write.asWrite(), *it.write):
		s.tally.add(outcome.Coalesced, event.Live, 1)
	}
}

// turns is whose turn has come, while nothing else does. errReconfigured: a destination
// of what is held was written anew, and may have another limit, or none.
func (s *session) turns(b *batch) ([]ledger.Version, error) {
	for _, v := range b.Held {
		d, registered := s.Registry.Get(v.Destination)
		switch {
		case !registered:
			s.tally.add(outcome.Unregistered, event.Live, 1)
			b.Drop(v.Seq)
		case d.Revision != s.admitted[v.Destination].Revision:
			return nil, errReconfigured
		}
	}
	return b.Due(s.clock.Now(s.Now())), nil
}

// release takes held versions into a batch, as many as it has room for. A crash before
// they are on the remote leaves them listed, by the commits before or by the hint: they are
// read again. After it, their commits say that they are there.
func (s *session) release(ctx context.Context, b *batch, versions []ledger.Version, now time.Time) error {
	for _, v := range versions {
		if b.Full() {
			return nil
		}
		w, err := s.again(ctx, v)
		switch {
		case ctx.Err() != nil:
			return nil // what was gathered is pushed; this stays listed
		case err != nil:
			return err
		case w == nil:
			b.Drop(v.Seq)
		default:
			b.Release(w.asWrite(), *w, now)
		}
	}
	return nil
}

// again reads a held version from KS_WRITE, and is as strict with it as the first time.
// Nil: it is not to be committed any more.
func (s *session) again(ctx context.Context, v ledger.Version) (*write, error) {
	m, err := s.record.at(ctx, v.Seq)
	if errors.Is(err, bus.ErrNoMessage) {
		return nil, s.missing(ctx, v)
	}
	if err != nil {
		return nil, err
	}
	if key, _, err := subject.ParseWriteData(m.Subject); err != nil || key != s.BranchKey {
		s.Log.Warn("what a commit lists as held is none of the branch's", "branch", s.Branch, "seq", v.Seq)
		return nil, nil //nolint:nilnil // somebody else has written the list
	}
	t, err := s.take(ctx, m)
	if t.write != nil && v.Path != "" && t.write.path != v.Path {
		return nil, s.missing(ctx, v) // KS_WRITE was made anew: it is another message
	}
	return t.write, err
}

// missing is for a held version that was removed from KS_WRITE: with its destination, or by
// somebody, which cannot be told of one that is only listed. Then a run finds what it was. A crash before that is asked for leaves the
// version listed, and it is missed again.
func (s *session) missing(ctx context.Context, v ledger.Version) error {
	if _, registered := s.Registry.Get(v.Destination); v.Path != "" && !registered {
		s.tally.add(outcome.Unregistered, event.Live, 1)
		return nil
	}
	s.Log.Error("a change that was held is not in KS_WRITE any more, reconciling", "branch", s.Branch, "seq", v.Seq, "path", v.Path)
	s.countNow(outcome.Missing, event.Live)
	return s.ask(ctx, event.ReasonHistoryGap)
}
