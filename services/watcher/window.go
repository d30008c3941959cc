package watcher

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
)

// windowBytes is how much of what is fetched is in memory at once, beside one page
// of a list.
const windowBytes = 16 << 20

// want is one content that a run asks for.
type want struct {
	path, hash string
	what       event.What
}

// contentsOf gives what fetch finds of what is wanted, which is sorted by path, in
// that order. fetch gives in any order, some perhaps twice, and says which types
// are missing. Of what is more than limit bytes the end, by path, is dropped, and
// fetched again once the beginning was given: each time at least one. What give has no
// room for, and all behind it, is left.
func contentsOf(ctx context.Context, wanted []want, limit int,
	fetch func(ctx context.Context, wanted []want, dropped func(path string) bool, each func(event.Change) error) (missing []string, err error),
	give func(c event.Change, what event.What) error,
) (left []want, missing []string, err error) {
	for len(wanted) > 0 {
		w := window{limit: limit}
		absent, err := fetch(ctx, wanted, w.drops, func(c event.Change) error {
			w.add(c)
			return nil
		})
		if err != nil {
			return nil, nil, err
		}
		missing = append(missing, absent...)
		given, err := w.give(wanted, give)
		wanted = wanted[given:]
		if errors.Is(err, bus.ErrNoRoom) {
			break
		}
		if err != nil {
			return nil, nil, err
		}
	}
	slices.Sort(missing)
	return wanted, slices.Compact(missing), nil
}

// window holds the first contents, by path, of all that were added.
type window struct {
	limit int
	held  []event.Change
	bytes int
	cut   string // the first path that was dropped; "" while none was
}

// give gives what is held of what is wanted, in order, as far as it is known. n is how
// many are done.
func (w *window) give(wanted []want, give func(event.Change, event.What) error) (n int, err error) {
	w.sort()
	for _, e := range wanted {
		if w.drops(e.path) {
			break
		}
		if len(w.held) > 0 && w.held[0].Path == e.path {
			if err := give(w.held[0], e.what); err != nil {
				return n, err
			}
			w.held = w.held[1:]
		}
		n++
	}
	return n, nil
}

// drops reports whether what has a path, or one behind it, is not held any more.
func (w *window) drops(path string) bool { return w.cut != "" && path >= w.cut }

func (w *window) add(c event.Change) {
	if w.drops(c.Path) {
		return
	}
	w.held = append(w.held, c)
	if w.bytes += len(c.Manifest); w.bytes <= w.limit {
		return
	}
	w.sort()
	// More than is needed, so that this is done seldom.
	for len(w.held) > 1 && w.bytes > w.limit/4*3 {
		last := len(w.held) - 1
		w.cut = w.held[last].Path
		w.bytes -= len(w.held[last].Manifest)
		w.held[last] = event.Change{}
		w.held = w.held[:last]
	}
}

// sort puts what is held in order, each path once.
func (w *window) sort() {
	slices.SortStableFunc(w.held, func(a, b event.Change) int { return cmp.Compare(a.Path, b.Path) })
	w.held = slices.CompactFunc(w.held, func(a, b event.Change) bool { return a.Path == b.Path })
	w.bytes = 0
	for _, c := range w.held {
		w.bytes += len(c.Manifest)
	}
}
