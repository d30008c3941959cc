package harness

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	utiljson "k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/yaml"
)

// readManifest reads a file that holds one object, numbers as client-go has them.
func readManifest(content string) (map[string]any, error) {
	if strings.HasPrefix(content, "---\n") || strings.Contains(content, "\n---\n") {
		return nil, errors.New("holds more than a document")
	}
	j, err := yaml.YAMLToJSONStrict([]byte(content))
	if err != nil {
		return nil, fmt.Errorf("is no YAML: %w", err)
	}
	var object map[string]any
	if err := utiljson.Unmarshal(j, &object); err != nil {
		return nil, fmt.Errorf("holds no object: %w", err)
	}
	for _, field := range []string{"apiVersion", "kind"} {
		if s, _ := object[field].(string); s == "" {
			return nil, fmt.Errorf("has no %s", field)
		}
	}
	return object, nil
}

// differences says where a file differs from its object: a value of the file
// that the object does not have, or a value of the object that the file does not
// have and that is not the server's own bookkeeping.
func differences(object, file map[string]any) []string {
	kind, _ := object["kind"].(string)
	d := differ{kind: kind}
	for _, path := range [][]string{{"status"}, {"metadata", "uid"}, {"metadata", "resourceVersion"}, {"metadata", "managedFields"}} {
		if has(file, path) {
			d.add(path, "is in the file")
		}
	}
	d.maps(nil, object, file)
	return d.found
}

type differ struct {
	kind  string
	found []string
}

func (d *differ) add(path []string, format string, args ...any) {
	d.found = append(d.found, strings.Join(path, ".")+" "+fmt.Sprintf(format, args...))
}

func (d *differ) maps(path []string, object, file map[string]any) {
	for key, value := range file {
		at := child(path, key)
		if theirs, ok := object[key]; ok {
			d.values(at, theirs, value)
		} else {
			d.add(at, "is %s, and nothing in the cluster", short(value))
		}
	}
	for key, value := range object {
		if _, ok := file[key]; ok {
			continue
		}
		if at := child(path, key); !d.bookkeeping(at, value) {
			d.add(at, "is missing, %s in the cluster", short(value))
		}
	}
}

func (d *differ) values(path []string, object, file any) {
	switch o := object.(type) {
	case map[string]any:
		if f, ok := file.(map[string]any); ok {
			d.maps(path, o, f)
			return
		}
	case []any:
		if d.kind == "Namespace" && matches([]string{"spec", "finalizers"}, path) {
			o = slices.DeleteFunc(slices.Clone(o), func(f any) bool { return f == "kubernetes" }) // the server's own
		}
		if f, ok := file.([]any); ok && len(f) == len(o) {
			for i := range o {
				d.values(child(path, strconv.Itoa(i)), o[i], f[i])
			}
			return
		}
	}
	if !reflect.DeepEqual(object, file) {
		d.add(path, "is %s, %s in the cluster", short(file), short(object))
	}
}

// bookkeeping reports whether a value may be missing in a file: the server or
// its controllers keep it, or everything in it is of that sort.
func (d *differ) bookkeeping(path []string, value any) bool {
	for _, rule := range bookkeeping {
		if (rule.kind == "" || rule.kind == d.kind) && matches(rule.path, path) && (rule.when == nil || rule.when(value)) {
			return true
		}
	}
	fields, ok := value.(map[string]any)
	for key, inner := range fields {
		ok = ok && d.bookkeeping(child(path, key), inner)
	}
	return ok && len(fields) > 0
}

// bookkeeping is what may be missing in a file, "*" standing for any part.
var bookkeeping = []struct {
	kind string // "" for every kind
	path []string
	when func(value any) bool // nil: whatever it is
}{
	{path: []string{"status"}},
	{path: []string{"metadata", "uid"}},
	{path: []string{"metadata", "resourceVersion"}},
	{path: []string{"metadata", "generation"}},
	{path: []string{"metadata", "creationTimestamp"}},
	{path: []string{"metadata", "deletionTimestamp"}},
	{path: []string{"metadata", "deletionGracePeriodSeconds"}},
	{path: []string{"metadata", "managedFields"}},
	{path: []string{"metadata", "selfLink"}},
	{path: []string{"metadata", "generateName"}},
	{path: []string{"metadata", "ownerReferences"}},
	{path: []string{"metadata", "annotations", "kubectl.kubernetes.io/last-applied-configuration"}},
	{path: []string{"metadata", "annotations", "deployment.kubernetes.io/revision"}},
	{path: []string{"metadata", "annotations", "control-plane.alpha.kubernetes.io/leader"}},
	{path: []string{"metadata", "annotations", "autoscaling.alpha.kubernetes.io/conditions"}},
	{path: []string{"metadata", "annotations", "autoscaling.alpha.kubernetes.io/current-metrics"}},
	{path: []string{"metadata", "annotations", "pv.kubernetes.io/bind-completed"}},
	{path: []string{"metadata", "annotations", "pv.kubernetes.io/bound-by-controller"}},
	{path: []string{"spec", "template", "metadata", "creationTimestamp"}, when: isNil},
	{path: []string{"spec", "template", "metadata"}, when: isEmpty},
	{kind: "CronJob", path: []string{"spec", "jobTemplate", "metadata"}, when: isEmpty},
	{kind: "CronJob", path: []string{"spec", "jobTemplate", "spec", "template", "metadata"}, when: isEmpty},
	{kind: "DaemonSet", path: []string{"metadata", "annotations", "deprecated.daemonset.template.generation"}},
	{kind: "StatefulSet", path: []string{"spec", "volumeClaimTemplates", "*", "status"}},
	{kind: "Namespace", path: []string{"metadata", "labels", "kubernetes.io/metadata.name"}},
	{kind: "Namespace", path: []string{"spec", "finalizers"}, when: isDefaultFinalizer},
	{kind: "PersistentVolumeClaim", path: []string{"spec", "volumeName"}},
	{kind: "Pod", path: []string{"spec", "nodeName"}},
	{kind: "Service", path: []string{"spec", "clusterIP"}},
	{kind: "Service", path: []string{"spec", "clusterIPs"}},
	{kind: "Service", path: []string{"spec", "healthCheckNodePort"}},
	{kind: "Service", path: []string{"spec", "ports", "*", "nodePort"}},
	{kind: "Job", path: []string{"spec", "selector"}},
	{kind: "Job", path: []string{"spec", "template", "metadata", "labels", "batch.kubernetes.io/controller-uid"}},
	{kind: "Job", path: []string{"spec", "template", "metadata", "labels", "batch.kubernetes.io/job-name"}},
	{kind: "Job", path: []string{"spec", "template", "metadata", "labels", "controller-uid"}},
	{kind: "Job", path: []string{"spec", "template", "metadata", "labels", "job-name"}},
	{kind: "Job", path: []string{"metadata", "labels", "*"}}, // a copy of the template's, where nobody gave any
}

func isNil(value any) bool { return value == nil }

func isEmpty(value any) bool { return reflect.DeepEqual(value, map[string]any{}) }

func isDefaultFinalizer(value any) bool {
	return reflect.DeepEqual(value, []any{"kubernetes"})
}

func matches(pattern, path []string) bool {
	if len(pattern) != len(path) {
		return false
	}
	for i, p := range pattern {
		if p != "*" && p != path[i] {
			return false
		}
	}
	return true
}

func child(path []string, key string) []string {
	return append(path[:len(path):len(path)], key)
}

func has(object map[string]any, path []string) bool {
	for _, key := range path[:len(path)-1] {
		object, _ = object[key].(map[string]any)
	}
	_, ok := object[path[len(path)-1]]
	return ok
}

// short is a value as a message shows it.
func short(value any) string {
	b, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprintf("%T", value)
	}
	if s := string(b); len(s) <= 80 {
		return s
	}
	return string(b[:80]) + "…"
}
