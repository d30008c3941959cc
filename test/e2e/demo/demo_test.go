package demo

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

func TestChanges(t *testing.T) {
	all := changes(workload)
	removed := 0
	for i, c := range all {
		if !strings.Contains(c.manifest, "kind: ") {
			t.Errorf("change %d is %q", i, c.manifest)
		}
		if c.remove {
			removed++
		}
	}
	if len(all) < 20 || removed == 0 {
		t.Errorf("%d changes, %d of them deletions", len(all), removed)
	}
}

// TestLander: answer and commit may come in any order.
func TestLander(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		l := newLander(&printer{out: &out})
		commit := func(subject, resource, version, origin string) harness.Commit {
			return harness.Commit{
				Hash: "0123456789", Subject: subject, Resource: resource, Version: version, Origin: origin,
				Files: []harness.FileChange{{Status: "M", Path: "a"}, {Status: "M", Path: "b"}, {Status: "M", Path: "c"}},
			}
		}
		now := time.Now()
		l.land(landing{commit("Reconcile live", "", "", "reconcile"), now})
		l.answered(harness.Written{Resource: "x", Version: "1", At: now})
		l.land(landing{commit("Update x", "x", "1", "live"), now.Add(7 * time.Millisecond)})
		l.land(landing{commit("Delete x", "x", "2", "live"), now.Add(9 * time.Millisecond)})
		l.answered(harness.Written{Resource: "x", Deleted: true, At: now})
		if err := l.await(t.Context()); err != nil {
			t.Error(err)
		}
		line := func(took, subject string) string {
			return fmt.Sprintf("  %s  0123456  %-58s  a b and 1 more\n", took, subject)
		}
		want := line("       ", "Reconcile live") + line("   7 ms", "Update x") + line("   9 ms", "Delete x")
		if out.String() != want {
			t.Errorf("printed\n%s, want\n%s", out.String(), want)
		}
		if got := l.times(); len(got) != 2 || got[0] != 7*time.Millisecond {
			t.Errorf("times %v", got)
		}
		l.answered(harness.Written{Resource: "y", Version: "3", At: now})
		if err := l.await(t.Context()); err == nil || !strings.Contains(err.Error(), "y 3") {
			t.Errorf("a commit that never lands: %v", err)
		}
	})
}
