package bustest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

func competingHops(t *testing.T, s Server) {
	const n = 400
	b := provisioned(t, s)
	to := func(bus.Message) []string { return []string{"a", "b"} }
	for range 3 {
		runHop(t, hop(s.Connect(t), &copier{to: to}))
	}
	feed(t, b, n)
	for _, d := range []string{"a", "b"} {
		wantInOrder(t, outputs(t, b, d), n)
	}
}

func restartUnderLoad(t *testing.T, s Server) {
	const n = 300
	b := provisioned(t, s)
	runHop(t, hop(s.Connect(t), &copier{to: func(m bus.Message) []string {
		if m.Seq%3 == 0 {
			return []string{"a", "b"}
		}
		return []string{"a"}
	}}))
	l, err := b.TakeLane(t.Context(), 0, "test", "feeder")
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if i%100 == 50 {
			s.Restart(t)
		}
		if _, err := publish(t, l, change("web", strconv.Itoa(i+1), strconv.Itoa(i))); err != nil {
			t.Fatal(err)
		}
	}
	wantInOrder(t, outputs(t, s.Connect(t), "a"), n)
}

// wideFanOut: of hops that compete, on a server that is killed in the middle, each of 3,000
// destinations gets each change once, in order.
func wideFanOut(t *testing.T, s Server) {
	const destinations, changes = 3000, 3
	b := provisioned(t, s)
	var all []string
	for i := range destinations {
		all = append(all, fmt.Sprintf("d%d", i))
	}
	for range 2 {
		runHop(t, hop(s.Connect(t), &copier{to: func(bus.Message) []string { return slices.Clone(all) }}))
	}
	feed(t, b, 1)
	until(t, "some have the first one", func() bool { return stored(t, s, subject.Live, "ks.live.d.>") > 0 })
	s.Restart(t)
	feedFrom(t, b, 1, changes)
	until(t, "every destination has all", func() bool {
		return stored(t, s, subject.Live, "ks.live.d.>") >= changes*destinations
	})
	for _, d := range []string{"d0", "d1500", "d2999"} {
		wantInOrder(t, outputs(t, s.Connect(t), d), changes)
	}
	have := subjects(t, s, subject.Live, "ks.live.d.>")
	for subj, n := range have {
		if n != changes {
			t.Fatalf("%s has %d messages, want %d", subj, n, changes)
		}
	}
	if len(have) != destinations {
		t.Errorf("%d destinations have some", len(have))
	}
}

// resumedFanOut cuts a fan-out between two of its pieces, where nothing but the
// first piece's cursor tells how far it came, and changes the destinations
// before it goes on.
func resumedFanOut(t *testing.T, s Server) {
	b := provisioned(t, s)
	feed(t, b, 1)
	in, err := b.LastFor(t.Context(), subject.Events, subject.EventPart(0))
	if err != nil {
		t.Fatal(err)
	}
	var all []string // in the order of their subjects, as pieces are cut
	for i := range 1500 {
		all = append(all, fmt.Sprintf("d%04d", i))
	}
	to := func(name string) string {
		return subject.LiveData(0, event.DestinationKey{Cluster: "test", Namespace: "default", Name: name})
	}
	slices.SortFunc(all, func(a, b string) int { return strings.Compare(to(a), to(b)) })
	l, err := b.OpenLedger(t.Context(), ledger())
	if err != nil {
		t.Fatal(err)
	}
	d, err := (&copier{to: func(bus.Message) []string { return all }}).Decide(t.Context(), in, "")
	if err != nil {
		t.Fatal(err)
	}
	// Nothing is stored of a piece of which the server refuses a message: what is
	// left is what a crash between the two pieces leaves.
	d.Outputs[len(all)-1].Data = make([]byte, bus.MaxPayload+1)
	if err := l.Commit(t.Context(), in, d.State, d.Outputs); err == nil {
		t.Fatal("the whole fan-out was stored")
	}
	m, err := b.LastFor(t.Context(), subject.Live, subject.LivePart(0))
	if err != nil {
		t.Fatal(err)
	}
	if c, err := bus.ParseCursor(m.Header[event.HeaderCursor][0]); err != nil || c.Seq != 0 || c.After != to(all[999]) {
		t.Fatalf("the fan-out was cut at %+v, %v", c, err)
	}
	had, hadNot := all[7], all[1200] // when they went away
	left := slices.DeleteFunc(slices.Clone(all), func(d string) bool { return d == had || d == hadNot })
	runHop(t, hop(b, &copier{to: func(bus.Message) []string { return slices.Clone(left) }}))
	until(t, "all that remain have it", func() bool {
		m, err := b.LastFor(t.Context(), subject.Live, subject.LivePart(0))
		return err == nil && strings.HasPrefix(m.Header[event.HeaderCursor][0], strconv.FormatUint(in.Seq, 10)+" ")
	})
	for _, d := range []string{had, all[0], all[6], all[999], all[1000], all[1201], all[1499]} {
		wantInOrder(t, outputs(t, b, d), 1)
	}
	if n := stored(t, s, subject.Live, "ks.live.d.>"); n != uint64(len(all)-1) {
		t.Errorf("%d have it, of %d", n, len(all)-1)
	}
}

// quietCursor: what had no output is not read again after a restart, also of the server.
func quietCursor(t *testing.T, s Server) {
	b := provisioned(t, s)
	stop := runHop(t, hop(b, &copier{to: func(bus.Message) []string { return nil }}))
	feed(t, b, 20)
	until(t, "the cursor is stored", func() bool {
		return stored(t, s, subject.Live, subject.LiveCheckpoint(0)) > 0
	})
	stop()
	s.Restart(t)
	wantConsumed(t, s.Connect(t))
}

// boundedStop: what a hop stores takes the time it needs, until the hop is to
// stop: then it ends soon.
func boundedStop(t *testing.T, s Server) {
	b := provisioned(t, s)
	storing := make(chan struct{})
	stop := runHop(t, hop(b, &copier{
		to: func(bus.Message) []string { return []string{"a"} },
		stored: func(ctx context.Context) error {
			if _, bounded := ctx.Deadline(); bounded {
				t.Error("it is bounded without a stop")
			}
			close(storing)
			<-ctx.Done()
			return ctx.Err()
		},
	}))
	feed(t, b, 1)
	<-storing
	stop() // or it does not end at all
}

// overtakenHop: a hop that cannot move says how much waits, and that nothing does
// once another one has taken it.
func overtakenHop(t *testing.T, s Server) {
	const n = 10
	b := provisioned(t, s)
	to := func(bus.Message) []string { return []string{"a"} }
	stuck := hop(b, &copier{to: to, decide: func(bus.Message) error { return errors.New("not now") }})
	var lag atomic.Uint64
	stuck.Lag = lag.Store
	runHop(t, stuck)
	feed(t, b, n)
	until(t, "it says how much waits", func() bool { return lag.Load() == n })
	runHop(t, hop(s.Connect(t), &copier{to: to}))
	wantInOrder(t, outputs(t, b, "a"), n)
	until(t, "it says that nothing waits", func() bool { return lag.Load() == 0 })
}

// leaver is a stage whose ledger waits until it is released by work, and leaves once
// something of what it then catches up with is decided.
type leaver struct {
	*copier
	asked   bool // the hop's goroutine's
	decided atomic.Int64
	gone    func()
}

func (*leaver) Waits(state string) bool { return state == "" }

func (l *leaver) Due() []bus.LedgerConfig {
	if l.asked {
		return nil
	}
	l.asked = true
	return []bus.LedgerConfig{ledger()}
}

func (*leaver) Work(_ context.Context, _ bus.LedgerConfig, state string) (bus.Decision, bool, error) {
	return bus.Decision{State: "released"}, state == "", nil
}

func (l *leaver) Decide(_ context.Context, _ bus.Message, state string) (bus.Decision, error) {
	l.decided.Add(1)
	return bus.Decision{State: state}, nil
}

func (l *leaver) Left(bus.LedgerConfig) bool {
	left := l.decided.Load() > 0
	if left {
		l.gone()
	}
	return left
}

// leftCatchingUp: of a ledger that leaves while it catches up with what was passed over
// for it, the rest is not asked about: who it was for is gone.
func leftCatchingUp(t *testing.T, s Server) {
	const n = 300
	b := provisioned(t, s)
	feed(t, b, n)
	gone := make(chan struct{})
	l := &leaver{copier: &copier{}, gone: sync.OnceFunc(func() { close(gone) })}
	stop := runHop(t, hop(b, l))
	<-gone
	stop()
	if got := l.decided.Load(); got >= n {
		t.Errorf("it was asked about all %d", got)
	}
}

// logWentBack: a hop whose input does not hold what its cursor remembers says so,
// once, and goes on behind what the input held then. Nothing is skipped silently.
func logWentBack(t *testing.T, s Server) {
	b := provisioned(t, s)
	to := func(bus.Message) []string { return []string{"a"} }
	stop := runHop(t, hop(b, &copier{to: to}))
	feed(t, b, 5)
	wantInOrder(t, outputs(t, b, "a"), 5)
	stop()
	js, err := jetstream.New(s.NATS(t))
	if err != nil {
		t.Fatal(err)
	}
	had := 5
	for _, again := range []int{2, 20} { // shorter, then longer and of other messages
		recreate(t, js, subject.Events)
		feedFrom(t, b, 100, 100+again)
		end, err := b.LastSeq(t.Context(), subject.Events)
		if err != nil {
			t.Fatal(err)
		}
		losses := make(chan *bus.Loss, 10)
		stop := runHop(t, hop(b, &copier{to: to, lost: func(l *bus.Loss) { losses <- l }}))
		var l *bus.Loss
		until(t, "it says that it lacks something", func() bool {
			select {
			case l = <-losses:
			default:
			}
			return l != nil
		})
		if !errors.Is(l, bus.ErrLogWentBack) || l.Until != end {
			t.Errorf("with %d messages more it lacks %+v, and the log ends at %d", again, *l, end)
		}
		feedFrom(t, b, had, had+3)
		had += 3
		wantInOrder(t, outputs(t, b, "a"), had)
		stop()
		runHop(t, hop(b, &copier{to: to}))() // it is mended
		if len(losses) > 0 {
			t.Errorf("it lacks more: %+v", <-losses)
		}
	}
}

// leaderBehind: of several nodes one may have handed out a message that the leader has not carried
// out yet. A cursor that names it is no loss, whatever was found missing far behind it.
func leaderBehind(t *testing.T, s Server) {
	if s.replicas() == 1 {
		t.Skip("one node is behind nobody")
	}
	b := provisioned(t, s)
	l, err := b.TakeLane(t.Context(), 0, "test", "a")
	if err != nil {
		t.Fatal(err)
	}
	end, err := b.LastSeq(t.Context(), subject.Events)
	if err != nil {
		t.Fatal(err)
	}
	opens := s.Connect(t)
	if e, err := opens.ExtentPast(t.Context(), subject.Events, end+1000); err != nil || e.Last != end {
		t.Fatalf("it ends at %d, not %d: %v", e.Last, end, err)
	}
	next := change("web", "1", "a")
	m := nats.NewMsg(subject.LiveCheckpoint(0))
	m.Header = nats.Header(event.NewHeader(event.KindCheckpoint))
	m.Header[event.HeaderCursor] = []string{bus.Cursor{Seq: end + 1, ID: subject.ChangeID(next)}.String()}
	if _, err := s.NATS(t).RequestMsg(m, time.Minute); err != nil {
		t.Fatal(err)
	}
	stored := make(chan error, 1)
	time.AfterFunc(200*time.Millisecond, func() {
		_, err := publish(t, l, next)
		stored <- err
	})
	if _, err := opens.OpenLedger(t.Context(), ledger()); err != nil {
		t.Errorf("it is taken for %v", err)
	}
	if err := <-stored; err != nil {
		t.Fatal(err)
	}
}

func recreate(t *testing.T, js jetstream.JetStream, stream string) {
	t.Helper()
	st, err := js.Stream(t.Context(), stream)
	if err != nil {
		t.Fatal(err)
	}
	cfg := st.CachedInfo().Config
	if err := js.DeleteStream(t.Context(), stream); err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
}

// logCut: a hop from whose input something was removed that it had not consumed says
// so, once, and goes on behind it. What it had consumed may be removed.
func logCut(t *testing.T, s Server) {
	b := provisioned(t, s)
	to := func(bus.Message) []string { return []string{"a"} }
	stop := runHop(t, hop(b, &copier{to: to}))
	feed(t, b, 5)
	wantInOrder(t, outputs(t, b, "a"), 5)
	stop()
	consumed, err := b.LastFor(t.Context(), subject.Events, subject.EventPart(0))
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Purge(t.Context(), subject.Events, ">", consumed.Seq+1); err != nil {
		t.Fatal(err)
	}
	runHop(t, hop(b, &copier{to: to}))()
	feedFrom(t, b, 5, 9)
	last, err := b.LastFor(t.Context(), subject.Events, subject.EventPart(0))
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Purge(t.Context(), subject.Events, ">", last.Seq); err != nil { // all but the last
		t.Fatal(err)
	}
	losses := make(chan *bus.Loss, 10)
	stop = runHop(t, hop(b, &copier{to: to, lost: func(l *bus.Loss) { losses <- l }}))
	got := outputs(t, b, "a")
	stop()
	if len(losses) != 1 {
		t.Fatalf("it says %d times that it lacks something", len(losses))
	}
	if l := <-losses; !errors.Is(l, bus.ErrCut) || l.After != consumed.Seq || l.Until != last.Seq-1 {
		t.Errorf("it lacks %+v, and was to lack what is between %d and %d", *l, consumed.Seq, last.Seq)
	}
	if len(got) != 6 || got[5] != "8" {
		t.Errorf("it stored %q", got)
	}
	runHop(t, hop(b, &copier{to: to}))()
}
