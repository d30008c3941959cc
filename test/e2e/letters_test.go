package e2e_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/gittest"
	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

// deadLetter is what kubescribe dlq says of a letter.
type deadLetter struct {
	ID       uint64
	Stage    string
	Reason   string
	Attempts uint64
	Object   event.Object
	Body     string
}

// deadLetters are those of an object, the oldest first.
func (w *world) deadLetters(t *testing.T, name string) (of []deadLetter) {
	t.Helper()
	code, said := runToEnd(t, "dlq", "ls", "-o", "json", "--data-dir", w.options.DataDir)
	var all []deadLetter
	if err := json.Unmarshal([]byte(said), &all); code != 0 || err != nil {
		t.Fatalf("dlq ls ends with %d, %v: %s", code, err, said)
	}
	for _, l := range all {
		if l.Object.Name == name {
			of = append(of, l)
		}
	}
	return of
}

// dlq runs one of its verbs, which is to end well.
func (w *world) dlq(t *testing.T, args ...string) string {
	t.Helper()
	code, said := runToEnd(t, append(append([]string{"dlq"}, args...), "--data-dir", w.options.DataDir)...)
	if code != 0 {
		t.Errorf("dlq %v ends with %d: %s", args, code, said)
	}
	return said
}

// TestDeadLetters: a change whose path is taken in Git is a dead letter, says why, and stops nobody.
// Once the path is free, a retry brings the object as it is by then, in the order of its
// versions, whether it has changed meanwhile or not; and what was dropped is gone.
func TestDeadLetters(t *testing.T) {
	t.Parallel()
	w := newWorld(t, cluster)
	ns := w.namespace(t, "letters")
	w.options.Args = []string{"--namespace", ns}
	k := w.startReady(t)
	w.sentinel(t, ns)
	w.settle(t, scope(ns))

	path := func(name string) string { return "live/" + ns + "/configmaps/" + name + ".yaml" }
	others := newOthers(t, w)
	others.pull(t)
	for _, name := range []string{"quiet", "busy"} {
		must(t, os.Symlink("elsewhere", filepath.Join(others.clone, path(name))))
	}
	others.commit(t, nil)
	others.push(t)
	w.apply(t, configMap(ns, "quiet", "1"))
	w.apply(t, configMap(ns, "busy", "1"))
	w.apply(t, configMap(ns, "busy", "2"))
	w.sentinel(t, ns)

	quiet, busy := w.deadLetters(t, "quiet"), w.deadLetters(t, "busy")
	if len(quiet) != 1 || len(busy) != 2 {
		t.Fatalf("the dead letters are %+v and %+v", quiet, busy)
	}
	if l := quiet[0]; l.Stage != "git-writer" || l.Attempts != 1 || !strings.Contains(l.Reason, "a symbolic link stands at "+path("quiet")) || l.Object.Resource != "configmaps" {
		t.Errorf("the letter is %+v", l)
	}
	if said := w.dlq(t, "show", fmt.Sprint(busy[1].ID)); !strings.Contains(said, "configmaps "+ns+"/busy") || !strings.Contains(said, "\n---\napiVersion: v1\n") || !strings.Contains(said, `value: "2"`) {
		t.Errorf("it shows %s", said)
	}
	if d := w.get(t); d.DeadLetters != 3 {
		t.Errorf("get shows %d dead letters", d.DeadLetters)
	}
	must(t, k.AwaitReady(within(t, stepLimit))) // letters keep nobody from it

	// While the path is taken a retry is another letter.
	w.dlq(t, "retry", fmt.Sprint(quiet[0].ID))
	await(t, "the retry is a letter", func() bool {
		now := w.deadLetters(t, "quiet")
		return len(now) == 1 && now[0].ID != quiet[0].ID
	})

	others.pull(t)
	others.remove(t, path("quiet"))
	others.remove(t, path("busy"))
	others.commit(t, nil)
	others.push(t)
	w.dlq(t, "retry", fmt.Sprint(w.deadLetters(t, "quiet")[0].ID))
	w.apply(t, configMap(ns, "busy", "3"))
	w.dlq(t, "retry", fmt.Sprint(busy[0].ID))
	w.apply(t, configMap(ns, "busy", "4"))
	w.settle(t, scope(ns))
	w.sentinel(t, ns)
	for name, want := range map[string]string{"quiet": "1", "busy": "3 4"} {
		if got := w.values(t, path(name)); got != want {
			t.Errorf("%s had the values %q in Git, want %q", name, got, want)
		}
	}
	if left := w.deadLetters(t, "busy"); len(left) != 1 || left[0].ID != busy[1].ID {
		t.Errorf("there are left %+v", left)
	}
	w.dlq(t, "drop", fmt.Sprint(busy[1].ID))
	if left := w.deadLetters(t, "busy"); len(left) != 0 {
		t.Errorf("dropped, there are left %+v", left)
	}
	stop(t, k)
}

// values are those that a ConfigMap's file had in the branch's history, one after the other.
func (w *world) values(t *testing.T, path string) string {
	t.Helper()
	out, err := gittest.Git(w.remote.Dir, "log", "--reverse", "--format=", "-p", harness.Branch, "--", path)
	must(t, err)
	var all []string
	for line := range strings.SplitSeq(out, "\n") {
		if value, ok := strings.CutPrefix(line, `+  value: "`); ok {
			all = append(all, strings.TrimSuffix(value, `"`))
		}
	}
	return strings.Join(all, " ")
}
