package cli

import (
	"strconv"
	"testing"

	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/service"
)

func TestShownDifference(t *testing.T) {
	const file, left = "shop/configmaps/web.yaml", "shop/configmaps/zoo.yaml"
	for name, tt := range map[string]struct {
		path         string
		what         event.What
		git, cluster string
		known        bool
		want         string
	}{
		"missing":          {file, event.ResultCreate, "", "", false, "+ " + file + "\n"},
		"orphaned":         {file, event.ResultDelete, "", "", false, "- " + file + "\n"},
		"different":        {file, event.ResultReconcile, "a: 1\nb: 1\n", "a: 1\nb: 2\n", true, "--- git/" + file + "\n+++ cluster/" + file + "\n@@ -1,2 +1,2 @@\n a: 1\n-b: 1\n+b: 2\n"},
		"no end of line":   {file, event.ResultReconcile, "a: 1", "a: 1\n", true, "--- git/" + file + "\n+++ cluster/" + file + "\n@@ -1 +1 @@\n-a: 1\n\\ No newline at end of file\n+a: 1\n"},
		"changed since":    {file, event.ResultReconcile, "a: 1\n", "", false, "~ " + file + ": content differs, and has changed again since\n"},
		"left":             {left, event.ResultReconcile, "a: 1\n", "", false, "~ " + left + ": content differs; too much does to show all of it at once\n"},
		"no text":          {file, event.ResultReconcile, "\xff", "a: 1\n", true, "~ " + file + ": content differs\n"},
		"a secret":         {"shop/secrets/web.yaml", event.ResultReconcile, "a: s3cret\n", "a: t0p\n", true, "~ shop/secrets/web.yaml: content differs\n"},
		"a secret missing": {"shop/secrets/web.yaml", event.ResultCreate, "", "", false, "+ shop/secrets/web.yaml\n"},
		"a strange name":   {"shop/configmaps/\x1b[2J.yaml", event.ResultDelete, "", "", false, "- \"shop/configmaps/\\x1b[2J.yaml\"\n"},
	} {
		t.Run(name, func(t *testing.T) {
			d := difference{Entry: event.Entry{Path: tt.path, What: tt.what}, left: tt.path == left}
			if got := shownDifference(d, []byte(tt.git), []byte(tt.cluster), tt.known); got != tt.want {
				t.Errorf("it shows\n%swant\n%s", got, tt.want)
			}
		})
	}
}

// TestLeave: what was left are the last of those that want contents.
func TestLeave(t *testing.T) {
	for n, want := range []string{"", "5", "35", "135"} {
		var of []difference
		for _, what := range []event.What{event.ResultDelete, event.ResultCreate, event.ResultDelete, event.ResultReconcile, event.ResultDelete, event.ResultReconcile, event.ResultDelete} {
			of = append(of, difference{Entry: event.Entry{What: what}})
		}
		leave(of, n)
		got := ""
		for i, d := range of {
			if d.left {
				got += strconv.Itoa(i)
			}
		}
		if got != want {
			t.Errorf("of %d that were left, it marks %q, want %q", n, got, want)
		}
	}
}

func TestSensitive(t *testing.T) {
	for path, want := range map[string]bool{
		"shop/secrets/web.yaml": true, "shop/configmaps/web.yaml": false, "shop/example.com/secrets/web.yaml": false,
		"shop/configmaps/secrets.yaml": false, "secrets/configmaps/web.yaml": false, "notes.yaml": false,
		"shop/secrets/web.sops.yaml": true, "shop/example.com/vaults/web.sops.yaml": true, "notes.sops.yaml": true,
	} {
		if got := sensitive(path); got != want {
			t.Errorf("%s is sensitive: %t", path, got)
		}
	}
}

func TestSummary(t *testing.T) {
	d := event.Destination{Key: event.DestinationKey{Cluster: "prod", Namespace: "gitops", Name: "live"}, Branch: "main"}
	got := summary(d, event.Outcome{
		Created: 1, Updated: 2, Equal: 3, Kept: 2, Pending: &event.Pending{Count: 12}, ForeignCount: 1, Foreign: []string{"a.yaml"}, Incomplete: []string{"pods"},
	})
	want := "prod/gitops/live, folder . on main: 1 missing in Git, 12 orphaned, 2 different, 3 equal\n" +
		"  a run would keep 2 files of no object (prune.mode keeps them, or their type is not known wholly)\n" +
		"  a run would withhold the deletion of what is orphaned, more than prune allows, until somebody approves it\n" +
		"  left alone: 1 (files that hold resources and are not at their path, or hold several)\n    a.yaml\n" +
		"  incomplete: types that could not be listed, nothing of theirs was taken for absent: pods\n"
	if got != want {
		t.Errorf("it says\n%swant\n%s", got, want)
	}
}

// TestDiffExitCode: with --exit-code 1 is kept for differences.
func TestDiffExitCode(t *testing.T) {
	dir := t.TempDir()
	for code, args := range map[int][]string{
		service.ExitError: {"diff", "live", "--data-dir", dir},
		2:                 {"diff", "live", "--exit-code", "--data-dir", dir},
	} {
		if r := command(t, args...); r.code != code || r.stderr == "" || r.stdout != "" {
			t.Errorf("%v: %+v", args, r)
		}
	}
}
