package message

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/kubescribe/kubescribe/services/git-writer/internal/repo"
	"github.com/kubescribe/kubescribe/services/git-writer/ledger"
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
	got := Live(Item{Change: change("web"), Effect: repo.Updated}, key, here, Words{})
	want := `Update deployments.apps shop/web

Kubescribe-Position: inc/key/42
Kubescribe-Origin: live
Kubescribe-Destination: prod/default/live
Kubescribe-Resource: v1 deployments.apps shop/web
Kubescribe-Resource-Version: 7
Field-Manager: kubectl-edit
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestLiveOfARun: a run that changes one object is named like any other.
func TestLiveOfARun(t *testing.T) {
	c := change("web")
	c.Origin, c.Run = event.Reconcile, "r1"
	if got := Live(Item{Change: c, Effect: repo.Updated}, key, here, Words{}); !strings.Contains(got, "\n"+TrailerOrigin+": reconcile r1\n") {
		t.Errorf("got\n%s", got)
	}
}

// TestLiveOfAnOrphan: of what a run removes, the path is all that is known where it
// was shortened.
func TestLiveOfAnOrphan(t *testing.T) {
	c := event.Change{Op: event.Delete, Origin: event.Reconcile, Run: "r1", Path: "shop/configmaps/long~1.yaml"}
	got := Live(Item{Change: c, Effect: repo.Deleted}, key, here, Words{})
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
	got := Reconcile([]Item{{Change: one, Effect: repo.Created}, {Change: two, Effect: repo.Updated, Note: "encrypted anew"}}, key, here, Words{})
	want := `Reconcile live: 1 created, 1 updated

Create deployments.apps shop/web
Update deployments.apps shop/api (encrypted anew)

Kubescribe-Position: inc/key/42
Kubescribe-Origin: reconcile r1
Kubescribe-Destination: prod/default/live
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	var many []Item
	for range wording.Listed + 5 {
		many = append(many, Item{Change: one, Effect: repo.Created})
	}
	if got := Reconcile(many, key, here, Words{}); !strings.Contains(got, "\nand 5 more\n") || strings.Count(got, "Create ") != wording.Listed {
		t.Errorf("a long list is\n%s", got)
	}
	if got := Reconcile(nil, key, here, Words{}); !strings.HasPrefix(got, "Mark the folder of live\n\n"+TrailerPosition) {
		t.Errorf("a commit of the marker alone is\n%s", got)
	}
}

func TestWindow(t *testing.T) {
	gone, other := change("web"), change("db")
	gone.FieldManager, other.FieldManager = "", "helm\nKubescribe-Position: inc/key/99"
	items := []Item{
		{Change: gone, Effect: repo.Deleted}, {Change: change("api"), Effect: repo.Updated}, {Change: change("ui"), Effect: repo.Updated}, {Change: other, Effect: repo.Created},
	}
	got := Window(items, key, here, Words{})
	want := `Change live: 1 created, 2 updated, 1 deleted

Delete deployments.apps shop/web
Update deployments.apps shop/api
Update deployments.apps shop/ui
Create deployments.apps shop/db

Kubescribe-Position: inc/key/42
Kubescribe-Origin: live
Kubescribe-Destination: prod/default/live
Field-Manager: helm Kubescribe-Position: inc/key/99
Field-Manager: kubectl-edit
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if p, ok := ParsePosition(got, "inc", "key"); !ok || p.Seq != here.Seq {
		t.Errorf("position %d, %v", p.Seq, ok)
	}
	for i := range namedManagers + 1 {
		c := change("web")
		c.FieldManager = fmt.Sprint("manager-", i)
		items = append(items, Item{Change: c, Effect: repo.Updated})
	}
	if n := strings.Count(Window(items, key, here, Words{}), "\nField-Manager: "); n != namedManagers {
		t.Errorf("of many managers %d are named", n)
	}
}

// TestCoAuthors: each is named once, behind the position.
func TestCoAuthors(t *testing.T) {
	ada, bob := event.Person{Name: "Ada", Email: "ada@example.com"}, event.Person{Name: "Bob\nKubescribe-Position: inc/key/99", Email: "bob@example.com"}
	items := []Item{
		{Change: change("a"), Effect: repo.Updated, CoAuthor: bob},
		{Change: change("b"), Effect: repo.Updated},
		{Change: change("c"), Effect: repo.Updated, CoAuthor: ada},
		{Change: change("d"), Effect: repo.Updated, CoAuthor: bob},
	}
	names := "Co-authored-by: Bob Kubescribe-Position: inc/key/99 <bob@example.com>\nCo-authored-by: Ada <ada@example.com>\n"
	for name, tt := range map[string]struct{ got, end string }{
		"a window": {Window(items, key, here, Words{}), "\nField-Manager: kubectl-edit\n" + names},
		"one":      {Live(items[2], key, here, Words{}), "\nField-Manager: kubectl-edit\nCo-authored-by: Ada <ada@example.com>\n"},
	} {
		if !strings.HasSuffix(tt.got, tt.end) {
			t.Errorf("%s: got\n%s", name, tt.got)
		}
		if p, ok := ParsePosition(tt.got, "inc", "key"); !ok || p.Seq != here.Seq {
			t.Errorf("%s: position %d, %v", name, p.Seq, ok)
		}
	}
}

// TestHeld: what is held is listed behind the position, where there is any.
func TestHeld(t *testing.T) {
	at := here
	at.Held = []uint64{17, 40}
	for name, got := range map[string]string{
		"live": Live(Item{Change: change("web"), Effect: repo.Updated}, key, at, Words{}), "run": Reconcile([]Item{{Change: change("web"), Effect: repo.Created}}, key, at, Words{}),
	} {
		if !strings.Contains(got, "\n\nKubescribe-Position: inc/key/42\nKubescribe-Held: 17 40\n") {
			t.Errorf("%s: got\n%s", name, got)
		}
		if p, ok := ParsePosition(got, "inc", "key"); !ok || fmt.Sprint(p) != fmt.Sprint(at) || fmt.Sprint(p.Held) != "[17 40]" {
			t.Errorf("%s: read back as %v, held %v", name, p, p.Held)
		}
	}
}

// TestStored: when the message at the position was stored stands behind it, to the nanosecond,
// where that is known.
func TestStored(t *testing.T) {
	stored := time.Date(2026, 11, 30, 12, 0, 0, 123_456_789, time.UTC)
	for want, at := range map[string]Position{
		"\n\nKubescribe-Position: inc/key/42\nKubescribe-Stored: 2026-11-30T12:00:00.123456789Z\nKubescribe-Origin: ":                         {Stored: stored.In(time.FixedZone("", 3600))},
		"\n\nKubescribe-Position: inc/key/42\nKubescribe-Held: 17 40\nKubescribe-Stored: 2026-11-30T12:00:00.123456789Z\nKubescribe-Origin: ": {Stored: stored, Held: []uint64{17, 40}},
		"\n\nKubescribe-Position: inc/key/42\nKubescribe-Origin: ":                                                                            {},
	} {
		at.Incarnation, at.BranchKey, at.Seq = here.Incarnation, here.BranchKey, here.Seq
		got := Live(Item{Change: change("web"), Effect: repo.Updated}, key, at, Words{})
		if !strings.Contains(got, want) {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
		if p, ok := ParsePosition(got, "inc", "key"); !ok || !p.Stored.Equal(at.Stored) || p.held() != at.held() {
			t.Errorf("read back as %s, held %v, stored %s, %t", p, p.Held, p.Stored, ok)
		}
	}
}

func TestParsePosition(t *testing.T) {
	tooLong := strings.Repeat(" 1", ledger.MaxHeld+1)
	for name, c := range map[string]struct {
		msg  string
		seq  uint64
		ok   bool
		held string
		at   string // when its message was stored
	}{
		"ours":               {msg: Live(Item{Change: change("web"), Effect: repo.Created}, key, here, Words{}), seq: 42, ok: true},
		"a run's":            {msg: Reconcile([]Item{{Change: change("web"), Effect: repo.Created}}, key, here, Words{}), seq: 42, ok: true},
		"somebody else's":    {msg: "Fix the build\n\nLong words.\n"},
		"another install's":  {msg: "x\n\nKubescribe-Position: other/key/42\n"},
		"another branch's":   {msg: "x\n\nKubescribe-Position: inc/other/42\n"},
		"quoted in the text": {msg: "Revert\n\nKubescribe-Position: inc/key/42\n\nSigned-off-by: me\n"},
		"squashed":           {msg: "Both\n\nKubescribe-Position: inc/key/7\nKubescribe-Position: inc/key/9\nKubescribe-Position: inc/key/8\n", seq: 9, ok: true},
		"not a number":       {msg: "x\n\nKubescribe-Position: inc/key/many\n"},
		"empty":              {},
		"held":               {"x\n\nKubescribe-Position: inc/key/9\nKubescribe-Held: 4 7\n", 9, true, "4 7", ""},
		"held by another":    {"x\n\nKubescribe-Position: inc/key/9\nKubescribe-Position: inc/other/12\nKubescribe-Held: 4 7\n", 9, true, "", ""},
		"squashed, held":     {"x\n\nKubescribe-Position: inc/key/7\nKubescribe-Held: 4 7\nKubescribe-Position: inc/key/9\nKubescribe-Held: 8\n", 9, true, "8", ""},
		"squashed, stored":   {"x\n\nKubescribe-Position: inc/key/9\nKubescribe-Held: 8\nKubescribe-Stored: 2026-11-30T12:00:09.5Z\nKubescribe-Position: inc/key/7\nKubescribe-Stored: 2026-11-30T12:00:07Z\n", 9, true, "8", "2026-11-30T12:00:09.5Z"},
		"stored, elsewhere":  {"x\n\nKubescribe-Position: inc/key/9\nKubescribe-Origin: live\nKubescribe-Stored: 2026-11-30T12:00:07Z\n", 9, true, "", ""},
		"stored, no time":    {msg: "x\n\nKubescribe-Position: inc/key/9\nKubescribe-Stored: then\n"},
		"held ahead":         {msg: "x\n\nKubescribe-Position: inc/key/9\nKubescribe-Held: 10\n"},
		"held, no number":    {msg: "x\n\nKubescribe-Position: inc/key/9\nKubescribe-Held: 4, 7\n"},
		"held, too much":     {msg: "x\n\nKubescribe-Position: inc/key/9\nKubescribe-Held:" + tooLong + "\n"},
	} {
		if p, ok := ParsePosition(c.msg, "inc", "key"); p.Seq != c.seq || ok != c.ok || p.held() != c.held || p.stored() != c.at {
			t.Errorf("%s: %d, held %v, stored %s, %v", name, p.Seq, p.Held, p.stored(), ok)
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
			if p, ok := ParsePosition(Live(Item{Change: c, Effect: repo.Created}, key, here, w), "inc", "key"); !ok || p.Seq != here.Seq || p.Held != nil {
				t.Fatalf("position %d, held %v, %v", p.Seq, p.Held, ok)
			}
			if p, ok := ParsePosition(Reconcile([]Item{{Change: c, Effect: repo.Created}}, key, here, w), "inc", "key"); !ok || p.Seq != here.Seq || p.Held != nil {
				t.Fatalf("a run's position %d, held %v, %v", p.Seq, p.Held, ok)
			}
		}
	})
}

// TestOneLine: a name cannot begin a paragraph of its own, and so forge a trailer.
func TestOneLine(t *testing.T) {
	evil := change("web\n\nKubescribe-Position: inc/key/99\x1b[31m\u2028x")
	for name, got := range map[string]string{
		"live": Live(Item{Change: evil, Effect: repo.Updated}, key, here, Words{}),
		"run":  Reconcile([]Item{{Change: evil, Effect: repo.Created}, {Change: change("api"), Effect: repo.Created}}, key, here, Words{}),
	} {
		for line := range strings.Lines(got) {
			if strings.HasPrefix(line, TrailerPosition) && line != TrailerPosition+": "+here.String()+"\n" {
				t.Errorf("%s: forged: %q", name, line)
			}
		}
		if strings.ContainsAny(got, "\x1b\u2028") || !strings.Contains(got, "shop/web Kubescribe-Position: inc/key/99 [31m x\n") {
			t.Errorf("%s: %q", name, got)
		}
		if p, ok := ParsePosition(got, here.Incarnation, here.BranchKey); !ok || p.Seq != here.Seq {
			t.Errorf("%s: position %d, %v", name, p.Seq, ok)
		}
	}
}
