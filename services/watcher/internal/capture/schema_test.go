package capture

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// redefine has the server serve an object otherwise, in the version it has.
func (s *server) redefine(name string, spec map[string]any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.objects[name].DeepCopy()
	o.Object["spec"] = spec
	s.objects[name] = o
}

// TestReread: what is served otherwise, of the same versions, is asked a run for, which finds
// it in the index; nothing is published. Where it is served as it was, nothing happens.
func TestReread(t *testing.T) {
	bubble(t, func(t *testing.T, s *server, l *lane) {
		s.put(widget("a", 1))
		s.put(widget("b", 1))
		status := widget("b", 1)
		status.Object["status"] = map[string]any{"progress": int64(1)}
		s.put(status)
		r := begin(t, s, l)
		l.runs()
		before, _ := r.Freeze(live.Key)
		r.Reread()
		r.check(t, "defined as before")
		r.asked(t)

		for _, name := range []string{"a", "b"} {
			s.redefine(name, map[string]any{"size": int64(1), "colour": "blue"})
		}
		r.Reread()
		r.check(t, "with a default")
		r.asked(t, "live SchemaChanged at 103")
		r.frozen(t, "with a default", "shop/a 101", "shop/b 103")
		after, _ := r.Freeze(live.Key)
		for _, o := range after {
			if slices.ContainsFunc(before, func(b Frozen) bool { return b.Name == o.Name && b.Hash() == o.Hash() }) {
				t.Errorf("%s is in the index as it was", o.Name)
			}
		}
		r.Reread()
		r.check(t, "read once more")
		r.asked(t)

		s.put(widget("a", 2))
		s.remove("b")
		r.check(t, "live again", "UPDATE a 104 2", "DELETE b 105")
		if _, watches := s.requests(); !slices.Equal(watches, []string{"103", "103", "103", "103"}) {
			t.Errorf("it watched from %q, want one watch more for each time", watches)
		}
		r.stop(t)
	})
}

// TestRereadGone: a type that is gone as well says by its watch what was deleted.
func TestRereadGone(t *testing.T) {
	bubble(t, func(t *testing.T, s *server, l *lane) {
		s.put(widget("a", 1))
		r := begin(t, s, l)
		s.refuse(func(metav1.ListOptions) error { return notFound() }, func(metav1.ListOptions) error { return notFound() })
		r.Reread()
		synctest.Wait()
		s.remove("a")
		r.check(t, "of a type that is gone", "DELETE a 102")
		s.hangUp()
		if err := <-r.done; err == nil {
			t.Error("the worker ended as if it was stopped")
		}
	})
}

// TestRereadLater: what cannot be listed, or asked for, is read again until it can, after
// waits. Changes are published meanwhile.
func TestRereadLater(t *testing.T) {
	for name, fail := range map[string]func(s *server, l *lane, err error){
		"the list fails": func(s *server, _ *lane, err error) {
			var onList func(metav1.ListOptions) error
			if err != nil {
				onList = func(metav1.ListOptions) error { return err }
			}
			s.refuse(onList, nil)
		},
		"the request fails": func(_ *server, l *lane, err error) {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.onAsk = err
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *server, l *lane) {
				s.put(widget("a", 1))
				r := begin(t, s, l)
				l.runs()
				s.redefine("a", map[string]any{"size": int64(2)})
				fail(s, l, errors.New("not now"))
				lists, _ := s.requests()
				r.Reread()
				advance(5 * time.Minute)
				r.asked(t)
				s.put(widget("b", 1))
				r.check(t, "while that fails", "CREATE b 102 1")
				if err := r.Ready(); err != nil {
					t.Errorf("while that fails it is not ready: %v", err)
				}
				fail(s, l, nil)
				advance(10 * time.Minute)
				if asked := l.runs(); len(asked) != 1 || !strings.HasPrefix(asked[0], "live SchemaChanged ") {
					t.Errorf("in the end it asked for %q", asked)
				}
				if more, _ := s.requests(); more-lists > 10 {
					t.Errorf("it listed %d times", more-lists)
				}
				r.check(t, "in the end")
				r.stop(t)
			})
		})
	}
}

// TestRereadMeanwhile: what is written while the objects are listed again is published as it
// was written, before the list's version and behind it.
func TestRereadMeanwhile(t *testing.T) {
	for name, early := range map[string]bool{"as of the watch's position": true, "as of a later version": false} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *server, l *lane) {
				for _, name := range []string{"a", "b", "c"} {
					s.put(widget(name, 1))
				}
				r := begin(t, s, l)
				l.runs()
				for _, name := range []string{"a", "b", "c"} {
					s.redefine(name, map[string]any{"colour": "blue", "size": int64(1)})
				}
				hold, begun := make(chan struct{}), false
				s.refuse(func(opts metav1.ListOptions) error {
					switch {
					case opts.Limit == 1:
						return nil
					case opts.ResourceVersionMatch == metav1.ResourceVersionMatchExact && !early:
						return errors.New("not that version")
					case (opts.Continue != "") == early && !begun: // the first page may be as of before
						begun = true
						<-hold
					}
					return nil
				}, nil)
				r.Reread()
				synctest.Wait()
				if !begun {
					t.Fatal("nothing is listed")
				}
				s.put(widget("a", 2))
				s.remove("b")
				r.check(t, "while it is listed", "UPDATE a 104 2", "DELETE b 105")
				close(hold)
				r.frozen(t, "once it is", "shop/a 104", "shop/c 103")
				s.put(widget("a", 3))
				r.check(t, "once it is", "UPDATE a 106 3")
				r.asked(t, "live SchemaChanged at 103")
				r.frozen(t, "in the end", "shop/a 106", "shop/c 103")
				r.stop(t)
			})
		})
	}
}

// TestRereadAhead: what a list has that was not watched yet is published when it is.
func TestRereadAhead(t *testing.T) {
	bubble(t, func(t *testing.T, s *server, l *lane) {
		s.put(widget("a", 1))
		s.put(widget("b", 1))
		r := begin(t, s, l)
		l.runs()
		s.redefine("b", map[string]any{"colour": "blue", "size": int64(1)})
		r.Reread()
		s.refuse(func(opts metav1.ListOptions) error {
			if opts.ResourceVersionMatch == metav1.ResourceVersionMatchExact {
				s.partition()
				s.put(widget("a", 2))
				return errors.New("not that version")
			}
			return nil
		}, nil)
		r.check(t, "while nothing is heard")
		r.asked(t)
		s.mu.Lock()
		s.deaf = false
		s.mu.Unlock()
		s.hangUp()
		advance(time.Second)
		r.check(t, "once it is heard", "UPDATE a 103 2")
		r.asked(t, "live SchemaChanged at 102")
		r.stop(t)
	})
}

// TestRereadInTurn: objects are listed again when it is their turn. Until then changes are
// published, and a second look waits for the first.
func TestRereadInTurn(t *testing.T) {
	bubble(t, func(t *testing.T, s *server, l *lane) {
		s.put(widget("a", 1))
		r := begin(t, s, l)
		l.runs()
		s.redefine("a", map[string]any{"colour": "blue", "size": int64(1)})
		r.Rereads <- struct{}{} // another worker's
		r.Reread()
		synctest.Wait()
		_, before := s.requests()
		r.Reread()
		s.put(widget("b", 1))
		r.check(t, "while others are listed", "CREATE b 102 1")
		r.asked(t)
		if _, watches := s.requests(); len(watches) != len(before) {
			t.Errorf("meanwhile it watched from %q", watches[len(before):])
		}
		<-r.Rereads
		r.asked(t, "live SchemaChanged at 101")
		if _, watches := s.requests(); len(watches) != len(before)+1 {
			t.Errorf("for the second look it watched from %q", watches[len(before):])
		}
		if n := len(r.Rereads); n != 0 {
			t.Errorf("%d are listing in the end", n)
		}
		r.Rereads <- struct{}{}
		r.Reread()
		r.stop(t) // one that waits for its turn stops
	})
}

// TestGoneRedefined: a 410 that comes with another definition does not have a version
// published again.
func TestGoneRedefined(t *testing.T) {
	bubble(t, func(t *testing.T, s *server, l *lane) {
		s.put(widget("a", 1))
		s.put(widget("b", 1))
		r := begin(t, s, l)
		l.runs()
		s.partition()
		s.put(widget("b", 2))
		s.redefine("a", map[string]any{"size": int64(1), "colour": "blue"})
		s.expire()
		r.check(t, "told 410", "UPDATE b 103 2")
		r.asked(t, "elsewhere caught up at 102", "live SchemaChanged at 102", "live caught up at 102")
		r.stop(t)
	})
}

// TestGoneUnnumbered: versions that are no numbers are never taken for the same.
func TestGoneUnnumbered(t *testing.T) {
	bubble(t, func(t *testing.T, s *server, l *lane) {
		name := func(o *unstructured.Unstructured, version string) {
			s.mu.Lock()
			defer s.mu.Unlock()
			o.SetResourceVersion(version)
			s.objects[o.GetName()] = o
		}
		name(widget("a", 1), "one")
		r := begin(t, s, l)
		l.runs()
		name(widget("a", 2), "two")
		s.expire()
		r.check(t, "told 410", "UPDATE a two 2")
		r.asked(t, "elsewhere caught up at 100", "live caught up at 100")
		r.stop(t)
	})
}

// generation is that in the only bookmark.
func (l *lane) generation() (made int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, b := range l.bookmarks {
		made = b.Generation
	}
	return made
}

// TestDefined: another generation of the definition than the one by which destinations have
// the objects is looked at, and a run asked for of those who have something else, or, without
// an index of what they have, of all.
func TestDefined(t *testing.T) {
	fail := func(opts metav1.ListOptions) error {
		if opts.Limit == 1 {
			return nil // that the type is served
		}
		return errors.New("not now")
	}
	everyone := []string{"elsewhere SchemaChanged at 101", "live SchemaChanged at 101"}
	for _, tt := range []struct {
		name    string
		restart bool
		// list is what lists are answered with when the worker hears of it, after a restart.
		list func(metav1.ListOptions) error
		told int64 // and what it hears before
		now  int64
		want []string
	}{
		{"as before", false, nil, 0, 1, nil},
		{"another one", false, nil, 0, 2, []string{"live SchemaChanged at 101"}},
		{"as before a restart", true, nil, 0, 1, nil},
		{"another one since the last process", true, nil, 0, 2, everyone},
		{"since then, and there is no index", true, fail, 0, 2, everyone},
		{"before there is an index", true, fail, 1, 2, everyone},
		{"once there is", true, nil, 1, 2, []string{"live SchemaChanged at 101"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *server, l *lane) {
				s.put(widget("a", 1))
				r := begin(t, s, l)
				r.Defined(1)
				synctest.Wait()
				if tt.restart {
					r.stop(t)
					if made := l.generation(); made != 1 {
						t.Fatalf("the bookmark is by generation %d", made)
					}
					s.refuse(tt.list, nil)
					r = begin(t, s, l)
				}
				if tt.told != 0 {
					r.Defined(tt.told)
					synctest.Wait()
				}
				l.runs()
				s.redefine("a", map[string]any{"colour": "blue", "size": int64(1)})
				r.Defined(tt.now)
				r.asked(t, tt.want...)
				s.refuse(nil, nil)
				advance(time.Minute)
				r.check(t, "in the end")
				r.frozen(t, "in the end", "shop/a 101")
				r.asked(t)
				r.stop(t)
				if made := l.generation(); made != tt.now {
					t.Errorf("the bookmark is by generation %d in the end", made)
				}

				r = begin(t, s, l)
				r.Defined(tt.now)
				r.asked(t)
				r.stop(t)
			})
		})
	}
}

// TestDefinedUnasked: a bookmark does not name a generation before the run that brings it is
// asked for, whatever becomes of the index until then.
func TestDefinedUnasked(t *testing.T) {
	bubble(t, func(t *testing.T, s *server, l *lane) {
		s.put(widget("a", 1))
		r := begin(t, s, l)
		r.Defined(1)
		synctest.Wait()
		l.runs()
		l.mu.Lock()
		l.onAsk = errors.New("not now")
		l.mu.Unlock()
		s.redefine("a", map[string]any{"colour": "blue", "size": int64(1)})
		r.Defined(2)
		synctest.Wait()
		r.Relist()
		synctest.Wait()
		s.put(widget("b", 1))
		s.bookmark()
		advance(time.Minute)
		s.bookmark()
		synctest.Wait()
		if made := l.generation(); made != 1 {
			t.Errorf("before it is asked for, the bookmark is by generation %d", made)
		}
		l.mu.Lock()
		l.onAsk = nil
		l.mu.Unlock()
		advance(5 * time.Minute)
		if asked := l.runs(); len(asked) != 1 || !strings.HasPrefix(asked[0], "live SchemaChanged ") {
			t.Errorf("it asked for %q", asked)
		}
		r.stop(t)
		if made := l.generation(); made != 2 {
			t.Errorf("in the end the bookmark is by generation %d", made)
		}
	})
}

// TestOtherVersion: a type that goes on in another version is brought by a run, asked for
// until the bookmark says which version it is.
func TestOtherVersion(t *testing.T) {
	bubble(t, func(t *testing.T, s *server, l *lane) {
		s.put(widget("a", 1))
		r := begin(t, s, l)
		r.stop(t)
		l.runs()
		for key, b := range l.bookmarks {
			if b.APIVersion != "v1" {
				t.Fatalf("the bookmark is %+v", b)
			}
			b.APIVersion = "v1beta1"
			l.bookmarks[key] = b
		}
		r = begin(t, s, l)
		r.asked(t, "elsewhere SchemaChanged at 101", "live SchemaChanged at 101")
		r.stop(t)
		r = begin(t, s, l)
		r.asked(t)
		r.check(t, "in the end")
		r.stop(t)
	})
}
