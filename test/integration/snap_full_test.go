package integration

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/kubescribe/kubescribe/services/reconciler"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// roomInSnap lets KS_SNAP take so many bytes more than it holds.
func (in *install) roomInSnap(bytes int64) {
	in.Helper()
	st, err := in.js.Stream(in.Context(), subject.Snap)
	if err != nil {
		in.Fatal(err)
	}
	info, err := st.Info(in.Context())
	if err != nil {
		in.Fatal(err)
	}
	cfg := info.Config
	cfg.MaxBytes = int64(info.State.Bytes) + bytes
	if _, err := in.js.UpdateStream(in.Context(), cfg); err != nil {
		in.Fatal(err)
	}
}

// lines is a log that can be looked at.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) has(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.text.String(), text)
}

const snapFull = "the stream KS_SNAP is full: runs that close make room"

// TestReconcilerSnapFull: where KS_SNAP has no room for results, or for what hands them
// in, the attempt is given up, it is said why, and another one finds the room that has
// come meanwhile.
func TestReconcilerSnapFull(t *testing.T) {
	t.Parallel()
	const room = 256 << 20
	for _, tt := range []struct {
		name string
		fill func(p *played, rec event.PhaseRecord)
		why  string
	}{
		{"results", func(p *played, rec event.PhaseRecord) {
			var objects []event.Entry
			for i := range 5000 {
				objects = append(objects, event.Entry{Path: mapFile(fmt.Sprintf("o%04d", i)), Hash: fmt.Sprintf("%040x", i*7919), Version: uint64(i)})
			}
			p.says(rec, subject.SideCluster(mapLane), event.End{}, objects...)
			p.says(rec, subject.SideCluster(deployLane), event.End{})
			p.roomInSnap(4 << 10)
			p.says(rec, subject.SideRepo, event.End{})
		}, fmt.Sprintf(`because="closing the results of lane %d: storing ks.snap.`, mapLane)},
		{"handing in", func(p *played, rec event.PhaseRecord) {
			var files []event.Entry
			for i := range 20 {
				files = append(files, event.Entry{Path: fmt.Sprintf("%02d-%s.yaml", i, strings.Repeat("x", 200)), What: event.Foreign})
			}
			p.says(rec, subject.SideCluster(mapLane), event.End{}, event.Entry{Path: mapFile("new"), Hash: "1"})
			p.says(rec, subject.SideCluster(deployLane), event.End{})
			p.says(rec, subject.SideRepo, event.End{}, files...)
			p.takes(subject.CtlResources, rec, mapLane)
			p.roomInSnap(2 << 10) // for the contents' end, which names no files
			p.says(rec, subject.SideContent(mapLane), event.End{})
		}, "handing in the results: storing ks.snap."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := newInstall(t)
			in.fullFor = 50 * time.Millisecond
			clock, log := newHandClock(), &lines{}
			p := in.play("d", nil)
			r := in.reconcilerWith(reconciler.Deps{Clock: clock, Log: slog.New(slog.NewTextHandler(log, nil))})
			first := p.begins(event.ReasonNewDestination)
			p.takes(subject.CtlClusterState, first, mapLane, deployLane)
			tt.fill(p, first)
			if strings.HasPrefix(tt.why, "handing in") {
				p.until("it says what is wrong", func() bool {
					err := r.ready()
					return err != nil && strings.Contains(err.Error(), tt.why) && strings.Contains(err.Error(), snapFull)
				})
			}
			p.until("another attempt is made", func() bool {
				clock.advance(time.Minute)
				return p.phase("d").Attempt == 2
			})
			p.until("it says why", func() bool { return log.has(tt.why) && log.has(snapFull) })

			// There is room again.
			p.until("the first attempt's series are removed", func() bool {
				return len(in.subjects(subject.Snap, subject.SnapAttempt(key("d"), first.Run, 1))) == 0
			})
			in.roomInSnap(room)
			second := p.attempts(2)
			p.takes(subject.CtlClusterState, second, mapLane, deployLane)
			p.twoStates(second)
			p.brings(second, mapLane, deployLane)
			p.closes(second, clock.Now())
			p.tidied()
			p.until("nothing is wrong any more", func() bool { return r.ready() == nil })
		})
	}
}

// TestGitWriterSnapFull: where KS_SNAP has no room for the state of a folder, what was
// stored of it is given back, and it is said what to do. With room it goes on by itself.
func TestGitWriterSnapFull(t *testing.T) {
	long(t)
	t.Parallel()
	s := newStand(t)
	s.fullFor = 2 * time.Second
	js, err := jetstream.New(s.nats.NATS(t))
	if err != nil {
		t.Fatal(err)
	}
	in := &install{T: t, js: js}
	const files = 4000 // two chunks
	s.foreign("Many", func(dir string) error {
		for i := range files {
			name := filepath.Join(dir, "live", "shop", "configmaps", fmt.Sprintf("%x.yaml", sha256.Sum256([]byte{byte(i), byte(i >> 8)})))
			if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte(object), 0o644)); err != nil {
				return err
			}
		}
		return nil
	})
	var mu sync.Mutex
	published := map[string]bool{}
	nc := s.nats.NATS(t)
	if _, err := nc.Subscribe(subject.AllSnap, func(m *nats.Msg) {
		mu.Lock()
		defer mu.Unlock()
		published[m.Subject] = true
	}); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	in.roomInSnap(300 << 10)
	d := s.register("live", "live", true)
	s.start()
	q := s.ask(d, "r1", 1)
	s.until("it is said", func() bool {
		st := s.stalled(d.Key)
		return st != nil && strings.Contains(st.Message, snapFull) && strings.Contains(st.Message, "nats stream edit KS_SNAP --max-bytes")
	})
	mu.Lock()
	n := len(published)
	mu.Unlock()
	if n < 2 {
		t.Errorf("%d chunks were published", n)
	}
	s.until("it is given back", func() bool { return len(in.subjects(subject.Snap, subject.AllSnap)) == 0 })
	in.roomInSnap(1 << 20)
	if entries, _ := s.told(q); len(entries) != files {
		t.Errorf("%d files are told", len(entries))
	}
	s.until("it moves", func() bool { return s.stalled(d.Key) == nil })
}

// refusals counts the messages of KS_SNAP that were published again: the stream had no
// room for them.
func (in *install) refusals() func() int {
	in.Helper()
	var mu sync.Mutex
	seen, refused := map[string]bool{}, 0
	nc := in.nats.NATS(in.T)
	if _, err := nc.Subscribe(subject.AllSnap, func(m *nats.Msg) {
		mu.Lock()
		defer mu.Unlock()
		if seen[m.Subject] {
			refused++
		}
		seen[m.Subject] = true
	}); err != nil {
		in.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		in.Fatal(err)
	}
	return func() int {
		mu.Lock()
		defer mu.Unlock()
		return refused
	}
}

// TestRunsShareSnap: two starts whose contents have no room in KS_SNAP wait for some, and
// come to their ends with room for one of them and a part of the other.
func TestRunsShareSnap(t *testing.T) {
	long(t)
	t.Parallel()
	const objects, text, room = 40, 20_000, 500_000
	m := prepareMirror(t, "{}", []string{"d", "e"}, "configmaps")
	m.fullFor = 100 * time.Millisecond
	for i := range objects {
		m.cluster.put("configmaps", "shop", fmt.Sprintf("o%02d", i), strings.Repeat("x", text))
	}
	// What others have takes all room but that for states.
	other := m.bus.WriteSeries(subject.Series{Destination: key("other"), Run: "r", Attempt: 1, Side: subject.SideContent(0)})
	for i := range 5 {
		c := configMap(event.Create, fmt.Sprint(i), strings.Repeat("y", 250_000), 1)
		c.Path = mapFile(fmt.Sprint(i))
		if err := other.Content(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	m.roomInSnap(40_000)
	refused := m.refusals()
	m.startAll(reconciler.Deps{Room: room})
	m.until("contents are refused", func() bool { return refused() > 0 })
	if d, e := m.phase("d"), m.phase("e"); !d.Running() || !e.Running() {
		t.Errorf("without room they came to %+v and %+v", d, e)
	}

	if err := m.bus.Purge(t.Context(), subject.Snap, subject.SnapDestination(key("other")), 0); err != nil {
		t.Fatal(err)
	}
	m.roomInSnap(room + room/3)
	for _, name := range []string{"d", "e"} {
		m.until(name+" is there", func() bool { return m.phase(name).Phase == event.LiveProcessing })
	}
	m.until("all is on the remote", func() bool { return m.filesIn("live/shop/") == objects && m.filesIn("e/shop/") == objects })
	m.tidied()
}
