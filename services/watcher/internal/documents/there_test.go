package documents

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"

	"github.com/kubescribe/kubescribe/shared/api/v1alpha1"
	"github.com/kubescribe/kubescribe/shared/fault"
)

// eventually waits for a condition.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), enough)
	defer cancel()
	for !holds() {
		if fault.Wait(ctx, 5*time.Millisecond) != nil {
			t.Fatalf("it does not come to be that %s", what)
		}
	}
}

// TestReplaced: a document that is gone counts on for a moment, and is another one once it is
// made again.
func TestReplaced(t *testing.T) {
	s := newServer(live())
	source := follow(t, s, time.Hour)
	before, err := source.Get(t.Context(), enough)
	if err != nil {
		t.Fatal(err)
	}
	if unsure := source.Unsure(); unsure < time.Minute {
		t.Errorf("at the start it is unsure for %s whether what is not there comes again", unsure)
	}
	destinations := s.Resource(kinds[v1alpha1.KindGitDestination]).Namespace("shop")
	if err := destinations.Delete(t.Context(), "live", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is gone", func() bool { return len(source.all(v1alpha1.KindGitDestination)) == 0 })
	if now, err := source.Get(t.Context(), enough); err != nil || len(now.Documents.GitDestinations) != 1 || now.Changed != before.Changed {
		t.Errorf("while it is gone: %+v, %v", now, err)
	}
	again := live()
	again.SetUID("another")
	if _, err := destinations.Create(t.Context(), again, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := source.Settled(t.Context(), before.Changed); err != nil {
		t.Fatal(err)
	}
	if now, err := source.Get(t.Context(), enough); err != nil || len(now.Documents.GitDestinations) != 1 || now.Documents.GitDestinations[0].UID != "another" {
		t.Errorf("made again: %+v, %v", now, err)
	}
}

// TestGone: a document ends once its grace is over, and its kind can be listed.
func TestGone(t *testing.T) {
	s := newServer(live())
	var refused atomic.Int32
	failing := make(chan struct{})
	source := follow(t, s, 0)
	before, err := source.Get(t.Context(), enough)
	if err != nil || source.Unsure() != 0 {
		t.Fatal(err, source.Unsure())
	}
	s.PrependReactor("list", "gitdestinations", func(clienttesting.Action) (bool, runtime.Object, error) {
		select {
		case <-failing:
			return false, nil, nil
		default:
			refused.Add(1)
			return true, nil, errors.New("the group fails")
		}
	})
	if err := s.Resource(kinds[v1alpha1.KindGitDestination]).Namespace("shop").Delete(t.Context(), "live", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it was asked whether the kind is served", func() bool { return refused.Load() > 1 })
	if now, err := source.Get(t.Context(), enough); err != nil || len(now.Documents.GitDestinations) != 1 {
		t.Errorf("while its kind cannot be listed: %+v, %v", now, err)
	}
	close(failing)
	if err := source.Settled(t.Context(), before.Changed); err != nil {
		t.Fatal(err)
	}
	if now, err := source.Get(t.Context(), enough); err != nil || len(now.Documents.GitDestinations) != 0 {
		t.Errorf("after its grace: %+v, %v", now, err)
	}
}
