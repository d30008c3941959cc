package capture

import (
	"cmp"
	"context"
	"slices"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/kubescribe/kubescribe/services/watcher/index"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/fault"
)

// burstEvents is how many events of a watch wait here, in memory, while others are being
// published, and how many versions are published at once.
const burstEvents = 32

// burst is what is to be published next, in order: versions of different objects, of which
// the first is not in the lane while the last is decided.
type burst struct {
	versions []*version
	keys     map[types.NamespacedName]bool
	items    []bus.Item
	changes  []event.Change // of the items
}

// version is one of an object, and where its messages end among the burst's items.
type version struct {
	key types.NamespacedName
	index.Version
	end int
}

// put adds a message of the version that is added next.
func (b *burst) put(c event.Change, i bus.Item) {
	b.items, b.changes = append(b.items, i), append(b.changes, c)
}

// add adds a version, behind its messages.
func (b *burst) add(v *version) {
	if b.keys == nil {
		b.keys = map[types.NamespacedName]bool{}
	}
	v.end, b.keys[v.key] = len(b.items), true
	b.versions = append(b.versions, v)
}

// position is that of the watch behind all that is to be published.
func (b *burst) position(now string) string {
	for _, v := range slices.Backward(b.versions) {
		if v.RV != "" {
			return v.RV
		}
	}
	return now
}

// await makes room in the burst for a version of an object, whose last one is in the lane then.
func (w *Worker) await(ctx context.Context, key types.NamespacedName) error {
	if w.burst.keys[key] || len(w.burst.versions) >= burstEvents {
		return w.flush(ctx)
	}
	return nil
}

// flush publishes the burst. The watch's position moves with what is stored, or in the dead
// letters: whatever is left behind an error is delivered again.
func (w *Worker) flush(ctx context.Context) error {
	b := w.burst
	w.burst = burst{}
	var err error
	done := 0 // of the items
	for done < len(b.items) && err == nil {
		var stored int
		stored, err = w.Lane.PublishAll(ctx, b.items[done:])
		done += stored
		if fault.ClassOf(err) == fault.Poison {
			if err = w.deadLetter(ctx, b.changes[done], err); err == nil {
				done++
			}
		}
	}
	for _, v := range b.versions {
		if v.end > done {
			break
		}
		w.see(v.key, v.Version)
		if v.RV != "" {
			w.rv = v.RV
		}
	}
	return err
}

// ahead reads the events of a watch while others are published, until done.
func ahead(events <-chan watch.Event, done <-chan struct{}) <-chan watch.Event {
	read := make(chan watch.Event, burstEvents)
	go func() {
		defer close(read)
		for {
			select {
			case ev, open := <-events:
				if !open {
					return
				}
				select {
				case read <- ev:
				case <-done:
					return
				}
			case <-done:
				return
			}
		}
	}()
	return read
}

// handleAll takes an event of the watch, and those that are there already.
func (w *Worker) handleAll(ctx context.Context, ev watch.Event, more <-chan watch.Event) error {
	var published bool
	var wrong error
	for there := true; there; {
		if published, wrong = w.handle(ctx, ev); wrong != nil || len(w.burst.versions) == burstEvents {
			break
		}
		select {
		case ev, there = <-more: // that it is closed is seen there again
		default:
			there = false
		}
	}
	// What came before one with which something is wrong goes on.
	if err := w.flush(ctx); err != nil || wrong != nil {
		return cmp.Or(err, wrong)
	}
	if published {
		return nil // the lane says where the watch is
	}
	return w.store(ctx, false)
}
