package integration

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// TestStreamLeaves: of a destination that is unregistered in the middle of a run a stream
// that is running keeps nothing. What is routed to it from then on is a dead letter, and
// one of the same name begins anew.
func TestStreamLeaves(t *testing.T) {
	const many = 5000 // results, in ten batches
	in := newInstall(t)
	reconciler, link := in.reconciler(), in.nats.Link(t)
	r := in.streamOn(in.verified(link.Connect(t)))
	var p *played
	var l *live
	register := func(name string, before ...string) event.PhaseRecord {
		t.Helper()
		p = in.play(name, func(d *event.Destination) { d.Prune.MaxFiles = many })
		rec := p.begins(event.ReasonNewDestination, before...)
		l = &live{install: in, name: name, rev: rec.Registered, attempt: 1}
		for _, part := range rec.Parts {
			l.mark(part, rec.Run)
		}
		return rec
	}
	// By then whatever a stream reads all the time is being read.
	p.compares(register("other"))
	in.until("it is live", func() bool { return in.phase("other").Phase == event.LiveProcessing })
	p.tidied()
	consumers, goroutines := in.consumers(), ofStream()

	leaves := func(rec event.PhaseRecord) {
		t.Helper()
		in.until("the reconciler has removed it", func() bool { return in.phase("d").Run == "" })
		dead := in.counted(r, "kubescribe_stream_changes_total", "unregistered")
		in.until("what comes late is counted", func() bool {
			l.route("web", "late") // once more, until the stream has seen it leave, too
			return in.counted(r, "kubescribe_stream_changes_total", "unregistered") > dead
		})
		in.until("it is a dead letter", func() bool {
			return strings.Contains(newestLetter(t, in.bus).Reason, bus.ErrUnknownDestination.Error())
		})
		in.until("nothing is held back", func() bool { return in.held(r) == 0 })
		in.until("the stream is at rest", func() bool { return ofStream() <= goroutines })
		in.consumersFallTo(consumers)

		p.compares(register("d", rec.Run))
		if got := l.closed(in.phase("d").Run); got.Counts != (event.Counts{}) || got.Gap != nil {
			t.Errorf("anew, it shows %+v", got)
		}
		l.route("last", "x")
		got := slices.DeleteFunc(l.written("last"), func(line string) bool {
			return strings.Contains(line, " by "+rec.Run) // a batch that was under way when the reconciler removed all
		})
		if want := []string{"BARRIER", "UPDATE last x"}; !slices.Equal(got, want) {
			t.Errorf("anew, it wrote %q, want %q", got, want)
		}
		p.tidied()
		in.unregister("d")
		in.until("it is removed", func() bool { return in.phase("d").Run == "" })
	}

	rec := register("d")
	for n := range 3 {
		l.route("web", fmt.Sprint(n))
	}
	in.until("they are held back", func() bool { return in.held(r) == 3 })
	in.unregister("d")
	leaves(rec)

	rec = register("d", rec.Run)
	l.barrier(rec.Run)
	written, nc := make(chan *nats.Msg, many+1), in.nats.NATS(t)
	sub, err := nc.ChanSubscribe(subject.WriteData(branch, key("d")), written)
	if err == nil {
		err = nc.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	var orphans []event.Entry
	for i := range many {
		orphans = append(orphans, event.Entry{Path: mapFile(fmt.Sprintf("o%04d", i)), Hash: orphanHash(fmt.Sprintf("o%04d", i))})
	}
	p.takes(subject.CtlClusterState, rec, rec.Parts...)
	for _, part := range rec.Parts {
		p.says(rec, subject.SideCluster(part), event.End{})
	}
	p.says(rec, subject.SideRepo, event.End{}, orphans...)
	<-written
	resume := link.Pause(t)
	in.unregister("d")
	resume()
	in.until("the reconciler has seen it", func() bool { return in.phase("d").Run == "" })
	if err := sub.Unsubscribe(); err != nil {
		t.Fatal(err)
	}
	if len(written) >= many-1 {
		t.Errorf("all %d results are written", many)
	}
	leaves(rec)

	r.stop()
	reconciler.stop()
	in.noneLeft()
}

// ofStream counts the goroutines of streams.
func ofStream() (n int) {
	stacks := make([]byte, 4<<20)
	for _, g := range strings.Split(string(stacks[:runtime.Stack(stacks, true)]), "\n\n") {
		if strings.Contains(g, "kubescribe/services/stream") {
			n++
		}
	}
	return n
}

// held is how many changes a stream says that it holds back.
func (in *install) held(r role) (n int) {
	in.Helper()
	families, err := r.metrics.Gather()
	if err != nil {
		in.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "kubescribe_stream_held_messages" {
				n += int(m.GetGauge().GetValue())
			}
		}
	}
	return n
}
