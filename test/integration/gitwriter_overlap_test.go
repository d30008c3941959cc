package integration

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kubescribe/kubescribe/services/reconciler"
	"github.com/kubescribe/kubescribe/services/watcher"
	"github.com/kubescribe/kubescribe/shared/api/v1alpha1"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// stalled is why a destination stands still; nil if it does not.
func (s *stand) stalled(k event.DestinationKey) *event.Stalled {
	s.Helper()
	kv, err := bus.OpenBucket[event.Status](s.Context(), s.bus, subject.BucketStatus)
	if err != nil {
		s.Fatal(err)
	}
	st, _, err := kv.Get(s.Context(), subject.DestinationToken(k))
	if err != nil {
		return nil // not there yet
	}
	return st.Stalled
}

// refused waits until a destination is refused its folder for a reason.
func (s *stand) refused(k event.DestinationKey, reason string) (st *event.Stalled) {
	s.Helper()
	s.until(k.String()+" is refused", func() bool {
		st = s.stalled(k)
		return st != nil && st.Reason == reason
	})
	return st
}

// overlaps waits until a destination is refused for the folder of another one.
func (s *stand) overlaps(k event.DestinationKey) (st *event.Stalled) {
	s.Helper()
	return s.refused(k, event.StalledFolderOverlaps)
}

// TestGitWriterFoldersOverlap: of two destinations with one folder the one that was
// registered first keeps it, through its own changes and restarts; nothing of the other
// one is written, nor told, until the first one leaves.
func TestGitWriterFoldersOverlap(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	first, second := s.register("first", "live", false), s.register("another", "live", true)
	w, stop := s.start()
	s.write(first, configMap(event.Create, "web", "a", 1))
	s.write(second, configMap(event.Delete, "web", "", 9))
	s.wantVersions(1)
	was := s.overlaps(second.Key)
	s.saysNotReady(w.Ready, "destination test/default/another: ", "folder live is the folder of destination test/default/first")
	if got := s.end(s.ask(second, "r1", 1)); !strings.HasPrefix(got.Failed, event.StalledFolderOverlaps+": ") || got.Count != 0 {
		t.Errorf("a run is told %+v", got)
	}

	// It changes: its revision is the newest now.
	first.Interval = time.Hour
	s.put(first)
	s.write(first, configMap(event.Update, "web", "b", 2))
	s.write(second, configMap(event.Delete, "web", "", 9))
	s.wantVersions(2)
	stop()
	w, _ = s.start()
	s.write(first, configMap(event.Update, "web", "c", 3))
	s.write(second, configMap(event.Delete, "web", "", 9))
	s.wantVersions(3)
	s.wantTold(s.ask(first, "r2", 1), 0, "RESOURCE shop/configmaps/web.yaml")
	if st := s.overlaps(second.Key); !st.Since.Equal(was.Since) {
		t.Errorf("it is refused since %s, and was since %s", st.Since, was.Since)
	}

	s.unregister(first)
	s.write(second, configMap(event.Update, "web", "d", 4))
	s.wantVersions(4)
	s.until("it is not refused any more", func() bool { return s.stalled(second.Key) == nil && w.Ready() == nil })
	m, err := s.bus.LastFor(t.Context(), subject.Ctl, subject.CtlRun(second.Key))
	if err != nil {
		t.Fatal(err)
	}
	if q, err := event.Decode[event.Request](m.Data); err != nil || q.Reason != event.ReasonAdmitted {
		t.Errorf("asked for %+v, %v", q, err)
	}
}

// TestClustersOverlap: a cluster whose folder lies inside that of another one removes
// nothing there, nor is anything of its own written, until the other one leaves.
func TestClustersOverlap(t *testing.T) {
	long(t)
	t.Parallel()
	m := prepareMirror(t, "{}", []string{"d"}, "deployments.apps")
	m.cluster.put("deployments", "shop", "web", "1")
	roles := m.startAll(reconciler.Deps{})
	m.until("the first one is there", func() bool {
		return m.filesIn("live/shop/") == 1 && m.phase("d").Phase == event.LiveProcessing
	})

	documents := func(name, folder string) *v1alpha1.Documents {
		docs, err := v1alpha1.Load(strings.NewReader(fmt.Sprintf(`
apiVersion: kubescribe.dev/v1alpha1
kind: GitRemote
metadata: {name: r}
spec: {url: %q}
---
apiVersion: kubescribe.dev/v1alpha1
kind: GitDestination
metadata: {name: %[2]s}
spec: {remoteRef: {name: r}, baseFolder: %[3]s, adopt: true}
---
apiVersion: kubescribe.dev/v1alpha1
kind: ClusterWatchRule
metadata: {name: %[2]s}
spec: {destinationRef: {name: %[2]s, namespace: default}, rules: [{apiGroups: ['*'], resources: ['*']}]}
`, m.stand.url, name, folder)), t.Name())
		if err != nil {
			t.Fatal(err)
		}
		return docs
	}
	inner := event.DestinationKey{Cluster: "other", Namespace: "default", Name: "inner"}
	other, rest := newCluster(t, "deployments.apps")
	other.put("deployments", "team", "own", "1")
	b := m.connect(subject.UserWatcher)
	w, err := watcher.New(t.Context(), watcher.Config{Cluster: "other", Documents: documents("inner", "live/shop"), REST: rest, Owner: t.Name()},
		watcher.Deps{Bus: b, Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	m.run(w.Run, role{bus: b, ready: w.Ready})
	if st := m.stand.overlaps(inner); !strings.Contains(st.Message, "folder live/shop lies inside folder live of destination test/default/d") {
		t.Errorf("it says %q", st.Message)
	}
	m.types("reconcile", "other/default/inner", "--timeout", "2s").ends(1, event.StalledFolderOverlaps)
	m.types("reconcile", "d").ends(0, "0 created, 0 updated, 0 deleted, 1 equal")
	m.cluster.put("deployments", "shop", "web", "2")
	m.until("the first one goes on", func() bool {
		return strings.Contains(m.stand.git("show", "main:live/shop/apps/deployments/web.yaml"), `text: "2"`)
	})
	if got := m.stand.git("ls-tree", "-r", "--name-only", "main"); got != "live/.kubescribe.yaml\nlive/shop/apps/deployments/web.yaml" {
		t.Errorf("the branch holds %q", got)
	}

	roles["watcher"].stop()
	m.watcher(m.rest, documents("elsewhere", "elsewhere"))
	other.put("deployments", "team", "own", "2")
	m.until("the other one has its folder", func() bool {
		return m.stand.stalled(inner) == nil && m.filesIn("live/shop/team/apps/deployments/own.yaml") == 1
	})
}
