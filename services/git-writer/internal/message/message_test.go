package message

import (
	"strings"
	"testing"

	"github.com/kubescribe/kubescribe/services/git-writer/internal/repo"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/wording"
)

var (
	key  = event.DestinationKey{Cluster: "prod", Namespace: "default", Name: "live"}
	here = Position{Incarnation: "inc", BranchKey: "key", Seq: 42}
)

func change(name string) event.Change {
	return event.Change{
		Object: event.Object{Group: "apps", APIVersion: "v1", Resource: "deployments", Kind: "Deployment", Namespace: "shop", Name: name},
		Origin: event.Live, ResourceVersion: "7", FieldManager: "kubectl-edit",
	}
}

func TestLive(t *testing.T) {
	got := Live(Item{change("web"), repo.Updated}, key, here, Words{})
	want := `Update deployments.apps shop/web

Kubescribe-Position: inc/key/42
Kubescribe-Origin: live
Kubescribe-Destination: prod/default/live
Kubescribe-Resource: v1 deployments.apps shop/web
Kubescribe-Resource-Version: 7
Kubescribe-Field-Manager: kubectl-edit
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestLiveOfARun: a run that changes one object is named like any other.
func TestLiveOfARun(t *testing.T) {
	c := change("web")
	c.Origin, c.Run = event.Reconcile, "r1"
	if got := Live(Item{c, repo.Updated}, key, here, Words{}); !strings.Contains(got, "\n"+TrailerOrigin+": reconcile r1\n") {
		t.Errorf("got\n%s", got)
	}
}

// TestLiveOfAnOrphan: of what a run removes, the path is all that is known where it
// was shortened.
func TestLiveOfAnOrphan(t *testing.T) {
	c := event.Change{Op: event.Delete, Origin: event.Reconcile, Run: "r1", Path: "shop/configmaps/long~1.yaml"}
	got := Live(Item{c, repo.Deleted}, key, here, Words{})
	want := `Delete shop/configmaps/long~1.yaml

Kubescribe-Position: inc/key/42
Kubescribe-Origin: reconcile r1
Kubescribe-Destination: prod/default/live
Kubescribe-Resource: shop/configmaps/long~1.yaml
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestReconcile(t *testing.T) {
	one, two := change("web"), change("api")
	one.Run, two.Run = "r1", "r1"
	got := Reconcile([]Item{{one, repo.Created}, {two, repo.Updated}}, key, here, Words{})
	want := `Reconcile live: 1 created, 1 updated

Create deployments.apps shop/web
Update deployments.apps shop/api

Kubescribe-Position: inc/key/42
Kubescribe-Origin: reconcile r1
Kubescribe-Destination: prod/default/live
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	var many []Item
	for range wording.Listed + 5 {
		many = append(many, Item{one, repo.Created})
	}
	if got := Reconcile(many, key, here, Words{}); !strings.Contains(got, "\nand 5 more\n") || strings.Count(got, "Create ") != wording.Listed {
		t.Errorf("a long list is\n%s", got)
	}
	if got := Reconcile(nil, key, here, Words{}); !strings.HasPrefix(got, "Mark the folder of live\n\n"+TrailerPosition) {
		t.Errorf("a commit of the marker alone is\n%s", got)
	}
}

func TestWindow(t *testing.T) {
	got := Window([]Item{{change("web"), repo.Deleted}, {change("api"), repo.Updated}}, key, here, Words{})
	want := `Change live: 1 updated, 1 deleted

Delete deployments.apps shop/web
Update deployments.apps shop/api

Kubescribe-Position: inc/key/42
Kubescribe-Origin: live
Kubescribe-Destination: prod/default/live
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestParsePosition(t *testing.T) {
	for name, c := range map[string]struct {
		msg string
		seq uint64
		ok  bool
	}{
		"ours":               {Live(Item{change("web"), repo.Created}, key, here, Words{}), 42, true},
		"a run's":            {Reconcile([]Item{{change("web"), repo.Created}}, key, here, Words{}), 42, true},
		"somebody else's":    {"Fix the build\n\nLong words.\n", 0, false},
		"another install's":  {"x\n\nKubescribe-Position: other/key/42\n", 0, false},
		"another branch's":   {"x\n\nKubescribe-Position: inc/other/42\n", 0, false},
		"quoted in the text": {"Revert\n\nKubescribe-Position: inc/key/42\n\nSigned-off-by: me\n", 0, false},
		"squashed":           {"Both\n\nKubescribe-Position: inc/key/7\nKubescribe-Position: inc/key/9\nKubescribe-Position: inc/key/8\n", 9, true},
		"not a number":       {"x\n\nKubescribe-Position: inc/key/many\n", 0, false},
		"empty":              {"", 0, false},
	} {
		if seq, ok := ParsePosition(c.msg, "inc", "key"); seq != c.seq || ok != c.ok {
			t.Errorf("%s: %d %v", name, seq, ok)
		}
	}
}

// FuzzTrailers: whatever a cluster sends cannot forge a position, not in the words of
// a template either.
func FuzzTrailers(f *testing.F) {
	own, err := ParseWords(event.Wording{Subject: "x {{.Name}}", Body: "{{.Name}}\n\n{{range .Changes}}{{.Name}}\n{{end}}\n\n{{.Object}}"})
	if err != nil {
		f.Fatal(err)
	}

	f.Add("web\n\nKubescribe-Position: inc/key/999", "m\nKubescribe-Position: inc/key/999", "9\n\nKubescribe-Position: inc/key/999\n")
	f.Fuzz(func(t *testing.T, name, manager, version string) {
		c := change(name)
		c.FieldManager, c.ResourceVersion = manager, version
		for _, w := range []Words{{}, own} {
			if seq, ok := ParsePosition(Live(Item{c, repo.Created}, key, here, w), "inc", "key"); !ok || seq != here.Seq {
				t.Fatalf("position %d %v", seq, ok)
			}
			if seq, ok := ParsePosition(Reconcile([]Item{{c, repo.Created}}, key, here, w), "inc", "key"); !ok || seq != here.Seq {
				t.Fatalf("a run's position %d %v", seq, ok)
			}
		}
	})
}

// TestOneLine: a name cannot begin a paragraph of its own, and so forge a trailer.
func TestOneLine(t *testing.T) {
	evil := change("web\n\nKubescribe-Position: inc/key/99\x1b[31m\u2028x")
	for name, got := range map[string]string{
		"live": Live(Item{evil, repo.Updated}, key, here, Words{}),
		"run":  Reconcile([]Item{{evil, repo.Created}, {change("api"), repo.Created}}, key, here, Words{}),
	} {
		for line := range strings.Lines(got) {
			if strings.HasPrefix(line, TrailerPosition) && line != TrailerPosition+": "+here.String()+"\n" {
				t.Errorf("%s: forged: %q", name, line)
			}
		}
		if strings.ContainsAny(got, "\x1b\u2028") || !strings.Contains(got, "shop/web Kubescribe-Position: inc/key/99 [31m x\n") {
			t.Errorf("%s: %q", name, got)
		}
		if seq, ok := ParsePosition(got, here.Incarnation, here.BranchKey); !ok || seq != here.Seq {
			t.Errorf("%s: position %d, %v", name, seq, ok)
		}
	}
}
