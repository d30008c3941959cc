package capture

import (
	"testing"

	"github.com/kubescribe/kubescribe/shared/event"
)

// offered is what a run asks for in these tests.
func offered(isNew bool) Offer {
	d := event.Destination{
		Key:   event.DestinationKey{Cluster: "prod", Namespace: "gitops", Name: "live"},
		Rules: []event.Rule{{Groups: []string{"example.com"}, Resources: []string{"widgets"}, Namespaces: []string{"shop"}}},
	}
	return Offer{Destination: d, Revision: 7, Run: "run-1", Attempt: 1, New: isNew}
}

func TestOffer(t *testing.T) {
	bubble(t, func(t *testing.T, s *server, l *lane) {
		s.put(widget("a", 1))
		s.put(widget("b", 1))
		elsewhere := widget("elsewhere", 1)
		elsewhere.SetNamespace("billing")
		s.put(elsewhere)
		r := begin(t, s, l)
		l.take(t)

		if err := r.Offer(t.Context(), offered(true)); err != nil {
			t.Fatal(err)
		}
		r.check(t, "to a destination that everything has reached")

		if err := r.Offer(t.Context(), offered(false)); err != nil {
			t.Fatal(err)
		}
		changes := l.changes(t)
		if len(changes) != 2 {
			t.Fatalf("it offered %d objects, want those its rules select", len(changes))
		}
		for _, c := range changes {
			if c.Op != event.Update || c.Origin != event.Reconcile || c.Run != "run-1" || c.Attempt != 1 || c.Resume != "103" {
				t.Errorf("it offered %+v", c)
			}
		}
		if err := r.Offer(t.Context(), offered(false)); err != nil {
			t.Fatal(err)
		}
		r.check(t, "asked again, with the same IDs")
		r.stop(t)
	})
}

// TestOfferAfterARestart waits for an exact index, and offers what the lane has,
// not what is still on its way.
func TestOfferAfterARestart(t *testing.T) {
	bubble(t, func(t *testing.T, s *server, l *lane) {
		s.put(widget("a", 1))
		s.put(widget("b", 1))
		r := begin(t, s, l)
		r.stop(t)
		l.take(t)
		r = begin(t, s, l)
		answered := make(chan error, 1)
		go func() { answered <- r.Offer(t.Context(), offered(true)) }()
		if err := <-answered; err != nil {
			t.Fatal(err)
		}
		r.check(t, "to a destination it knows nothing of", "UPDATE a 101 1 for prod/gitops/live", "UPDATE b 102 1 for prod/gitops/live")

		// A version that the list shows and the watch has not delivered yet.
		s.mu.Lock()
		late := widget("a", 2)
		late.SetResourceVersion("103")
		s.rv, s.objects["a"] = 103, late
		s.mu.Unlock()
		again := offered(false)
		again.Run = "run-2"
		if err := r.Offer(t.Context(), again); err != nil {
			t.Fatal(err)
		}
		r.check(t, "while a change is on its way", "UPDATE b 102 1 for prod/gitops/live")
		r.stop(t)
	})
}
