package bench

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

// Measure is what one run took.
type Measure struct {
	State     string             `json:"state"` // where the objects are: real or generated
	Objects   int                `json:"objects"`
	Case      string             `json:"case"`
	Closed    float64            `json:"closedSeconds"` // until KS_PHASE said so
	Landed    float64            `json:"landedSeconds"` // until Git was equal, too
	Published int64              `json:"publishedBytes"`
	Answers   int64              `json:"answersBytes"`
	Peak      map[string]int64   `json:"peakBytes"`  // of each role
	CPU       map[string]float64 `json:"cpuSeconds"` // of each role
	Outcome   event.Outcome      `json:"outcome"`
}

// errMet ends a watch of KS_PHASE.
var errMet = errors.New("met")

// awaitPhase waits until a destination's entry of KS_PHASE is as it is to be.
func (i *install) awaitPhase(ctx context.Context, d event.DestinationKey, what string, is func(event.PhaseRecord) bool) (event.PhaseRecord, error) {
	var last event.PhaseRecord
	err := i.phases.Watch(ctx, func(e bus.Entry[event.PhaseRecord]) error {
		if e.Key != subject.DestinationToken(d) {
			return nil
		}
		if last = e.Record; is(last) {
			return errMet
		}
		return nil
	}, func() error { return nil })
	if !errors.Is(err, errMet) {
		return last, i.cause(fmt.Errorf("waiting for %s: %w; KS_PHASE says %s", what, err, event.Encode(last)))
	}
	return last, nil
}

// ask asks for a run, and returns the one before it.
func (i *install) ask(ctx context.Context, reason string) (before string, err error) {
	rec, _, err := i.phases.Newest(ctx, subject.DestinationToken(destination))
	if err != nil {
		return "", err
	}
	return rec.Run, i.bus.Ask(ctx, subject.CtlRun(destination), event.Request{
		V: event.Version, Kind: event.RequestRun, Destination: destination, Reason: reason,
	})
}

// closed waits until a run that came after another one has closed, and those that
// continue it.
func (i *install) closed(ctx context.Context, before string) (event.PhaseRecord, error) {
	return i.awaitPhase(ctx, destination, "the run to close", func(rec event.PhaseRecord) bool {
		return rec.Run != before && rec.Run != "" && !rec.Running() && !rec.Continues()
	})
}

// landed waits until Git is what is wanted.
func (i *install) landed(ctx context.Context, want string) error {
	looked := ""
	return i.cause(harness.Poll(ctx, 20*time.Millisecond, "the base folder to be equal to the cluster", func(context.Context) error {
		tip, err := i.remote.Tip()
		if err != nil {
			return err
		}
		if tip == looked {
			return errors.New("nothing new")
		}
		got, err := listing(i.remote.Repository, folder, tip)
		if err != nil {
			return err
		}
		if looked = tip; got != want {
			return fmt.Errorf("%.12s has %d files, of which some are not as wanted; %d were", tip, lines(got), lines(want))
		}
		return nil
	}))
}

func lines(listing string) int {
	if listing == "" {
		return 0
	}
	return strings.Count(listing, "\n") + 1
}

// measure measures what begin starts, a run after the one that begin returns, until it
// has closed and Git has what is wanted; without want, as many files as it created.
func (i *install) measure(ctx context.Context, m Measure, want *string, begin func(context.Context) (before string, err error)) (Measure, error) {
	ctx, cancel := i.within(ctx, caseLimit)
	defer cancel()
	u, err := i.meter()
	if err != nil {
		return m, err
	}
	before, err := begin(ctx)
	if err != nil {
		return m, i.cause(err)
	}
	rec, err := i.closed(ctx, before)
	if err != nil {
		return m, err
	}
	m.Closed = u.seconds()
	if rec.Outcome == nil {
		return m, fmt.Errorf("the run closed without an outcome: %s", event.Encode(rec))
	}
	m.Outcome = *rec.Outcome
	if want != nil {
		err = i.landed(ctx, *want)
	} else {
		err = i.landedCount(ctx, mirror{name: folder}, m.Outcome.Before.Created+m.Outcome.Created)
	}
	if err != nil {
		return m, err
	}
	m.Landed = u.seconds()
	err = u.read(&m)
	return m, err
}

// meter says what the services use since it was made.
type meter struct {
	*install
	*usage
	published, answers int64
}

func (i *install) meter() (*meter, error) {
	used, err := beginUsage(i.processes())
	if err != nil {
		return nil, err
	}
	return &meter{install: i, usage: used, published: i.traffic.published.Load(), answers: i.traffic.answers.Load()}, nil
}

// read puts what was used into a measure.
func (u *meter) read(m *Measure) (err error) {
	if err := u.watching.Flush(); err != nil {
		return fmt.Errorf("counting what went over the bus: %w", err)
	}
	m.Published, m.Answers = u.traffic.published.Load()-u.published, u.traffic.answers.Load()-u.answers
	m.CPU, m.Peak, err = u.used(u.processes())
	return err
}

// landedCount waits until a destination's base folder has so many files.
func (i *install) landedCount(ctx context.Context, m mirror, count int) error {
	branch := i.branch(m)
	return i.cause(harness.Poll(ctx, 50*time.Millisecond, "the files that were created", func(context.Context) error {
		tip, err := branch.Tip()
		if err != nil {
			return err
		}
		if tip == "" {
			return errors.New("the branch is not there")
		}
		got, err := listing(branch, m.name, tip)
		if err == nil && lines(got) != count {
			err = fmt.Errorf("%d files, want %d", lines(got), count)
		}
		return err
	}))
}
