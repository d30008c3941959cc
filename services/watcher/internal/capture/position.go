package capture

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kubescribe/kubescribe/services/watcher/index"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// resume finds where the type's events end: the newer of what its last message
// says and its bookmark. Without a bookmark of this cluster no list was ever
// finished, so whatever the messages say, it begins anew. So it does where KS_EVENTS is
// not what the bookmark says: it was made anew, or restored from a backup, and what is in
// Git already would be published again.
func (w *Worker) resume(ctx context.Context) error {
	b, rev, err := w.Bookmarks.Get(ctx, w.bookmarkKey())
	if errors.Is(err, bus.ErrNoMessage) {
		return nil
	}
	if err != nil {
		return err
	}
	w.bookmark = rev
	if b.ClusterID != w.ClusterID {
		return nil // another cluster of that name: its versions mean nothing here
	}
	made, last, err := w.Bus.Reached(ctx, subject.Events)
	if err != nil {
		return err
	}
	if last < b.Seq || !b.Made.IsZero() && !b.Made.Equal(made) {
		w.Log.Error("KS_EVENTS lacks what was published, listing", "resource", w.name(), "reached", b.Seq, "ends", last, "made", made)
		w.lost = true
		return nil
	}
	w.rv, w.stored = b.ResourceVersion, b.ResourceVersion
	w.reread.made, w.reread.next = b.Generation, b.Generation
	if b.APIVersion != "" && b.APIVersion != w.Type.Version {
		if err := w.askOtherVersion(ctx, b.APIVersion); err != nil {
			return err
		}
	}
	m, err := w.Bus.LastFor(ctx, subject.Events, subject.EventType(w.Part, w.Cluster, w.Type.Group, w.Type.Resource, w.Namespace))
	if errors.Is(err, bus.ErrNoMessage) {
		return nil
	}
	if err != nil {
		return err
	}
	c, err := event.ParseChange(m.Header, m.Data)
	if err != nil {
		return fmt.Errorf("message %d of %s: %w", m.Seq, subject.Events, err)
	}
	if c.ClusterID == w.ClusterID && index.Newer(c.Resume, w.rv) {
		w.rv = c.Resume
	}
	return nil
}

// askOtherVersion asks for a run of all who follow the type, since the API server prefers
// another version of it than the one it was followed in: all objects are others. It stands in
// the bookmark as soon as that is stored: a crash before asks once more.
func (w *Worker) askOtherVersion(ctx context.Context, before string) error {
	w.Log.Info("the API server prefers another version", "resource", w.name(), "before", before, "now", w.Type.Version)
	for _, d := range w.Destinations {
		if err := w.AskRun(ctx, d.Key, event.ReasonSchemaChanged); err != nil {
			return err
		}
	}
	w.stored = ""
	return nil
}

// store keeps the position, so that the next start watches from here. Who owns
// the lane is not decided here: a position of whoever lost it is true as well.
func (w *Worker) store(ctx context.Context, now bool) error {
	if w.rv == "" || w.rv == w.stored || (!now && time.Since(w.storedAt) < bookmarkEvery) {
		return nil
	}
	made, seq := w.Lane.Reached()
	next := event.Bookmark{V: event.Version, ClusterID: w.ClusterID, ResourceVersion: w.rv, APIVersion: w.Type.Version, Generation: w.reread.made, Made: made, Seq: seq}
	rev, err := w.Bookmarks.Put(ctx, w.bookmarkKey(), next, w.bookmark)
	if errors.Is(err, bus.ErrConflict) {
		// Our own last write, whose answer was lost, or another watcher's.
		if _, w.bookmark, err = w.Bookmarks.Get(ctx, w.bookmarkKey()); err != nil && !errors.Is(err, bus.ErrNoMessage) {
			return err
		}
		rev, err = w.Bookmarks.Put(ctx, w.bookmarkKey(), next, w.bookmark)
	}
	if err != nil {
		return err
	}
	w.bookmark, w.stored, w.storedAt = rev, w.rv, time.Now()
	return nil
}

func (w *Worker) bookmarkKey() string {
	return subject.BookmarkKey(w.Cluster, w.Type.Group, w.Type.Resource, w.Namespace)
}
