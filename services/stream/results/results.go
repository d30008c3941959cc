// Package results reads what a run has found out of KS_SNAP: its results, joined with
// the contents that the lanes have answered.
package results

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/manifest"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// Result is one result of a run, and the change that it comes to: none for what is
// withheld or left, and for an object that has a newer version behind the MARK.
type Result struct {
	Entry  event.Entry
	Change *event.Change
}

// Read yields every result of the run that a series belongs to and end has closed, in
// the order of lanes and paths: withheld ones too, so that counting them is the same
// each time. An error is the last thing it yields: bus.ErrSeries for what another
// attempt mends. It can be read again.
func Read(ctx context.Context, b *bus.Bus, run subject.Series, end event.End) iter.Seq2[Result, error] {
	withheld := end.Outcome != nil && end.Outcome.Pending != nil
	return func(yield func(Result, error) bool) {
		for _, part := range end.Parts {
			for r, err := range lane(ctx, b, run, part) {
				if withheld && r.Entry.What == event.ResultDelete {
					r.Change = nil
				}
				if !yield(r, err) || err != nil {
					return
				}
			}
		}
	}
}

// lane joins the results of a lane with their contents.
func lane(ctx context.Context, b *bus.Bus, run subject.Series, part int) iter.Seq2[Result, error] {
	return func(yield func(Result, error) bool) {
		found := side(run, subject.SideResult(part))
		end, err := closed(ctx, b, found)
		if err != nil {
			yield(Result{}, err)
			return
		}
		contents := func() (event.Change, error, bool) { return event.Change{}, nil, false }
		if end.Wanted > 0 {
			answered := side(run, subject.SideContent(part))
			answer, err := closed(ctx, b, answered)
			if err != nil {
				yield(Result{}, err)
				return
			}
			var stop func()
			contents, stop = iter.Pull2(b.Contents(ctx, answered, answer))
			defer stop()
		}
		content, err, some := contents()
		for e, eerr := range b.Entries(ctx, found, end) {
			if err = errors.Join(err, eerr); err != nil {
				yield(Result{}, err)
				return
			}
			for some && err == nil && content.Path < e.Path {
				content, err, some = contents()
			}
			r := Result{Entry: e}
			switch {
			case err != nil:
			case e.What == event.ResultDelete:
				r.Change = &event.Change{Op: event.Delete, Object: identity(e.Path), Replaces: e.Hash}
			case some && content.Path == e.Path:
				c := content
				r.Change = &c
			}
			if !yield(r, err) || err != nil {
				return
			}
		}
	}
}

func side(run subject.Series, side subject.Side) subject.Series {
	run.Side = side
	return run
}

// closed is what closed a series that the run's end says is there.
func closed(ctx context.Context, b *bus.Bus, of subject.Series) (event.End, error) {
	end, err := b.SeriesEnd(ctx, of)
	if errors.Is(err, bus.ErrNoMessage) {
		return end, fmt.Errorf("%w: %s is missing", bus.ErrSeries, of.End())
	}
	return end, err
}

// identity is what a path says about the object whose file it was.
func identity(path string) event.Object {
	id, err := manifest.ParsePath(path)
	if err != nil && !errors.Is(err, manifest.ErrShortened) {
		return event.Object{}
	}
	return event.Object{Group: id.Group, Resource: id.Resource, Namespace: id.Namespace, Name: id.Name}
}
