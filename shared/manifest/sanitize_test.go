package manifest

import (
	"errors"
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime"
)

// What each golden object comes out as is in the corpus; here stands what holds
// for all of them.
func TestSanitizeInvariants(t *testing.T) {
	corpus(t, func(name string, obj map[string]any) {
		t.Run(name, func(t *testing.T) {
			checkSanitize(t, obj)
			// The same object as a manifest somebody wrote: every value in it was
			// asked for.
			written := runtime.DeepCopyJSON(obj)
			metadata := written["metadata"].(map[string]any)
			delete(metadata, "uid")
			delete(metadata, "resourceVersion")
			checkSanitize(t, written)
		})
	})
}

func checkSanitize(t *testing.T, obj map[string]any) {
	t.Helper()
	before := runtime.DeepCopyJSON(obj)
	clean, err := Sanitize(obj, Policy{})
	if err != nil {
		t.Fatal(err)
	}
	again, err := Sanitize(clean, Policy{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(clean, again); diff != "" {
		t.Errorf("not idempotent (-once +twice):\n%s", diff)
	}
	if diff := cmp.Diff(before, obj); diff != "" {
		t.Errorf("input changed (-before +after):\n%s", diff)
	}
	for key := range obj {
		if _, kept := clean[key]; !kept && key != "status" && key != "secrets" && key != "spec" {
			t.Errorf("top-level field %s is gone", key)
		}
	}
}

func TestSanitize(t *testing.T) {
	type object = map[string]any
	server := func(extra object) object {
		metadata := object{"name": "x", "uid": "u", "resourceVersion": "1"}
		maps.Copy(metadata, extra)
		return metadata
	}
	managedBy := func(manager string, fields object) []any {
		return []any{object{"manager": manager, "fieldsV1": fields}}
	}
	spec := func(fields object) object { return object{"f:spec": fields} }
	tests := []struct {
		name     string
		in, want object
	}{
		{
			"empty maps that were empty before stay",
			object{"metadata": object{"name": "x", "labels": object{}, "annotations": object{}}},
			object{"metadata": object{"name": "x", "labels": object{}, "annotations": object{}}},
		},
		{
			"maps emptied by sanitizing go",
			object{"metadata": server(object{"labels": object{"argocd.argoproj.io/instance": "a"}, "annotations": object{lastAppliedAnnotation: "{"}})},
			object{"metadata": object{"name": "x"}},
		},
		{
			"intent for GitOps tools stays",
			object{"metadata": object{"annotations": object{"argocd.argoproj.io/sync-wave": "1", "kustomize.toolkit.fluxcd.io/prune": "disabled", "fluxcd.io/sync-checksum": "x"}}},
			object{"metadata": object{"annotations": object{"argocd.argoproj.io/sync-wave": "1", "kustomize.toolkit.fluxcd.io/prune": "disabled"}}},
		},
		{
			"generateName goes once there is a name",
			object{"metadata": object{"name": "x-1", "generateName": "x-"}},
			object{"metadata": object{"name": "x-1"}},
		},
		{
			"generateName stays without a name",
			object{"metadata": object{"generateName": "x-", "namespace": "n"}},
			object{"metadata": object{"generateName": "x-", "namespace": "n"}},
		},
		{
			"labels that are no map stay as they are",
			object{"metadata": object{"labels": nil, "annotations": "?"}},
			object{"metadata": object{"labels": nil, "annotations": "?"}},
		},
		{
			"other groups' kinds of the same name keep everything",
			object{"apiVersion": "serving.knative.dev/v1", "kind": "Service", "metadata": server(nil), "spec": object{"clusterIP": "1"}, "status": object{}},
			object{"apiVersion": "serving.knative.dev/v1", "kind": "Service", "metadata": object{"name": "x"}, "spec": object{"clusterIP": "1"}},
		},
		{
			"addresses before the first apply are nobody's",
			object{"apiVersion": "v1", "kind": "Service", "metadata": server(object{"managedFields": managedBy("before-first-apply", spec(object{"f:clusterIP": object{}}))}), "spec": object{"clusterIP": "1", "clusterIPs": []any{"1"}}},
			object{"apiVersion": "v1", "kind": "Service", "metadata": object{"name": "x"}, "spec": object{}},
		},
		{
			"a list of addresses that was asked for keeps both fields",
			object{"apiVersion": "v1", "kind": "Service", "metadata": server(object{"managedFields": managedBy("me", spec(object{"f:clusterIPs": object{}}))}), "spec": object{"clusterIP": "1", "clusterIPs": []any{"1", "2"}}},
			object{"apiVersion": "v1", "kind": "Service", "metadata": object{"name": "x"}, "spec": object{"clusterIP": "1", "clusterIPs": []any{"1", "2"}}},
		},
		{
			"an address in last-applied was asked for",
			object{"apiVersion": "v1", "kind": "Service", "metadata": server(object{"annotations": object{lastAppliedAnnotation: `{"spec":{"clusterIP":"1"}}`}}), "spec": object{"clusterIP": "1", "clusterIPs": []any{"1"}}},
			object{"apiVersion": "v1", "kind": "Service", "metadata": object{"name": "x"}, "spec": object{"clusterIP": "1"}},
		},
		{
			"an empty address in last-applied was not",
			object{"apiVersion": "v1", "kind": "Service", "metadata": server(object{"annotations": object{lastAppliedAnnotation: `{"spec":{"clusterIP":""}}`}}), "spec": object{"clusterIP": "1"}},
			object{"apiVersion": "v1", "kind": "Service", "metadata": object{"name": "x"}, "spec": object{}},
		},
		{
			"a health check port that was asked for stays",
			object{"apiVersion": "v1", "kind": "Service", "metadata": server(object{"managedFields": managedBy("me", spec(object{"f:healthCheckNodePort": object{}}))}), "spec": object{"healthCheckNodePort": int64(32000)}},
			object{"apiVersion": "v1", "kind": "Service", "metadata": object{"name": "x"}, "spec": object{"healthCheckNodePort": int64(32000)}},
		},
		{
			"damaged shapes stay",
			object{"apiVersion": "v1", "kind": "Service", "metadata": server(object{"managedFields": []any{"?", object{"fieldsV1": 1.5}}}), "spec": object{"ports": []any{"?", object{"nodePort": "?"}}}},
			object{"apiVersion": "v1", "kind": "Service", "metadata": object{"name": "x"}, "spec": object{"ports": []any{"?", object{}}}},
		},
		{
			"a job of a manual selector keeps its labels",
			object{"apiVersion": "batch/v1", "kind": "Job", "metadata": object{"name": "x"}, "spec": object{"manualSelector": true, "selector": object{}, "template": object{"metadata": object{"labels": object{"controller-uid": "1"}}}}},
			object{"apiVersion": "batch/v1", "kind": "Job", "metadata": object{"name": "x"}, "spec": object{"manualSelector": true, "selector": object{}, "template": object{"metadata": object{"labels": object{"controller-uid": "1"}}}}},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			checkSanitize(t, runtime.DeepCopyJSON(test.in))
			got, err := Sanitize(test.in, Policy{})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	for _, damaged := range []object{{"metadata": "x"}, {"metadata": nil}, {"metadata": []any{}}} {
		if _, err := Sanitize(damaged, Policy{}); !errors.Is(err, ErrMetadata) {
			t.Errorf("%v: %v", damaged, err)
		}
	}
	if got, err := Sanitize(object{"kind": "Service", "apiVersion": "v1", "spec": nil}, Policy{}); err != nil || len(got) != 3 {
		t.Errorf("object without metadata: %v, %v", got, err)
	}
}

func BenchmarkSanitizeEncode(b *testing.B) {
	obj := readObject(b, "testdata/deployment.json")
	b.ReportAllocs()
	for b.Loop() {
		clean, err := Sanitize(obj, Policy{})
		if err != nil {
			b.Fatal(err)
		}
		encoded, err := Encode(clean)
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(int64(len(encoded)))
		if Hash(encoded) == "" {
			b.Fatal("no hash")
		}
	}
}
