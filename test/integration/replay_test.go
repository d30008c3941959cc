package integration

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kubescribe/kubescribe/services/stream/decide"
	"github.com/kubescribe/kubescribe/services/stream/phase"
	"github.com/kubescribe/kubescribe/services/stream/results"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/outcome"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// envSeed says which chaos is played; a new one is drawn without it.
const envSeed = "CHAOS_SEED"

// TestReplay records a chaotic run and feeds what was recorded of its inputs to the
// decisions of the streams twice: to one that remembers all, and to one that is
// restarted before every input. Both give the same transitions and effects, and what
// the chaotic run has stored (I12).
//
// What a recording leaves open is when a stream looked: which entries of KS_PHASE and
// KS_DESTINATION it saw, between which changes it took results, and whether it knew
// what it had forwarded last of an object. KS_WRITE says the second by its cursors. Of
// the others the first that explains what was stored is taken, in the order of time,
// and not knowing needs a disturbance that explains it.
func TestReplay(t *testing.T) {
	seed := rand.Uint64()
	if word, set := os.LookupEnv(envSeed); set {
		var err error
		if seed, err = strconv.ParseUint(word, 10, 64); err != nil {
			t.Fatalf("%s: %v", envSeed, err)
		}
	}
	t.Logf("%s=%d", envSeed, seed)
	c := newChaos(t, seed, "a", "b", "c")
	c.play(500)
	var n counted
	for _, d := range c.destinations {
		r := record(c, d.name)
		r.replay(r.schedule(), &n)
	}
	fmt.Printf("replay: %s=%d: %d inputs, %d transitions, %d effects, %d writes, %d disturbances\n", envSeed, seed, n.inputs, n.transitions, n.effects, n.writes, len(c.disturbed))
	if n.inputs < 200 || n.transitions < 30 || n.writes < 200 {
		t.Errorf("too little has happened: %+v", n)
	}
}

// counted is how much was compared.
type counted struct{ inputs, transitions, effects, writes int }

// recording is what a chaotic run has left of a destination.
type recording struct {
	*chaos
	key      event.DestinationKey
	inputs   []bus.Message // KS_LIVE
	phases   []revision[event.PhaseRecord]
	registry []revision[event.Destination]
	found    map[phase.Epoch]found // KS_SNAP, as far as it was looked at
	stored   []piece               // KS_WRITE
}

// found is what a run has handed in; end is nil if it has not.
type found struct {
	end     *event.End
	results []results.Result
}

// revision is one of a key of a bucket.
type revision[R event.Record] struct {
	record R
	number uint64
	time   time.Time
}

// piece is what was stored at once: the last message says what was consumed.
type piece struct {
	messages []bus.Message
	cursor   bus.Cursor
	time     time.Time
	batch    string // with others; "": alone
}

// String is its headers: of many messages, those of the first and the last one.
func (p piece) String() string {
	first, last := p.messages[0], p.messages[len(p.messages)-1]
	return fmt.Sprintf("%d messages to %s, %v ... %v", len(p.messages), first.Subject, first.Header, last.Header)
}

func record(c *chaos, name string) *recording {
	c.Helper()
	k := key(name)
	r := &recording{
		chaos: c, key: k, found: map[phase.Epoch]found{}, inputs: c.all(subject.Live, subject.LiveDestination(k)),
		phases:   append([]revision[event.PhaseRecord]{{}}, revisions[event.PhaseRecord](c, subject.BucketPhase, k)...),
		registry: revisions[event.Destination](c, subject.BucketDestination, k),
	}
	var p piece
	for _, m := range c.all(subject.Write, subject.WriteDestination(k)) {
		p.messages = append(p.messages, m)
		if v := m.Header[event.HeaderCursor]; len(v) == 1 {
			var err error
			if p.cursor, err = bus.ParseCursor(v[0]); err != nil {
				c.Fatal(err)
			}
			p.time, p.batch = m.Time, strings.Join(m.Header["Nats-Batch-Id"], "")
			r.stored, p = append(r.stored, p), piece{}
		}
	}
	if len(p.messages) > 0 {
		c.Fatalf("%d messages have no cursor behind them", len(p.messages))
	}
	return r
}

// handedIn reads what an attempt at a run has handed in.
func (r *recording) handedIn(of phase.Epoch) found {
	r.Helper()
	if f, read := r.found[of]; read {
		return f
	}
	var f found
	run := subject.Series{Destination: r.key, Run: of.Run, Attempt: of.Attempt, Side: subject.SideRun}
	end, err := r.bus.SeriesEnd(r.Context(), run)
	if err != nil && !errors.Is(err, bus.ErrNoMessage) {
		r.Fatal(err)
	}
	if err == nil {
		f.end = &end
		for one, err := range results.Read(r.Context(), r.bus, run, end) {
			if err != nil {
				r.Fatal(err)
			}
			f.results = append(f.results, one)
		}
	}
	r.found[of] = f
	return f
}

func revisions[R event.Record](c *chaos, bucket string, k event.DestinationKey) []revision[R] {
	c.Helper()
	var all []revision[R]
	for _, m := range c.all("KV_"+bucket, "$KV."+bucket+"."+subject.DestinationToken(k)) {
		rec, err := event.Decode[R](m.Data)
		if err != nil {
			c.Fatal(err)
		}
		all = append(all, revision[R]{rec, m.Seq, m.Time})
	}
	return all
}

// fed is one input: a message of KS_LIVE, or none, which is a look at the run; and
// what was seen beside it.
type fed struct {
	message bus.Message // none: Seq is 0
	knows   bool        // what was forwarded last
	rec     int         // of recording.phases
	dest    int         // of recording.registry
	piece   int         // of recording.stored that it led to, -1 for none
}

// schedule finds the inputs that led to what was stored.
func (r *recording) schedule() []fed {
	r.Helper()
	var all []fed
	p := &player{recording: r, forgetful: true}
	defer p.drop()
	next := 0 // of inputs
	for n, stored := range r.stored {
		found := false
		for ; next < len(r.inputs) && r.inputs[next].Seq <= stored.cursor.Seq; next++ {
			m := r.inputs[next]
			f, ok := fed{}, false
			if m.Seq == stored.cursor.Seq {
				f, ok = r.explain(p, all, m, n)
				found = ok
			}
			if !ok {
				f, ok = r.explain(p, all, m, -1-n)
			}
			if !ok {
				r.Fatalf("%s: nothing explains what became of message %d, %v: before piece %d, %v", r.key, m.Seq, m.Header, n, stored)
			}
			all = append(all, f)
		}
		if !found && !p.flushes(stored) {
			f, ok := r.explain(p, all, bus.Message{}, n)
			if !ok {
				r.Fatalf("%s: in state %q nothing explains piece %d: %v", r.key, p.state, n, stored)
			}
			all = append(all, f)
		}
	}
	if next != len(r.inputs) {
		r.Fatalf("%s: %d messages were not consumed", r.key, len(r.inputs)-next)
	}
	return all
}

// explain finds what was seen beside an input, and feeds it. It led to a piece, or
// (-1-n) to none and came before piece n.
func (r *recording) explain(p *player, before []fed, m bus.Message, n int) (fed, bool) {
	r.Helper()
	until, piece := n, n
	if n < 0 {
		until, piece = -1-n, -1
	}
	var last fed
	if len(before) > 0 {
		last = before[len(before)-1]
	}
	since := r.decidedSince(until)
	for _, knows := range []bool{true, false} {
		for dest := last.dest; dest < len(r.registry) && !r.registry[dest].time.After(r.stored[until].time); dest++ {
			for rec := last.rec; rec < len(r.phases) && !r.phases[rec].time.After(r.stored[until].time); rec++ {
				if rec+1 < len(r.phases) && r.phases[rec+1].time.Before(since) {
					continue // it was history by then
				}
				f := fed{message: m, knows: knows, rec: rec, dest: dest, piece: piece}
				if d, ok := p.decide(f); ok && p.leadsTo(f, d) {
					if !knows && !p.mayForget(f) {
						r.Fatalf("%s: message %d was forwarded, although it says what the one before did: %v", r.key, m.Seq, m.Header)
					}
					p.take(f, d)
					return f, true
				}
			}
		}
	}
	return fed{}, false
}

// decidedSince is when the piece before was stored, before which this one was not decided. Those of one batch
// are decided one after the other before any of them is stored.
func (r *recording) decidedSince(n int) (since time.Time) {
	of := r.stored[n]
	for _, before := range slices.Backward(r.stored[:n]) {
		if before.batch == "" || before.batch != of.batch {
			return before.time
		}
	}
	return since
}

// replay feeds the inputs to two, and compares what they make of them.
func (r *recording) replay(inputs []fed, n *counted) {
	r.Helper()
	sure, forgetful := &player{recording: r}, &player{recording: r, forgetful: true}
	defer sure.drop()
	defer forgetful.drop()
	for i, f := range inputs {
		was := sure.state
		a, is := sure.decide(f)
		b, too := forgetful.decide(f)
		if is != too || !reflect.DeepEqual(a, b) {
			r.Fatalf("%s: input %d in state %q is %+v at first, and %+v to one that was restarted", r.key, i, was, a, b)
		}
		if !is {
			r.Fatalf("%s: input %d in state %q led to a decision before, and to none now", r.key, i, was)
		}
		if !sure.leadsTo(f, a) {
			r.Fatalf("%s: input %d in state %q led to %+v, and %v was stored", r.key, i, was, a, r.stored[max(f.piece, 0)])
		}
		sure.take(f, a)
		forgetful.take(f, b)
		n.inputs++
		n.writes += len(a.Outputs)
		n.effects += effects(a.Effects)
		if a.State != was {
			n.transitions++
		}
	}
	r.shown(sure.closed)
}

// effects counts those that are.
func effects(fx phase.Effects) (n int) {
	for _, is := range reflect.ValueOf(fx).Fields() {
		if is.Bool() {
			n++
		}
	}
	return n
}

// shown compares what KS_PHASE says of the runs that have closed.
func (r *recording) shown(closed map[phase.Epoch]phase.State) {
	r.Helper()
	seen := 0
	for _, rec := range r.phases {
		st, is := closed[phase.RunOf(rec.record).Epoch]
		if rec.record.Run == "" || rec.record.Running() {
			continue
		}
		if seen++; !is || rec.record.Phase != st.Phase() || rec.record.Overrun != uint64(st.Late) {
			r.Errorf("%s: KS_PHASE shows %+v, replayed it is %q", r.key, rec.record, st)
		}
	}
	if seen == 0 {
		r.Errorf("%s: KS_PHASE shows no run that has closed", r.key)
	}
}

// player is a destination's stream without its input and output.
type player struct {
	*recording
	forgetful bool // it remembers nothing from one input to the next
	state     phase.State
	cursor    bus.Cursor
	passed    phase.Passed
	results   *results.Reader
	last      map[string]forwarded // by path
	closed    map[phase.Epoch]phase.State
}

// forwarded is what was forwarded last of an object.
type forwarded struct {
	phase.Last
	time time.Time
}

func (p *player) drop() {
	if p.results != nil {
		p.results.Stop()
	}
	p.results = nil
}

// decide is what the stream makes of an input; ok is false if it is nothing.
func (p *player) decide(f fed) (d decide.Decision, ok bool) {
	p.Helper()
	if p.forgetful {
		p.restart()
	}
	dest := decide.Destination{
		Registered:  bus.Registered{Destination: p.registry[f.dest].record, Revision: p.registry[f.dest].number},
		Incarnation: p.bus.Install.Incarnation,
	}
	rec := p.phases[f.rec].record
	if f.message.Seq == 0 {
		return p.work(dest, rec)
	}
	in, err := decide.Parse(f.message)
	if err != nil { // it is dead-lettered
		return decide.Decision{State: p.state}, errors.Is(err, event.ErrMalformed)
	}
	if in.IsMark() {
		return decide.Mark(dest, p.state, in, rec), true
	}
	var last phase.Last
	if f.knows {
		last = p.last[in.Path()].Last
	}
	d, err = decide.Change(dest, p.state, in, last)
	return d, err == nil
}

// restart reads again what one who was restarted does.
func (p *player) restart() {
	p.Helper()
	p.drop()
	if first := p.state.From; p.state.Step != phase.Idle && !slices.ContainsFunc(p.inputs, func(m bus.Message) bool {
		mark, err := event.ParseMark(m.Header)
		return m.Seq == first && err == nil && phase.Epoch{Run: mark.Run, Attempt: mark.Attempt} == p.state.Epoch
	}) {
		p.Fatalf("%s: the state is %q, and message %d is no MARK of its run", p.key, p.state, first)
	}
	consumed := func(yield func(bus.Message, error) bool) {
		for _, m := range p.inputs {
			if m.Seq >= p.state.From && m.Seq <= p.cursor.Seq && !yield(m, nil) {
				return
			}
		}
	}
	var err error
	if p.passed, err = decide.Passed(p.state, consumed); err != nil {
		p.Fatal(err)
	}
}

// work is what the stream does without a message.
func (p *player) work(dest decide.Destination, rec event.PhaseRecord) (d decide.Decision, ok bool) {
	p.Helper()
	if d, left := decide.Leave(p.state, rec); left {
		return d, true
	}
	if p.state.Step != phase.Waiting && p.state.Step != phase.Applying {
		return d, false
	}
	f := p.handedIn(p.state.Epoch)
	if f.end == nil {
		return d, false
	}
	if p.results == nil {
		p.results = results.NewReader(func(yield func(results.Result, error) bool) {
			for _, one := range f.results {
				if !yield(one, nil) {
					return
				}
			}
		}, p.state.Done)
	}
	d, ok, err := decide.Results(dest, p.state, &p.passed, p.results, *f.end)
	if err != nil {
		p.Fatal(err)
	}
	return d, ok
}

// take is what the stream remembers once a decision is stored.
func (p *player) take(f fed, d decide.Decision) {
	p.Helper()
	var err error
	if p.state, err = phase.Parse(d.State.String()); err != nil {
		p.Fatal(err)
	}
	if f.message.Seq > 0 {
		p.cursor = bus.Cursor{Seq: f.message.Seq, ID: f.message.ID()}
	}
	d.Remember(&p.passed)
	if p.state.Step != phase.Applying {
		p.drop()
	}
	for _, i := range d.Items {
		if i.Outcome == outcome.Forwarded {
			if p.last == nil {
				p.last = map[string]forwarded{}
			}
			p.last[i.Path] = forwarded{phase.Last{Known: true, Of: p.state.Epoch, Hash: i.Hash}, p.stored[f.piece].time}
		}
	}
	if p.state.Closed {
		if p.closed == nil {
			p.closed = map[phase.Epoch]phase.State{}
		}
		p.closed[p.state.Epoch] = p.state
	}
}

// mayForget reports whether something explains that the stream did not know what it
// had forwarded last.
func (p *player) mayForget(f fed) bool {
	in, err := decide.Parse(f.message)
	if err != nil {
		return false
	}
	last, now := p.last[in.Path()], p.stored[f.piece].time
	return slices.ContainsFunc(p.disturbed, func(s span) bool { return !s.to.Before(last.time) && !s.from.After(now) })
}

// flushes reports whether a piece is nothing but a cursor.
func (p *player) flushes(stored piece) bool {
	return p.leads(stored, []bus.Output{p.checkpoint()}, p.state, p.cursor)
}

// leadsTo reports whether a decision is what was stored.
func (p *player) leadsTo(f fed, d decide.Decision) bool {
	if f.piece < 0 {
		return len(d.Outputs) == 0 && d.State == p.state
	}
	cursor := p.cursor
	if f.message.Seq > 0 {
		cursor = bus.Cursor{Seq: f.message.Seq, ID: f.message.ID()}
		if len(d.Outputs) == 0 && d.State == p.state {
			return false // nothing is stored of it
		}
	}
	outputs := d.Outputs
	if len(outputs) == 0 {
		outputs = []bus.Output{p.checkpoint()}
	}
	return p.leads(p.stored[f.piece], outputs, d.State, cursor)
}

func (p *player) checkpoint() bus.Output {
	return bus.Output{Subject: subject.WriteCheckpoint(p.key), Header: event.NewHeader(event.KindCheckpoint)}
}

// leads compares outputs with what was stored: subjects, bodies, and every header that
// is not the server's.
func (p *player) leads(stored piece, outputs []bus.Output, st phase.State, cursor bus.Cursor) bool {
	if len(outputs) != len(stored.messages) {
		return false
	}
	for i, m := range stored.messages {
		want := maps.Clone(outputs[i].Header)
		if i == len(outputs)-1 {
			want[event.HeaderCursor] = []string{cursor.String()}
			if v := st.String(); v != "" {
				want[event.HeaderState] = []string{v}
			}
		}
		got := maps.Clone(m.Header)
		maps.DeleteFunc(got, func(name string, _ []string) bool { return strings.HasPrefix(name, "Nats-") })
		if m.Subject != outputs[i].Subject || !bytes.Equal(m.Data, outputs[i].Data) || !reflect.DeepEqual(got, want) {
			return false
		}
	}
	return true
}
