package branch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/go-git/go-git/v5/plumbing/transport"

	"github.com/kubescribe/kubescribe/services/git-writer/internal/marker"
	"github.com/kubescribe/kubescribe/services/git-writer/internal/message"
	"github.com/kubescribe/kubescribe/services/git-writer/internal/repo"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/fault"
	"github.com/kubescribe/kubescribe/shared/subject"
)

const (
	// A push carries at most so many changes and bytes: what one worker holds
	// in memory.
	batchChanges = 2000
	batchBytes   = 16 << 20
	// idleWait is how often a quiet worker looks around.
	idleWait = time.Second
	// gatherWait is how long a worker waits for a change that the server says
	// is on its way.
	gatherWait = 20 * time.Millisecond
	// bufferWait is the same where the server had no more, when it sent the last
	// one: what it sent since is here already.
	bufferWait = time.Millisecond
	// recheckEvery is how often a refused folder is looked at again.
	recheckEvery = time.Minute
	// stopWait bounds the last push.
	stopWait = 3 * time.Second
	// registryWait bounds how long a change may wait for the registry.
	registryWait = 10 * time.Second
	// historyWithoutHint is how many commits are searched for a position when
	// nobody remembers to have pushed: the crash between a first push and its
	// hint left it near the tip.
	historyWithoutHint = 256
)

// Config is what a worker writes and with what.
type Config struct {
	BranchKey string
	URL       string
	Branch    string
	CacheDir  string
	Auth      func(ctx context.Context, url string) (transport.AuthMethod, error)
	Bus       *bus.Bus
	Registry  *bus.Registry
	Hints     *bus.Bucket[event.Hint]
	Statuses  *bus.Bucket[event.Status]
	Log       *slog.Logger
	Metrics   *Metrics
}

// Worker is the writer of a branch. Make it with [New].
type Worker struct {
	Config
	recheck bool                            // a folder was refused: look again
	refused map[event.DestinationKey]uint64 // the revisions at which they were refused
	hint    event.Hint                      // as it stands in KS_CURSOR
	reached uint64                          // everything in KS_WRITE up to here is on the remote, as far as is known
	said    string                          // what was last logged as wrong
	hintRev uint64                          // 0: not there

	mu   sync.Mutex
	snap Snapshot // guarded by mu
}

// Snapshot is what a person wants to know of a branch right now.
type Snapshot struct {
	URL     string // without credentials
	Branch  string
	Pending uint64 // changes that are not on the remote yet, as far as is known
	Commit  string // the newest one of ours on the remote
	Subject string
	Pushed  time.Time
	Next    time.Time // when the next push is tried, if it waits for that
	Why     error     // why nothing moves, nil when it does
	Refused []Refusal // destinations whose folder is not ours
}

// Refusal says why a destination is not written to.
type Refusal struct {
	Revision uint64 // of the registry: a newer one may say otherwise
	Why      error
}

// New makes a worker.
func New(cfg Config) *Worker {
	return &Worker{Config: cfg, snap: Snapshot{URL: repo.Redact(cfg.URL), Branch: cfg.Branch, Why: errors.New("starting")}}
}

// Snapshot is how things stand.
func (w *Worker) Snapshot() Snapshot {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.snap
}

func (w *Worker) show(f func(*Snapshot)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f(&w.snap)
}

// errReconfigured ends a session because the destinations changed, or because a
// refused folder is to be looked at again.
var errReconfigured = errors.New("the destinations of the branch changed")

// Run writes until ctx ends, pushes what it has built, and returns nil.
func (w *Worker) Run(ctx context.Context) error {
	backoff := fault.Backoff{Max: 30 * time.Second}
	for ctx.Err() == nil {
		moved, err := w.session(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, errReconfigured) || errors.Is(err, repo.ErrRival) {
			continue
		}
		if moved {
			backoff.Reset()
		}
		w.stall(ctx, err, backoff.Next())
	}
	return nil
}

// stall says why nothing moves, everywhere, and waits.
func (w *Worker) stall(ctx context.Context, err error, d time.Duration) {
	if what := remedy(err); what != "" {
		err = fmt.Errorf("%w; %s", err, what)
	}
	var remote *repo.RemoteError
	if errors.As(err, &remote) && remote.RetryAfter > d {
		d = remote.RetryAfter
	}
	w.show(func(s *Snapshot) { s.Why, s.Next = err, time.Now().Add(d) })
	level := slog.LevelDebug // said before; /readyz goes on saying it
	if said := err.Error(); said != w.said {
		level, w.said = slog.LevelWarn, said
	}
	w.Log.Log(ctx, level, "branch does not move, retrying", "url", repo.Redact(w.URL), "branch", w.Branch, "in", d.Round(time.Millisecond).String(), "err", err)
	w.count(ctx)
	w.Metrics.Failures.WithLabelValues(reason(err)).Inc()
	if ctx.Err() == nil {
		for _, dest := range w.destinations() {
			w.tell(ctx, dest.Key, func(s *event.Status) {
				if s.Stalled == nil || s.Stalled.Reason != event.StalledFolderNotOurs { // that one is remembered: see admit
					s.Stalled = stalled(s.Stalled, reason(err), err.Error())
				}
			})
		}
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// count shows how much waits while nothing moves.
func (w *Worker) count(ctx context.Context) {
	n, err := w.Bus.Waiting(ctx, subject.Write, subject.WriteBranch(w.BranchKey), w.reached)
	if err != nil {
		w.Log.Debug("backlog not counted", "branch", w.Branch, "err", err)
		return
	}
	w.show(func(s *Snapshot) { s.Pending = n })
	w.Metrics.Lag.WithLabelValues(w.BranchKey).Set(float64(n))
}

// destinations are those of this branch.
func (w *Worker) destinations() map[event.DestinationKey]bus.Registered {
	all, _ := w.Registry.All()
	ours := map[event.DestinationKey]bus.Registered{}
	for k, d := range all {
		if d.BranchKey == w.BranchKey {
			ours[k] = d
		}
	}
	return ours
}

// session reads where the branch stands and writes from there until something
// fails or changes.
func (w *Worker) session(ctx context.Context) (moved bool, err error) {
	b := repo.New(repo.Config{
		URL: w.URL, Branch: w.Branch, Dir: w.CacheDir, Auth: w.Auth,
		// Two writers hold the same changes, during a rolling update say. Built
		// again on top of the other's commits, ours would double them; a new
		// session reads from the branch how far they go (I2, I7).
		Rival: func(m string) bool {
			_, ours := message.ParsePosition(m, w.Bus.Install.Incarnation, w.BranchKey)
			return ours
		},
	})
	defer b.Close()
	result, err := b.Fetch(ctx)
	if err != nil {
		return false, err
	}
	s := &session{
		Worker: w, repo: b, admitted: map[event.DestinationKey]bus.Registered{}, unmarked: map[event.DestinationKey]bool{},
		inFlight: map[placed]write{}, dirty: map[event.DestinationKey]event.Status{},
	}
	if err := s.admit(ctx); err != nil {
		return false, err
	}
	position, err := s.position(ctx)
	if err != nil {
		return false, err
	}
	s.consumed, s.reached = position, position
	w.said = ""
	w.show(func(sn *Snapshot) {
		sn.Why = nil
		if base := b.Base(); sn.Commit == "" && !base.IsZero() && position > 0 {
			sn.Commit = base.String()
		}
	})
	r, err := w.Bus.Read(ctx, subject.Write, []string{subject.WriteBranch(w.BranchKey)}, position+1)
	if err != nil {
		return false, err
	}
	defer r.Close()
	if others := result.Branches; b.Base().IsZero() && len(others) > 0 {
		w.Log.Warn("the branch does not exist: the first push makes it, with a history of its own", "url", repo.Redact(w.URL), "branch", w.Branch, "existing", others)
	}
	w.Log.Info("writing", "url", repo.Redact(w.URL), "branch", w.Branch, "commit", b.Base().String(), "seq", position)
	return s.write(ctx, r)
}

// session is the time during which a worker trusts what it knows of the branch.
type session struct {
	*Worker
	repo     *repo.Branch
	admitted map[event.DestinationKey]bus.Registered
	unmarked map[event.DestinationKey]bool         // whose folder has no marker of ours yet
	consumed uint64                                // everything in KS_WRITE up to here was handed to repo, or needs not to be
	noted    uint64                                // the position that the hint was last written with
	subject  string                                // first line of the newest commit's message
	inFlight map[placed]write                      // what was committed and not pushed yet
	dirty    map[event.DestinationKey]event.Status // to be shown
	statusAt time.Time
}

// placed is where a change stands among what is not pushed yet.
type placed struct {
	position uint64 // of its commit
	path     string
}

// admit decides which destinations may write to their folders.
func (s *session) admit(ctx context.Context) error {
	s.recheck = false
	refused := map[event.DestinationKey]uint64{}
	var reasons []Refusal
	for k, d := range s.destinations() {
		want := marker.Of(d.Destination, s.Bus.Install.Incarnation)
		folder, err := s.folder(ctx, d.BaseFolder)
		if err != nil {
			return err
		}
		if err := marker.Admit(folder, want, d.Adopt); err != nil {
			refused[k] = d.Revision
			reasons = append(reasons, Refusal{d.Revision, fmt.Errorf("destination %s: %w", k, err)})
			s.recheck = true
			s.Log.Error("destination refused", "destination", k.String(), "err", err)
			why := err.Error()
			// This one decides: without it nobody would know that changes were
			// dropped, so nothing is dropped before it is kept.
			if err := s.status(ctx, k, func(st *event.Status) { st.Stalled = stalled(st.Stalled, event.StalledFolderNotOurs, why) }); err != nil {
				return err
			}
			continue
		}
		was, err := s.wasRefused(ctx, k)
		if err != nil {
			return err
		}
		if was {
			// What came while it was refused was not written. Only once the run
			// is asked for does the status stop saying so.
			q := event.Request{V: event.Version, Kind: event.RequestRun, Destination: k, Reason: event.ReasonAdmitted}
			if err := s.Bus.Ask(ctx, subject.CtlRun(k), q); err != nil {
				return err
			}
		}
		s.admitted[k] = d
		s.unmarked[k] = string(folder.Marker) != string(want.Bytes())
		if err := s.status(ctx, k, func(st *event.Status) { st.Stalled = nil }); err != nil {
			return err
		}
	}
	s.show(func(sn *Snapshot) { sn.Refused = reasons })
	s.Worker.refused = refused
	return nil
}

// wasRefused reports whether a destination was refused the last time that
// anybody looked, in this process or in one before it.
func (w *Worker) wasRefused(ctx context.Context, k event.DestinationKey) (bool, error) {
	if _, was := w.refused[k]; was {
		return true, nil
	}
	st, _, err := w.Statuses.Get(ctx, subject.DestinationToken(k))
	if err != nil && !errors.Is(err, bus.ErrNoMessage) {
		return false, err
	}
	return st.Stalled != nil && st.Stalled.Reason == event.StalledFolderNotOurs, nil
}

// folder looks at a base folder.
func (s *session) folder(ctx context.Context, name string) (marker.Folder, error) {
	f := marker.Folder{Name: name}
	e, ok, err := s.repo.Entry(marker.Path(name))
	if err != nil {
		return f, err
	}
	if ok {
		if f.Marker, err = s.repo.ReadBlob(ctx, e.Hash); err != nil {
			return f, err
		}
		return f, nil
	}
	for e, err := range s.repo.List(ctx, name) {
		if err != nil {
			return f, err
		}
		switch strings.ToLower(path.Ext(e.Path)) {
		case ".yaml", ".yml", ".json":
			f.Manifests++
		}
	}
	return f, nil
}

// position is what the branch holds: the highest number that any of its commits
// carries for this branch, back to the commit that the hint names. Commits
// merged in, cherry-picked or reverted carry lower numbers or other keys; a
// number that KS_WRITE has not reached was not written by us.
func (s *session) position(ctx context.Context) (uint64, error) {
	hint, rev, err := s.Hints.Get(ctx, subject.HintKey(s.BranchKey))
	if err != nil && !errors.Is(err, bus.ErrNoMessage) {
		return 0, err
	}
	s.hint, s.hintRev, s.reached = hint, rev, max(s.reached, hint.Position)
	last, err := s.Bus.LastSeq(ctx, subject.Write)
	if err != nil {
		return 0, err
	}
	var highest uint64
	found, seen := false, 0
	base := s.repo.Base()
	if !base.IsZero() && base.String() != hint.Commit {
		err = s.repo.Walk(ctx, func(c repo.CommitInfo) bool {
			if c.Hash.String() == hint.Commit {
				found = true
				return false
			}
			if seq, ok := message.ParsePosition(c.Message, s.Bus.Install.Incarnation, s.BranchKey); ok && seq <= last {
				highest = max(highest, seq)
			}
			seen++
			return rev != 0 || seen < historyWithoutHint
		})
		if err != nil {
			return 0, err
		}
	}
	switch {
	case rev == 0: // never pushed, or crashed just after the first push, which was found
		return highest, s.note(ctx, highest)
	case found, base.String() == hint.Commit, hint.Commit == "": // the last: there was no branch
		return max(highest, hint.Position), nil
	}
	// The branch does not hold any more what was pushed: it was rewritten or
	// removed by somebody. What stands in KS_WRITE before the hint must not be
	// replayed, so a run brings back what is missing.
	s.Log.Error("history of the branch was rewritten, reconciling", "url", repo.Redact(s.URL), "branch", s.Branch, "commit", hint.Commit)
	if err := s.rewritten(ctx); err != nil {
		return 0, err
	}
	at := max(highest, hint.Position)
	return at, s.note(ctx, at)
}

// rewritten asks for a run of every destination of the branch.
func (s *session) rewritten(ctx context.Context) error {
	for k := range s.admitted {
		q := event.Request{V: event.Version, Kind: event.RequestRun, Destination: k, Reason: event.ReasonHistoryRewritten}
		if err := s.Bus.Ask(ctx, subject.CtlRun(k), q); err != nil {
			return err
		}
	}
	return nil
}

// note keeps how far the branch has come. A crash before it leaves an older
// hint: the search for the position goes back further.
func (s *session) note(ctx context.Context, position uint64) error {
	next := event.Hint{V: event.Version, Position: position}
	if base := s.repo.Base(); !base.IsZero() {
		next.Commit = base.String()
	}
	if next == s.hint && s.hintRev != 0 {
		return nil
	}
	rev, err := s.Hints.Put(ctx, subject.HintKey(s.BranchKey), next, s.hintRev)
	if err != nil {
		return fmt.Errorf("keeping the position of branch %s: %w", s.Branch, err)
	}
	s.hint, s.hintRev, s.noted, s.reached = next, rev, position, position
	return nil
}

// write is the loop: gather, commit, push.
func (s *session) write(ctx context.Context, r *bus.Reader) (moved bool, err error) {
	begun := time.Now()
	for {
		batch, pending, err := s.gather(ctx, r)
		if err != nil && !errors.Is(err, errReconfigured) {
			return moved, err
		}
		reconfigured := err != nil
		if len(batch) > 0 {
			clear(s.inFlight)
			if err := s.commit(ctx, batch); err != nil {
				return moved, err
			}
			s.show(func(sn *Snapshot) { sn.Pending = uint64(len(batch)) + pending })
			if err := s.push(ctx, batch); err != nil {
				return moved, err
			}
			moved = true
		} else if ctx.Err() == nil {
			if s.consumed > s.noted { // nothing but no-ops since
				if err := s.note(ctx, s.consumed); err != nil {
					return moved, err
				}
			}
			s.flushStatus(ctx, true)
		}
		s.show(func(sn *Snapshot) { sn.Pending, sn.Why = pending, nil })
		s.Metrics.Lag.WithLabelValues(s.BranchKey).Set(float64(pending))
		switch {
		case ctx.Err() != nil:
			return moved, nil
		case reconfigured:
			return moved, errReconfigured
		case len(batch) == 0 && s.recheck && time.Since(begun) > recheckEvery:
			return moved, errReconfigured
		}
	}
}

// gather takes what waits in KS_WRITE, up to the bounds of a push. pending is how
// many more the server has.
func (s *session) gather(ctx context.Context, r *bus.Reader) (batch []write, pending uint64, err error) {
	size := 0
	wait := idleWait
	for len(batch) < batchChanges && size < batchBytes {
		m, ok, err := r.Next(ctx, wait)
		if err != nil || !ok {
			return batch, pending, err
		}
		pending = m.Pending
		w, ok, err := s.take(ctx, m)
		if err != nil {
			return batch, pending, err
		}
		s.consumed = m.Seq
		if ok {
			batch = append(batch, w)
			size += len(w.Manifest)
		}
		if wait = gatherWait; pending == 0 {
			wait = bufferWait
		}
	}
	return batch, pending, nil
}

// take makes a write of a message. One that is wrong by itself goes to the dead
// letters; one whose destination is gone or refused is dropped, counted.
func (s *session) take(ctx context.Context, m bus.Message) (w write, ok bool, err error) {
	_, k, err := subject.ParseWriteData(m.Subject)
	if err != nil {
		return w, false, err
	}
	kind, err := event.KindOf(m.Header)
	var c event.Change
	if err == nil && kind != event.KindChange {
		err = fmt.Errorf("%w: a %s among the writes", event.ErrMalformed, kind)
	}
	if err == nil {
		c, err = event.ParseChange(m.Header, m.Data)
	}
	if errors.Is(err, event.ErrMalformed) {
		s.Log.Error("write sent to the dead letters", "destination", k.String(), "seq", m.Seq, "err", err)
		s.Metrics.Changes.WithLabelValues("dead_lettered").Inc()
		return w, false, s.Bus.DeadLetter(ctx, "git-writer", k, subject.Write, m, err)
	}
	if err != nil {
		return w, false, err
	}
	hold, cancel := context.WithTimeout(ctx, registryWait)
	defer cancel()
	if err := s.Registry.Wait(hold, c.Registry); err != nil {
		return w, false, err
	}
	now, registered := s.Registry.Get(k)
	was, admitted := s.admitted[k]
	switch {
	case registered && admitted && now.Revision == was.Revision:
		return write{Change: c, msg: m, destination: was.Destination}, true, nil
	case registered && now.BranchKey == s.BranchKey && s.Worker.refused[k] != now.Revision:
		return w, false, errReconfigured // not consumed: it is read again by the next session
	case registered:
		s.Metrics.Changes.WithLabelValues("refused").Inc()
	default:
		s.Metrics.Changes.WithLabelValues("unregistered").Inc()
	}
	return w, false, nil
}

// commit builds commits of a batch, in order.
func (s *session) commit(ctx context.Context, batch []write) error {
	for _, g := range group(batch) {
		for _, w := range g {
			s.inFlight[placed{g[len(g)-1].msg.Seq, w.path()}] = w
		}
		k := g[0].destination.Key
		var extra []repo.Op
		if s.unmarked[k] {
			d := g[0].destination
			extra = []repo.Op{{
				Path: marker.Path(d.BaseFolder), Content: marker.Of(d, s.Bus.Install.Incarnation).Bytes(),
				New: !d.Adopt, // two installs that begin at once must not take over from each other
			}}
		}
		changed, err := s.repo.Commit(s.remember(commit(g, extra, s.Bus.Install.Incarnation)))
		var taken *repo.PathConflictError
		switch {
		case errors.As(err, &taken):
			if err := s.conflict(ctx, g, taken); err != nil {
				return err
			}
		case err != nil:
			return err
		case changed:
			s.unmarked[k] = false
			s.Metrics.Commits.WithLabelValues(string(g[0].Origin)).Inc()
			s.Metrics.Changes.WithLabelValues("committed").Add(float64(len(g)))
		default:
			s.Metrics.Changes.WithLabelValues("unchanged").Add(float64(len(g)))
		}
	}
	return nil
}

// remember keeps a commit's subject for those who look.
func (s *session) remember(c repo.Commit) repo.Commit {
	words := c.Message
	c.Message = func(changes []repo.Change) string {
		m := words(changes)
		s.subject, _, _ = strings.Cut(m, "\n")
		return m
	}
	return c
}
