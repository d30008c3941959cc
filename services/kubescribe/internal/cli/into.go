package cli

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"math"
	"os/exec"
	"text/tabwriter"
	"time"

	gitwriter "github.com/kubescribe/kubescribe/services/git-writer"
	"github.com/kubescribe/kubescribe/services/kubescribe/internal/datadir"
	"github.com/kubescribe/kubescribe/services/kubescribe/internal/recorded"
	"github.com/kubescribe/kubescribe/services/stream/decide"
	"github.com/kubescribe/kubescribe/services/stream/phase"
	"github.com/kubescribe/kubescribe/services/stream/rerun"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/outcome"
	"github.com/kubescribe/kubescribe/shared/service"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// The stages that recorded changes go through.
const (
	stageStream    = "stream"
	stageGitWriter = "git-writer"
)

// write writes the changes of a destination into a repository.
func (r *replay) write(ctx context.Context) error {
	if _, err := exec.LookPath("git"); err != nil {
		return fmt.Errorf("--into needs git: %w", err)
	}
	creds := gitwriter.Credentials{Identity: r.identity}
	if creds.Identity == "" && r.dataDir != "" {
		creds.Identity = datadir.KeyFile(r.dataDir)
	}
	p := play{replay: r, became: map[outcome.Outcome]int{}}
	changes, stream := r.read(ctx, subject.Write, subject.WriteDestination(r.key)), subject.Write
	if r.stage == stageStream {
		var err error
		if changes, err = p.decidedAgain(ctx); err != nil {
			return err
		}
		stream = subject.Live
	}
	log := service.NewLogger(r.env.Stderr, slog.LevelWarn)
	became, err := gitwriter.Replay(ctx, r.bus, creds, r.registered, r.into, p.selected(changes), p.made, log)
	if err != nil {
		return err
	}
	for o, n := range became {
		p.became[o] += n
	}
	if err := p.end(); err != nil {
		return err
	}
	return r.tell(ctx, stream, p.seen)
}

// play tells of a replay into a repository.
type play struct {
	*replay
	seen   seen
	became map[outcome.Outcome]int // of what went through the stages
	state  phase.State             // of the destination, by what was read of KS_WRITE
	at     uint64                  // in KS_WRITE
	notes  []note                  // to be told once the commits before them are
}

// note is a line to be told, and where in KS_WRITE.
type note struct {
	at   uint64
	line string
}

func (p *play) note(line string) { p.notes = append(p.notes, note{p.at, line}) }

// selected is what of KS_WRITE is to be written: the changes that were selected, and
// BARRIERs. It notes the phases on the way.
func (p *play) selected(changes iter.Seq2[bus.Message, error]) iter.Seq2[bus.Message, error] {
	return func(yield func(bus.Message, error) bool) {
		for m, err := range changes {
			if err != nil {
				yield(m, err)
				return
			}
			p.pass(m)
			e := recorded.Read(subject.Write, m)
			change := e.Kind == event.KindChange
			if e.Kind == event.KindCheckpoint || change && !p.picks(e) {
				continue
			}
			if change && p.stage == stageGitWriter {
				p.seen.add(m)
			}
			if !yield(m, nil) {
				return
			}
		}
	}
}

// pass notes where the destination's phase, or its run, became another.
func (p *play) pass(m bus.Message) {
	p.at = m.Seq
	v := m.Header[event.HeaderState]
	if len(v) != 1 {
		return
	}
	st, err := phase.Parse(v[0])
	if err != nil {
		p.note(fmt.Sprintf("%s %d: %v", subject.Write, m.Seq, err))
		return
	}
	if was := p.state; was.Phase() != st.Phase() || was.Epoch != st.Epoch || was.Step != st.Step {
		p.note(transition(m, st))
	}
	p.state = st
}

// transition is a phase, and how far its run is, for a person.
func transition(m bus.Message, st phase.State) string {
	step := map[phase.Step]string{phase.Marking: "waits for MARKs", phase.Waiting: "waits for results", phase.Applying: "writes results"}[st.Step]
	switch {
	case st.Step == phase.Idle && st.Settled:
		step = "has closed"
	case st.Step == phase.Idle && st.Closed:
		step = "has closed, and its results are not written"
	case st.Step == phase.Idle:
		step = "was left"
	}
	if st.Holds() {
		step += ", changes are held"
	}
	line := fmt.Sprintf("%s %s %d %s", m.Time.UTC().Format(time.RFC3339Nano), subject.Write, m.Seq, st.Phase())
	if st.Run == "" {
		return line
	}
	return fmt.Sprintf("%s: run %s attempt %d %s", line, recorded.Safe(st.Run), st.Attempt, step)
}

// decidedAgain is what the destination's stream makes again of what KS_LIVE holds in the
// range. What comes before it is decided about, too: the stream remembers that.
func (p *play) decidedAgain(ctx context.Context) (iter.Seq2[bus.Message, error], error) {
	from, err := p.begin(ctx, subject.Live)
	if err != nil {
		return nil, err
	}
	within := func(seq uint64) bool { return seq >= from && seq <= p.to }
	dest := decide.Destination{Registered: p.registered, Incarnation: p.bus.Install.Incarnation}
	s, err := rerun.New(dest, func(d rerun.Decided) {
		if within(d.Input.Seq) {
			p.decided(d)
		}
	})
	if err != nil {
		return nil, err
	}
	live := p.bus.Range(ctx, subject.Live, subject.LiveDestination(p.key), 1, p.to)
	written := p.bus.Range(ctx, subject.Write, subject.WriteDestination(p.key), 1, math.MaxUint64)
	return func(yield func(bus.Message, error) bool) {
		for w, err := range s.Run(live, written) {
			if (err != nil || within(w.Cursor)) && !yield(w.Message, err) {
				return
			}
		}
	}, nil
}

// decided notes what became of an input of the stream, unless it went on as it did then.
func (p *play) decided(d rerun.Decided) {
	e := recorded.Read(subject.Live, d.Input)
	change := e.Kind == event.KindChange
	if change && !p.picks(e) {
		return
	}
	if change {
		p.seen.add(d.Input)
	}
	if d.Outcome != outcome.Forwarded { // the git-writer tells of those
		p.became[d.Outcome]++
	}
	if e.Outcome = d.Outcome; d.Differs != "" {
		e.Reason = "differs: then " + d.Differs
	}
	if d.Outcome != outcome.Forwarded || d.Differs != "" {
		p.note(e.Line())
	}
}

// made tells of a commit, and of what came before it.
func (p *play) made(c gitwriter.Replayed) error {
	if err := p.flush(c.Position); err != nil {
		return err
	}
	_, err := fmt.Fprintf(p.env.Stdout, "commit %.12s at %s %d: %s\n", c.Commit, subject.Write, c.Position, recorded.Safe(c.Subject))
	return err
}

// flush tells the notes from before a place.
func (p *play) flush(before uint64) error {
	for len(p.notes) > 0 && p.notes[0].at < before {
		if _, err := fmt.Fprintln(p.env.Stdout, p.notes[0].line); err != nil {
			return err
		}
		p.notes = p.notes[1:]
	}
	return nil
}

// end tells the rest, and how many changes came to what.
func (p *play) end() error {
	if err := p.flush(math.MaxUint64); err != nil {
		return err
	}
	t := tabwriter.NewWriter(p.env.Stdout, 0, 0, 2, ' ', 0)
	for _, o := range outcome.All() {
		if n := p.became[o.Outcome]; n > 0 {
			if _, err := fmt.Fprintf(t, "%d\t%s\t%s\n", n, o.Outcome, o.Meaning); err != nil {
				return err
			}
		}
	}
	return t.Flush()
}
