package integration

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/kubescribe/kubescribe/services/reconciler"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// contentsSeen counts the bytes of contents that are stored, by run.
type contentsSeen struct {
	mu   sync.Mutex
	runs map[string]int
}

func (in *install) seeContents() *contentsSeen {
	in.Helper()
	c := &contentsSeen{runs: map[string]int{}}
	nc := in.nats.NATS(in.T)
	if _, err := nc.Subscribe(subject.AllSnap, func(m *nats.Msg) {
		t := strings.Split(m.Subject, ".")
		if strings.HasPrefix(t[7], "content") && t[len(t)-1] != "end" {
			c.mu.Lock()
			c.runs[t[5]] += len(m.Data)
			c.mu.Unlock()
		}
	}); err != nil {
		in.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		in.Fatal(err)
	}
	return c
}

func (c *contentsSeen) all() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.runs)
}

// history keeps what KS_PHASE says of a destination from now on.
func (in *install) history(name string) func() []event.PhaseRecord {
	in.Helper()
	var mu sync.Mutex
	var all []event.PhaseRecord
	ctx, cancel := context.WithCancel(context.Background())
	done, begun := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		_ = in.phases().Watch(ctx, func(e bus.Entry[event.PhaseRecord]) error {
			if e.Key == subject.DestinationToken(key(name)) {
				mu.Lock()
				defer mu.Unlock()
				all = append(all, e.Record)
			}
			return nil
		}, func() error { close(begun); return nil })
	}()
	in.Cleanup(func() { cancel(); <-done })
	<-begun
	return func() []event.PhaseRecord {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(all)
	}
}

// writtenResults counts, by path, how often results of runs were written.
func (in *install) writtenResults() map[string]int {
	in.Helper()
	n := map[string]int{}
	last, err := in.bus.LastFor(in.Context(), subject.Write, subject.AllWrite)
	if err != nil {
		in.Fatal(err)
	}
	r, err := in.bus.Read(in.Context(), subject.Write, []string{subject.AllWrite}, 1)
	if err != nil {
		in.Fatal(err)
	}
	defer r.Close()
	for seq := uint64(0); seq < last.Seq; {
		m, ok, err := r.Next(in.Context(), time.Second)
		if err != nil {
			in.Fatal(err)
		}
		if !ok {
			continue
		}
		seq = m.Seq
		if kind, err := event.KindOf(m.Header); err != nil {
			in.Fatal(err)
		} else if kind == event.KindChange {
			if c := in.change(m); c.Origin == event.Reconcile {
				n[c.Path]++
			}
		}
	}
	return n
}

const (
	cutObjects = 23
	cutText    = 1000
	cutRoom    = 5000 // four of them
)

// cutMirror is a mirror of more contents than a run has room for, in two lanes.
func cutMirror(t *testing.T) *mirror {
	t.Helper()
	m := prepareMirror(t, "{}", []string{"d"}, "configmaps", "widgets.example.com")
	for i := range cutObjects {
		m.cluster.put([]string{"configmaps", "widgets"}[i%2], "shop", fmt.Sprintf("o%02d", i), strings.Repeat("x", cutText))
	}
	return m
}

// equals waits until Git has every object.
func (m *mirror) equals() {
	m.Helper()
	m.until("every object is on the remote", func() bool { return m.filesIn("live/shop/") == cutObjects })
}

// TestStartIsCut: a start with more contents than a run has room for is a chain of runs,
// none of which stores more than that and one object, and brings each object once; the
// phase is that of a start until all are written.
func TestStartIsCut(t *testing.T) {
	long(t)
	t.Parallel()
	m := cutMirror(t)
	seen, history := m.seeContents(), m.history("d")
	m.startAll(reconciler.Deps{Room: cutRoom})
	m.until("the start is over", func() bool { return m.phase("d").Phase == event.LiveProcessing })
	m.equals()
	m.tidied()

	for path, n := range m.writtenResults() {
		if n != 1 {
			t.Errorf("%s was written %d times", path, n)
		}
	}
	contents := seen.all()
	if len(contents) < 5 {
		t.Errorf("%d runs have contents", len(contents))
	}
	for run, n := range contents {
		if n > cutRoom+2*cutText {
			t.Errorf("run %s stores %d bytes of contents", run, n)
		}
	}

	last := m.phase("d")
	o := last.Outcome
	if o == nil || o.Left.Count() != 0 || o.Continues || o.Before.Runs+1 != len(contents) || o.Before.Created+o.Created != cutObjects || o.Equal+o.Created != cutObjects || last.Settled.IsZero() {
		t.Errorf("it ends with %+v, %+v", last, o)
	}
	for i, rec := range history() {
		want := event.ReasonContinued
		if i == 0 || rec.Run == history()[0].Run {
			want = event.ReasonNewDestination
		}
		over := rec.Run == last.Run && !rec.Running()
		if rec.Reason != want || !over && (rec.Phase != event.StartupReconcile || !rec.Settled.IsZero()) || !rec.Running() && !over && !rec.Continues() {
			t.Errorf("KS_PHASE said %+v", rec)
		}
	}

	// So is a run that a person asks for: the command waits for the last one, and tells
	// what all have brought.
	m.stand.foreign("By hand", func(dir string) error { return os.RemoveAll(filepath.Join(dir, "live", "shop")) })
	m.types("reconcile", "d").ends(0, fmt.Sprintf("%d created, 0 updated, 0 deleted", cutObjects), "there was no room for all contents in one")
	m.equals()
	for _, rec := range history()[len(history())-3:] {
		if rec.Phase != event.LiveProcessing {
			t.Errorf("a run that holds nothing is continued as %+v", rec)
		}
	}
}

// TestCutDiff: what a comparison has no room to show is said to differ.
func TestCutDiff(t *testing.T) {
	long(t)
	t.Parallel()
	m := cutMirror(t)
	m.startAll(reconciler.Deps{Room: cutRoom})
	m.until("the start is over", func() bool { return m.phase("d").Phase == event.LiveProcessing })
	m.equals()
	m.tidied()
	m.stand.foreign("By hand", func(dir string) error {
		for i := range cutObjects {
			for _, path := range []string{"configmaps", filepath.Join("example.com", "widgets")} {
				file := filepath.Join(dir, "live", "shop", path, fmt.Sprintf("o%02d.yaml", i))
				if b, err := os.ReadFile(file); err == nil {
					if err := os.WriteFile(file, []byte(strings.Replace(string(b), "text: x", "text: y", 1)), 0o644); err != nil {
						return err
					}
				}
			}
		}
		return nil
	})
	before := m.phase("d")
	got := m.diff(1, "--exit-code")
	shown, left := strings.Count(got, "+++ cluster/"), strings.Count(got, "content differs; too much does to show all of it at once")
	if shown == 0 || left == 0 || shown+left != cutObjects || !strings.Contains(got, fmt.Sprintf("0 missing in Git, 0 orphaned, %d different, 0 equal", cutObjects)) {
		t.Errorf("it shows %d and leaves %d of %d:\n%s", shown, left, cutObjects, got)
	}
	m.tidied()
	if after := m.phase("d"); after.Continues() || after.Outcome.Run != before.Outcome.Run {
		t.Errorf("it leaves %+v", after)
	}
}

// TestCutStartRestarted: whoever is restarted in the middle of a chain of runs, it comes
// to the same.
func TestCutStartRestarted(t *testing.T) {
	long(t)
	t.Parallel()
	for _, who := range []string{"reconciler", "watcher", "stream"} {
		t.Run(who, func(t *testing.T) {
			m := cutMirror(t)
			roles := m.startAll(reconciler.Deps{Room: cutRoom})
			seen := map[string]bool{}
			m.until("the start is over", func() bool {
				rec := m.phase("d")
				if !seen[rec.Run] {
					seen[rec.Run] = true
					roles[who].stop()
					roles[who] = m.start(who, reconciler.Deps{Room: cutRoom})
				}
				return rec.Phase == event.LiveProcessing
			})
			m.equals()
			m.tidied()
			if len(seen) < 5 {
				t.Errorf("it was restarted in %d runs", len(seen))
			}
			for path, n := range m.writtenResults() {
				if n != 1 {
					t.Errorf("%s was written %d times", path, n)
				}
			}
		})
	}
}
