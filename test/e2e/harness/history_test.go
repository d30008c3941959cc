package harness_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/kubescribe/kubescribe/shared/gittest"
	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

// TestHistory has stock git write commits and reads them back.
func TestHistory(t *testing.T) {
	work, bare := t.TempDir(), filepath.Join(t.TempDir(), "bare.git")
	git := func(args ...string) {
		t.Helper()
		if _, err := gittest.Git(work, args...); err != nil {
			t.Fatal(err)
		}
	}
	write := func(path, content string) {
		t.Helper()
		path = filepath.Join(work, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := gittest.InitBare(bare, harness.Branch); err != nil {
		t.Fatal(err)
	}
	repo := harness.Repository{Dir: bare, Branch: harness.Branch}
	if tip, err := repo.Tip(); tip != "" || err != nil {
		t.Errorf("an empty repository has the tip %q, %v", tip, err)
	}
	if h, err := repo.History(); len(h) != 0 || err != nil {
		t.Errorf("an empty repository has the history %v, %v", h, err)
	}
	if files, err := repo.Files(""); len(files) != 0 || err != nil {
		t.Errorf("an empty repository has the files %v, %v", files, err)
	}

	git("init", "-q", "-b", harness.Branch)
	write("README ü.md", "hello\n\nKubescribe-Origin: not one\n")
	git("add", ".")
	git("commit", "-q", "-m", "By somebody\n\nKey: value\nbut no trailer")
	write("live/shop/configmaps/a.yaml", "a: 1\n")
	write("live/.kubescribe.yaml", "")
	git("add", ".")
	git("commit", "-q", "-m", strings.Join([]string{
		"Create configmaps shop/a", "",
		"Kubescribe-Position: inc/key/17", "Kubescribe-Origin: reconcile run-1", "Kubescribe-Destination: c/default/live",
		"Kubescribe-Resource: v1 configmaps shop/a", "Kubescribe-Resource-Version: 4711", "",
	}, "\n"))
	git("rm", "-q", "live/shop/configmaps/a.yaml")
	git("commit", "-q", "-m", "Delete configmaps shop/a\n\nKubescribe-Position: inc/key/18\nKubescribe-Origin: live\n")
	git("push", "-q", bare, harness.Branch)

	history, err := repo.History()
	if err != nil {
		t.Fatal(err)
	}
	if len(history) != 3 {
		t.Fatalf("%d commits, want 3: %+v", len(history), history)
	}
	other, create, remove := history[0], history[1], history[2]
	if other.Ours || other.Subject != "By somebody" || len(other.Trailers) != 0 ||
		!reflect.DeepEqual(other.Files, []harness.FileChange{{Status: "A", Path: "README ü.md"}}) {
		t.Errorf("somebody's commit is %+v", other)
	}
	if !create.Ours || create.Position != 17 || create.Origin != "reconcile" || create.OfRun != "run-1" || create.Placement != "c/default/live" ||
		create.Resource != "v1 configmaps shop/a" || create.Version != "4711" || !reflect.DeepEqual(create.Parents, []string{other.Hash}) ||
		!reflect.DeepEqual(create.Files, []harness.FileChange{{Status: "A", Path: "live/.kubescribe.yaml"}, {Status: "A", Path: "live/shop/configmaps/a.yaml"}}) {
		t.Errorf("the creating commit is %+v", create)
	}
	if remove.Position != 18 || remove.Origin != "live" || remove.Version != "" ||
		!reflect.DeepEqual(remove.Files, []harness.FileChange{{Status: "D", Path: "live/shop/configmaps/a.yaml"}}) {
		t.Errorf("the deleting commit is %+v", remove)
	}
	if since, err := repo.History(other.Hash + ".." + remove.Hash); err != nil || len(since) != 2 {
		t.Errorf("since the first commit there are %d, %v", len(since), err)
	}
	if n, err := repo.Count(); n != 3 || err != nil {
		t.Errorf("it counts %d, %v", n, err)
	}
	files, err := repo.Files("")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]harness.File{
		"README ü.md":           {Mode: "100644", Content: "hello\n\nKubescribe-Origin: not one\n"},
		"live/.kubescribe.yaml": {Mode: "100644", Content: ""},
	}
	if !reflect.DeepEqual(files, want) {
		t.Errorf("files %q, want %q", files, want)
	}
	if files, err = repo.Files("live"); err != nil || len(files) != 1 {
		t.Errorf("below live there is %v, %v", files, err)
	}

	if _, err := gittest.Git(bare, "pack-refs", "--all"); err != nil {
		t.Fatal(err)
	}
	if tip, err := repo.Tip(); tip != remove.Hash || err != nil {
		t.Errorf("packed, the tip is %q, %v", tip, err)
	}
}

func TestParseHistoryRefuses(t *testing.T) {
	for name, out := range map[string]string{
		"noise":           "warning: something\n",
		"too few fields":  "\x1eabc\x1f\x1f1",
		"no time":         "\x1eabc\x1f\x1fnow\x1fsubject\n\x1f",
		"half a file":     "\x1eabc\x1f\x1f1\x1fsubject\n\x1f\x00M\x00",
		"a broken number": "\x1eabc\x1f\x1f1\x1fsubject\n\nKubescribe-Position: inc/key/x\n\x1f",
	} {
		if got, err := harness.ParseHistory(out); err == nil {
			t.Errorf("%s: %+v, want an error", name, got)
		}
	}
}
