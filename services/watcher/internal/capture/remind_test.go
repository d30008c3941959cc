package capture

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/fault"
)

func reminderOf(name string, letter uint64) Reminder {
	return Reminder{For: live.Key, Namespace: "shop", Name: name, UID: "u-" + name, Letter: letter}
}

// reminds is a reminder that is answered without an error.
func (r *running) reminds(t *testing.T, q Reminder) {
	t.Helper()
	if err := r.Remind(t.Context(), q); err != nil {
		t.Errorf("of %s: %v", q.Name, err)
	}
}

// TestRemind: an object is published once more, as it is now, to the one destination, though it
// was published before; and again for another letter. What the watch brings goes on as it did.
func TestRemind(t *testing.T) {
	bubble(t, func(t *testing.T, s *server, l *lane) {
		r := begin(t, s, l)
		rv := s.put(widget("a", 1))
		s.put(widget("b", 1))
		r.check(t, "by the watch", "CREATE a 101 1", "CREATE b 102 1")
		r.reminds(t, reminderOf("a", 17))
		again := l.changes(t)
		if len(again) != 1 {
			t.Fatalf("published: %+v", again)
		}
		c := again[0]
		if c.Op != event.Update || c.ResourceVersion != rv || c.Retry != 17 || c.Origin != event.Live || c.Registry != 7 || len(c.To) != 1 || c.To[0] != live.Key {
			t.Errorf("published: %+v", c)
		}
		if c.Resume != "102" {
			t.Errorf("a watch may resume from %s, and it has come to 102", c.Resume)
		}
		r.reminds(t, reminderOf("a", 17))
		r.check(t, "for the same letter")
		if n := r.counted("duplicate"); n != 1 {
			t.Errorf("%d are counted as duplicates", n)
		}
		r.reminds(t, reminderOf("a", 18))
		r.check(t, "for another letter", "UPDATE a 101 1")
		s.put(widget("a", 1)) // a write that is no change
		s.put(widget("a", 2))
		r.check(t, "by the watch", "UPDATE a 104 2")
		r.stop(t)
	})
}

// TestRemindGone: of an object that is gone, that is published, at the version at which it was
// looked for; in front of what the watch brings if it is made again.
func TestRemindGone(t *testing.T) {
	bubble(t, func(t *testing.T, s *server, l *lane) {
		keys, _ := keysOf(t)
		readers := vault("age1a")
		r := beginWith(t, s, l, keys, live, readers)
		s.put(widget("a", 1))
		s.remove("a")
		at := s.bookmark()
		synctest.Wait()
		l.changes(t)
		r.reminds(t, reminderOf("a", 17))
		q := reminderOf("a", 18)
		q.For = readers.Key
		r.reminds(t, q)
		gone := l.changes(t)
		if len(gone) != 2 {
			t.Fatalf("published: %+v", gone)
		}
		for i, path := range []string{"", "shop/example.com/widgets/a.sops.yaml"} {
			if c := gone[i]; c.Op != event.Delete || c.UID != "u-a" || c.ResourceVersion != at || c.Path != path || len(c.To) != 1 {
				t.Errorf("published: %+v", c)
			}
		}
		s.put(widget("a", 1))
		synctest.Wait()
		if made := l.changes(t); len(made) != 2 || made[0].Op != event.Create {
			t.Errorf("made again: %+v", made)
		}
		r.stop(t)
	})
}

// TestRemindOvertaken: what the watch has not brought yet is left to it, since versions in
// between come first; but for one of the same content.
func TestRemindOvertaken(t *testing.T) {
	bubble(t, func(t *testing.T, s *server, l *lane) {
		r := begin(t, s, l)
		for _, name := range []string{"changed", "gone", "same"} {
			s.put(widget(name, 1))
		}
		synctest.Wait()
		l.take(t)
		s.partition()
		s.put(widget("changed", 2))
		s.remove("gone")
		s.put(widget("same", 1))
		s.put(widget("new", 1))
		for i, name := range []string{"changed", "gone", "same", "new"} {
			r.reminds(t, reminderOf(name, uint64(20+i)))
		}
		r.check(t, "before the watch has brought it", "UPDATE same 106 1")
		s.expire()
		r.check(t, "by the list", "UPDATE changed 104 2", "CREATE new 107 1", "DELETE gone 108")
		r.stop(t)
	})
}

// TestRemindUnwritable: one that can be written now is, and stands in the index; one that cannot is
// an error that says so, and nothing else.
func TestRemindUnwritable(t *testing.T) {
	bubble(t, func(t *testing.T, s *server, l *lane) {
		l.refuse(func(c event.Change) error {
			return fault.As(fault.Poison, fmt.Errorf("%s: maximum payload exceeded", c.Name))
		})
		r := begin(t, s, l)
		s.put(widget("big", 1))
		bad := widget("bad", 1)
		bad.Object["spec"] = map[string]any{"text": "\xff"}
		s.put(bad)
		synctest.Wait()
		sent := len(l.letters)
		for _, name := range []string{"big", "bad"} {
			if err := r.Remind(t.Context(), reminderOf(name, 17)); fault.ClassOf(err) != fault.Poison {
				t.Errorf("%s: %v", name, err)
			}
		}
		if len(l.letters) != sent {
			t.Errorf("%d letters more: the request is to be one", len(l.letters)-sent)
		}
		l.refuse(nil)
		r.reminds(t, reminderOf("big", 17))
		r.check(t, "once there is room", "UPDATE big 101 1")
		s.put(widget("big", 1))
		r.check(t, "of the same content by the watch")
		r.frozen(t, "with both", "shop/bad 102", "shop/big 101")
		r.stop(t)
	})
}

// TestRemindUnselected: a destination that does not select the object gets nothing of it.
func TestRemindUnselected(t *testing.T) {
	bubble(t, func(t *testing.T, s *server, l *lane) {
		r := begin(t, s, l)
		s.put(widget("a", 1))
		synctest.Wait()
		l.take(t)
		q := reminderOf("a", 17)
		q.For = elsewhere.Key
		r.reminds(t, q)
		r.check(t, "to one that does not select it")
		r.stop(t)
	})
}

// TestRemindWaits: until the index is exact nothing tells what the lane has; and a list that
// fails is the reminder's error, and nobody else's.
func TestRemindWaits(t *testing.T) {
	bubble(t, func(t *testing.T, s *server, l *lane) {
		begin(t, s, l).stop(t)
		s.put(widget("a", 1))
		down := errors.New("down")
		s.refuse(func(metav1.ListOptions) error { return down }, nil)
		r := begin(t, s, l)
		r.check(t, "by the watch, without an index", "CREATE a 101 1")
		answered := make(chan error, 1)
		go func() { answered <- r.Remind(t.Context(), reminderOf("a", 17)) }()
		advance(shortWatch)
		select {
		case err := <-answered:
			t.Errorf("answered without an index: %v", err)
		default:
		}
		s.refuse(nil, nil)
		if err := <-answered; err != nil {
			t.Error(err)
		}
		r.check(t, "once the index is exact", "UPDATE a 101 1")

		s.refuse(func(metav1.ListOptions) error { return down }, nil)
		if err := r.Remind(t.Context(), reminderOf("a", 18)); !errors.Is(err, down) {
			t.Errorf("it could not be read: %v", err)
		}
		s.refuse(nil, nil)
		s.put(widget("a", 2))
		r.check(t, "by the watch", "UPDATE a 102 2")
		r.stop(t)
		if err := r.Remind(t.Context(), reminderOf("a", 19)); !errors.Is(err, errStopped) {
			t.Errorf("after the worker has ended: %v", err)
		}
	})
}

// TestRemindFenced: whoever has lost the lane ends.
func TestRemindFenced(t *testing.T) {
	bubble(t, func(t *testing.T, s *server, l *lane) {
		r := begin(t, s, l)
		s.put(widget("a", 1))
		synctest.Wait()
		l.refuse(func(event.Change) error { return bus.ErrFenced })
		if err := r.Remind(t.Context(), reminderOf("a", 17)); !errors.Is(err, bus.ErrFenced) {
			t.Errorf("it is answered %v", err)
		}
		synctest.Wait()
		select {
		case err := <-r.done:
			if !errors.Is(err, bus.ErrFenced) {
				t.Errorf("the worker ended with %v", err)
			}
		default:
			t.Error("the worker goes on")
			r.stop(t)
		}
	})
}
