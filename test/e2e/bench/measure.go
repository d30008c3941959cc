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

// awaitPhase waits until the destination's entry of KS_PHASE is as it is to be.
func (i *install) awaitPhase(ctx context.Context, what string, is func(event.PhaseRecord) bool) (event.PhaseRecord, error) {
	var last event.PhaseRecord
	err := i.phases.Watch(ctx, func(e bus.Entry[event.PhaseRecord]) error {
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
	return i.awaitPhase(ctx, "the run to close", func(rec event.PhaseRecord) bool {
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
		got, err := listing(i.remote.Repository, tip)
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
	m.CPU, m.Peak = map[string]float64{}, map[string]int64{}
	for name, d := range i.running {
		if err := resetPeak(d.PID()); err != nil {
			return m, err
		}
		used, err := cpuSeconds(d.PID())
		if err != nil {
			return m, err
		}
		m.CPU[name] = -used
	}
	published, answers := i.traffic.published.Load(), i.traffic.answers.Load()
	begun := time.Now()
	before, err := begin(ctx)
	if err != nil {
		return m, i.cause(err)
	}
	rec, err := i.closed(ctx, before)
	if err != nil {
		return m, err
	}
	m.Closed = time.Since(begun).Seconds()
	if rec.Outcome == nil {
		return m, fmt.Errorf("the run closed without an outcome: %s", event.Encode(rec))
	}
	m.Outcome = *rec.Outcome
	if want != nil {
		err = i.landed(ctx, *want)
	} else {
		err = i.landedCount(ctx, m.Outcome.Before.Created+m.Outcome.Created)
	}
	if err != nil {
		return m, err
	}
	m.Landed = time.Since(begun).Seconds()
	if err := i.watching.Flush(); err != nil {
		return m, fmt.Errorf("counting what went over the bus: %w", err)
	}
	m.Published, m.Answers = i.traffic.published.Load()-published, i.traffic.answers.Load()-answers
	for name, d := range i.running {
		used, err := cpuSeconds(d.PID())
		if err != nil {
			return m, err
		}
		m.CPU[name] += used
		if m.Peak[name], err = memory(d.PID(), "VmHWM"); err != nil {
			return m, err
		}
	}
	return m, nil
}

// landedCount waits until the base folder has so many files.
func (i *install) landedCount(ctx context.Context, count int) error {
	return i.cause(harness.Poll(ctx, 50*time.Millisecond, "the files that were created", func(context.Context) error {
		tip, err := i.remote.Tip()
		if err != nil {
			return err
		}
		if tip == "" {
			return errors.New("the branch is not there")
		}
		got, err := listing(i.remote.Repository, tip)
		if err == nil && lines(got) != count {
			err = fmt.Errorf("%d files, want %d", lines(got), count)
		}
		return err
	}))
}
