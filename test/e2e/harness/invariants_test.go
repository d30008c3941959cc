package harness_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

// seen is evidence in which all is as it should be: an object that goes there and back,
// says nothing new, ends and is made again, and one whose file others change.
func seen() harness.Evidence {
	e := harness.Evidence{
		Placement: "c/default/live", Namespace: "shop", Contents: map[string]string{},
		Foreign: []string{"foreign1", "foreign2"}, Theirs: map[string]string{"note.txt": "theirs"},
		Files: map[string]harness.File{"note.txt": {Content: "theirs"}},
	}
	object := func(name, version, value string) map[string]any {
		return map[string]any{
			"apiVersion": "v1", "kind": "ConfigMap", "data": map[string]any{"value": value},
			"metadata": map[string]any{"name": name, "namespace": "shop", "uid": "u", "resourceVersion": version, "managedFields": version},
		}
	}
	position := uint64(0)
	commit := func(name, version, status, value, origin string) {
		position++
		c := harness.Commit{
			Hash: fmt.Sprintf("ours%04d", position), Ours: true, Position: position, Placement: e.Placement, Origin: origin,
			Resource: "v1 configmaps shop/" + name, Version: version, Files: []harness.FileChange{{Status: status, Path: "live/shop/" + name}},
		}
		e.History = append(e.History, c)
		e.Contents[c.Hash+":live/shop/"+name] = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: \"" + name + "\", namespace: shop}\ndata: {value: " + value + "}\n"
	}
	for _, v := range []struct{ version, value, status string }{
		{"1", "a", "A"}, {"2", "b", "M"}, {"3", "a", "M"}, {"4", "a", ""}, {"5", "a", "D"}, {"6", "a", "A"},
	} {
		e.Delivered = append(e.Delivered, harness.Delivery{
			Resource: "v1 configmaps shop/x", Version: v.version, Deleted: v.status == "D", Object: object("x", v.version, v.value),
		})
		if v.status != "" {
			commit("x", v.version, v.status, v.value, "live")
		}
	}
	e.Delivered = append(e.Delivered, harness.Delivery{Resource: "v1 configmaps shop/y", Version: "7", Object: object("y", "7", "a")})
	commit("y", "7", "A", "a", "live")
	e.History = append(e.History,
		harness.Commit{Hash: "foreign1", Files: []harness.FileChange{{Status: "A", Path: "note.txt"}}},
		harness.Commit{Hash: "foreign2", Files: []harness.FileChange{{Status: "M", Path: "live/shop/y"}}})
	commit("y", "7", "M", "a", "reconcile")
	return e
}

// TestCheckInvariants: nothing is broken where all is well, and where something is
// amiss it is said which invariant that breaks.
func TestCheckInvariants(t *testing.T) {
	figures, broken := harness.CheckInvariants(seen())
	want := harness.Figures{Delivered: 7, Repeated: 1, Returned: 1, Deleted: 1, Committed: 6, Restored: 1, Foreign: 2}
	if figures != want || len(broken) > 0 {
		t.Errorf("%+v, want %+v; broken: %q", figures, want, broken)
	}
	for name, test := range map[string]struct {
		amiss func(*harness.Evidence)
		want  string
	}{
		"a version is missing":       {func(e *harness.Evidence) { e.History = e.History[1:] }, "I1: v1 configmaps shop/x at 1 (deleted: false) has no commit"},
		"a deletion is missing":      {func(e *harness.Evidence) { e.History = append(e.History[:3:3], e.History[4:]...) }, "I1: v1 configmaps shop/x at 5 (deleted: true) has no commit"},
		"it says something else":     {func(e *harness.Evidence) { e.Contents["ours0002:live/shop/x"] = e.Contents["ours0001:live/shop/x"] }, "I1: ours0002"},
		"nobody was delivered it":    {func(e *harness.Evidence) { e.History[1].Version = "9" }, "no such version (9)"},
		"a version comes twice":      {func(e *harness.Evidence) { e.History[1].Version = "1" }, "I2: ours0002"},
		"the order is another":       {func(e *harness.Evidence) { e.Delivered[0], e.Delivered[1] = e.Delivered[1], e.Delivered[0] }, "I3: ours0002"},
		"the same again":             {func(e *harness.Evidence) { e.History[2].Version = "4" }, "I4: ours0003"},
		"Git differs in the end":     {func(e *harness.Evidence) { e.End.Differences = []string{"so it is"} }, "I5: "},
		"a phantom deletion":         {func(e *harness.Evidence) { e.Delivered = append(e.Delivered[:4:4], e.Delivered[5:]...) }, "I6: ours0004"},
		"a commit of others is lost": {func(e *harness.Evidence) { e.Foreign = append(e.Foreign, "foreign3") }, "I8: the branch has lost foreign3"},
		"a file of others is":        {func(e *harness.Evidence) { delete(e.Files, "note.txt") }, "I8: note.txt"},
	} {
		e := seen()
		test.amiss(&e)
		if _, broken := harness.CheckInvariants(e); !strings.Contains(strings.Join(broken, "\n"), test.want) {
			t.Errorf("%s: %q, want %s", name, broken, test.want)
		}
	}
	e := seen()
	e.History = append(e.History[:1:1], e.History[2:]...)
	e.Letters = []string{"v1 configmaps shop/x at 2"}
	if figures, broken := harness.CheckInvariants(e); figures.Letters != 1 || len(broken) > 0 {
		t.Errorf("what is among the dead letters is missing: %+v %q", figures, broken)
	}
}
