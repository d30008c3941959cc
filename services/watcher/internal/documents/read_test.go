package documents

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/kubescribe/kubescribe/shared/api/v1alpha1"
)

// TestUnread: an object that cannot be read is refused by itself, with what can be read of it,
// and the others are read.
func TestUnread(t *testing.T) {
	good := map[string]any{"remoteRef": map[string]any{"name": "git"}, "branch": "b"}
	bad := map[string]any{"remoteRef": map[string]any{"name": "git"}, "branch": "b", "interval": "hunter2", "allowedNamespaces": map[string]any{}}
	objects := map[string]document{}
	for _, u := range []*unstructured.Unstructured{
		object(v1alpha1.KindGitDestination, "shop", "bad", 1, bad),
		object(v1alpha1.KindGitDestination, "shop", "good", 2, good),
		object(v1alpha1.KindGitDestination, "shop", "none", 3, nil),
	} {
		u.Object["status"] = "is nothing to this"
		objects[u.GetName()] = document{Unstructured: u}
	}
	objects["none"].Object["spec"] = "text"
	var all []v1alpha1.GitDestination
	unread := read(objects, &all)
	if len(all) != 3 || all[0].Name != "bad" || all[0].UID == "" || all[0].Spec.RemoteRef.Name != "git" || all[0].Spec.Branch != "b" || all[0].Spec.Interval != nil ||
		all[1].Spec.Branch != "b" || all[2].Name != "none" {
		t.Errorf("%+v", all)
	}
	if len(unread) != 2 || unread[0].Name != "bad" || len(unread[0].Problems) != 2 || unread[1].Name != "none" || len(unread[1].Problems) != 1 {
		t.Fatalf("%+v", unread)
	}
	for text, r := range map[string]v1alpha1.Refused{"spec.allowedNamespaces: is not what": unread[0], "spec.interval: is not what": unread[0], "GitDestination shop/none: spec: is not what": unread[1]} {
		if said := r.Problems.Error(); !strings.Contains(said, text) || strings.Contains(said, "hunter2") {
			t.Errorf("it says %q, want %q", said, text)
		}
	}
}
