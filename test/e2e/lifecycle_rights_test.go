package e2e_test

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

// TestLifecycleRights: the right to one type is taken from kubescribe while it runs, and
// is not there when it starts. Its files stay, through a run, the log names the type, and
// all else goes on; once the right is given back, what happened meanwhile arrives.
func TestLifecycleRights(t *testing.T) {
	long(t)
	t.Parallel()
	w := newWorld(t, cluster)
	ns := w.namespace(t, "rights")
	w.define(t, ns)
	r := newRights(t, w, ns)
	for n := range 3 {
		w.apply(t, thing(ns, "v1", n, 1))
	}
	w.options.Kubeconfig = filepath.Join(w.dir, "proxied")
	w.options.Args = []string{"--namespace", ns}
	k := w.startReady(t)
	w.settle(t, scope(ns))
	w.changeThing(t, ns, "v1", 0)

	before := r.files(t)
	logged := len(k.Output())
	r.take(t)
	awaitLog(t, k, logged, "not being watched", "things."+groupOf(ns), "forbidden")
	r.change(t, 1)
	r.checkSame(t, before)
	r.give(t)
	w.settle(t, scope(ns))
	w.changeThing(t, ns, "v1", 0)

	before = r.files(t)
	r.take(t)
	r.change(t, 2)
	stop(t, k)
	k = w.startReady(t) // what may not be watched keeps nothing up
	awaitLog(t, k, 0, "not allowed to watch", "things."+groupOf(ns))
	r.checkSame(t, before)
	r.give(t)
	w.settle(t, scope(ns))
	w.changeThing(t, ns, "v1", 0)
	w.history(t)
}

// rights are those of a user in a namespace: to the namespace's things, and to some more.
type rights struct {
	*world
	ns      string
	proxy   *harness.Proxy
	things  dynamic.ResourceInterface // as that user
	binding string                    // that gives the right to them
}

// grant is a manifest that lets a user do something in a namespace, by a role of its own.
func grant(ns, name, groups, user string) (role, binding string) {
	const head = "{apiVersion: rbac.authorization.k8s.io/v1, kind: %s, metadata: {name: %s, namespace: %s}, "
	role = fmt.Sprintf(head+"rules: [{apiGroups: [%s], resources: ['*'], verbs: [list, watch]}]}", "Role", name, ns, groups)
	binding = fmt.Sprintf(head+"roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: %s}, "+
		"subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: %s}]}", "RoleBinding", name, ns, name, user)
	return role, binding
}

func newRights(t *testing.T, w *world, ns string) *rights {
	t.Helper()
	r := &rights{world: w, ns: ns}
	user := "user-" + ns
	// Everybody's: it names the cluster by the uid of this namespace.
	identify := "{apiVersion: rbac.authorization.k8s.io/v1, kind: %s, metadata: {name: %s}, %s}"
	w.apply(t, fmt.Sprintf(identify, "ClusterRole", user, "rules: [{apiGroups: [''], resources: [namespaces], resourceNames: [kube-system], verbs: [get]}]"))
	w.apply(t, fmt.Sprintf(identify, "ClusterRoleBinding", user, "roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: "+user+"}, "+
		"subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: "+user+"}]"))
	role, binding := grant(ns, "most", "'', apps, batch, rbac.authorization.k8s.io", user)
	w.apply(t, role)
	w.apply(t, binding)
	role, r.binding = grant(ns, "things", groupOf(ns), user)
	w.apply(t, role)
	var err error
	r.proxy, err = harness.ServeProxy(w.cfg, user)
	must(t, err)
	t.Cleanup(r.proxy.Close)
	cfg, err := harness.RESTFrom(w.file(t, "proxied", r.proxy.Kubeconfig()))
	must(t, err)
	client, err := dynamic.NewForConfig(cfg)
	must(t, err)
	r.things = client.Resource(schema.GroupVersionResource{Group: groupOf(ns), Version: "v1", Resource: "things"}).Namespace(ns)
	r.give(t)
	return r
}

// give gives the right to the things.
func (r *rights) give(t *testing.T) {
	t.Helper()
	r.apply(t, r.binding)
	r.awaitRight(t, true)
}

// take takes it, and ends the watch that had it.
func (r *rights) take(t *testing.T) {
	t.Helper()
	r.remove(t, r.binding)
	r.awaitRight(t, false)
	if n := r.proxy.Cut("things"); n != 1 {
		t.Errorf("%d watches were broken off, want 1", n)
	}
}

// awaitRight waits until the API server knows whether things may be listed.
func (r *rights) awaitRight(t *testing.T, granted bool) {
	t.Helper()
	must(t, harness.Poll(within(t, stepLimit), 10*time.Millisecond, "the API server to know the right", func(ctx context.Context) error {
		_, err := r.things.List(ctx, metav1.ListOptions{})
		if err != nil && !apierrors.IsForbidden(err) {
			return err
		}
		if (err == nil) != granted {
			return fmt.Errorf("granted: %t", err == nil)
		}
		return nil
	}))
}

// change changes a thing, makes one and removes another.
func (r *rights) change(t *testing.T, n int) {
	t.Helper()
	r.apply(t, thing(r.ns, "v1", 0, 10*n))
	r.apply(t, thing(r.ns, "v1", 10*n, 10*n))
	r.remove(t, thing(r.ns, "v1", n, 0))
}

// files are those of the things.
func (r *rights) files(t *testing.T) map[string]harness.File {
	t.Helper()
	files, err := r.remote.Files("live/" + r.ns + "/" + groupOf(r.ns))
	must(t, err)
	return files
}

// checkSame checks that the things in Git are as they were, through a run and what else
// happens.
func (r *rights) checkSame(t *testing.T, before map[string]harness.File) {
	t.Helper()
	r.reconcile(t)
	r.sentinel(t, r.ns)
	if now := r.files(t); len(now) == 0 || !maps.Equal(before, now) {
		t.Errorf("%q are in Git, want %q as they were", slices.Sorted(maps.Keys(now)), slices.Sorted(maps.Keys(before)))
	}
}
