package integration

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	gitwriter "github.com/kubescribe/kubescribe/services/git-writer"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/gittest"
	"github.com/kubescribe/kubescribe/shared/subject"
)

const theirMarker = `apiVersion: kubescribe.dev/v1alpha1
kind: FolderMarker
cluster: other
clusterUID: other-uid
install: other
destination: other/default/live
`

// isPush says whether a request carries a push.
func isPush(r *http.Request) bool {
	return r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/git-receive-pack")
}

// saysNotReady waits until readiness says all of words.
func (s *stand) saysNotReady(ready func() error, words ...string) {
	s.Helper()
	s.until("it is said: "+strings.Join(words, ", "), func() bool {
		err := ready()
		for _, w := range words {
			if err == nil || !strings.Contains(err.Error(), w) {
				return false
			}
		}
		return true
	})
}

// TestGitWriterFolderTaken: a folder that changes hands while it is written to is
// left alone from the first commit on that would go on top.
func TestGitWriterFolderTaken(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	d := s.register("live", "live", false)
	w, _ := s.start()
	s.write(d, configMap(event.Create, "web", "a", 1))
	s.wantVersions(1)
	s.commitFile("live/.kubescribe.yaml", theirMarker)
	s.write(d, configMap(event.Update, "web", "b", 2))
	s.saysNotReady(w.Ready, "belongs to another cluster, other")
	if got := s.subjects(); len(got) != 2 || s.git("show", "main:live/.kubescribe.yaml") != strings.TrimSpace(theirMarker) {
		t.Errorf("main is %q", got)
	}
}

// TestGitWriterRewrittenWhileWriting: what the branch holds now decides, whose the
// folder is too.
func TestGitWriterRewrittenWhileWriting(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	s.commitFile("live/.kubescribe.yaml", theirMarker)
	theirs := s.git("rev-parse", "main")
	s.git("update-ref", "-d", "refs/heads/main")
	d := s.register("live", "live", false)
	w, _ := s.start()
	s.write(d, configMap(event.Create, "web", "a", 1))
	s.wantVersions(1)
	s.git("update-ref", "refs/heads/main", theirs)
	s.write(d, configMap(event.Update, "web", "b", 2))
	s.saysNotReady(w.Ready, "belongs to another cluster, other")
	if got := s.git("rev-parse", "main"); got != theirs {
		t.Errorf("main is at %s: %q", got, s.subjects())
	}
}

// TestGitWriterMarkerComesBack: a marker that somebody has removed stands again
// with the next commit.
func TestGitWriterMarkerComesBack(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	d := s.register("live", "live", false)
	s.start()
	s.write(d, configMap(event.Create, "web", "a", 1))
	s.wantVersions(1)
	s.foreign("Remove the marker", func(dir string) error { return os.Remove(filepath.Join(dir, "live", ".kubescribe.yaml")) })
	s.write(d, configMap(event.Update, "web", "b", 2))
	s.wantVersions(2)
	if got := s.git("show", "main:live/.kubescribe.yaml"); !strings.Contains(got, "destination: test/default/live") {
		t.Errorf("the marker is %q", got)
	}
}

// TestGitWriterNewerMarker: a marker of ours that reads differently, of another
// version say, is brought up to date and is no obstacle.
func TestGitWriterNewerMarker(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	d := s.register("live", "live", false)
	_, stop := s.start()
	s.write(d, configMap(event.Create, "web", "a", 1))
	s.wantVersions(1)
	stop()
	marker := s.git("show", "main:live/.kubescribe.yaml")
	s.commitFile("live/.kubescribe.yaml", "# of another version\n"+marker+"\n")
	s.start()
	s.write(d, configMap(event.Update, "web", "b", 2))
	s.wantVersions(2)
	if got := s.git("show", "main:live/.kubescribe.yaml"); got != marker {
		t.Errorf("the marker is %q", got)
	}
}

// submodule puts a submodule into a clone.
func submodule(dir, name string) error {
	_, err := gittest.Git(dir, "update-index", "--add", "--cacheinfo", "160000,"+strings.Repeat("12", 20)+","+name)
	return errors.Join(os.MkdirAll(filepath.Join(dir, name), 0o755), err)
}

// TestGitWriterFolderBlocked: what stands where the folder would is named, and nothing is
// written there. Once it is gone, and somebody pushes to the branch, all goes on.
func TestGitWriterFolderBlocked(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		stands func(dir string) error
		says   string
	}{
		"a file":          {func(dir string) error { return os.WriteFile(filepath.Join(dir, "live"), []byte("x\n"), 0o644) }, "a file stands at live"},
		"a symbolic link": {func(dir string) error { return os.Symlink("..", filepath.Join(dir, "live")) }, "a symbolic link stands at live"},
		"a submodule":     {func(dir string) error { return submodule(dir, "live") }, "a submodule stands at live"},
		"a marker that is a link": {func(dir string) error {
			if err := os.Mkdir(filepath.Join(dir, "live"), 0o755); err != nil {
				return err
			}
			return os.Symlink("x", filepath.Join(dir, "live", ".kubescribe.yaml"))
		}, "a symbolic link stands at live/.kubescribe.yaml"},
		"a marker that is a submodule": {func(dir string) error { return submodule(dir, "live/.kubescribe.yaml") }, "a submodule stands at live/.kubescribe.yaml"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStand(t)
			s.foreign("Block", c.stands)
			d, beside := s.register("live", "live", true), s.register("beside", "beside", false)
			hints, err := bus.OpenBucket[event.Hint](t.Context(), s.bus, subject.BucketCursor)
			if err != nil {
				t.Fatal(err)
			}
			metrics := prometheus.NewRegistry()
			w, _ := s.startAs(gitwriter.Credentials{}, metrics)
			s.write(d, configMap(event.Create, "web", "a", 9))
			s.saysNotReady(w.Ready, c.says, "choose another --base-folder")
			if st := s.refused(d.Key, event.StalledFolderNotOurs); !strings.Contains(st.Message, c.says) || !strings.Contains(st.Message, "remove it from the repository") {
				t.Errorf("its status says %q", st.Message)
			}
			s.until("the change is dropped for good", func() bool {
				h, _, err := hints.Get(t.Context(), subject.HintKey(d.BranchKey))
				return err == nil && h.Position > 0
			})
			s.counts(metrics, "kubescribe_git_writer_changes_total", "refused", 1)
			if got := s.subjects(); len(got) != 1 {
				t.Errorf("main is %q", got)
			}
			s.foreign("Clear", func(dir string) error {
				_, err := gittest.Git(dir, "rm", "-r", "-q", "--cached", "live")
				return errors.Join(err, os.RemoveAll(filepath.Join(dir, "live")))
			})
			s.write(beside, configMap(event.Create, "web", "a", 1)) // whose push meets that commit
			s.until("it is not refused any more", func() bool { return s.stalled(d.Key) == nil && w.Ready() == nil })
			s.write(d, configMap(event.Update, "web", "b", 2))
			s.wantVersions(2)
		})
	}
}

// TestGitWriterFolderFreed: a folder that was refused is looked at again by itself, with
// nothing pushed from here.
func TestGitWriterFolderFreed(t *testing.T) {
	long(t)
	t.Parallel()
	s := newStand(t)
	s.foreign("Block", func(dir string) error { return os.WriteFile(filepath.Join(dir, "live"), []byte("x\n"), 0o644) })
	d := s.register("live", "live", false)
	w, _ := s.start()
	s.refused(d.Key, event.StalledFolderNotOurs)
	s.foreign("Clear", func(dir string) error { return os.Remove(filepath.Join(dir, "live")) })
	s.until("it is not refused any more", func() bool { return s.stalled(d.Key) == nil && w.Ready() == nil })
	s.write(d, configMap(event.Create, "web", "a", 1))
	s.wantVersions(1)
}

// TestGitWriterFight: a folder that somebody takes again and again, and gives back
// whenever anybody looks, costs the remote a slower and slower asking.
func TestGitWriterFight(t *testing.T) {
	long(t)
	t.Parallel()
	const rounds = 9
	s := newStand(t)
	d := s.register("live", "live", false)
	var pushes, looks atomic.Int64
	took := make(chan time.Duration, 1)
	begun := time.Now()
	s.gate.set(func(_ http.Handler, _ http.ResponseWriter, r *http.Request) bool {
		switch {
		case isPush(r):
			switch n := pushes.Add(1); {
			case n < rounds: // taken before the push is looked at
				looks.Store(0)
				s.commitFile("live/.kubescribe.yaml", theirMarker)
			case n == rounds:
				took <- time.Since(begun)
			}
		case strings.HasSuffix(r.URL.RawQuery, "git-upload-pack") && pushes.Load() > 0:
			// The first look finds the conflict. Before the second, which decides
			// whose the folder is, it is given back.
			if looks.Add(1) == 2 {
				s.git("update-ref", "-d", "refs/heads/main")
			}
		}
		return false
	})
	s.start()
	s.write(d, configMap(event.Create, "web", "a", 1))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	select {
	case got := <-took:
		// The waits between nine rounds are at least 10, 20, 40 … 1280 ms.
		if got < 2500*time.Millisecond {
			t.Errorf("%d rounds took %s", rounds, got)
		}
	case <-ctx.Done():
		t.Fatalf("%d rounds only", pushes.Load())
	}
	s.wantVersions(1)
}
