package reconciler

import (
	"context"
	"time"

	"github.com/kubescribe/kubescribe/services/reconciler/plan"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/fault"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// destination is what the manager knows of one.
type destination struct {
	key        event.DestinationKey
	registered bus.Registered // its Revision is 0 if it is not
	record     event.PhaseRecord
	revision   uint64 // of record, or of its removal
	exists     bool   // record is there
	ends       map[epoch]map[subject.Side]stored
	attempt    attempt
	began      time.Time // when this process saw the run begin; zero if it did not
	due        time.Time // when to look again; zero: when there is news
	backoff    fault.Backoff
}

// stored is an end with where it stands.
type stored struct {
	event.End
	seq uint64
}

// attempt is what this process did in the attempt that record names.
type attempt struct {
	asked      map[int]bool
	contents   map[int]bool
	comparison plan.Comparison
	found      found
	failed     string
	progress   time.Time
	won        bool               // this process handed in the results
	cancel     context.CancelFunc // of the comparison; nil if there was none
}

func newAttempt(now time.Time) attempt {
	return attempt{asked: map[int]bool{}, contents: map[int]bool{}, progress: now}
}

// stop gives up the comparison.
func (a *attempt) stop() {
	if a.cancel != nil {
		a.cancel()
		a.cancel = nil
	}
}

// situation is what the plan is made from.
func (d *destination) situation(now time.Time, room int) plan.Situation {
	s := plan.Situation{
		Now: now, Key: d.key, Registered: d.registered.Revision > 0, Revision: d.registered.Revision, Interval: d.registered.Interval,
		Exists: d.exists, Record: d.record, Ends: d.endsOf(epochOf(d.record)), Series: len(d.ends) > 0,
		AskedStates: d.attempt.asked, AskedContents: d.attempt.contents, Comparison: d.attempt.comparison,
		Wanted: d.attempt.found.lanes(), Room: room, Failed: d.attempt.failed, Progress: d.attempt.progress,
	}
	return s
}

func (d *destination) endsOf(e epoch) map[subject.Side]event.End {
	ends := map[subject.Side]event.End{}
	for side, end := range d.ends[e] {
		ends[side] = end.End
	}
	return ends
}

// hear takes an end in.
func (d *destination) hear(s subject.Series, end stored, now time.Time) {
	e := epoch{s.Run, s.Attempt}
	if d.ends[e] == nil {
		d.ends[e] = map[subject.Side]stored{}
	}
	d.ends[e][s.Side] = end
	if e == epochOf(d.record) {
		d.attempt.progress = now
	}
}

// forget drops the ends up to a sequence: they were removed.
func (d *destination) forget(upTo uint64) {
	for e, sides := range d.ends {
		for side, end := range sides {
			if end.seq <= upTo {
				delete(sides, side)
			}
		}
		if len(sides) == 0 {
			delete(d.ends, e)
		}
	}
}

// becomes takes in an entry of KS_PHASE. What was done and heard in an attempt that
// is over is dropped.
func (d *destination) becomes(rec event.PhaseRecord, exists bool, revision uint64, now time.Time) {
	was := epochOf(d.record)
	d.record, d.exists, d.revision = rec, exists, revision
	if epochOf(rec) == was {
		return
	}
	delete(d.ends, was)
	d.attempt.stop()
	d.attempt = newAttempt(now)
	if rec.Run != was.run {
		d.began = time.Time{}
	}
}
