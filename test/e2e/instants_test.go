package e2e_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

// instant is a moment of a run, reached by having services stand still in turn: each
// once the run has come as far as it can without the next.
type instant struct {
	name   string
	stands []string                                // the last one stands still at the instant
	there  []func(*races, event.PhaseRecord) error // whether the run has come so far, for each
}

var instants = []instant{
	{"asked for", []string{"watcher"}, []func(*races, event.PhaseRecord) error{(*races).asked}},
	{"marked", []string{"router"}, []func(*races, event.PhaseRecord) error{(*races).marked}},
	{"routed", []string{"stream"}, []func(*races, event.PhaseRecord) error{(*races).routed}},
	{"before the barrier", []string{"git-writer"}, []func(*races, event.PhaseRecord) error{(*races).barrier}},
	{"before the comparison", []string{"git-writer", "reconciler"}, []func(*races, event.PhaseRecord) error{(*races).barrier, (*races).repository}},
	{"before the contents", []string{"git-writer", "watcher"}, []func(*races, event.PhaseRecord) error{(*races).barrier, (*races).compared}},
	{"before the results", []string{"git-writer", "stream"}, []func(*races, event.PhaseRecord) error{(*races).barrier, (*races).handedIn}},
}

// reach brings a run, another than the one before, to an instant: who stands still
// lets the next one through only once the next one stands still.
func (r *races) reach(t *testing.T, at instant, before string, begin func()) {
	t.Helper()
	t.Cleanup(func() { // where it failed
		for _, name := range at.stands {
			r.goOn(name)
		}
	})
	r.stand(t, at.stands[0])
	begin()
	for i, name := range at.stands {
		if i > 0 {
			r.stand(t, name)
			r.goOn(at.stands[i-1])
		}
		must(t, harness.Poll(within(t, stepLimit), 5*time.Millisecond, "the run to be "+at.name, func(ctx context.Context) error {
			rec, err := r.record(ctx)
			if err == nil && (rec.Run == before || rec.Run == "") {
				err = errors.New("it has not begun")
			}
			if err != nil {
				return err
			}
			return at.there[i](r, rec)
		}))
	}
}

// last is who stands still at the instant.
func (at instant) last() string { return at.stands[len(at.stands)-1] }

func (r *races) series(rec event.PhaseRecord, side subject.Side) subject.Series {
	return subject.Series{Destination: r.key, Run: rec.Run, Attempt: rec.Attempt, Side: side}
}

// ended is nil once a side has closed its series.
func (r *races) ended(rec event.PhaseRecord, side subject.Side) error {
	_, err := r.bus.SeriesEnd(context.Background(), r.series(rec, side))
	return err
}

// newest is nil once the newest message of a stream under a filter is of the run.
func (r *races) newest(rec event.PhaseRecord, stream, filter string) error {
	m, err := r.bus.LastFor(context.Background(), stream, filter)
	if err != nil {
		return err
	}
	if v := m.Header[event.HeaderRun]; len(v) != 1 || v[0] != rec.Run {
		return errors.New("the newest message is of something else")
	}
	return nil
}

func (r *races) asked(rec event.PhaseRecord) error {
	var errs []error
	for _, p := range rec.Parts {
		_, err := r.bus.LastFor(context.Background(), subject.Ctl, subject.CtlClusterState("e2e", p, rec.Run, rec.Attempt))
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (r *races) marked(rec event.PhaseRecord) error {
	var errs []error
	for _, p := range rec.Parts {
		errs = append(errs, r.newest(rec, subject.Events, subject.EventMark(p, "e2e", r.key)), r.ended(rec, subject.SideCluster(p)))
	}
	return errors.Join(errs...)
}

func (r *races) routed(rec event.PhaseRecord) error {
	var errs []error
	for _, p := range rec.Parts {
		errs = append(errs, r.newest(rec, subject.Live, subject.LiveData(p, r.key)))
	}
	return errors.Join(errs...)
}

func (r *races) barrier(rec event.PhaseRecord) error {
	errs := []error{r.newest(rec, subject.Write, subject.WriteDestination(r.key))}
	for _, p := range rec.Parts {
		errs = append(errs, r.ended(rec, subject.SideCluster(p)))
	}
	return errors.Join(errs...)
}

func (r *races) repository(rec event.PhaseRecord) error { return r.ended(rec, subject.SideRepo) }

func (r *races) compared(rec event.PhaseRecord) error {
	return r.ended(rec, subject.SideResult(subject.Part("e2e", "", "configmaps")))
}

func (r *races) handedIn(rec event.PhaseRecord) error { return r.ended(rec, subject.SideRun) }
