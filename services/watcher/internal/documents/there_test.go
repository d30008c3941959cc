package documents

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
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

// gets is how many documents of a kind count.
func gets(t *testing.T, s *Source) string {
	t.Helper()
	now, err := s.Get(t.Context(), enough)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%d destinations, %d rules", len(now.Documents.GitDestinations), len(now.Documents.WatchRules))
}

// TestDefinitionsAway: while a kind cannot be listed, grace does not run: it begins anew once it
// can be.
func TestDefinitionsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rule := object(v1alpha1.KindWatchRule, "shop", "apps", 2, map[string]any{"destinationRef": map[string]any{"name": "live"}})
		s := newServer(live(), rule)
		var away atomic.Bool
		s.PrependReactor("list", "*", func(a clienttesting.Action) (bool, runtime.Object, error) {
			if !away.Load() {
				return false, nil, nil
			}
			return true, nil, apierrors.NewNotFound(a.GetResource().GroupResource(), "")
		})
		source := follow(t, s, Grace)
		says := func(when, want string) {
			t.Helper()
			synctest.Wait()
			if got := gets(t, source); got != want {
				t.Errorf("%s: %s, want %s", when, got, want)
			}
		}
		says("at first", "1 destinations, 1 rules")
		away.Store(true)
		destinations, rules := s.Resource(kinds[v1alpha1.KindGitDestination]).Namespace("shop"), s.Resource(kinds[v1alpha1.KindWatchRule]).Namespace("shop")
		if err := errors.Join(destinations.Delete(t.Context(), "live", metav1.DeleteOptions{}), rules.Delete(t.Context(), "apps", metav1.DeleteOptions{})); err != nil {
			t.Fatal(err)
		}
		_ = fault.Wait(t.Context(), 3*Grace) // by the bubble's clock
		says("without definitions", "1 destinations, 1 rules")
		away.Store(false)
		_ = fault.Wait(t.Context(), Grace/2) // by the bubble's clock
		says("with definitions, and without documents yet", "1 destinations, 1 rules")
		if _, err := destinations.Create(t.Context(), live(), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		_ = fault.Wait(t.Context(), Grace) // by the bubble's clock
		says("one is made again, the other is not", "1 destinations, 0 rules")
	})
}

// TestFound: what the API server has does not end, although no watch has told of it yet.
func TestFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(live())
		source := follow(t, s, Grace)
		gets(t, source)
		source.leave(v1alpha1.KindGitDestination, live(), time.Now())
		_ = fault.Wait(t.Context(), 3*Grace) // by the bubble's clock
		if got := gets(t, source); got != "1 destinations, 0 rules" {
			t.Errorf("while it is there: %s", got)
		}
		if err := s.Resource(kinds[v1alpha1.KindGitDestination]).Namespace("shop").Delete(t.Context(), "live", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		_ = fault.Wait(t.Context(), Grace/2) // by the bubble's clock
		if got := gets(t, source); got != "1 destinations, 0 rules" {
			t.Errorf("as soon as it is gone: %s", got)
		}
		_ = fault.Wait(t.Context(), Grace) // by the bubble's clock
		if got := gets(t, source); got != "0 destinations, 0 rules" {
			t.Errorf("after its grace: %s", got)
		}
	})
}

// TestLeft: a document that is gone counts on only where its namespace is known to stand.
func TestLeft(t *testing.T) {
	going := namespace(0)
	now := metav1.Now()
	going.SetDeletionTimestamp(&now)
	for _, tt := range []struct {
		name      string
		namespace *unstructured.Unstructured
		err       error
		want      bool
	}{
		{"it stands", namespace(0), nil, false},
		{"it was made with the document", namespace(1), nil, false},
		{"it is another one, by the same name", namespace(2), nil, true},
		{"it is going", going, nil, true},
		{"it is gone", nil, apierrors.NewNotFound(namespaces.GroupResource(), "shop"), true},
		{"it may not be read", nil, apierrors.NewForbidden(namespaces.GroupResource(), "shop", nil), true},
		{"nobody answers", nil, errors.New("no"), false},
	} {
		if got := left(live(), tt.namespace, tt.err); got != tt.want {
			t.Errorf("%s: it left: %v", tt.name, got)
		}
	}
}

// TestNamespaceGone: a document that went with its namespace ends at once, whether its kind can be
// listed or not; what is in no namespace does not.
func TestNamespaceGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		everywhere := object(v1alpha1.KindClusterWatchRule, "", "all", 2, map[string]any{"destinationRef": map[string]any{"name": "live", "namespace": "shop"}})
		s := newServer(live(), everywhere)
		source := follow(t, s, Grace)
		gets(t, source)
		s.PrependReactor("list", "gitdestinations", func(clienttesting.Action) (bool, runtime.Object, error) {
			return true, nil, errors.New("the group fails")
		})
		if err := errors.Join(
			s.Resource(namespaces).Delete(t.Context(), "shop", metav1.DeleteOptions{}),
			s.Resource(kinds[v1alpha1.KindGitDestination]).Namespace("shop").Delete(t.Context(), "live", metav1.DeleteOptions{}),
			s.Resource(kinds[v1alpha1.KindClusterWatchRule]).Delete(t.Context(), "all", metav1.DeleteOptions{}),
		); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // and no time passes
		now, err := source.Get(t.Context(), enough)
		if err != nil || len(now.Documents.GitDestinations) != 0 || len(now.Documents.ClusterWatchRules) != 1 {
			t.Errorf("%+v, %v", now.Documents, err)
		}
	})
}

// TestNamespaceForbidden: where namespaces may not be read, a document that is gone ends at once,
// and the log says what to do.
func TestNamespaceForbidden(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(live())
		s.PrependReactor("get", "namespaces", func(clienttesting.Action) (bool, runtime.Object, error) {
			return true, nil, apierrors.NewForbidden(namespaces.GroupResource(), "shop", nil)
		})
		source := follow(t, s, Grace)
		var log bytes.Buffer
		source.log = slog.New(slog.NewTextHandler(&log, nil))
		gets(t, source)
		source.leave(v1alpha1.KindGitDestination, live(), time.Now())
		synctest.Wait()
		if got := gets(t, source); got != "0 destinations, 0 rules" {
			t.Error(got)
		}
		if !strings.Contains(log.String(), "allow get on namespaces") {
			t.Errorf("the log says %q", log.String())
		}
	})
}
