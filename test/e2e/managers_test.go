package e2e_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/kubescribe/kubescribe/shared/gittest"
	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

// TestFieldManagers: what ignored field managers own alone stands not in Git, and what they
// write makes no commit; a commit is whose changes it has, by their field managers.
func TestFieldManagers(t *testing.T) {
	long(t)
	t.Parallel()
	w := newWorld(t, cluster)
	ns := w.namespace(t, "managers")
	w.options.Repo = ""
	w.options.Args = []string{"--config", w.file(t, "config.yaml", os.Expand(`
apiVersion: kubescribe.dev/v1alpha1
kind: GitRemote
metadata: {name: live}
spec: {url: "$URL"}
---
apiVersion: kubescribe.dev/v1alpha1
kind: GitDestination
metadata: {name: live}
spec:
  remoteRef: {name: live}
  commit:
    author: {name: Platform, email: platform@example.com}
    authors:
      - {fieldManager: ada, name: Ada, email: ada@example.com}
      - {fieldManager: "kubectl-*", name: By hand}
---
apiVersion: kubescribe.dev/v1alpha1
kind: ClusterWatchRule
metadata: {name: live}
spec:
  destinationRef: {name: live, namespace: default}
  namespaces: [$NS]
  rules: [{apiGroups: ["", apps], resources: [configmaps, deployments]}]
  sanitize: {ignoreFieldManagers: [autoscaler/scale, "robot-*"]}
`, func(name string) string { return map[string]string{"URL": w.remote.URL, "NS": ns}[name] }))}
	w.startReady(t)
	await(t, "changes to be commits of their own", func() bool {
		code, said := runToEnd(t, "get", "--data-dir", w.options.DataDir)
		return code == 0 && strings.Contains(said, "LIVE_PROCESSING")
	})
	apply := func(manager, manifest string) {
		t.Helper()
		w.mustKubectl(t, "apply", "--server-side", "--field-manager", manager, "-f", w.file(t, manager+".yaml", "metadata: {name: web, namespace: "+ns+"}\n"+manifest))
	}
	label := func(manager, kind, name, label string) {
		t.Helper()
		w.mustKubectl(t, "label", "-n", ns, "--field-manager", manager, kind, name, label)
	}
	client, err := kubernetes.NewForConfig(w.cfg)
	must(t, err)
	scale := func(replicas int32) {
		t.Helper()
		_, err := client.AppsV1().Deployments(ns).UpdateScale(within(t, stepLimit), "web", &autoscalingv1.Scale{
			ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "web"}, Spec: autoscalingv1.ScaleSpec{Replicas: replicas},
		}, metav1.UpdateOptions{FieldManager: "autoscaler"})
		must(t, err)
	}
	// told is what Git says of a file, oldest first, once it has so many commits.
	told := func(path string, n int) (lines []string) {
		t.Helper()
		await(t, "the commits of "+path, func() bool {
			out, err := gittest.Git(w.remote.Dir, "log", "--reverse", "--format=%s: %(trailers:key=Field-Manager,valueonly,separator=) by %an", "--branches", "--", "live/"+ns+"/"+path)
			must(t, err)
			lines = strings.FieldsFunc(strings.ReplaceAll(out, ns+"/", ""), func(r rune) bool { return r == '\n' })
			return len(lines) >= n
		})
		return lines
	}
	content := func(path string) string {
		t.Helper()
		out, err := gittest.Git(w.remote.Dir, "show", harness.Branch+":live/"+ns+"/"+path)
		must(t, err)
		return out
	}
	const (
		deployment = "apiVersion: apps/v1\nkind: Deployment\nspec:\n  $REPLICAS\n  selector: {matchLabels: {app: web}}\n" +
			"  template: {metadata: {labels: {app: web}}, spec: {containers: [{name: main, image: $IMAGE}]}}\n"
		proxy = "apiVersion: apps/v1\nkind: Deployment\nspec: {template: {spec: {containers: [{name: proxy, image: proxy:1}]}}}\n"
		file  = "apps/deployments/web.yaml"
	)

	apply("ada", strings.NewReplacer("$REPLICAS", "replicas: 2", "$IMAGE", "web:1").Replace(deployment))
	told(file, 1)
	if !strings.Contains(content(file), "replicas: 2") {
		t.Errorf("the Deployment is\n%s", content(file))
	}
	scale(3) // which has no time; and takes it over
	told(file, 2)
	before := content(file)
	if strings.Contains(before, "replicas") || !strings.Contains(before, "progressDeadlineSeconds") {
		t.Errorf("once it is scaled, the Deployment is\n%s", before)
	}
	for replicas := range int32(5) {
		scale(4 + replicas)
	}
	apply("robot-injector", proxy)
	scale(2)
	apply("ada", strings.NewReplacer("$REPLICAS", "paused: true", "$IMAGE", "web:1").Replace(deployment))
	label("kubectl-label", "deployment", "web", "team=red")
	want := []string{
		"Create deployments.apps web: ada by Ada",
		"Update deployments.apps web: autoscaler by Platform",
		"Update deployments.apps web: ada by Ada",
		"Update deployments.apps web: kubectl-label by By hand",
	}
	if got := told(file, len(want)); !slices.Equal(got, want) {
		t.Errorf("the commits of the Deployment are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	after := strings.NewReplacer("\nspec:\n", "\n  labels:\n    team: red\nspec:\n  paused: true\n").Replace(before)
	if got := content(file); got != after {
		t.Errorf("the Deployment is\n%s\nwant\n%s", got, after)
	}

	// One that is all a robot's enters with what somebody else adds, and leaves with that.
	const theirs = "configmaps/web.yaml"
	apply("robot-1", "apiVersion: v1\nkind: ConfigMap\ndata: {a: b}\n")
	apply("robot-1", "apiVersion: v1\nkind: ConfigMap\ndata: {a: c}\n")
	label("kubectl-label", "configmap", "web", "team=red")
	told(theirs, 1)
	if got := content(theirs); strings.Contains(got, "\ndata:") || !strings.Contains(got, "team: red") {
		t.Errorf("the ConfigMap is\n%s", got)
	}
	apply("robot-1", "apiVersion: v1\nkind: ConfigMap\ndata: {a: d}\n")
	label("kubectl-label", "configmap", "web", "team-")
	want = []string{"Create configmaps web: kubectl-label by By hand", "Delete configmaps web: robot-1 by Platform"}
	if got := told(theirs, len(want)); !slices.Equal(got, want) {
		t.Errorf("the commits of the robot's ConfigMap are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}

	// One that is ignored as a scaler alone makes objects like anybody.
	w.mustKubectl(t, "create", "configmap", "made", "-n", ns, "--field-manager", "autoscaler", "--from-literal", "a=b")
	if got := told("configmaps/made.yaml", 1); !slices.Equal(got, []string{"Create configmaps made: autoscaler by Platform"}) {
		t.Errorf("the commits of what the scaler made are %q", got)
	}

	// Who takes a field out, and sets none, leaves no trace.
	const ours = "configmaps/ours.yaml"
	w.mustKubectl(t, "create", "configmap", "ours", "-n", ns, "--field-manager", "ada", "--from-literal", "a=b")
	label("ada", "configmap", "ours", "team=red")
	label("remover", "configmap", "ours", "team-")
	w.mustKubectl(t, "delete", "configmap", "ours", "-n", ns)
	want = []string{
		"Create configmaps ours: ada by Ada", "Update configmaps ours: ada by Ada", "Update configmaps ours: ada by Ada", "Delete configmaps ours:  by Platform",
	}
	if got := told(ours, len(want)); !slices.Equal(got, want) {
		t.Errorf("the commits of the ConfigMap are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
