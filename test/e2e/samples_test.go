package e2e_test

import (
	"context"
	"os"
	"strconv"
	"testing"

	"golang.org/x/sync/errgroup"
)

// The manifests of samples: $NS is a namespace, $GROUP the API group of a type of
// the test's own, $N a number.
const (
	sampleConfigMap = `
apiVersion: v1
kind: ConfigMap
metadata: {name: c-$N, namespace: $NS, labels: {app: "$N"}, annotations: {note: "line one\nline two"}}
data: {n: "$N", on: "yes", octal: "0755", text: "a\n  b\n\tc\n"}
`
	sampleService = `
apiVersion: v1
kind: Service
metadata: {name: s-$N, namespace: $NS}
spec:
  selector: {app: "$N"}
  ports: [{name: http, port: 80, targetPort: 8080}, {name: dns, port: 53, protocol: UDP}]
`
	sampleDeployment = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: d-$N, namespace: $NS}
spec:
  replicas: 0
  selector: {matchLabels: {app: "$N"}}
  template:
    metadata: {labels: {app: "$N"}}
    spec:
      containers: [{name: main, image: "example.com/app:$N", env: [{name: A, value: "1"}], resources: {limits: {cpu: 100m}}}]
`
	sampleThing = `
apiVersion: $GROUP/v1
kind: Thing
metadata: {name: t-$N, namespace: $NS}
spec: {size: $N, ratio: 0.5, big: 9007199254740993, deep: {list: [1, {a: null}, []], empty: {}}}
`
	sampleAccount = `
apiVersion: v1
kind: ServiceAccount
metadata: {name: a-$N, namespace: $NS}
`
	sampleClusterRole = `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: "$NS:role:$N"}
rules: [{apiGroups: [""], resources: [pods], verbs: [get]}]
`
	sampleDefinition = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: things.$GROUP}
spec:
  group: $GROUP
  scope: Namespaced
  names: {kind: Thing, plural: things, singular: thing}
  versions:
    - name: v1
      served: true
      storage: true
      subresources: {status: {}}
      schema:
        openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}
`
)

// sample is a manifest with its placeholders filled in. The API group of a
// namespace's things is its own.
func sample(manifest, ns string, n int) string {
	values := map[string]string{"GROUP": groupOf(ns), "NS": ns, "N": strconv.Itoa(n)}
	return os.Expand(manifest, func(name string) string { return values[name] })
}

func groupOf(ns string) string { return ns + ".example.com" }

// define defines the type of a namespace's things until the test ends.
func (w *world) define(t *testing.T, ns string) {
	t.Helper()
	manifest := sample(sampleDefinition, ns, 0)
	w.apply(t, manifest)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), stepLimit)
		defer cancel()
		_, _ = w.objects.Delete(ctx, manifest) // it may be gone already
	})
}

// fill puts objects of many types into a namespace, and cluster-scoped ones.
func (w *world) fill(t *testing.T, ns string, objects int) {
	t.Helper()
	ctx := within(t, 2*stepLimit)
	w.define(t, ns)
	kinds := []string{
		sampleConfigMap, sampleService, sampleConfigMap, sampleDeployment, sampleConfigMap,
		sampleThing, sampleConfigMap, sampleAccount, sampleConfigMap, sampleClusterRole,
	}
	var all errgroup.Group
	all.SetLimit(8)
	for n := range objects {
		all.Go(func() error {
			_, err := w.objects.Apply(ctx, sample(kinds[n%len(kinds)], ns, n))
			return err
		})
	}
	must(t, all.Wait())
}
