package integration

import (
	"errors"
	"fmt"
	"testing"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// reason is why a run of a destination is asked for; "": none is.
func (s *stand) reason(d event.Destination) string {
	s.Helper()
	m, err := s.bus.LastFor(s.Context(), subject.Ctl, subject.CtlRun(d.Key))
	if errors.Is(err, bus.ErrNoMessage) {
		return ""
	}
	if err != nil {
		s.Fatal(err)
	}
	q, err := event.Decode[event.Request](m.Data)
	if err != nil {
		s.Fatal(err)
	}
	return q.Reason
}

// TestGitWriterBusRestored: where all of the bus is an older copy, buckets too, what is kept
// of the branch there is of that time, and says nothing of what the branch has since: that is
// seen by the branch. A run is asked for, whether the copy was written on or not, and what
// comes from then on is written.
func TestGitWriterBusRestored(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		before int // versions that are in the copy
		again  int // messages that came before the writer
	}{
		"as it was":             {2, 0},
		"before the first push": {0, 0},
		"written on":            {2, 2},
		"as long as it was":     {2, 4}, // the same IDs at the same sequences
		"longer":                {2, 20},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStand(t)
			d := s.register("live", "live", false)
			version := func(n int) {
				s.write(d, configMap(event.Update, "web", fmt.Sprint(n), n))
				s.wantVersions(n)
			}
			start := func() (stop func()) {
				w, stop := s.start()
				s.until("it has read the branch", func() bool { return w.Ready() == nil && len(w.Snapshots()) == 1 })
				return stop
			}
			stop := start()
			for n := range tt.before {
				version(n + 1)
			}
			stop()
			written := s.next
			restore := s.nats.Copy(t)
			_, stop = s.start()
			for n := tt.before + 1; n <= 6; n++ {
				version(n)
			}
			stop()
			if got := s.reason(d); got != "" {
				t.Fatalf("a run is asked for because of %s", got)
			}

			restore()
			s.until("the bus answers", func() bool { _, err := s.bus.LastSeq(t.Context(), subject.Live); return err == nil })
			clear(s.out)
			s.next = written
			for n := range tt.again {
				s.write(d, configMap(event.Update, "web", fmt.Sprint("lost ", n), 2))
			}
			stop = start()
			if got := s.reason(d); got != event.ReasonCheckpointLost {
				t.Errorf("a run is asked for because of %q", got)
			}
			s.end(s.ask(d, "r1", 1))
			version(7)
			stop()
			if err := s.bus.Purge(t.Context(), subject.Ctl, subject.CtlRun(d.Key), 0); err != nil {
				t.Fatal(err)
			}
			s.start() // by the position of the log that goes on
			version(8)
			if got := s.reason(d); got != "" {
				t.Errorf("it asks again, because of %s", got)
			}
		})
	}
}

// TestGitWriterHintLost: with nothing but an older hint, or none, the branch itself says how far
// it is, and that it is of this log: no run is asked for.
func TestGitWriterHintLost(t *testing.T) {
	t.Parallel()
	for _, older := range []bool{true, false} {
		t.Run(map[bool]string{true: "an older one", false: "none"}[older], func(t *testing.T) {
			t.Parallel()
			s := newStand(t)
			d := s.register("live", "live", false)
			version := func(n int) {
				s.write(d, configMap(event.Update, "web", fmt.Sprint(n%2), n))
				s.wantVersions(n)
			}
			_, stop := s.start()
			version(1)
			stop()
			hints, err := bus.OpenBucket[event.Hint](t.Context(), s.bus, subject.BucketCursor)
			if err != nil {
				t.Fatal(err)
			}
			key := subject.HintKey(d.BranchKey)
			before, _, err := hints.Newest(t.Context(), key)
			if err != nil || before.Stored.IsZero() {
				t.Fatalf("the hint is %+v, %v", before, err)
			}
			_, stop = s.start()
			for n := 2; n <= 6; n++ {
				version(n)
			}
			stop()
			_, rev, err := hints.Newest(t.Context(), key)
			if err != nil {
				t.Fatal(err)
			}
			if older {
				_, err = hints.Put(t.Context(), key, before, rev)
			} else {
				err = hints.Delete(t.Context(), key)
			}
			if err != nil {
				t.Fatal(err)
			}
			s.start()
			version(7)
			if got := s.reason(d); got != "" {
				t.Errorf("a run is asked for because of %s", got)
			}
		})
	}
}
