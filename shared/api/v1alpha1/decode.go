package v1alpha1

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// decoder fills a Go value from a YAML node, strictly: it reports what it does not
// know or what has another type, leaves that out and goes on. It never echoes a
// value, knows nothing of what values mean, and follows no alias, so that its work is
// bounded by the size of the file.
type decoder struct {
	offset int // to add to the lines of nodes in texts; report does so for its own
	report func(line int, path, hides, text string)
}

// metadataFields are the fields of metadata that a document may carry.
var metadataFields = []string{"name", "namespace", "labels", "annotations"}

// clusterFields are what the API server and controllers write, by the path of the mapping
// that they are in. A file that kubectl get -o yaml wrote has them, and they mean nothing
// there: they are left out unread, as kubectl apply does with a status.
var clusterFields = map[string][]string{
	"":         {"status"},
	"metadata": {"creationTimestamp", "finalizers", "generation", "managedFields", "ownerReferences", "resourceVersion", "selfLink", "uid"},
}

// refuse reports a value that is left out, and so will be missing.
func (d *decoder) refuse(line int, path, text string) { d.report(line, path, path, text) }

func (d *decoder) value(n *yaml.Node, v reflect.Value, path string, line int) {
	switch {
	case n.Kind == yaml.AliasNode:
		d.refuse(line, path, "is a YAML alias, and those are not supported; write the value out here")
	case n.ShortTag() == "!!null":
		d.refuse(line, path, "has no value; give it one or leave the field out")
	case v.Type() == reflect.TypeFor[*metav1.Duration]():
		d.duration(n, v, path, line)
	case v.Type() == reflect.TypeFor[*intstr.IntOrString]():
		d.intOrPercent(n, v, path, line)
	case v.Kind() == reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.value(n, v.Elem(), path, line)
	case v.Kind() == reflect.Struct:
		d.fields(n, v, path, line)
	case v.Kind() == reflect.Map:
		d.stringMap(n, v, path, line)
	case v.Kind() == reflect.Slice:
		d.list(n, v, path, line)
	case v.Kind() == reflect.Bool:
		truth := strings.EqualFold(n.Value, "true")
		if n.ShortTag() != "!!bool" || !truth && !strings.EqualFold(n.Value, "false") {
			d.refuse(line, path, "must be true or false, not "+describe(n)+"; write one of the two")
			return
		}
		v.SetBool(truth)
	case v.Kind() == reflect.Int32:
		d.number(n, v, path, line)
	default:
		d.text(n, v, path, line)
	}
}

// text takes what the YAML library of Kubernetes takes for a string too, so that a
// file means the same to both.
func (d *decoder) text(n *yaml.Node, v reflect.Value, path string, line int) {
	tag := n.ShortTag()
	switch {
	case n.Kind != yaml.ScalarNode:
		d.refuse(line, path, "must be a string, not "+describe(n)+"; correct it")
	case tag != "!!str" && tag != "!!timestamp", isOldBool(n):
		d.refuse(line, path, "must be a string, not "+describe(n)+"; put it in quotes if it is meant as one")
	default:
		v.SetString(n.Value)
	}
}

func (d *decoder) list(n *yaml.Node, v reflect.Value, path string, line int) {
	if n.Kind != yaml.SequenceNode {
		d.refuse(line, path, "must be a list, not "+describe(n)+"; correct it")
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content)))
	for i, item := range n.Content {
		d.value(item, v.Index(i), fmt.Sprintf("%s[%d]", path, i), item.Line)
	}
}

func (d *decoder) stringMap(n *yaml.Node, v reflect.Value, path string, line int) {
	v.Set(reflect.MakeMap(v.Type()))
	d.entries(n, path, line, func(key, value *yaml.Node, path string) {
		text := reflect.New(v.Type().Elem()).Elem()
		d.value(value, text, path, key.Line)
		v.SetMapIndex(reflect.ValueOf(key.Value), text)
	})
}

func (d *decoder) fields(n *yaml.Node, v reflect.Value, path string, line int) {
	known := fieldsOf(v)
	d.entries(n, path, line, func(key, value *yaml.Node, fieldPath string) {
		if slices.Contains(clusterFields[path], key.Value) {
			return
		}
		i := slices.IndexFunc(known, func(f field) bool { return f.name == key.Value })
		if i < 0 {
			d.unknown(key, path, known)
			return
		}
		f := known[i].value
		if (f.Kind() == reflect.String || f.Kind() == reflect.Pointer) && value.Kind == yaml.ScalarNode && value.Value == "" && value.ShortTag() == "!!str" {
			d.refuse(key.Line, fieldPath, "is empty; give it a value or leave the field out")
			return
		}
		d.value(value, f, fieldPath, key.Line)
	})
}

// entries calls each for the keys of a mapping that are strings, the first time they
// occur.
func (d *decoder) entries(n *yaml.Node, path string, line int, each func(key, value *yaml.Node, path string)) {
	if n.Kind != yaml.MappingNode {
		d.refuse(line, path, "must be a mapping, not "+describe(n)+"; correct it")
		return
	}
	seen := make(map[string]int, len(n.Content)/2)
	for i := 0; i < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Kind != yaml.ScalarNode {
			d.report(key.Line, path, "", "has a key that is "+describe(key)+"; write a name before the colon")
			continue
		}
		keyPath := join(path, key.Value)
		if first, twice := seen[key.Value]; twice {
			d.report(key.Line, keyPath, "", fmt.Sprintf("is written twice, first on line %d; remove one", first+d.offset))
			continue
		}
		seen[key.Value] = key.Line
		each(key, value, keyPath)
	}
}

func (d *decoder) unknown(key *yaml.Node, path string, known []field) {
	names := make([]string, len(known))
	for i, f := range known {
		names[i] = f.name
	}
	advice, hides := "known here: "+strings.Join(names, ", "), ""
	if near := nearest(key.Value, names); near != "" {
		advice, hides = "did you mean "+near+"?", join(path, near)
	}
	d.report(key.Line, join(path, key.Value), hides, "unknown field; "+advice)
}

// field is a settable field of a struct under the name it has in a document.
type field struct {
	name  string
	value reflect.Value
}

func fieldsOf(v reflect.Value) []field {
	var fields []field
	for i := range v.NumField() {
		name, options, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		if options == "inline" {
			fields = append(fields, fieldsOf(v.Field(i))...)
			continue
		}
		fields = append(fields, field{name, v.Field(i)})
	}
	if v.Type() == reflect.TypeFor[metav1.TypeMeta]() {
		slices.Reverse(fields) // apiVersion first, as everyone writes it
	}
	if v.Type() == reflect.TypeFor[metav1.ObjectMeta]() {
		fields = slices.DeleteFunc(fields, func(f field) bool { return !slices.Contains(metadataFields, f.name) })
	}
	if _, isObject := v.Addr().Interface().(runtime.Object); isObject {
		fields = slices.DeleteFunc(fields, func(f field) bool { return f.name == "status" })
	}
	return fields
}

// join leaves out a key that is not one to be echoed.
func join(path, key string) string {
	switch {
	case !printable.MatchString(key):
		return path
	case path == "":
		return key
	case strings.ContainsAny(key, "./"):
		return path + "[" + key + "]"
	}
	return path + "." + key
}

// isOldBool tells whether a plain scalar is true or false by YAML 1.1, which
// Kubernetes reads.
func isOldBool(n *yaml.Node) bool {
	switch strings.ToLower(n.Value) {
	case "yes", "no", "on", "off":
		return n.Style == 0
	}
	return false
}

// describe says what a node is without saying what is in it.
func describe(n *yaml.Node) string {
	switch {
	case n.Style&yaml.TaggedStyle != 0:
		return "a value with a YAML tag"
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Kind == yaml.AliasNode:
		return "an alias"
	case isOldBool(n):
		return "a YAML 1.1 boolean"
	}
	switch n.ShortTag() {
	case "!!str", "!!timestamp":
		return "a string"
	case "!!bool":
		return "a boolean"
	case "!!int", "!!float":
		return "a number"
	case "!!null":
		return "nothing"
	}
	return "a value of another type"
}
