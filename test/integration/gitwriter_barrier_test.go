package integration

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/gittest"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// ask stores a barrier as the service stream does, and names the answer.
func (s *stand) ask(d event.Destination, run string, attempt uint64) subject.Series {
	s.Helper()
	h, body := event.Barrier{Run: run, Attempt: attempt, Registry: s.rev}.Message()
	s.store(d, bus.Output{Subject: subject.WriteData(d.BranchKey, d.Key), Header: h, Data: body})
	return subject.Series{Destination: d.Key, Run: run, Attempt: attempt, Side: subject.SideRepo}
}

// end waits for the answer's end.
func (s *stand) end(q subject.Series) (end event.End) {
	s.Helper()
	s.until("run "+q.Run+" is answered", func() bool {
		var err error
		if end, err = s.bus.SeriesEnd(s.Context(), q); err != nil && !errors.Is(err, bus.ErrNoMessage) {
			s.Fatal(err)
		}
		return err == nil
	})
	return end
}

// told is what an answer lists, and how many other files it counts.
func (s *stand) told(q subject.Series) (entries []event.Entry, others int) {
	s.Helper()
	end := s.end(q)
	if end.Failed != "" {
		s.Fatalf("run %s is told: %s", q.Run, end.Failed)
	}
	for e, err := range s.bus.Entries(s.Context(), q, end) {
		if err != nil {
			s.Fatal(err)
		}
		entries = append(entries, e)
	}
	return entries, end.Others
}

func (s *stand) wantTold(q subject.Series, others int, want ...string) {
	s.Helper()
	entries, n := s.told(q)
	var got []string
	for _, e := range entries {
		got = append(got, e.What.String()+" "+e.Path)
	}
	if !slices.Equal(got, want) || n != others {
		s.Errorf("run %s is told of %d others and\n%s\nwant %d and\n%s", q.Run, n, strings.Join(got, "\n"), others, strings.Join(want, "\n"))
	}
}

const (
	object  = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: x\n"
	objects = object + "---\n" + object
)

// TestGitWriterTellsState: a run is told of each file that holds resources, whether
// the server leaves blobs out of a fetch or not, and costs it one session at most
// for what has to be looked into.
func TestGitWriterTellsState(t *testing.T) {
	t.Parallel()
	for name, filter := range map[string]bool{"blobless": true, "with blobs": false} {
		t.Run(name, func(t *testing.T) {
			s := newStand(t)
			if err := gittest.AllowFilter(s.dir, filter); err != nil {
				t.Fatal(err)
			}
			files := map[string]string{
				"live/shop/configmaps/web.yaml":         object,
				"live/shop/configmaps/all.yaml":         "#\n" + objects, // as far as its path tells, an object's
				"live/shop/configmaps/web-2.yaml":       "not: parsed\n",
				"live/shop/apps/deployments/web.yaml":   object,
				"live/shop/secrets/web.sops.yaml":       "sops: {}\n",
				"live/_cluster/namespaces/shop.yaml":    object,
				"live/all.yaml":                         objects,
				"live/shop/configmaps/Web.yaml":         object,
				"live/shop/configmaps/web.json":         `{"apiVersion": "v1", "kind": "ConfigMap"}`,
				"live/shop/configmaps/web.yml":          object,
				"live/shop/configmaps/web.yaml.bak":     object,
				"live/README.md":                        "hello\n",
				"live/values.yaml":                      "replicas: 1\n",
				"live/kustomization.yaml":               "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n",
				"live/templates/web.yaml":               "{{ if .x }}\n" + object,
				"live/other/.kubescribe.yaml":           theirMarker,
				"live/other/shop/configmaps/web.yaml":   object,
				"other/shop/configmaps/web.yaml":        object,
				"live-2/shop/configmaps/web.yaml":       object,
				"shop/configmaps/web.yaml":              object,
				"live/a/b/c/d/e/f/g/deep, and odd.yaml": object,
			}
			s.foreign("Fill", func(dir string) error {
				var errs []error
				for name, content := range files {
					file := filepath.Join(dir, name)
					errs = append(errs, os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(content), 0o644))
				}
				return errors.Join(append(errs, os.Symlink("web.yaml", filepath.Join(dir, "live/shop/configmaps/link.yaml")))...)
			})
			d := s.register("live", "live", true)
			s.write(d, configMap(event.Create, "api", "a", 1))
			w, _ := s.start()
			s.wantVersions(1)
			var fetches atomic.Int64
			s.gate.set(func(_ http.Handler, _ http.ResponseWriter, r *http.Request) bool {
				if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/git-upload-pack") {
					fetches.Add(1)
				}
				return false
			})
			want := []string{
				"RESOURCE _cluster/namespaces/shop.yaml",
				"FOREIGN a/b/c/d/e/f/g/deep, and odd.yaml",
				"FOREIGN all.yaml",
				"RESOURCE shop/apps/deployments/web.yaml",
				"FOREIGN shop/configmaps/Web.yaml",
				"RESOURCE shop/configmaps/all.yaml",
				"RESOURCE shop/configmaps/api.yaml",
				"RESOURCE shop/configmaps/web-2.yaml",
				"FOREIGN shop/configmaps/web.json",
				"RESOURCE shop/configmaps/web.yaml",
				"FOREIGN shop/configmaps/web.yml",
				"RESOURCE shop/secrets/web.sops.yaml",
			}
			const others = 8 // README, values, kustomization, the template, the backup, the link, and two of the other folder
			first := s.ask(d, "r1", 1)
			s.wantTold(first, others, want...)
			entries, _ := s.told(first)
			for _, e := range entries {
				if got := s.git("rev-parse", "main:live/"+e.Path); got != e.Hash {
					t.Errorf("%s is told as %s, it is %s", e.Path, e.Hash, got)
				}
			}
			s.wantTold(s.ask(d, "r1", 2), others, want...)
			if n, most := fetches.Load(), int64(1); n > most || !filter && n > 0 {
				t.Errorf("%d fetches", n)
			}
			s.until("ready", func() bool { return w.Ready() == nil })
		})
	}
}

// TestGitWriterTellsEmptyState: a folder, or a branch, that does not exist holds
// nothing.
func TestGitWriterTellsEmptyState(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	d := s.register("live", "live", false)
	s.start()
	s.wantTold(s.ask(d, "r1", 1), 0)
	s.commitFile("README.md", "hello\n")
	s.wantTold(s.ask(d, "r2", 1), 0)
}

// TestGitWriterTellsForeignCommits: what somebody has pushed just before is told,
// and built on.
func TestGitWriterTellsForeignCommits(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	d := s.register("live", "live", false)
	s.start()
	s.write(d, configMap(event.Create, "web", "a", 1))
	s.wantVersions(1)
	s.commitFile("live/shop/configmaps/theirs.yaml", object)
	s.wantTold(s.ask(d, "r1", 1), 0, "RESOURCE shop/configmaps/theirs.yaml", "RESOURCE shop/configmaps/web.yaml")
	s.foreign("Remove", func(dir string) error { return os.Remove(filepath.Join(dir, "live/shop/configmaps/web.yaml")) })
	s.wantTold(s.ask(d, "r2", 1), 0, "RESOURCE shop/configmaps/theirs.yaml")
	s.write(d, configMap(event.Update, "web", "b", 2))
	s.wantVersions(2)
}

// TestGitWriterTellsWhatLanded: a barrier is answered once all that is before it is
// on the remote, with nothing that is behind it.
func TestGitWriterTellsWhatLanded(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	release := make(chan struct{})
	s.gate.set(func(_ http.Handler, _ http.ResponseWriter, r *http.Request) bool {
		if isPush(r) {
			<-release
		}
		return false
	})
	d := s.register("live", "live", false)
	s.write(d, configMap(event.Create, "a", "a", 1))
	s.write(d, configMap(event.Create, "b", "a", 2))
	q := s.ask(d, "r1", 1)
	s.write(d, configMap(event.Create, "c", "a", 3))
	w, _ := s.start()
	s.until("a push is under way", func() bool { all := w.Snapshots(); return len(all) == 1 && !all[0].Pushing.IsZero() })
	if _, err := s.bus.SeriesEnd(t.Context(), q); !errors.Is(err, bus.ErrNoMessage) {
		t.Errorf("answered while the push is under way: %v", err)
	}
	close(release)
	s.wantTold(q, 0, "RESOURCE shop/configmaps/a.yaml", "RESOURCE shop/configmaps/b.yaml")
	s.wantVersions(3)
}

// TestGitWriterStoppedBeforeTelling: a barrier that a writer could not answer any
// more is answered by the next, before what is behind it lands.
func TestGitWriterStoppedBeforeTelling(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	d := s.register("live", "live", false)
	s.write(d, configMap(event.Create, "a", "a", 1))
	_, stop := s.start()
	s.wantVersions(1)
	asked := make(chan struct{})
	var once sync.Once
	s.gate.set(func(_ http.Handler, w http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.RawQuery, "git-upload-pack") {
			once.Do(func() { close(asked) })
			w.WriteHeader(http.StatusBadGateway)
			return true
		}
		return false
	})
	q := s.ask(d, "r1", 1)
	s.write(d, configMap(event.Create, "b", "a", 2))
	<-asked
	stop()
	if _, err := s.bus.SeriesEnd(t.Context(), q); !errors.Is(err, bus.ErrNoMessage) {
		t.Fatalf("answered without the remote: %v", err)
	}
	s.gate.set(nil)
	s.start()
	s.wantTold(q, 0, "RESOURCE shop/configmaps/a.yaml")
	s.wantVersions(2)
}

// TestGitWriterTellsOnce: a barrier that is read again was answered, and the answer
// stays.
func TestGitWriterTellsOnce(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	d := s.register("live", "live", false)
	_, stop := s.start()
	hints, err := bus.OpenBucket[event.Hint](t.Context(), s.bus, subject.BucketCursor)
	if err != nil {
		t.Fatal(err)
	}
	s.write(d, configMap(event.Create, "a", "a", 1))
	s.wantVersions(1)
	q := s.ask(d, "r1", 1)
	first := s.end(q)
	var hint event.Hint
	var rev uint64
	hinted := func(position uint64) func() bool {
		return func() bool {
			hint, rev, err = hints.Get(t.Context(), subject.HintKey(d.BranchKey))
			return err == nil && hint.Position == position
		}
	}
	s.until("the barrier is consumed", hinted(2))
	stop()
	hint.Position = 1 // as a crash before it leaves it
	if _, err := hints.Put(t.Context(), subject.HintKey(d.BranchKey), hint, rev); err != nil {
		t.Fatal(err)
	}
	s.start()
	s.until("the barrier is consumed again", hinted(2))
	if again := s.end(q); again.Nonce != first.Nonce {
		t.Error("another answer stands")
	}
	if n, err := s.bus.Waiting(t.Context(), subject.Snap, subject.SnapRun(d.Key, q.Run), 0); err != nil || n != 2 {
		t.Errorf("it was told in %d messages, %v", n, err)
	}
}

// TestGitWritersTell: of two writers one answers each barrier, with what is before
// it and nothing that is behind it, and what they write stays in order.
func TestGitWritersTell(t *testing.T) {
	long(t)
	t.Parallel()
	const n = 40
	s := newStand(t)
	d := s.register("live", "live", false)
	s.start()
	s.start()
	var asked []subject.Series
	for i := range n {
		s.write(d, configMap(event.Update, "web", fmt.Sprint(i), i+1))
		asked = append(asked, s.ask(d, fmt.Sprint("r", i), 1))
	}
	s.wantVersions(n)
	for i, q := range asked {
		entries, _ := s.told(q)
		if len(entries) != 1 || entries[0].Hash != configMap(event.Update, "web", fmt.Sprint(i), 1).Hash {
			t.Errorf("barrier %d is told %+v", i, entries)
		}
	}
}

// TestGitWriterAnsweredByAnother: what a run has seen by another writer's answer is
// known to who writes its results.
func TestGitWriterAnsweredByAnother(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	d := s.register("live", "live", false)
	s.start()
	is := configMap(event.Create, "web", "a", 1)
	s.write(d, is)
	s.wantVersions(1)
	const file = "live/shop/configmaps/web.yaml"
	s.commitFile(file, object)
	q := subject.Series{Destination: d.Key, Run: "r1", Attempt: 1, Side: subject.SideRepo}
	if _, err := s.bus.WriteSeries(q).Close(t.Context(), event.End{}); err != nil {
		t.Fatal(err)
	}
	s.ask(d, q.Run, q.Attempt)
	is.Op, is.Origin, is.Run, is.Attempt, is.Path = event.Update, event.Reconcile, q.Run, q.Attempt, "shop/configmaps/web.yaml"
	s.write(d, is, configMap(event.Create, "behind", "a", 2))
	s.until("what is behind it is written", func() bool { return len(s.versions()) >= 2 && s.versions()[len(s.versions())-1] == "2" })
	if got := s.git("show", "main:"+file) + "\n"; got != string(is.Manifest) {
		t.Errorf("the run's result is not written: %q", got)
	}
}

// TestGitWriterTellsReasons: a run that gets no state is told why.
func TestGitWriterTellsReasons(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	s.commitFile("theirs/shop/configmaps/x.yaml", object)
	d := s.register("live", "live", false)
	refused := s.register("theirs", "theirs", false)
	gone := d
	gone.Key.Name = "gone"
	s.start()
	for q, want := range map[subject.Series]string{
		s.ask(refused, "r1", 1): event.StalledFolderNotOurs + ": the folder is not ours: folder theirs holds 1 YAML files",
		s.ask(gone, "r1", 1):    "the destination is not registered",
	} {
		if got := s.end(q); !strings.HasPrefix(got.Failed, want) || got.Count != 0 {
			t.Errorf("%s is told %+v", q.Destination, got)
		}
	}
	s.wantTold(s.ask(d, "r1", 1), 0)

	// A folder that changed hands since it was looked at.
	s.commitFile("live/.kubescribe.yaml", theirMarker)
	if got := s.end(s.ask(d, "r2", 1)); !strings.Contains(got.Failed, "belongs to another cluster, other") {
		t.Errorf("it is told %+v", got)
	}
	d = s.register("live", "live-2", false)
	s.wantTold(s.ask(d, "r3", 1), 0)
}

// TestGitWriterTellsOfRewrittenHistory: what was pushed and is gone from the branch
// is not told.
func TestGitWriterTellsOfRewrittenHistory(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	s.commitFile("live/shop/configmaps/theirs.yaml", object)
	first := s.git("rev-parse", "main")
	d := s.register("live", "live", true)
	s.start()
	s.write(d, configMap(event.Create, "web", "a", 1))
	s.wantVersions(1)
	s.git("update-ref", "refs/heads/main", first)
	s.wantTold(s.ask(d, "r1", 1), 0, "RESOURCE shop/configmaps/theirs.yaml")
	m, err := s.bus.LastFor(t.Context(), subject.Ctl, subject.CtlRuns)
	if err != nil {
		t.Fatal(err)
	}
	if q, err := event.Decode[event.Request](m.Data); err != nil || q.Reason != event.ReasonHistoryRewritten {
		t.Errorf("asked for %+v, %v", q, err)
	}
}
