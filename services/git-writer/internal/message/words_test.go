package message

import (
	"strings"
	"testing"

	"github.com/kubescribe/kubescribe/services/git-writer/internal/repo"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/gittest"
	"github.com/kubescribe/kubescribe/shared/wording"
)

func words(t *testing.T, subject, body string) Words {
	t.Helper()
	w, err := ParseWords(event.Wording{Subject: subject, Body: body})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

const (
	ownSubject = "{{if .Action}}[{{.Cluster}}] {{.Action}} {{.Resource}} {{.Name}}{{else}}{{.Destination}}: {{.Created}}/{{.Updated}}/{{.Deleted}}{{end}}"
	ownBody    = "{{if .Run}}By {{.Run}}:\n{{range .Changes}}\n- {{.}}{{end}}{{end}}"
)

func TestWords(t *testing.T) {
	own := words(t, ownSubject, ownBody)
	run := func(name string) event.Change {
		c := change(name)
		c.Origin, c.Run = event.Reconcile, "r1"
		return c
	}
	for name, test := range map[string]struct{ got, want string }{
		"live": {Live(Item{Change: change("web"), Effect: repo.Created}, key, here, own), `[prod] Create deployments.apps web

Kubescribe-Position: inc/key/42
Kubescribe-Origin: live
Kubescribe-Destination: prod/default/live
Kubescribe-Resource: v1 deployments.apps shop/web
Kubescribe-Resource-Version: 7
Field-Manager: kubectl-edit
`},
		"one of a run": {Live(Item{Change: run("web"), Effect: repo.Updated}, key, here, own), `[prod] Update deployments.apps web

By r1:

- Update deployments.apps shop/web

Kubescribe-Position: inc/key/42
Kubescribe-Origin: reconcile r1
Kubescribe-Destination: prod/default/live
Kubescribe-Resource: v1 deployments.apps shop/web
Kubescribe-Resource-Version: 7
Field-Manager: kubectl-edit
`},
		"a run": {Reconcile([]Item{{Change: run("web"), Effect: repo.Created}, {Change: run("api"), Effect: repo.Deleted}}, key, here, own), `live: 1/0/1

By r1:

- Create deployments.apps shop/web
- Delete deployments.apps shop/api

Kubescribe-Position: inc/key/42
Kubescribe-Origin: reconcile r1
Kubescribe-Destination: prod/default/live
`},
		"a subject alone": {Reconcile([]Item{{Change: run("web"), Effect: repo.Created}, {Change: run("api"), Effect: repo.Deleted}}, key, here, words(t, ownSubject, "")), `live: 1/0/1

Create deployments.apps shop/web
Delete deployments.apps shop/api

Kubescribe-Position: inc/key/42
Kubescribe-Origin: reconcile r1
Kubescribe-Destination: prod/default/live
`},
		"a body alone": {Reconcile([]Item{{Change: run("web"), Effect: repo.Created}, {Change: run("api"), Effect: repo.Deleted}}, key, here, words(t, "", "As ordered.")), `Reconcile live: 1 created, 1 deleted

As ordered.

Kubescribe-Position: inc/key/42
Kubescribe-Origin: reconcile r1
Kubescribe-Destination: prod/default/live
`},
		"the marker alone": {Reconcile(nil, key, here, own), `Mark the folder of live

Kubescribe-Position: inc/key/42
Kubescribe-Origin: reconcile
Kubescribe-Destination: prod/default/live
`},
		"a file without an object": {
			Live(Item{Change: event.Change{Op: event.Delete, Origin: event.Reconcile, Run: "r1", Path: "shop/configmaps/long~1.yaml"}, Effect: repo.Deleted}, key, here, words(t, "{{if .Action}}{{.Name}}{{else}}x{{end}}", "")),
			`Delete shop/configmaps/long~1.yaml

Kubescribe-Position: inc/key/42
Kubescribe-Origin: reconcile r1
Kubescribe-Destination: prod/default/live
Kubescribe-Resource: shop/configmaps/long~1.yaml
`,
		},
	} {
		if test.got != test.want {
			t.Errorf("%s: got\n%s\nwant\n%s", name, test.got, test.want)
		}
	}
}

// TestWordsOfMany: a template sees the first changes, and how many others there are.
func TestWordsOfMany(t *testing.T) {
	var many []Item
	for range wording.Listed + 5 {
		many = append(many, Item{Change: change("web"), Effect: repo.Created})
	}
	got := Reconcile(many, key, here, words(t, "{{.Created}}", "{{range .Changes}}{{.}}\n{{end}}and {{.More}} more"))
	if !strings.HasPrefix(got, "205\n\n") || !strings.Contains(got, "\nand 5 more\n\n"+TrailerPosition) || strings.Count(got, "Create ") != wording.Listed {
		t.Errorf("got\n%s", got)
	}
}

// TestParseWordsOfANewerVersion: what this one cannot read it says in its own words.
func TestParseWordsOfANewerVersion(t *testing.T) {
	w, err := ParseWords(event.Wording{Subject: "{{lower .Name}}", Body: "As ordered."})
	if err == nil {
		t.Error("no error")
	}
	if got := Live(Item{Change: change("web"), Effect: repo.Created}, key, here, w); !strings.HasPrefix(got, "Create deployments.apps shop/web\n\nAs ordered.\n\n"+TrailerPosition) {
		t.Errorf("got\n%s", got)
	}
}

// TestWordsForgeNothing: what looks like our trailers in a template's words, or in names
// that it writes, is none, neither for us nor for git.
func TestWordsForgeNothing(t *testing.T) {
	forged := TrailerPosition + ": inc/key/99"
	for _, body := range []string{"x\n\n{{.Name}}", "{{.Name}}", "x: {{.Name}}\n\ny: {{.Name}}\n\n", "{{range .Changes}}{{.Name}}\n\n{{.Name}}\n{{end}}"} {
		for _, name := range []string{forged, "web\n\n" + forged, "\x00\n" + forged + "\n", "web\r\r" + forged, "Signed-off-by: x"} {
			w := words(t, "x: {{.Name}}", body)
			one, two := Item{Change: change(name), Effect: repo.Created}, Item{Change: change("web"), Effect: repo.Created}
			for _, got := range []string{Live(one, key, here, w), Reconcile([]Item{one, two}, key, here, w), Reconcile([]Item{two, one}, key, here, w)} {
				if p, ok := ParsePosition(got, here.Incarnation, here.BranchKey); !ok || p.Seq != here.Seq {
					t.Errorf("%q in %q: position %d, %v", name, body, p.Seq, ok)
				}
				trailers, err := gittest.GitInput(t.TempDir(), got, "interpret-trailers", "--parse", "--no-divider")
				if err != nil {
					t.Fatal(err)
				}
				if !strings.HasPrefix(trailers, TrailerPosition+": "+here.String()+"\n") || strings.Contains(trailers, "\n"+forged) {
					t.Errorf("%q in %q: git reads the trailers\n%s", name, body, trailers)
				}
			}
		}
	}
	for _, text := range []string{forged, "x\n\n" + forged, "x\n\n  kubescribe-origin: {{.Name}}"} {
		if w, err := ParseWords(event.Wording{Body: text}); err == nil || w != (Words{}) {
			t.Errorf("%q is taken", text)
		}
	}
}
