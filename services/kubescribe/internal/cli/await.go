package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/fault"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// lookEvery is how often it is looked how far a run is.
const lookEvery = 200 * time.Millisecond

// Why a run that was asked for is not there.
var (
	errDropped = errors.New("the request was taken, and no run has begun for it")
	errGone    = errors.New("the destination has left the registry")
)

// awaiter asks for runs of one destination, and follows them to their end.
type awaiter struct {
	bus      *bus.Bus
	phases   *bus.Bucket[event.PhaseRecord]
	statuses *bus.Bucket[event.Status]
	key      event.DestinationKey
	progress io.Writer // a line whenever something has happened

	stand stand
	last  string // line said
}

func newAwaiter(ctx context.Context, b *bus.Bus, k event.DestinationKey, progress io.Writer) (*awaiter, error) {
	phases, err := bus.OpenBucket[event.PhaseRecord](ctx, b, subject.BucketPhase)
	if err != nil {
		return nil, err
	}
	statuses, err := bus.OpenBucket[event.Status](ctx, b, subject.BucketStatus)
	if err != nil {
		return nil, err
	}
	return &awaiter{bus: b, phases: phases, statuses: statuses, key: k, progress: progress}, nil
}

// run asks for a run, and returns the entry of KS_PHASE in which it has closed: one
// that began after the request was stored, or the one that took its place. errDropped
// if none has begun for the request.
//
// A person who gives up waiting leaves the request, or the run: it goes on.
func (a *awaiter) run(ctx context.Context, q event.Request) (event.PhaseRecord, error) {
	behind, err := a.begin(ctx, q)
	if err != nil {
		return event.PhaseRecord{}, err
	}
	return a.follow(ctx, behind)
}

// begin asks, and returns the run behind which the one asked for begins, "" if it has
// begun. The order of what is read decides: the request stands in KS_CTL until KS_PHASE
// has what comes of it, so what KS_PHASE says once it is gone is of after it.
func (a *awaiter) begin(ctx context.Context, q event.Request) (behind string, err error) {
	before, err := a.record(ctx)
	if err != nil && !errors.Is(err, errGone) { // a destination that is new has none
		return "", err
	}
	q.V, q.Kind, q.Destination = event.Version, event.RequestRun, a.key
	subj := subject.CtlRun(a.key)
	var seq uint64
	a.say("asking for a run")
	if err := a.until(ctx, func() (bool, error) {
		seq, err = a.bus.AskOwn(ctx, subj, q)
		if err == nil && seq == 0 {
			a.say("another request is waiting, asking behind it; does the reconciler run?")
		}
		return seq > 0, err
	}); err != nil {
		return "", err
	}
	if err := a.until(ctx, func() (bool, error) {
		m, err := a.bus.LastFor(ctx, subject.Ctl, subj)
		if errors.Is(err, bus.ErrNoMessage) || err == nil && m.Seq != seq {
			return true, nil
		}
		a.say("asked, waiting for the reconciler to take the request")
		return false, err
	}); err != nil {
		return "", err
	}
	rec, err := a.record(ctx)
	switch {
	case err != nil:
		return "", err
	case rec.Next != "":
		return rec.Run, nil
	case rec.Run == before.Run:
		return "", errDropped
	}
	return "", nil
}

// follow waits until the newest run, or the one behind a run, has closed.
func (a *awaiter) follow(ctx context.Context, behind string) (closed event.PhaseRecord, err error) {
	run := ""
	err = a.until(ctx, func() (bool, error) {
		if err := a.look(ctx); err != nil {
			return false, err
		}
		rec := a.stand.record
		if a.stand.behind = rec.Run == behind; a.stand.behind {
			a.say(a.stand.line())
			return false, nil
		}
		if run != "" && run != rec.Run {
			overtaken := rec.Reason == event.ReasonOvertaken || rec.Next == event.ReasonOvertaken
			if o := rec.Outcome; o != nil && o.Run == run && !overtaken { // it closed, and the next one has begun
				closed = event.PhaseRecord{Run: run, Outcome: o}
				return true, nil
			}
			a.say("run " + run + " was replaced by another")
		}
		run = rec.Run
		a.say(a.stand.line())
		if rec.Running() {
			return false, nil
		}
		overtaken, err := a.overtaken(ctx)
		if err != nil {
			return false, err
		}
		if overtaken {
			behind, run = run, ""
			return false, nil
		}
		closed = rec
		return true, nil
	})
	return closed, err
}

// overtaken reports whether the run that has closed wrote no results, and another one
// follows: that was asked for before the run was closed.
func (a *awaiter) overtaken(ctx context.Context) (bool, error) {
	if a.stand.record.Next == event.ReasonOvertaken {
		return true, nil
	}
	for _, subj := range []string{
		subject.CtlRun(a.key), subject.CtlRunBehind(a.key, event.ReasonOvertaken, 0), subject.CtlRunBehind(a.key, event.ReasonOvertaken, 1),
	} {
		m, err := a.bus.LastFor(ctx, subject.Ctl, subj)
		if errors.Is(err, bus.ErrNoMessage) {
			continue
		}
		if err != nil {
			return false, err
		}
		if q, err := event.Decode[event.Request](m.Data); err != nil || q.Reason == event.ReasonOvertaken {
			return true, err
		}
	}
	return false, nil
}

// look takes in how far the newest run is.
func (a *awaiter) look(ctx context.Context) error {
	rec, err := a.newest(ctx)
	if err != nil {
		return err
	}
	s := stand{record: rec, ends: a.stand.ends}
	if was := a.stand.record; s.ends == nil || was.Run != rec.Run || was.Attempt != rec.Attempt {
		s.ends = map[subject.Side]event.End{}
	}
	if rec.Running() {
		for _, side := range s.next() {
			end, err := a.bus.SeriesEnd(ctx, a.series(rec, side))
			if err == nil {
				s.ends[side] = end
			} else if !errors.Is(err, bus.ErrNoMessage) {
				return err
			}
		}
	}
	status, _, err := a.statuses.Newest(ctx, subject.DestinationToken(a.key))
	if err != nil && !errors.Is(err, bus.ErrNoMessage) {
		return err
	}
	s.stalled = status.Stalled
	a.stand = s
	return nil
}

func (a *awaiter) series(rec event.PhaseRecord, side subject.Side) subject.Series {
	return subject.Series{Destination: a.key, Run: rec.Run, Attempt: rec.Attempt, Side: side}
}

// newest is the destination's entry in KS_PHASE, from the leader.
func (a *awaiter) newest(ctx context.Context) (event.PhaseRecord, error) {
	rec, _, err := a.phases.Newest(ctx, subject.DestinationToken(a.key))
	if errors.Is(err, bus.ErrNoMessage) {
		err = errGone
	}
	return rec, err
}

// record is newest, however often it takes.
func (a *awaiter) record(ctx context.Context) (rec event.PhaseRecord, err error) {
	err = a.until(ctx, func() (bool, error) {
		rec, err = a.newest(ctx)
		return err == nil, err
	})
	return rec, err
}

// until looks again and again until a condition holds. A bus that does not answer is
// waited for, as everything else is, until ctx ends.
func (a *awaiter) until(ctx context.Context, met func() (bool, error)) error {
	for {
		ok, err := met()
		switch {
		case err == nil && ok:
			return nil
		case ctx.Err() != nil:
			return a.gaveUp(ctx)
		case errors.Is(err, errGone), errors.Is(err, event.ErrMalformed), errors.Is(err, event.ErrNewerVersion):
			return err
		case err != nil:
			a.say("the bus does not answer, waiting for it: " + err.Error())
		}
		if fault.Wait(ctx, lookEvery) != nil {
			return a.gaveUp(ctx)
		}
	}
}

// gaveUp says where things stand.
func (a *awaiter) gaveUp(ctx context.Context) error {
	why := "stopped waiting"
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		why = "not done in time (--timeout)"
	}
	return fmt.Errorf("%s: %s; what was asked for goes on, kubescribe get shows how", why, a.last)
}

// say tells of progress, each thing once.
func (a *awaiter) say(line string) {
	if line != a.last {
		a.last = line
		fmt.Fprintln(a.progress, line)
	}
}
