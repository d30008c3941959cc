package capture

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubescribe/kubescribe/services/watcher/index"
	"github.com/kubescribe/kubescribe/services/watcher/selection"
	"github.com/kubescribe/kubescribe/shared/event"
)

// TestExactAfterARestart: there is no index to freeze until the watch has passed the
// version of a list, and then it is what the lane holds, not what is on its way.
func TestExactAfterARestart(t *testing.T) {
	bubble(t, func(t *testing.T, s *server, l *lane) {
		s.put(widget("a", 1))
		s.put(widget("b", 1))
		r := begin(t, s, l)
		r.stop(t)
		listed := make(chan struct{})
		s.refuse(func(metav1.ListOptions) error { <-listed; return nil }, nil)
		r = begin(t, s, l)
		s.put(widget("a", 2))
		r.check(t, "at once", "UPDATE a 103 2")
		if _, exact := r.Freeze(live.Key); exact {
			t.Error("an index that may be behind is taken for exact")
		}
		close(listed)
		if err := r.Exact(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.frozen(t, "in the end", "shop/a 103", "shop/b 102")
		if r.exact != 1 {
			t.Errorf("the index was said to be exact %d times", r.exact)
		}
		s.partition()
		s.put(widget("a", 3))
		r.frozen(t, "while a change is on its way", "shop/a 103", "shop/b 102")
		r.stop(t)
	})
}

// TestExactGivesUp when who asks does, and says so when it waits in vain.
func TestExactGivesUp(t *testing.T) {
	bubble(t, func(t *testing.T, s *server, l *lane) {
		s.refuse(func(metav1.ListOptions) error { return errors.New("connection refused") }, nil)
		r := begin(t, s, l)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := r.Exact(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("it is told %v", err)
		}
		if exact, refused := r.State(); exact || refused {
			t.Errorf("a failure is exact %v, refused %v", exact, refused)
		}
		r.stop(t)
		if err := r.Exact(t.Context()); !errors.Is(err, errStopped) {
			t.Errorf("of one that has stopped it is told %v", err)
		}
	})
}

// TestExactAtOnce: after a restart the index of a quiet type is exact without a
// word of the watch, although others have been written since.
func TestExactAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T, s *server, l *lane) {
		s.put(widget("a", 1))
		r := begin(t, s, l)
		r.stop(t)
		s.mu.Lock()
		s.rv += 10
		s.mu.Unlock()
		r = begin(t, s, l)
		if objects, exact := r.Freeze(live.Key); !exact || len(objects) != 1 || objects[0].Version != 101 {
			t.Errorf("there are %v, exact %v", objects, exact)
		}
		s.put(widget("a", 2))
		r.frozen(t, "and stays so", "shop/a 112")
		r.stop(t)
	})
}

// TestFreezeSeesTheLane: what a change does to the index is seen with the change,
// neither before nor after it. One that may be stored or not leaves no index.
func TestFreezeSeesTheLane(t *testing.T) {
	bubble(t, func(t *testing.T, s *server, l *lane) {
		s.put(widget("a", 1))
		r := begin(t, s, l)
		l.refuse(func(event.Change) error { // in the turn, before it is stored
			if objects, exact := r.Freeze(live.Key); !exact || len(objects) != 1 || objects[0].Version != 101 {
				t.Errorf("before it is stored there are %v, exact %v", objects, exact)
			}
			return nil
		})
		s.put(widget("a", 2))
		r.frozen(t, "once it is stored", "shop/a 102")
		l.refuse(func(event.Change) error { return errors.New("no answer") })
		s.put(widget("a", 3))
		synctest.Wait()
		if _, exact := r.Freeze(live.Key); exact {
			t.Error("an index is exact although nobody knows what the lane holds")
		}
		l.refuse(nil)
		if err := r.Exact(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.frozen(t, "in the end", "shop/a 103")
		r.stop(t)
	})
}

// TestUnwritable: an object that cannot be rendered is there all the same.
func TestUnwritable(t *testing.T) {
	bubble(t, func(t *testing.T, s *server, l *lane) {
		bad := func(name string) {
			o := widget(name, 1)
			o.Object["spec"] = map[string]any{"text": "\xff"}
			s.put(o)
		}
		s.put(widget("a", 1))
		r := begin(t, s, l)
		bad("a")
		bad("b")
		r.frozen(t, "when it comes", "shop/a 101", "shop/b 103")
		r.stop(t)
		bad("c")
		r = begin(t, s, l)
		bad("d")
		if err := r.Exact(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.frozen(t, "after a restart", "shop/a 102", "shop/b 103", "shop/c 104", "shop/d 105")
		s.remove("b")
		r.check(t, "when it is deleted", "DELETE b 106")
		r.stop(t)
	})
}

// BenchmarkIndex reports what an object costs.
func BenchmarkIndex(b *testing.B) {
	const n = 100_000
	var before, after runtime.MemStats
	for b.Loop() {
		runtime.GC()
		runtime.ReadMemStats(&before)
		w := New(Config{Cluster: "prod", Selection: selectionOf(b, live)})
		w.index = index.Index{}
		for i := range n {
			key := types.NamespacedName{Namespace: fmt.Sprint("namespace-", i/100), Name: fmt.Sprintf("web-%d-6d4cf56db6", i)}
			e := index.NewEntry(fmt.Sprintf("%08d-0000-4000-8000-%012d", i, i), "1")
			e.Add(selection.Only(0), index.Digest{1})
			w.index[key] = e
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/n, "B/object")
		begun := time.Now()
		objects, _ := w.Freeze(live.Key)
		b.ReportMetric(float64(time.Since(begun).Microseconds())/1000, "ms/freeze")
		if len(objects) != n {
			b.Fatal(len(objects))
		}
	}
}
