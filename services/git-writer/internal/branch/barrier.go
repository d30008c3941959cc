package branch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kubescribe/kubescribe/services/git-writer/internal/repo"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// barrier is a run's question, as it stands in KS_WRITE.
type barrier struct {
	event.Barrier
	destination event.DestinationKey
}

// answer tells a run what its folder holds on the remote, where everything before
// the barrier is by now.
//
// A crash before the end is stored leaves chunks that nobody reads, and the
// barrier behind the branch's position: it is answered again. A crash after it
// leaves an answer: whoever reads the barrier again finds it. Of two writers that
// answer, the one whose end was stored first counts: either says what the remote
// held at a moment when everything before the barrier was there and nothing behind
// it, because nobody passes a barrier that has no end.
//
// Who finds an answer looks at the remote all the same: what the run has seen there is
// what its results are written over. One of them would seem to stand already to who
// knows no more than what was there before others changed it.
func (s *session) answer(ctx context.Context, q barrier) error {
	series := subject.Series{Destination: q.destination, Run: q.Run, Attempt: q.Attempt, Side: subject.SideRepo}
	_, err := s.Bus.SeriesEnd(ctx, series)
	switch {
	case errors.Is(err, bus.ErrNoMessage):
		return s.tellState(ctx, q, series)
	case err != nil:
		return err
	}
	return s.refresh(ctx)
}

// tellState stores a series with the state of a folder, or with the reason why
// there will be none: a run that is told nothing would wait for ever.
func (s *session) tellState(ctx context.Context, q barrier, series subject.Series) error {
	a, why, err := s.owner(ctx, q.destination, q.Registry)
	if err != nil {
		return err
	}
	begun := time.Now()
	var st state
	if a != nil {
		if st, err = s.state(ctx, a); err != nil {
			return err
		}
	}
	w := s.Bus.WriteSeries(series)
	ctx, cancel := context.WithTimeout(ctx, w.FullFor) // it holds up the branch
	defer cancel()
	w.FullFor /= 2 // before that, so that the room of what was stored is given back, and it is said what to do
	end := event.End{Others: st.others}
	if a == nil {
		end.Failed = why.why
	}
	for _, e := range st.entries {
		err := w.Entry(ctx, e)
		if errors.Is(err, event.ErrMalformed) { // somebody's tree breaks Git's own rules
			end.Failed = fmt.Sprintf("the files of the folder are not in Git's order, see git fsck: %v", err)
			break
		}
		if err != nil {
			return err
		}
	}
	won, err := w.Close(ctx, end)
	if err != nil {
		return err
	}
	s.Log.Info("repository state told", "destination", q.destination.String(), "run", q.Run, "attempt", q.Attempt,
		"entries", len(st.entries), "others", st.others, "failed", end.Failed, "first", won, "took", time.Since(begun).Round(time.Millisecond).String())
	return nil
}

// refresh makes the remote's tip what is looked at: what others have pushed since
// is in the state of a folder too.
func (s *session) refresh(ctx context.Context) error {
	tip := s.repo.Base()
	_, err := s.repo.Fetch(ctx)
	s.others = s.others || s.repo.Base() != tip
	if errors.Is(err, repo.ErrHistoryRewritten) {
		return errRewritten
	}
	return err
}
