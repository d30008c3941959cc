package integration

import (
	"fmt"
	"testing"

	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// TestStreamSecondOwner: of two that own a destination's stream, one stands still in a
// run that holds while the other one closes it. It goes on from where that one has
// come: nothing is lost, and nothing comes twice.
func TestStreamSecondOwner(t *testing.T) {
	for _, tt := range []struct {
		name      string
		meanwhile func(l *live, first role)
		then      func(l *live)
		want      []string
	}{
		{"the first one stops", func(_ *live, first role) { first.stop() }, func(*live) {}, nil},
		{"both go on", func(*live, role) {}, func(l *live) {
			for i := range 100 {
				l.route("both", fmt.Sprint(i))
			}
		}, numbered("UPDATE both ", 100)},
		{"another run holds", func(l *live, first role) {
			l.begin("run-2", event.StartupReconcile)
			l.marks("run-2")
			l.barrier("run-2")
			first.stop()
		}, func(l *live) {
			l.route("held", "x")
			l.results("run-2", event.Outcome{}, "UPDATE api newer")
			l.closed("run-2")
		}, []string{"BARRIER", "UPDATE api newer by run-2", "UPDATE held x"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newLive(t, "d")
			first := l.stream()
			l.begin("run-1", event.StartupReconcile)
			l.marks("run-1")
			l.barrier("run-1")
			link := l.nats.Link(t)
			second := l.streamOn(l.verified(link.Connect(t)))
			for i := range 3 {
				l.route("web", fmt.Sprint(i))
			}
			l.until("they are held back", func() bool { return l.phase("d").Counts.Held == 3 })

			resume := link.Pause(t)
			l.results("run-1", event.Outcome{}, "CREATE api new")
			l.closed("run-1")
			l.route("between", "x")
			l.written("between")
			if err := l.bus.Purge(t.Context(), subject.Snap, subject.SnapDestination(key("d")), 0); err != nil { // as the reconciler does
				t.Fatal(err)
			}
			tt.meanwhile(l, first)
			resume()

			tt.then(l)
			l.route("last", "x")
			want := append([]string{"BARRIER", "CREATE api new by run-1"}, numbered("UPDATE web ", 3)...)
			want = append(want, "UPDATE between x")
			want = append(want, tt.want...)
			l.wantWritten("last", append(want, "UPDATE last x")...)
			first.stop()
			second.stop()
			l.noneLeft()
		})
	}
}

// TestStreamShowsNothingOlder: of two that own a destination's stream, one is about to show in
// KS_PHASE that a run holds while the other one closes it. What that has shown stays.
func TestStreamShowsNothingOlder(t *testing.T) {
	l := newLive(t, "d")
	link := l.nats.Link(t)
	first := l.streamOn(l.verified(link.Connect(t)))
	l.begin("run-1", event.StartupReconcile)
	entry := "$KV." + subject.BucketPhase + "." + subject.DestinationToken(key("d"))
	reached, resume := link.StillBefore(t, `"owner":"test"`) // what is put there
	l.mark(anotherPart, "run-1")
	<-reached
	second := l.stream()
	l.mark(configMapsPart, "run-1")
	l.results("run-1", event.Outcome{}, "CREATE api new")
	if p := l.closed("run-1"); p.Phase != event.LiveProcessing {
		t.Errorf("it shows %+v", p)
	}
	resume()
	l.route("last", "x")
	l.wantWritten("last", "BARRIER", "CREATE api new by run-1", "UPDATE last x")
	first.stop()
	second.stop()
	for _, m := range l.all("KV_"+subject.BucketPhase, entry) {
		p, err := event.Decode[event.PhaseRecord](m.Data)
		if err != nil {
			t.Fatal(err)
		}
		if !p.Running() && p.Phase != event.LiveProcessing {
			t.Errorf("once the run has closed it shows %+v", p)
		}
	}
}

// barrier waits until a run's BARRIER is the newest in the destination's stream.
func (l *live) barrier(run string) {
	l.Helper()
	l.until("the BARRIER of "+run+" is written", func() bool {
		m, err := l.bus.LastFor(l.Context(), subject.Write, subject.WriteDestination(key(l.name)))
		if err != nil {
			return false
		}
		kind, err := event.KindOf(m.Header)
		if err != nil || kind != event.KindRepoState {
			return false
		}
		b, err := event.ParseBarrier(m.Header)
		return err == nil && b.Run == run
	})
}

// numbered is lines that end in 0, 1, 2.
func numbered(word string, n int) []string {
	var lines []string
	for i := range n {
		lines = append(lines, word+fmt.Sprint(i))
	}
	return lines
}
