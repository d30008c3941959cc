package bench

import (
	"fmt"
	"testing"
	"time"

	"github.com/kubescribe/kubescribe/shared/gittest"
	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

// TestFollow: each version has come when the branch was first seen to have it, and the
// history is from where it was before.
func TestFollow(t *testing.T) {
	r := harness.Repository{Dir: t.TempDir(), Branch: harness.Branch}
	if err := gittest.InitBare(r.Dir, r.Branch); err != nil {
		t.Fatal(err)
	}
	var written []harness.Written
	land := func(version int) {
		t.Helper()
		const resource = "v1 configmaps a/b"
		tip, err := r.Tip()
		if err != nil {
			t.Fatal(err)
		}
		c := newCommit(tip, fmt.Sprintf("Change it\n\nKubescribe-Position: i/main/%d\nKubescribe-Resource: %s\nKubescribe-Resource-Version: %d\n", version, resource, version))
		c.put("live/a/configmaps/b.yaml", fmt.Sprint(version))
		written = append(written, harness.Written{Resource: resource, Version: fmt.Sprint(version), At: time.Now()})
		if err := c.land(r); err != nil {
			t.Fatal(err)
		}
	}
	land(1)
	f, err := follow(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	defer f.end()
	written = nil
	for version := 2; version < 5; version++ {
		land(version)
	}
	history, err := f.await(t.Context(), written, anyCommit)
	if err != nil {
		t.Fatal(err)
	}
	if len(history) != 3 || history[0].Version != "2" {
		t.Errorf("%d commits: %+v", len(history), history)
	}
	landed, err := f.arrivals(t.Context(), written)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range written {
		if at := landed[versionOf(w.Resource, w.Version)]; at.Before(w.At) || at.After(time.Now().Add(-stillFor)) {
			t.Errorf("version %s of %s came at %s", w.Version, w.At, at)
		}
	}
}
