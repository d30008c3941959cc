package repo

import (
	"context"
	"errors"
	"io"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
)

// maxTries bounds how often one Push runs against others' pushes.
const maxTries = 8

// Push makes the remote branch contain all that is pending, in one command: if
// the branch is not where it was built on, it fetches, builds again and tries again.
// Nothing pending is nothing to do.
//
// Errors leave pending what did not land. ErrRefused has the remote's words.
// ErrHistoryRewritten means that the branch lost what it had: pending commits
// were built again on what it has now, and not pushed. ErrRival: start over, from
// what the branch holds. A *PathConflictError names
// the one operation that is in the way: see Skip.
func (b *Branch) Push(ctx context.Context) (r Result, err error) {
	if err := b.take(ctx); err != nil {
		return r, err
	}
	defer b.give()
	defer b.finish(&r)
	for range maxTries {
		p := b.prepare()
		if p == nil {
			return r, nil
		}
		// A crash from here on leaves either nothing, or the commits in the
		// remote branch: the next process finds them by their trailers.
		ans, err := b.remote.receivePack(ctx, &packp.Command{Name: b.remote.ref, Old: p.old, New: p.new}, p.write)
		if ans != nil && ans.landed() {
			b.landed(p, &r)
			return r, nil
		}
		if err != nil && !maybeLanded(ctx, err) {
			return r, err
		}

		// Whatever the remote said, where the branch stands is what counts.
		if syncErr := b.sync(ctx, &r); syncErr != nil {
			if err == nil || errors.Is(syncErr, ErrHistoryRewritten) || errors.Is(syncErr, ErrPathConflict) || errors.Is(syncErr, ErrRival) {
				err = syncErr
			}
			return r, err
		}
		if b.Base() != p.old {
			continue // landed, or moved
		}
		if err != nil {
			return r, err
		}
		if !ans.unpacked() && b.giveUpThin() {
			continue
		}
		return r, b.remote.refusal(ans)
	}
	return r, &RemoteError{Kind: ErrMoved, Doing: "pushing to", URL: b.remote.url}
}

// maybeLanded says whether a push may have been carried out in spite of err. Where
// it was turned away at the door or never sent, reading the branch can wait for
// the next Push, which cannot go wrong: Old decides.
func maybeLanded(ctx context.Context, err error) bool {
	var e *RemoteError
	return ctx.Err() == nil && errors.As(err, &e) && e.RetryAfter == 0 &&
		(errors.Is(err, ErrUnreachable) || errors.Is(err, ErrRefused))
}

// parcel is what one push carries.
type parcel struct {
	old, new plumbing.Hash
	objects  []*object
	noThin   bool
}

func (p *parcel) write(w io.Writer, thin bool) error {
	return writePack(w, p.objects, thin && !p.noThin)
}

// prepare takes all that is pending; nil if nothing is.
func (b *Branch) prepare() *parcel {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.line == nil || len(b.line.pending) == 0 {
		return nil
	}
	b.line.seal()
	p := &parcel{old: b.line.base, new: b.line.head(), noThin: b.noThin}
	for _, c := range b.line.pending {
		p.objects = append(p.objects, c.objects...)
	}
	return p
}

// landed moves the base to what was pushed. Nothing is written: a crash
// here is a crash before it.
func (b *Branch) landed(p *parcel, r *Result) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := b.line.index(p.new) + 1
	b.line.land(n)
	r.Landed += n
}

// giveUpThin makes packs complete from now on, after a remote could not read
// one; false if they were.
func (b *Branch) giveUpThin() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	was := b.noThin
	b.noThin = true
	return !was
}

// refusal makes an error of a report that says no.
func (r *remote) refusal(a *answer) error {
	e := &RemoteError{Kind: ErrRefused, Doing: "pushing to", URL: r.url, Words: a.words}
	if !a.named() {
		e.Detail = "its report says nothing of " + a.ref.String()
	}
	for _, status := range a.report.CommandStatuses {
		if status.Error() != nil {
			e.Detail = status.Status
		}
	}
	if !a.unpacked() {
		e.Detail = "unpacking: " + a.report.UnpackStatus
	}
	e.Detail = clean(e.Detail, maxDetail, a.secrets)
	if is := meant(e.Detail+"\n"+e.Words, judgements); is != nil {
		e.Kind = is
	}
	return e
}
