package v1alpha1

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/yaml"

	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/exclusion"
)

// openAPI is what these tests read of a definition's.
type openAPI struct {
	Type       string             `json:"type"`
	Properties map[string]openAPI `json:"properties"`
	Items      *openAPI           `json:"items"`
	Default    any                `json:"default"`
	Enum       []string           `json:"enum"`
}

// definition is the schema of a kind in deploy/crds.
func definition(t *testing.T, kind string) openAPI {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "..", "deploy", "crds", "kubescribe.dev_"+strings.ToLower(kind)+"s.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var crd struct {
		Spec struct {
			Versions []struct {
				Schema struct {
					OpenAPIV3Schema openAPI `json:"openAPIV3Schema"`
				} `json:"schema"`
			} `json:"versions"`
		} `json:"spec"`
	}
	if err := yaml.Unmarshal(data, &crd); err != nil {
		t.Fatal(err)
	}
	return crd.Spec.Versions[0].Schema.OpenAPIV3Schema
}

// TestDefinitionsHaveTheFieldsOfFiles: what may stand in a file may stand in the cluster,
// and nothing else but what the cluster writes.
func TestDefinitionsHaveTheFieldsOfFiles(t *testing.T) {
	for kind, object := range map[string]any{
		KindGitRemote: &GitRemote{}, KindGitDestination: &GitDestination{}, KindWatchRule: &WatchRule{}, KindClusterWatchRule: &ClusterWatchRule{},
	} {
		of := definition(t, kind)
		delete(of.Properties, "status")
		served, read := of.paths(""), filePaths(reflect.ValueOf(object).Elem(), "")
		slices.Sort(served)
		slices.Sort(read)
		if diff := cmp.Diff(read, served); diff != "" || len(read) < 10 {
			t.Errorf("%s: fields of files (-) and of the definition (+):\n%s", kind, diff)
		}
	}
}

// paths are the fields of a schema, but for those of metadata, which the API server knows.
func (s openAPI) paths(path string) (paths []string) {
	if s.Items != nil {
		return s.Items.paths(path + "[]")
	}
	for name, property := range s.Properties {
		paths = append(paths, path+"."+name)
		paths = append(paths, property.paths(path+"."+name)...)
	}
	return paths
}

// filePaths are the fields that the decoder knows of a value.
func filePaths(v reflect.Value, path string) (paths []string) {
	switch {
	case v.Type() == reflect.TypeFor[metav1.Duration](), v.Type() == reflect.TypeFor[intstr.IntOrString](), v.Type() == reflect.TypeFor[metav1.ObjectMeta]():
		return nil
	case v.Kind() == reflect.Pointer:
		return filePaths(reflect.New(v.Type().Elem()).Elem(), path)
	case v.Kind() == reflect.Slice:
		return filePaths(reflect.New(v.Type().Elem()).Elem(), path+"[]")
	case v.Kind() != reflect.Struct:
		return nil
	}
	for _, f := range fieldsOf(v) {
		paths = append(paths, path+"."+f.name)
		paths = append(paths, filePaths(f.value, path+"."+f.name)...)
	}
	return paths
}

// TestDefinitionsHaveTheDefaultsOfFiles: the API server fills in what SetDefaults does, but
// for what depends on other fields.
func TestDefinitionsHaveTheDefaultsOfFiles(t *testing.T) {
	for _, name := range []string{"example.yaml", "full.yaml"} {
		for object, written := range documents(t, filepath.Join("testdata", name)) {
			served := runtime.DeepCopyJSON(written)
			definition(t, served["kind"].(string)).setDefaults(served)
			read := roundTrip(t, object, object)
			for _, path := range [][]string{{"metadata", "namespace"}, {"spec", "minPushInterval"}, {"spec", "destinationRef", "namespace"}} {
				leaveOut(read, written, path)
			}
			if diff := cmp.Diff(read, roundTrip(t, served, object)); diff != "" {
				t.Errorf("%s: %s %s as SetDefaults (-) and the definition (+) fill it in:\n%s", name, written["kind"], written["metadata"], diff)
			}
		}
	}
}

// documents are those of a file as they are read, with how they were written.
func documents(t *testing.T, path string) map[runtime.Object]map[string]any {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	docs, err := Load(strings.NewReader(string(data)), path)
	if err != nil {
		t.Fatal(err)
	}
	objects := map[string][]runtime.Object{}
	for i := range docs.GitRemotes {
		objects[KindGitRemote] = append(objects[KindGitRemote], &docs.GitRemotes[i])
	}
	for i := range docs.GitDestinations {
		objects[KindGitDestination] = append(objects[KindGitDestination], &docs.GitDestinations[i])
	}
	for i := range docs.WatchRules {
		objects[KindWatchRule] = append(objects[KindWatchRule], &docs.WatchRules[i])
	}
	for i := range docs.ClusterWatchRules {
		objects[KindClusterWatchRule] = append(objects[KindClusterWatchRule], &docs.ClusterWatchRules[i])
	}
	all := map[runtime.Object]map[string]any{}
	for text := range strings.SplitSeq(string(data), "\n---\n") {
		var written map[string]any
		if err := yaml.Unmarshal([]byte(text), &written); err != nil {
			t.Fatal(err)
		}
		if written == nil {
			continue
		}
		kind := written["kind"].(string)
		all[objects[kind][0]] = numbers(written).(map[string]any)
		objects[kind] = objects[kind][1:]
	}
	return all
}

// numbers makes whole numbers what DeepCopyJSON takes.
func numbers(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key := range v {
			v[key] = numbers(v[key])
		}
	case []any:
		for i := range v {
			v[i] = numbers(v[i])
		}
	case int:
		return int64(v)
	}
	return v
}

// setDefaults does what the API server does.
func (s openAPI) setDefaults(v any) {
	switch v := v.(type) {
	case map[string]any:
		for name, property := range s.Properties {
			if _, there := v[name]; !there && property.Default != nil {
				v[name] = runtime.DeepCopyJSONValue(property.Default)
			}
			property.setDefaults(v[name])
		}
	case []any:
		if s.Items != nil {
			for _, item := range v {
				s.Items.setDefaults(item)
			}
		}
	}
}

// roundTrip is what of an object the Go type keeps, in one spelling.
func roundTrip(t *testing.T, from any, as runtime.Object) (fields map[string]any) {
	t.Helper()
	typed := reflect.New(reflect.TypeOf(as).Elem()).Interface()
	for _, step := range []struct{ from, to any }{{from, typed}, {typed, &fields}} {
		data, err := json.Marshal(step.from)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(data, step.to); err != nil {
			t.Fatal(err)
		}
	}
	return fields
}

// leaveOut removes a field that was not written.
func leaveOut(fields, written map[string]any, path []string) {
	last := len(path) - 1
	for _, name := range path[:last] {
		fields, _ = fields[name].(map[string]any)
		written, _ = written[name].(map[string]any)
	}
	if _, there := written[path[last]]; !there && fields != nil {
		delete(fields, path[last])
	}
}

// TestDefinitionsKnowTheExclusions: a destination can name each that can be lifted.
func TestDefinitionsKnowTheExclusions(t *testing.T) {
	var names []string
	for _, e := range exclusion.All() {
		if exclusion.Lifts(e.Name) {
			names = append(names, e.Name)
		}
	}
	known := definition(t, KindGitDestination).Properties["spec"].Properties["withoutExclusions"].Items.Enum
	if diff := cmp.Diff(names, known); diff != "" {
		t.Errorf("exclusions (-) and what the definition takes (+); correct the marker in types.go:\n%s", diff)
	}
}

// TestPhases: a status says what the bus says.
func TestPhases(t *testing.T) {
	for ours, bus := range map[Phase]event.Phase{
		PhaseStartupReconcile: event.StartupReconcile, PhaseLiveProcessing: event.LiveProcessing, PhaseParked: event.Parked,
	} {
		if string(ours) != string(bus) {
			t.Errorf("%s is %s on the bus", ours, bus)
		}
	}
}

// TestScheme: a client knows each kind and its list, and may change a copy.
func TestScheme(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	if GroupVersion.String() != APIVersion {
		t.Errorf("the group and version are %s", GroupVersion)
	}
	kinds := scheme.KnownTypes(GroupVersion)
	for _, kind := range []string{KindGitRemote, KindGitDestination, KindWatchRule, KindClusterWatchRule} {
		for _, name := range []string{kind, kind + "List"} {
			if _, known := kinds[name]; !known {
				t.Errorf("%s is not known: %v", name, slices.Sorted(maps.Keys(kinds)))
			}
		}
	}
	for object := range documents(t, filepath.Join("testdata", "full.yaml")) {
		if dup := object.DeepCopyObject(); !reflect.DeepEqual(dup, object) {
			t.Errorf("a copy differs:\n%s", cmp.Diff(object, dup))
		}
	}
}
