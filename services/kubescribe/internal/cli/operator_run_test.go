package cli

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/service"
)

// TestOperator: beside a run that goes on, a person asks for a comparison, is told what
// it found, looks at what is withheld, and approves exactly that.
func TestOperator(t *testing.T) {
	a, kubeconfig := newAPI(t)
	repo, data := newRepo(t), filepath.Join(t.TempDir(), "data")
	a.put("web", "one")
	r := start(t, "--repo", repo, "--kubeconfig", kubeconfig, "--data-dir", data)
	r.until("what there was is in the repository", func() bool { return content(repo, "web") != "" })
	on := func(args ...string) result { return command(t, append(args, "--data-dir", data)...) }
	says := func(what string, got result, code int, texts ...string) {
		t.Helper()
		if got.code != code {
			t.Errorf("%s ends with %d", what, got.code)
		}
		for _, text := range texts {
			if !strings.Contains(got.stdout+got.stderr, text) {
				t.Errorf("%s does not say %q: %s%s", what, text, got.stdout, got.stderr)
			}
		}
	}

	var all []shown
	r.until("the destination is shown as live", func() bool {
		got := on("get", "-o", "json")
		all = nil
		if err := json.Unmarshal([]byte(got.stdout), &all); err != nil {
			t.Fatalf("%v: %+v", err, got)
		}
		return len(all) == 1 && all[0].Phase != nil && all[0].Phase.Phase == event.LiveProcessing && all[0].Status != nil && all[0].Status.Commit != ""
	})
	name := all[0].Destination.Key.String()
	says("get", on("get"), service.ExitOK, "NAME", name, "LIVE_PROCESSING", "live on main", all[0].Status.Commit[:8])
	says("a destination that is not", on("reconcile", "nothing"), service.ExitError, `"nothing"`, name)
	says("no time to wait", on("reconcile", name, "--timeout", "1ns"), service.ExitError)
	says("nothing to approve", on("approve", name, "r"), service.ExitError, "nothing of "+name+" waits to be approved")

	files := map[string]string{"live/shop/configmaps/web.yaml": ""}
	for i := range 12 {
		files[fmt.Sprintf("live/shop/configmaps/old-%d.yaml", i)] = fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: old-%d\n  namespace: shop\n", i)
	}
	push(t, repo, files)
	got := on("reconcile", name)
	says("reconcile", got, service.ExitOK, name+": run ", "1 created, 0 updated, 0 deleted", "withheld: 12 deletions", "shop/configmaps/old-0.yaml", "kubescribe approve --data-dir "+data+" "+name+" ")
	r.until("what they removed is there again", func() bool { return content(repo, "web") != "" })
	if content(repo, "old-0") == "" {
		t.Error("deletions that wait for a person were carried out")
	}
	_, run, _ := strings.Cut(got.stdout, "kubescribe approve --data-dir "+data+" "+name+" ")
	run, _, _ = strings.Cut(run, "\n")
	says("get", on("get"), service.ExitOK, "12 ("+run+")")
	says("approve of another run", on("approve", name, "other"), service.ExitError, "other", "12 deletions of run "+run)
	says("approve", on("approve", name, run), service.ExitOK, "approving 12 deletions of run "+run, "12 deleted")
	r.until("what was approved is gone", func() bool { return content(repo, "old-11") == "" })
	says("approved twice", on("approve", name, run), service.ExitError, "nothing of "+name+" waits to be approved")
	r.stop()
	r.ends(service.ExitOK)
	says("get after the end", on("get"), service.ExitError, "is kubescribe running with --data-dir "+data)
}
