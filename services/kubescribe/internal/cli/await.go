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

const (
	// lookEvery is how often it is looked how far a run is.
	lookEvery = 200 * time.Millisecond
	// stallPatience is for how long a destination may be stalled: the git-writer tries
	// again, and looks at a folder that it refused, within a minute.
	stallPatience = 75 * time.Second
)

// Why a run that was asked for is not there.
var (
	errDropped = errors.New("the request was taken, and no run has begun for it")
	errGone    = errors.New("the destination has left the registry")
	errStalled = errors.New("the destination is stalled")
)

// awaiter asks for runs of one destination, and follows them to their end.
type awaiter struct {
	bus       *bus.Bus
	phases    *bus.Bucket[event.PhaseRecord]
	statuses  *bus.Bucket[event.Status]
	key       event.DestinationKey
	branchKey string
	progress  io.Writer     // a line whenever something has happened
	patience  time.Duration // with a stall

	stand stand
	stall stall
	last  string // line said
}

func newAwaiter(ctx context.Context, b *bus.Bus, d event.Destination, progress io.Writer) (*awaiter, error) {
	phases, err := bus.OpenBucket[event.PhaseRecord](ctx, b, subject.BucketPhase)
	if err != nil {
		return nil, err
	}
	statuses, err := bus.OpenBucket[event.Status](ctx, b, subject.BucketStatus)
	if err != nil {
		return nil, err
	}
	return &awaiter{
		bus: b, phases: phases, statuses: statuses, key: d.Key, branchKey: d.BranchKey, progress: progress, patience: stallPatience,
	}, nil
}

// run asks for a run, and returns the entry of KS_PHASE in which it has closed: one
// that began after the request was stored, whatever its reason, and did what was asked
// for, or the last of those that continue it. errDropped if none has begun for the
// request.
//
// A person who gives up waiting leaves the request, or the run: it goes on.
func (a *awaiter) run(ctx context.Context, q event.Request) (event.PhaseRecord, error) {
	for {
		behind, err := a.begin(ctx, q)
		if err != nil {
			return event.PhaseRecord{}, err
		}
		closed, again, err := a.follow(ctx, quest{reason: q.Reason, behind: behind})
		if err != nil || !again {
			return closed, err
		}
		a.say("a comparison came in between, asking again")
	}
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

// follow follows runs until one has fulfilled a quest, or none that follows would.
func (a *awaiter) follow(ctx context.Context, q quest) (closed event.PhaseRecord, again bool, err error) {
	err = a.until(ctx, func() (bool, error) {
		if err := a.look(ctx); err != nil {
			return false, err
		}
		next, v, rec := q.sees(a.stand.record)
		if v != fulfilled && q.run != "" && next.run != "" && next.run != q.run {
			a.say("run " + q.run + followed(q.run, a.stand.record))
		}
		q, closed, again = next, rec, v == askAgain
		a.stand.behind = q.behind != "" && a.stand.record.Running()
		if rec.Run == a.stand.record.Run {
			a.say(a.stand.line())
		}
		if v != wait {
			return true, nil
		}
		return false, a.stalled()
	})
	return closed, again, err
}

// lands waits until everything that stood in KS_WRITE for the destination is on the
// remote, and returns the commit that the destination has come to there, "" for none.
//
// The stream's own checkpoints are no part of it: the git-writer does not read them.
// What is written in the meantime is not waited for.
func (a *awaiter) lands(ctx context.Context) (commit string, err error) {
	var last uint64
	if err := a.until(ctx, func() (bool, error) {
		m, err := a.bus.LastFor(ctx, subject.Write, subject.WriteData(a.branchKey, a.key))
		if errors.Is(err, bus.ErrNoMessage) {
			err = nil
		}
		last = m.Seq
		return err == nil, err
	}); err != nil {
		return "", err
	}
	err = a.until(ctx, func() (bool, error) {
		if err := a.look(ctx); err != nil {
			return false, err
		}
		if a.stand.status.Position >= last {
			return true, nil
		}
		a.say("waiting for the push" + a.stand.trouble())
		return false, a.stalled()
	})
	return a.stand.status.Commit, err
}

// stalled is an error once a stall has outlasted the git-writer's next try: who has
// just mended what kept it is not told of what was.
func (a *awaiter) stalled() error {
	st := a.stand.status
	now := time.Now()
	a.stall = a.stall.sees(st, now)
	if !a.stall.outlasts(a.patience, now) {
		return nil
	}
	return fmt.Errorf("%w, %s: %s; the run goes on once that is mended, kubescribe get shows how it stands", errStalled, st.Stalled.Reason, st.Stalled.Message)
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
	s.status = status
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
		case errors.Is(err, errGone), errors.Is(err, errStalled), errors.Is(err, event.ErrMalformed), errors.Is(err, event.ErrNewerVersion):
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
