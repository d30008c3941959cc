package integration

import (
	"fmt"
	"slices"
	"testing"

	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// TestGitWriterCut: what somebody removes from KS_WRITE before it was written is not passed over in
// silence: a run is asked for, once, and what is left is written. That others' messages are removed, or
// those that were written, is no reason for one, and neither is that a destination of the branch has left,
// with the message at the position.
func TestGitWriterCut(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		waits  int  // changes, of which the last one stays
		others bool // what is removed is another destination's alone
		reason string
		want   []string
	}{
		"changes that waited":         {3, false, event.ReasonHistoryGap, []string{"1", "2", "5"}},
		"what was written":            {1, false, "", []string{"1", "2", "3"}},
		"what was written of another": {3, true, "", []string{"1", "2", "3", "4", "5"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStand(t)
			d := s.register("live", "live", false)
			other := s.registerOn("other", "other", "other", false)
			version := 0
			write := func() {
				t.Helper()
				version++
				s.write(d, configMap(event.Update, "web", fmt.Sprint(version), version))
			}
			lands := func(want ...string) {
				t.Helper()
				s.until(fmt.Sprintf("main has %q", want), func() bool { return slices.Equal(s.committed(d), want) })
			}
			_, stop := s.start()
			s.write(other, configMap(event.Create, "web", "a", 1))
			s.until("the other one has it", func() bool { return len(s.committed(other)) == 1 })
			write()
			write()
			lands("1", "2")
			stop()
			for range tt.waits {
				write()
			}
			filter := ">"
			if tt.others {
				filter = subject.WriteDestination(other.Key)
			}
			s.purgeWrite(filter, s.last(d))
			want := tt.want
			for _, reason := range []string{tt.reason, ""} {
				_, stop = s.start()
				write()
				want = append(want, fmt.Sprint(version))
				lands(want...)
				stop()
				if got := s.reason(d); got != reason {
					t.Errorf("a run is asked for because of %q, want %q", got, reason)
				}
				if err := s.bus.Purge(t.Context(), subject.Ctl, subject.CtlRun(d.Key), 0); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
	t.Run("all that waited, and then others'", cutIdle)
	for name, leaves := range map[string]func(s *stand, d event.Destination){
		"removed":               func(s *stand, d event.Destination) { s.unregister(d) },
		"registered anew since": func(s *stand, d event.Destination) { s.unregister(d); s.put(d) },
		"on another branch": func(s *stand, d event.Destination) {
			d.Branch, d.BranchKey = "other", subject.BranchKey(d.URL, "other")
			s.put(d)
		},
		"on another branch, and back": func(s *stand, d event.Destination) {
			there := d
			there.Branch, there.BranchKey = "other", subject.BranchKey(d.URL, "other")
			s.put(there)
			s.put(d)
		},
	} {
		t.Run("with a destination that is "+name, func(t *testing.T) { cutByLeaving(t, leaves) })
	}
}

// cutIdle has all removed that waits for a branch, and then, while nothing comes for it, what
// others wrote behind that.
func cutIdle(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	d := s.registerOn("live", "live", "live", false)
	other := s.registerOn("other", "other", "other", false)
	lands := func(d event.Destination, n int) {
		t.Helper()
		s.write(d, configMap(event.Update, "web", fmt.Sprint(n), n))
		s.until("it lands", func() bool { return len(s.committed(d)) == n })
	}
	_, stop := s.start()
	lands(d, 1)
	lands(other, 1)
	stop()
	s.write(d, configMap(event.Update, "web", "lost", 2))
	s.write(other, configMap(event.Update, "web", "2", 2))
	s.purgeWrite(">", s.last(other))
	_, stop = s.start()
	s.until("a run is asked for", func() bool { return s.reason(d) == event.ReasonHistoryGap })
	s.until("the cut is passed", func() bool {
		hint, _, err := mustHints(s).Get(t.Context(), subject.HintKey(d.BranchKey))
		return err == nil && hint.Position == s.last(other)-1
	})
	lands(other, 3)
	stop()
	if err := s.bus.Purge(t.Context(), subject.Ctl, subject.CtlRun(d.Key), 0); err != nil {
		t.Fatal(err)
	}
	s.purgeWrite(">", s.last(other))
	delete(s.out, d.Key) // its checkpoint went, too
	s.start()
	lands(d, 2)
	if got := s.reason(d); got != "" {
		t.Errorf("another run is asked for because of %q", got)
	}
}

// cutByLeaving has a destination leave the branch while nobody writes it, of which the branch holds
// what came last, and which has written more.
func cutByLeaving(t *testing.T, leaves func(*stand, event.Destination)) {
	t.Parallel()
	s := newStand(t)
	d, leaver := s.registerOn("live", "stays", "stays", false), s.registerOn("live", "leaves", "leaves", false)
	lands := func(d event.Destination, n int) {
		t.Helper()
		s.until("it lands", func() bool { return len(s.committed(d)) == n })
	}
	_, stop := s.start()
	s.write(d, configMap(event.Update, "web", "1", 1))
	lands(d, 1)
	s.write(leaver, configMap(event.Update, "web", "1", 1))
	lands(leaver, 1)
	stop()
	s.write(leaver, configMap(event.Update, "web", "2", 2))
	s.write(d, configMap(event.Update, "web", "2", 2))
	leaves(s, leaver)
	s.purgeWrite(subject.WriteDestination(leaver.Key), s.last(leaver)+1)
	s.purgeWrite(subject.WriteDestination(d.Key), s.last(d))
	s.start()
	lands(d, 2)
	if got := s.reason(d); got != "" {
		t.Errorf("a run is asked for because of %q", got)
	}
}

// last is the newest message of a destination in KS_WRITE.
func (s *stand) last(d event.Destination) uint64 {
	s.Helper()
	m, err := s.bus.LastFor(s.Context(), subject.Write, subject.WriteDestination(d.Key))
	if err != nil {
		s.Fatal(err)
	}
	return m.Seq
}

// purgeWrite removes from KS_WRITE what is below a sequence.
func (s *stand) purgeWrite(filter string, before uint64) {
	s.Helper()
	if err := s.bus.Purge(s.Context(), subject.Write, filter, before); err != nil {
		s.Fatal(err)
	}
}
