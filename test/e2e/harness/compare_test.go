package harness

import (
	"slices"
	"strings"
	"testing"

	utiljson "k8s.io/apimachinery/pkg/util/json"
)

// object is a cluster's object from JSON, as client-go decodes it.
func object(t *testing.T, text string) map[string]any {
	t.Helper()
	var o map[string]any
	if err := utiljson.Unmarshal([]byte(text), &o); err != nil {
		t.Fatal(err)
	}
	return o
}

const (
	settings = `{"apiVersion":"v1","kind":"ConfigMap","data":{"a":"1","b":"x\ny\n"},
		"metadata":{"name":"settings","namespace":"shop","uid":"u","resourceVersion":"5","creationTimestamp":"t","managedFields":[{}]}}`
	settingsFile = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: settings\n  namespace: shop\ndata:\n  a: \"1\"\n  b: |\n    x\n    y\n"
)

func TestCompare(t *testing.T) {
	shop := Identity{Resource: "configmaps", Namespace: "shop", Name: "settings"}
	for name, test := range map[string]struct {
		files   map[string]File
		missing bool // the cluster has nothing
		want    []string
	}{
		"equal": {files: map[string]File{
			"shop/configmaps/settings.yaml": {"100644", settingsFile}, ".kubescribe.yaml": {"100644", "x: y"}, "README.md": {"100644", "# no YAML: at all:"},
		}},
		"no file":      {want: []string{"configmaps shop/settings: has no file"}},
		"no object":    {missing: true, files: map[string]File{"shop/configmaps/settings.yaml": {"100644", settingsFile}}, want: []string{"the cluster has no configmaps shop/settings"}},
		"other value":  {files: map[string]File{"shop/configmaps/settings.yaml": {"100644", strings.Replace(settingsFile, `"1"`, `"2"`, 1)}}, want: []string{`data.a is "2", "1" in the cluster`}},
		"other type":   {files: map[string]File{"shop/configmaps/settings.yaml": {"100644", strings.Replace(settingsFile, `"1"`, `1`, 1)}}, want: []string{`data.a is 1, "1" in the cluster`}},
		"value gone":   {files: map[string]File{"shop/configmaps/settings.yaml": {"100644", strings.Replace(settingsFile, "  a: \"1\"\n", "", 1)}}, want: []string{`data.a is missing`}},
		"status in it": {files: map[string]File{"shop/configmaps/settings.yaml": {"100644", settingsFile + "status: {}\n"}}, want: []string{"status is in the file", "status is {}, and nothing in the cluster"}},
		"other mode":   {files: map[string]File{"shop/configmaps/settings.yaml": {"100755", settingsFile}}, want: []string{"mode 100755"}},
		"other place":  {files: map[string]File{"shop/configmaps/other.yaml": {"100644", settingsFile}}, want: []string{"has no file", "the path says"}},
		"no YAML":      {files: map[string]File{"shop/configmaps/settings.yaml": {"100644", "{"}}, want: []string{"has no file", "is no YAML"}},
		"no path":      {files: map[string]File{"shop/settings.yaml": {"100644", settingsFile}}, want: []string{"has no file", "no object has such a path"}},
	} {
		t.Run(name, func(t *testing.T) {
			objects := map[Identity]map[string]any{shop: object(t, settings)}
			if test.missing {
				clear(objects)
			}
			got := compare(objects, test.files, func(path string) bool { return path == "README.md" }).Differences
			for _, want := range test.want {
				if !slices.ContainsFunc(got, func(d string) bool { return strings.Contains(d, want) }) {
					t.Errorf("%q does not say %q", got, want)
				}
			}
			if len(got) != len(test.want) {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}

func TestBookkeeping(t *testing.T) {
	for name, test := range map[string]struct {
		object, file string
		equal        bool
	}{
		"a namespace": {
			`{"kind":"Namespace","metadata":{"name":"a","labels":{"kubernetes.io/metadata.name":"a"}},"spec":{"finalizers":["kubernetes"]},"status":{"phase":"Active"}}`,
			`{"kind":"Namespace","metadata":{"name":"a"}}`, true,
		},
		"a namespace with a finalizer of somebody's": {
			`{"kind":"Namespace","metadata":{"name":"a"},"spec":{"finalizers":["kubernetes","mine"]}}`,
			`{"kind":"Namespace","metadata":{"name":"a"}}`, false,
		},
		"a service": {
			`{"kind":"Service","metadata":{"name":"a"},"spec":{"clusterIP":"1.2.3.4","clusterIPs":["1.2.3.4"],"ports":[{"port":80,"nodePort":30000}]}}`,
			`{"kind":"Service","metadata":{"name":"a"},"spec":{"ports":[{"port":80}]}}`, true,
		},
		"a service without a port": {
			`{"kind":"Service","metadata":{"name":"a"},"spec":{"ports":[{"port":80},{"port":81}]}}`,
			`{"kind":"Service","metadata":{"name":"a"},"spec":{"ports":[{"port":80}]}}`, false,
		},
		"an annotation": {
			`{"kind":"A","metadata":{"name":"a","annotations":{"deployment.kubernetes.io/revision":"3","mine":"x"}}}`,
			`{"kind":"A","metadata":{"name":"a","annotations":{"mine":"x"}}}`, true,
		},
		"an empty volume": {
			`{"kind":"A","spec":{"volume":{"emptyDir":{}}}}`,
			`{"kind":"A","spec":{"volume":{}}}`, false,
		},
		"a status inside": {
			`{"kind":"A","spec":{"status":"x"}}`,
			`{"kind":"A","spec":{}}`, false,
		},
	} {
		if got := differences(object(t, test.object), object(t, test.file)); (len(got) == 0) != test.equal {
			t.Errorf("%s: differences %q, want none: %v", name, got, test.equal)
		}
	}
}

func TestIdentify(t *testing.T) {
	role := func(name string) map[string]any {
		return map[string]any{"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": map[string]any{"name": name}}
	}
	long := strings.Repeat("a", 250)
	for path, test := range map[string]struct {
		content map[string]any
		want    string // empty: an error
	}{
		"_cluster/rbac.authorization.k8s.io/clusterroles/system%3Anode%3Ax.yaml":       {role("system:node:x"), "system:node:x"},
		"_cluster/rbac.authorization.k8s.io/clusterroles/%4Zx.yaml":                    {role("Zx"), ""},
		"_cluster/rbac.authorization.k8s.io/clusterroles/x%3.yaml":                     {role("x"), ""},
		"_cluster/rbac.authorization.k8s.io/clusterroles/other.yaml":                   {role("x"), ""},
		"_cluster/clusterroles/x.yaml":                                                 {role("x"), ""},
		"x.yaml":                                                                       {role("x"), ""},
		"_cluster/rbac.authorization.k8s.io/clusterroles/x.yml":                        {role("x"), ""},
		"_cluster/rbac.authorization.k8s.io/clusterroles/" + long[:200] + "~0123.yaml": {role(long), long},
		"_cluster/rbac.authorization.k8s.io/clusterroles/b~0123.yaml":                  {role(long), ""},
	} {
		id, err := identify(path, test.content)
		if (err == nil) != (test.want != "") || (err == nil && id.Name != test.want) {
			t.Errorf("%s: %v, %v, want the name %q", path, id, err, test.want)
		}
	}
}

func TestListening(t *testing.T) {
	for log, want := range map[string]string{
		`{"msg":"x"}` + "\n" + `no JSON` + "\n" + `{"msg":"kubescribe is running","listen":"127.0.0.1:4"}` + "\n": "127.0.0.1:4",
		`{"msg":"kubescribe is running","listen":"127.0.0.1:4`:                                                    "",
		"": "",
	} {
		if got, _ := listening([]byte(log)); got != want {
			t.Errorf("%q: %q, want %q", log, got, want)
		}
	}
}
