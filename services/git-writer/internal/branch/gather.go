package branch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

const (
	// A push carries at most so many changes and bytes: what one worker holds
	// in memory.
	batchChanges = 2000
	batchBytes   = 16 << 20
	// idleWait is how often a quiet worker looks around.
	idleWait = time.Second
	// gatherWait is how long a worker waits for a change that the server says
	// is on its way.
	gatherWait = 20 * time.Millisecond
	// bufferWait is the same where the server had no more, when it sent the last
	// one: what it sent since is here already.
	bufferWait = time.Millisecond
	// recheckEvery is how often a refused folder is looked at again.
	recheckEvery = time.Minute
	// registryWait bounds how long a change may wait for the registry.
	registryWait = 10 * time.Second
)

// write is the loop: gather, commit, push.
func (s *session) write(ctx context.Context, r *bus.Reader) (moved bool, err error) {
	begun := time.Now()
	for {
		batch, pending, err := s.gather(ctx, r)
		if err != nil && !errors.Is(err, errReconfigured) {
			return moved, err
		}
		reconfigured := err != nil
		if len(batch) > 0 {
			clear(s.inFlight)
			if err := s.commit(ctx, batch); err != nil {
				return moved, err
			}
			s.show(func(sn *Snapshot) { sn.Pending = uint64(len(batch)) + pending })
			if err := s.push(ctx, batch); err != nil {
				return moved, err
			}
			moved = true
		} else if ctx.Err() == nil {
			if s.consumed > s.noted { // nothing but no-ops since
				if err := s.note(ctx, s.consumed); err != nil {
					return moved, err
				}
			}
			s.flushStatus(ctx, true)
		}
		s.show(func(sn *Snapshot) { sn.Pending, sn.Why = pending, nil })
		s.Metrics.Lag.WithLabelValues(s.BranchKey).Set(float64(pending))
		switch {
		case ctx.Err() != nil:
			return moved, nil
		case reconfigured:
			return moved, errReconfigured
		case len(batch) == 0 && s.recheck && time.Since(begun) > recheckEvery:
			return moved, errReconfigured
		}
	}
}

// gather takes what waits in KS_WRITE, up to the bounds of a push. pending is how
// many more the server has.
func (s *session) gather(ctx context.Context, r *bus.Reader) (batch []write, pending uint64, err error) {
	size := 0
	wait := idleWait
	for len(batch) < batchChanges && size < batchBytes {
		m, ok, err := r.Next(ctx, wait)
		if err != nil || !ok {
			return batch, pending, err
		}
		pending = m.Pending
		w, ok, err := s.take(ctx, m)
		if err != nil {
			return batch, pending, err
		}
		s.consumed = m.Seq
		if ok {
			batch = append(batch, w)
			size += len(w.Manifest)
		}
		if wait = gatherWait; pending == 0 {
			wait = bufferWait
		}
	}
	return batch, pending, nil
}

// take makes a write of a message. One that is wrong by itself goes to the dead
// letters; one whose destination is gone or refused is dropped, counted.
func (s *session) take(ctx context.Context, m bus.Message) (w write, ok bool, err error) {
	_, k, err := subject.ParseWriteData(m.Subject)
	if err != nil {
		return w, false, err
	}
	kind, err := event.KindOf(m.Header)
	var c event.Change
	if err == nil && kind != event.KindChange {
		err = fmt.Errorf("%w: a %s among the writes", event.ErrMalformed, kind)
	}
	if err == nil {
		c, err = event.ParseChange(m.Header, m.Data)
	}
	if errors.Is(err, event.ErrMalformed) {
		s.Log.Error("write sent to the dead letters", "destination", k.String(), "seq", m.Seq, "err", err)
		s.Metrics.Changes.WithLabelValues("dead_lettered").Inc()
		return w, false, s.Bus.DeadLetter(ctx, "git-writer", k, subject.Write, m, err)
	}
	if err != nil {
		return w, false, err
	}
	hold, cancel := context.WithTimeout(ctx, registryWait)
	defer cancel()
	if err := s.Registry.Wait(hold, c.Registry); err != nil {
		return w, false, err
	}
	now, registered := s.Registry.Get(k)
	was, admitted := s.admitted[k]
	switch {
	case registered && admitted && now.Revision == was.Revision:
		return write{Change: c, msg: m, destination: was.Destination}, true, nil
	case registered && now.BranchKey == s.BranchKey && s.Worker.refused[k] != now.Revision:
		return w, false, errReconfigured // not consumed: it is read again by the next session
	case registered:
		s.Metrics.Changes.WithLabelValues("refused").Inc()
	default:
		s.Metrics.Changes.WithLabelValues("unregistered").Inc()
	}
	return w, false, nil
}
