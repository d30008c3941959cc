package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kubescribe/kubescribe/shared/gittest"
	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

// TestStart: begun on a cluster with 1,000 objects and a repository with other
// people's commits, Git has all of the cluster, and the others keep what is
// theirs: before, and while they push in the middle of live changes. A second
// start writes nothing but what happened while nobody was looking.
func TestStart(t *testing.T) {
	w := newWorld(t, cluster)
	ns := w.namespace(t, "full")
	w.fill(t, ns, 1000)
	others := newOthers(t, w)
	others.commit(t, map[string]string{
		"README.md":               "# ours\n",
		"live/README.md":          "what is this?\n",
		"apps/deploy.yaml":        "kind: Deployment\n---\nkind: Service\n",
		"apps/größe/leer zeichen": "\x00\xff binary\r\n",
		"liveness.yaml":           "live: but not below it\n",
	})
	others.push(t)

	k := w.startReady(t)
	inside := scope()
	inside.Others = func(path string) bool { return path == "README.md" }
	c := w.settle(t, inside)
	if c.Objects < 1000 {
		t.Errorf("Git has %d objects, want 1000 at least", c.Objects)
	}
	others.check(t, w)

	t.Run("others push in the middle of live changes", func(t *testing.T) {
		var changes errgroup.Group
		changes.Go(func() error {
			for n := range 60 {
				if _, err := w.objects.Apply(t.Context(), configMap(ns, fmt.Sprintf("busy-%d", n%10), fmt.Sprint(n))); err != nil {
					return err
				}
			}
			return nil
		})
		others.commit(t, map[string]string{"apps/later.txt": "in the middle"})
		others.push(t)
		must(t, changes.Wait())
		w.sentinel(t, ns)
		w.settle(t, inside)
		others.check(t, w)
	})

	t.Run("others are faster than a push under way", func(t *testing.T) {
		others.overtake(t, w, 4)
		for n := range 4 {
			must(t, w.awaitVersions(within(t, stepLimit), "", w.apply(t, configMap(ns, "overtaken", fmt.Sprint(n)))))
		}
		overtook := 0
		for _, c := range w.history(t) {
			if c.Subject == overtaking {
				others.commits = append(others.commits, c.Hash)
				overtook++
			}
		}
		if overtook != 4 {
			t.Errorf("%d pushes were overtaken, want 4: the test proves nothing", overtook)
		}
		w.settle(t, inside)
		others.check(t, w)
	})

	t.Run("a second start writes only what it missed", func(t *testing.T) {
		stop(t, k)
		before := w.tip(t)
		missed := w.apply(t, configMap(ns, "missed", "while nobody was looking"))
		w.startReady(t)
		must(t, w.awaitVersions(within(t, stepLimit), before, missed))
		last := w.sentinel(t, ns)
		news, err := w.remote.History(before + ".." + last.Hash)
		must(t, err)
		if len(news) != 2 {
			for _, c := range news {
				t.Logf("%.8s %s", c.Hash, c.Subject)
			}
			t.Errorf("%d commits since, want that of the change that was missed and that of the sentinel", len(news))
		}
		w.settle(t, inside)
		others.check(t, w)
	})
}

// others are people with a clone of their own.
type others struct {
	clone   string
	commits []string
	files   map[string]string
}

func newOthers(t *testing.T, w *world) *others {
	t.Helper()
	o := &others{clone: filepath.Join(t.TempDir(), "clone"), files: map[string]string{}}
	must(t, os.Mkdir(o.clone, 0o755))
	o.git(t, "init", "-q", "-b", harness.Branch)
	o.git(t, "remote", "add", "origin", w.remote.Dir)
	return o
}

func (o *others) git(t *testing.T, args ...string) string {
	t.Helper()
	out, err := gittest.Git(o.clone, args...)
	must(t, err)
	return out
}

// commit commits files that are theirs.
func (o *others) commit(t *testing.T, files map[string]string) {
	t.Helper()
	maps.Copy(o.files, files)
	o.disfigure(t, files)
}

// disfigure commits files that are kubescribe's: what they say will not last.
func (o *others) disfigure(t *testing.T, files map[string]string) {
	t.Helper()
	for path, content := range files {
		path = filepath.Join(o.clone, path)
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.WriteFile(path, []byte(content), 0o644)) //nolint:gosec // as people's files are
	}
	o.git(t, "add", ".")
	o.git(t, "commit", "-q", "-m", fmt.Sprintf("Work on %d files", len(files)))
}

// pull brings the clone to what the branch is.
func (o *others) pull(t *testing.T) {
	t.Helper()
	o.git(t, "fetch", "-q", "origin", harness.Branch)
	o.git(t, "reset", "-q", "--hard", "FETCH_HEAD")
}

// remove removes a file.
func (o *others) remove(t *testing.T, path string) {
	t.Helper()
	must(t, os.Remove(filepath.Join(o.clone, path)))
}

// push brings the commit to the branch, on top of what is there: as often as it
// takes when the branch moves.
func (o *others) push(t *testing.T) {
	t.Helper()
	must(t, harness.Poll(within(t, stepLimit), time.Millisecond, "others to get a push through", func(context.Context) error {
		_, err := gittest.Git(o.clone, "push", "-q", "origin", harness.Branch)
		if err != nil && strings.Contains(err.Error(), "rejected") {
			_, perr := gittest.Git(o.clone, "pull", "-q", "--rebase", "origin", harness.Branch)
			return errors.Join(err, perr)
		}
		return err
	}))
	o.commits = append(o.commits, o.git(t, "rev-parse", "HEAD"))
}

// overtaking is the subject of a commit that got in between.
const overtaking = "In between"

// overtake has somebody else's commit arrive in the middle of each of the next
// pushes: after the branch was advertised, before it is moved.
func (o *others) overtake(t *testing.T, w *world, pushes int) {
	t.Helper()
	script := strings.NewReplacer("PUSHES", fmt.Sprint(pushes), "BRANCH", "refs/heads/"+harness.Branch, "SUBJECT", overtaking).Replace(`#!/bin/sh
cat >/dev/null
unset GIT_QUARANTINE_PATH GIT_OBJECT_DIRECTORY GIT_ALTERNATE_OBJECT_DIRECTORIES
n=1
while [ $n -le PUSHES ]; do
	if mkdir overtaken-$n 2>/dev/null; then
		git update-ref BRANCH $(git commit-tree -p BRANCH -m 'SUBJECT' 'BRANCH^{tree}')
		exit 0
	fi
	n=$((n + 1))
done
`)
	must(t, gittest.InstallHook(w.remote.Dir, "pre-receive", script))
	t.Cleanup(func() { _ = gittest.InstallHook(w.remote.Dir, "pre-receive", "") })
}

// check fails the test unless all that others pushed is in the branch, and their
// files are what they were, byte for byte.
func (o *others) check(t *testing.T, w *world) {
	t.Helper()
	have := map[string]bool{}
	for _, c := range w.history(t) {
		have[c.Hash] = true
	}
	for _, c := range o.commits {
		if !have[c] {
			t.Errorf("the branch has lost %s", c)
		}
	}
	files, err := w.remote.Files("")
	must(t, err)
	for path, content := range o.files {
		if f, ok := files[path]; !ok || f.Content != content || f.Mode != "100644" {
			t.Errorf("%s is %q, want %q", path, f, content)
		}
	}
}

// stop has a daemon stop as SIGTERM promises.
func stop(t *testing.T, k *harness.Daemon) {
	t.Helper()
	took, err := k.Terminate(within(t, stopLimit))
	must(t, err)
	t.Logf("%s stopped within %s", k.Name, took.Round(time.Millisecond))
}
