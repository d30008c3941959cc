package e2e_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

// quietRounds are how often everything beats that beats.
const quietRounds = 600

// TestQuiet: through 600 rounds of heartbeats, as fast as the API server takes them,
// history gets a commit for each change that a person makes among them, and no other.
//
// In the end there is a last change to each type that is watched: once these have their
// commits, so has everything before them that was to have one.
func TestQuiet(t *testing.T) {
	long(t)
	t.Parallel()
	w := newWorld(t, ownCluster(t))
	ns := w.namespace(t, "quiet")
	w.define(t, ns)
	for _, manifest := range slices.Concat(peoples, machines) {
		w.apply(t, sample(manifest, ns, 0))
	}
	h := newHeart(t, w, ns)
	w.startReady(t)
	w.settle(t, scope())
	since := w.tip(t)

	var writes []harness.Written
	rollouts := 0
	person := func(n int) { // has a change ready for some of the rounds
		const every = quietRounds / 20
		switch i := n / every; {
		case n%every != every/2:
		case i < len(peoples):
			writes = append(writes, w.apply(t, sample(peoples[i], ns, 1)))
		case i == len(peoples):
			writes = append(writes, w.apply(t, configMap(ns, "short-lived", "x")))
		case i == len(peoples)+1:
			writes = append(writes, w.remove(t, configMap(ns, "short-lived", "x")))
		default:
			rollouts++
			writes = append(writes, w.apply(t, sample(rolling, ns, i)))
			await(t, "the Pods of another version of web", func() bool { return h.rolled(t, i) })
		}
	}
	begun := time.Now()
	for n := range quietRounds {
		wait := h.round(t.Context(), n)
		person(n)
		must(t, wait())
	}
	took := time.Since(begun)
	t.Logf("%d heartbeats in %s, %.0f a second", h.beats, took.Round(time.Millisecond), float64(h.beats)/took.Seconds())
	for _, manifest := range peoples {
		writes = append(writes, w.apply(t, sample(manifest, ns, 2)))
	}
	if want := 2*len(peoples) + 2 + rollouts; rollouts == 0 || len(writes) != want {
		t.Fatalf("a person has made %d changes, want %d", len(writes), want)
	}

	must(t, w.awaitVersions(within(t, stepLimit), since, writes...))
	news, err := w.remote.History(since + "..HEAD")
	must(t, err)
	var want, got []string
	for _, written := range writes {
		if written.Deleted {
			want = append(want, written.Resource+" deleted")
		} else {
			want = append(want, written.Resource+" at "+written.Version)
		}
	}
	for _, c := range news {
		got = append(got, told(c))
	}
	report(t, apart(got, want))
	w.settle(t, scope())
	w.history(t)
}

// told is what a commit says that happened: the version of a resource, or its deletion,
// if it changes one file by the live path.
func told(c harness.Commit) string {
	switch {
	case !c.Ours || c.Origin != "live" || len(c.Files) != 1:
		return fmt.Sprintf("%.8s %q with %v", c.Hash, c.Message, c.Files)
	case c.Files[0].Status == "D":
		return c.Resource + " deleted"
	}
	return c.Resource + " at " + c.Version
}

// apart says in what two lists differ, whatever their order.
func apart(got, want []string) (problems []string) {
	counts := map[string]int{}
	for _, one := range want {
		counts[one]++
	}
	for _, one := range got {
		if counts[one]--; counts[one] < 0 {
			problems = append(problems, "a commit too many: "+one)
		}
	}
	for one, n := range counts {
		if n > 0 {
			problems = append(problems, "no commit: "+one)
		}
	}
	slices.Sort(problems)
	return problems
}

// rolling is a Deployment that the cluster's own controller rolls out: there is no kubelet, so each
// version's Pods come, and go without having run.
const rolling = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: $NS}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: main, image: "example.com/web:$N"}]}
`

// peoples are what people want: one of each type that beats and is watched, in three
// versions, by $N.
var peoples = []string{`
apiVersion: v1
kind: ConfigMap
metadata: {name: elected, namespace: $NS}
data: {value: "$N"}
`, `
apiVersion: v1
kind: ConfigMap
metadata: {name: contested, namespace: $NS}
data: {contested: "always", value: "$N"}
`, rolling, `
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, namespace: $NS}
spec:
  replicas: 3
  serviceName: db
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec: {containers: [{name: main, image: "example.com/db:$N"}]}
`, `
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: alone, namespace: $NS, labels: {version: "$N"}}
spec:
  replicas: 0
  selector: {matchLabels: {app: alone}}
  template:
    metadata: {labels: {app: alone}}
    spec: {containers: [{name: main, image: "example.com/alone:1"}]}
`, `
apiVersion: v1
kind: Pod
metadata: {name: bare, namespace: $NS, labels: {version: "$N"}}
spec: {containers: [{name: main, image: "example.com/bare:1"}]}
`, `
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: claim, namespace: $NS, labels: {version: "$N"}}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
`, `
apiVersion: v1
kind: Service
metadata: {name: web, namespace: $NS}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 808$N}]}
`, `
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web, namespace: $NS}
spec: {scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}, minReplicas: 2, maxReplicas: 1$N}
`, `
apiVersion: $GROUP/v1
kind: Thing
metadata: {name: thing, namespace: $NS}
spec: {size: $N}
`}

// machines are what nobody wants to have in Git.
var machines = []string{`
apiVersion: v1
kind: Node
metadata: {name: node}
`, `
apiVersion: coordination.k8s.io/v1
kind: Lease
metadata: {name: elected, namespace: $NS}
spec: {holderIdentity: me}
`, `
apiVersion: v1
kind: Endpoints
metadata: {name: elected, namespace: $NS}
`, `
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-x, namespace: $NS, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
endpoints: []
`}

// patches are the heartbeats that are a change to one object; %[1]d is the round.
var patches = []struct{ apiVersion, resource, name, subresource, patch string }{
	{"apps/v1", "deployments", "web", "status", `{"status": {"conditions": [{"type": "Progressing", "status": "True", "reason": "Round%[1]d"}]}}`},
	{"apps/v1", "statefulsets", "db", "status", `{"status": {"replicas": 3, "conditions": [{"type": "Beating", "status": "True", "reason": "Round%[1]d"}]}}`},
	{"v1", "pods", "bare", "status", `{"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True", "reason": "Round%[1]d"}]}}`},
	{"v1", "persistentvolumeclaims", "claim", "status", `{"status": {"conditions": [{"type": "FileSystemResizePending", "status": "True", "reason": "Round%[1]d"}]}}`},
	{"$GROUP/v1", "things", "thing", "status", `{"status": {"round": %[1]d}}`},
	{"v1", "nodes", "node", "status", `{"status": {"conditions": [{"type": "Ready", "status": "True", "reason": "Round%[1]d"}]}}`},
	{"coordination.k8s.io/v1", "leases", "elected", "", `{"spec": {"renewTime": "2030-01-01T00:00:00.%06[1]dZ"}}`},
	{"v1", "configmaps", "elected", "", `{"metadata": {"annotations": {"control-plane.alpha.kubernetes.io/leader": "{\"holderIdentity\":\"me\",\"leaderTransitions\":%[1]d}"}}}`},
	{"v1", "endpoints", "elected", "", `{"metadata": {"annotations": {"control-plane.alpha.kubernetes.io/leader": "{\"holderIdentity\":\"me\",\"leaderTransitions\":%[1]d}"}}}`},
	{"discovery.k8s.io/v1", "endpointslices", "web-x", "", `{"endpoints": [{"addresses": ["10.9.0.1"], "hostname": "h%[1]d"}]}`},
	// The annotations of autoscaling/v1 are the status of autoscaling/v2.
	{"autoscaling/v1", "horizontalpodautoscalers", "web", "status", `{"metadata": {"annotations": {"autoscaling.alpha.kubernetes.io/conditions": "[{\"type\":\"AbleToScale\",\"status\":\"True\",\"reason\":\"Round%[1]d\"}]"}}}`},
	{"$GROUP/v1", "things", "thing", "", `{"metadata": {"annotations": {"autoscaling.alpha.kubernetes.io/current-metrics": "[%[1]d]"}}}`},
}

// heart has everything beat.
type heart struct {
	ns      string
	client  dynamic.Interface
	typed   kubernetes.Interface
	all     []beat
	owner   metav1.OwnerReference // of what is made of something else
	beats   int                   // there were
	mu      sync.Mutex
	version map[string]string // that a beat led to; guarded by mu
}

// beat is one write of a round.
type beat struct {
	name string
	// do returns the version that it led to, "" if it may well have changed nothing.
	do func(ctx context.Context, round int) (string, error)
}

func newHeart(t *testing.T, w *world, ns string) *heart {
	t.Helper()
	h := &heart{ns: ns, version: map[string]string{}}
	cfg := rest.CopyConfig(w.cfg)
	cfg.WarningHandler = rest.NoWarnings{} // about Endpoints, in each round
	var err error
	h.client, err = dynamic.NewForConfig(cfg)
	must(t, err)
	h.typed, err = kubernetes.NewForConfig(cfg)
	must(t, err)
	db, err := h.typed.AppsV1().StatefulSets(ns).Get(within(t, stepLimit), "db", metav1.GetOptions{})
	must(t, err)
	// No controller of this cluster is that of StatefulSets, and would be in the way.
	h.owner = *metav1.NewControllerRef(db, schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "StatefulSet"})
	for _, p := range patches {
		h.all = append(h.all, beat{p.resource + " " + p.name + " " + p.subresource, func(ctx context.Context, n int) (string, error) {
			return h.patch(ctx, p.apiVersion, p.resource, p.name, fmt.Sprintf(p.patch, n), p.subresource)
		}})
	}
	h.all = append(h.all,
		beat{"managed fields", h.contest}, beat{"events", h.event}, beat{"a rolling update", h.roll}, beat{"pods of another", h.pod}, beat{"binding", h.bind})
	return h
}

// round has everything beat once, at the same time. What it returns waits for it.
func (h *heart) round(ctx context.Context, n int) (wait func() error) {
	var all errgroup.Group
	for _, b := range h.all {
		all.Go(func() error {
			version, err := b.do(ctx, n)
			if err != nil {
				return fmt.Errorf("%s, round %d: %w", b.name, n, err)
			}
			h.mu.Lock()
			defer h.mu.Unlock()
			h.beats++
			if version != "" && version == h.version[b.name] {
				return fmt.Errorf("%s, round %d: changed nothing, so the test proves nothing", b.name, n)
			}
			h.version[b.name] = version
			return nil
		})
	}
	return all.Wait
}

// patch changes an object, or with a subresource that, again if somebody else was faster.
func (h *heart) patch(ctx context.Context, apiVersion, resource, name, patch, subresource string) (version string, err error) {
	var below []string
	if subresource != "" {
		below = append(below, subresource)
	}
	for {
		o, err := h.resource(apiVersion, resource).Patch(ctx, name, types.MergePatchType, []byte(patch), metav1.PatchOptions{FieldManager: "kube-controller-manager"}, below...)
		if apierrors.IsConflict(err) && ctx.Err() == nil {
			continue
		}
		if err != nil {
			return "", err
		}
		return o.GetResourceVersion(), nil
	}
}

// resource is where objects of a type are written.
func (h *heart) resource(apiVersion, resource string) dynamic.ResourceInterface {
	of := schema.FromAPIVersionAndKind(sample(apiVersion, h.ns, 0), "").GroupVersion().WithResource(resource)
	if resource == "nodes" {
		return h.client.Resource(of)
	}
	return h.client.Resource(of).Namespace(h.ns)
}

// contest applies what a person has applied, too, and no longer does: by one manager
// after the other.
func (h *heart) contest(ctx context.Context, n int) (string, error) {
	const managers = 5
	data := map[string]any{"contested": "always"}
	if n/managers%2 == 1 {
		data = map[string]any{}
	}
	o, err := h.resource("v1", "configmaps").Apply(ctx, "contested", &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "contested", "namespace": h.ns}, "data": data,
	}}, metav1.ApplyOptions{FieldManager: fmt.Sprintf("manager-%d", n%managers), Force: true})
	if err != nil {
		return "", err
	}
	return o.GetResourceVersion(), nil
}

func (h *heart) event(ctx context.Context, n int) (string, error) {
	e, err := h.typed.CoreV1().Events(h.ns).Create(ctx, &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{GenerateName: "web-"},
		InvolvedObject: corev1.ObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Namespace: h.ns, Name: "web"},
		Type:           corev1.EventTypeNormal, Reason: "Beat", Message: strconv.Itoa(n), Count: 1,
	}, metav1.CreateOptions{})
	if err != nil {
		return "", err
	}
	return e.ResourceVersion, nil
}

// rolled reports whether the cluster's own controllers have made Pods of a version of web.
func (h *heart) rolled(t *testing.T, version int) bool {
	t.Helper()
	pods, err := h.typed.CoreV1().Pods(h.ns).List(t.Context(), metav1.ListOptions{LabelSelector: "app=web"})
	must(t, err)
	return slices.ContainsFunc(pods.Items, func(p corev1.Pod) bool {
		return p.Spec.Containers[0].Image == fmt.Sprintf("example.com/web:%d", version)
	})
}

// roll makes ReplicaSets as a rolling update does, of which the cluster's own
// controllers make Pods: one comes up, is annotated and scaled, and goes.
func (h *heart) roll(ctx context.Context, n int) (string, error) {
	const steps = 4
	name := fmt.Sprintf("web-%d", n/steps)
	sets := h.resource("apps/v1", "replicasets")
	switch n % steps {
	case 0:
		labels := map[string]any{"app": "rolled", "pod-template-hash": strconv.Itoa(n / steps)}
		_, err := sets.Create(ctx, h.owned("apps/v1", "ReplicaSet", name, map[string]any{
			"replicas": int64(1), "selector": map[string]any{"matchLabels": labels},
			"template": map[string]any{"metadata": map[string]any{"labels": labels}, "spec": podSpec()},
		}), metav1.CreateOptions{})
		return "", err
	case 1:
		return h.patch(ctx, "apps/v1", "replicasets", name, fmt.Sprintf(`{"metadata": {"annotations": {"deployment.kubernetes.io/revision": "%d"}}}`, n), "")
	case 2:
		return h.patch(ctx, "apps/v1", "replicasets", name, `{"spec": {"replicas": 2}}`, "scale")
	}
	background := metav1.DeletePropagationBackground
	return "", sets.Delete(ctx, name, metav1.DeleteOptions{PropagationPolicy: &background})
}

// pod has a Pod of a controller come, run and go.
func (h *heart) pod(ctx context.Context, n int) (string, error) {
	const steps = 3
	name := fmt.Sprintf("db-%d", n/steps)
	pods := h.resource("v1", "pods")
	switch n % steps {
	case 0:
		_, err := pods.Create(ctx, h.owned("v1", "Pod", name, podSpec()), metav1.CreateOptions{})
		return "", err
	case 1:
		return h.patch(ctx, "v1", "pods", name, `{"status": {"phase": "Running"}}`, "status")
	}
	now := int64(0)
	return "", pods.Delete(ctx, name, metav1.DeleteOptions{GracePeriodSeconds: &now})
}

func podSpec() map[string]any {
	return map[string]any{"containers": []any{map[string]any{"name": "main", "image": "example.com/main:1"}}}
}

// owned is an object that something else controls.
func (h *heart) owned(apiVersion, kind, name string, spec map[string]any) *unstructured.Unstructured {
	o := &unstructured.Unstructured{Object: map[string]any{"apiVersion": apiVersion, "kind": kind, "spec": spec}}
	o.SetName(name)
	o.SetOwnerReferences([]metav1.OwnerReference{h.owner})
	return o
}

// bind gives the Pod a node and the claim a volume, in the middle.
func (h *heart) bind(ctx context.Context, n int) (string, error) {
	if n != quietRounds/2 {
		return "", nil
	}
	if err := h.typed.CoreV1().Pods(h.ns).Bind(ctx, &corev1.Binding{
		ObjectMeta: metav1.ObjectMeta{Name: "bare"}, Target: corev1.ObjectReference{Kind: "Node", Name: "node"},
	}, metav1.CreateOptions{}); err != nil {
		return "", err
	}
	return h.patch(ctx, "v1", "persistentvolumeclaims", "claim", `{
		"metadata": {"annotations": {"pv.kubernetes.io/bind-completed": "yes", "pv.kubernetes.io/bound-by-controller": "yes"}}, "spec": {"volumeName": "volume"}}`, "")
}
