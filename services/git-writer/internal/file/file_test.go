package file

import (
	"fmt"
	"strings"
	"testing"

	"github.com/kubescribe/kubescribe/services/git-writer/internal/marker"
	"github.com/kubescribe/kubescribe/shared/event"
)

const configMap = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: x\n"

// bomb is a list of ten of lists of ten, ten deep.
var bomb = func() string {
	b := "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
	for c := 'b'; c <= 'j'; c++ {
		b += fmt.Sprintf("%c: &%c [%s*%c]\n", c, c, strings.Repeat(fmt.Sprintf("*%c, ", c-1), 9), c-1)
	}
	return b
}()

func TestParse(t *testing.T) {
	for name, c := range map[string]struct {
		content string
		want    Contents
	}{
		"one":                        {configMap, Contents{Resources: 1}},
		"one, behind a separator":    {"# words\n---\n" + configMap, Contents{Resources: 1}},
		"one, before a separator":    {configMap + "---\n", Contents{Resources: 1}},
		"two":                        {configMap + "---\n" + configMap, Contents{Resources: 2}},
		"two, of which one is none":  {configMap + "---\na: b\n", Contents{Resources: 1}},
		"behind a document of words": {"just words\n---\n" + configMap, Contents{Resources: 1}},
		"behind a list":              {"[1, 2]\n---\n" + configMap, Contents{Resources: 1}},
		"a separator in a text":      {configMap + "data:\n  x: |\n    ---\n    apiVersion: v1\n    kind: x\n", Contents{Resources: 1}},
		"JSON":                       {"{\n\t\"apiVersion\": \"v1\",\n\t\"kind\": \"ConfigMap\"\n}\n", Contents{Resources: 1}},
		"a list of two":              {"apiVersion: v1\nkind: List\nitems:\n- a: 1\n- b: 2\n", Contents{Resources: 2}},
		"a list of a kind":           {"apiVersion: apps/v1\nkind: List\n", Contents{Resources: 1}},
		"kustomize":                  {"apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n", Contents{}},
		"kustomize, short":           {"resources:\n- x.yaml\n", Contents{}},
		"Flux":                       {"apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\n", Contents{Resources: 1}},
		"a chart":                    {"apiVersion: v2\nname: x\n", Contents{}},
		"values":                     {"kind: ClusterIP\nreplicas: 2\n", Contents{}},
		"a template":                 {"{{- if .Values.x }}\n" + configMap + "{{- end }}\n", Contents{}},
		"a template, farther down":   {configMap + "---\n{{ .Values.x }}: {{\n", Contents{Resources: 1}},
		"in conflict":                {"<<<<<<< ours\n" + configMap + "=======\n" + configMap + ">>>>>>> theirs\n", Contents{}},
		"a version that is a number": {"apiVersion: 1\nkind: X\n", Contents{Resources: 1}},
		"a version that is a list":   {"apiVersion: [1]\nkind: X\n", Contents{}},
		"nothing":                    {"", Contents{}},
		"bytes":                      {"\x00\xff\xfe", Contents{}},
		"a marker":                   {string(marker.Of(event.Destination{}, "inc").Bytes()), Contents{Marker: true}},
		"an object of that name":     {"apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata:\n  name: .kubescribe\n", Contents{Resources: 1}},
		"a list that would grow":     {"apiVersion: v1\nkind: List\n" + bomb + "items: *j\n", Contents{}},
	} {
		if got := Parse([]byte(c.content)); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(configMap + "---\n" + configMap))
	f.Fuzz(func(t *testing.T, b []byte) {
		if c := Parse(b); c.Resources < 0 {
			t.Errorf("%d resources", c.Resources)
		}
	})
}
