package capture

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ended asserts that a worker ends by itself, with an error.
func ended(t *testing.T, r *running, want error) {
	t.Helper()
	select {
	case err := <-r.done:
		if !errors.Is(err, want) {
			t.Errorf("it ended with %v, want %v", err, want)
		}
	case <-time.After(10 * time.Minute):
		t.Fatal("it goes on")
	}
	// Only a type that is gone may be left out of a run: one whose worker ended
	// for another reason is asked again, of the worker that follows.
	answer := errStopped
	if errors.Is(want, ErrTypeGone) {
		answer = ErrTypeGone
	}
	if err := r.Exact(t.Context()); !errors.Is(err, answer) {
		t.Errorf("asked after its end, it answers %v", err)
	}
}

// TestTypeGone: a type that is no longer served ends its worker, and nothing of
// it is taken for deleted.
func TestTypeGone(t *testing.T) {
	for name, fail := range map[string]func(s *server){
		"at a watch": func(s *server) { s.refuse(nil, func(metav1.ListOptions) error { return notFound() }); s.hangUp() },
		"at a list":  func(s *server) { s.refuse(func(metav1.ListOptions) error { return notFound() }, nil); s.restart() },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *server, l *lane) {
				s.put(widget("a", 1))
				r := begin(t, s, l)
				r.check(t, "at first")
				fail(s)
				ended(t, r, ErrTypeGone)
				r.check(t, "when the type left")
			})
		})
	}
}

// TestForbidden: a type that may not be watched says so, to a run too, and is
// watched once it may.
func TestForbidden(t *testing.T) {
	bubble(t, func(t *testing.T, s *server, l *lane) {
		s.put(widget("a", 1))
		s.refuse(func(metav1.ListOptions) error { return forbidden() }, nil)
		r := begin(t, s, l)
		if err := r.Ready(); !apierrors.IsForbidden(err) || !errors.Is(err, ErrNotAllowed) {
			t.Errorf("its readiness is %v", err)
		}
		if err := r.Exact(t.Context()); !Refused(err) {
			t.Errorf("a run is told %v", err)
		}
		s.refuse(nil, nil)
		advance(time.Minute)
		r.check(t, "once allowed")
		r.asked(t, "live TypeAppeared")

		// An API server that has just started may not know the rights yet.
		s.refuse(nil, func(metav1.ListOptions) error { return forbidden() })
		s.hangUp()
		synctest.Wait()
		if err := r.Ready(); !apierrors.IsForbidden(err) || errors.Is(err, ErrNotAllowed) {
			t.Errorf("forbidden after it was watched, its readiness is %v", err)
		}
		answered := make(chan error, 1)
		go func() { answered <- r.Exact(t.Context()) }()
		synctest.Wait()
		s.refuse(nil, nil)
		s.put(widget("a", 2))
		advance(5 * time.Second)
		r.check(t, "allowed again", "UPDATE a 102 2")
		if err := <-answered; err != nil {
			t.Errorf("a run that asked meanwhile is told %v", err)
		}

		// One that goes on to forbid it does know them.
		s.refuse(nil, func(metav1.ListOptions) error { return forbidden() })
		s.hangUp()
		advance(revokedAfter / 2)
		r.frozen(t, "while it may pass", "shop/a 102")
		advance(revokedAfter)
		if err := r.Exact(t.Context()); !Refused(err) {
			t.Errorf("a run is told %v for good", err)
		}
		if _, exact := r.Freeze(live.Key); exact {
			t.Error("what nobody may see is taken for exact")
		}
		if err := r.Ready(); !errors.Is(err, ErrNotAllowed) {
			t.Errorf("forbidden for good, its readiness is %v", err)
		}
		s.refuse(nil, nil)
		s.put(widget("a", 3))
		advance(time.Minute)
		r.check(t, "granted again", "UPDATE a 103 3")
		r.stop(t)
	})
}

// TestFailureIsNoRefusal: a run waits for an API server that fails to list; only
// a refusal leaves a type out of it.
func TestFailureIsNoRefusal(t *testing.T) {
	for name, fails := range map[string]error{
		"internal":    apierrors.NewInternalError(errors.New("etcdserver: leader changed")),
		"unavailable": apierrors.NewServiceUnavailable("starting"),
		"busy":        apierrors.NewTooManyRequests("later", 1),
		"connection":  errors.New("connection refused"),
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *server, l *lane) {
				s.put(widget("a", 1))
				r := begin(t, s, l)
				r.stop(t)
				l.take(t)
				s.refuse(func(metav1.ListOptions) error { return fails }, nil)
				r = begin(t, s, l) // resumes, and lists its index in vain
				answered := make(chan error, 1)
				go func() { answered <- r.Exact(t.Context()) }()
				advance(time.Minute)
				select {
				case err := <-answered:
					t.Fatalf("the run is told %v", err)
				default:
				}
				if r.Ready() == nil {
					t.Error("it is ready although it cannot answer a run")
				}
				s.refuse(nil, nil)
				if err := <-answered; err != nil {
					t.Fatal(err)
				}
				r.frozen(t, "once the list works", "shop/a 101")
				r.stop(t)
			})
		})
	}
}

// TestRelist: of a type whose contents were not to be had there is no index until it can
// be listed again, and then it is said to be exact, with what was published meanwhile.
func TestRelist(t *testing.T) {
	bubble(t, func(t *testing.T, s *server, l *lane) {
		s.put(widget("a", 1))
		s.put(widget("b", 1))
		r := begin(t, s, l)
		r.check(t, "at first")
		s.refuse(func(metav1.ListOptions) error { return forbidden() }, nil)
		r.Relist()
		r.Relist()
		synctest.Wait()
		if exact, refused := r.State(); exact || !refused {
			t.Errorf("while it is refused it is exact %v, refused %v", exact, refused)
		}
		s.put(widget("a", 2))
		r.check(t, "while it is refused", "UPDATE a 103 2")
		if r.exact != 1 {
			t.Errorf("the index was said to be exact %d times", r.exact)
		}
		s.refuse(nil, nil)
		advance(time.Minute)
		r.frozen(t, "in the end", "shop/a 103", "shop/b 102")
		if r.exact != 2 {
			t.Errorf("the index was said to be exact %d times", r.exact)
		}
		r.stop(t)
	})
}
