package manifest

import (
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/json"
)

var update = flag.Bool("update", false, "rewrite the golden files, which is a new Generation")

// corpus calls f with every object under testdata, as the API server gave it.
func corpus(t testing.TB, f func(name string, obj map[string]any)) {
	t.Helper()
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("found %d golden inputs: %v", len(files), err)
	}
	for _, file := range files {
		f(strings.TrimSuffix(file, ".json"), readObject(t, file))
	}
}

func readObject(t testing.TB, file string) map[string]any {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var obj map[string]any
	if err := json.Unmarshal(data, &obj); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return obj
}

// throughJSON is the object as Kubernetes leaves it on the way from one process
// to the next.
func throughJSON(t testing.TB, obj map[string]any) map[string]any {
	t.Helper()
	data, err := json.Marshal(obj)
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(data, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// checkExact asserts what Encode promises of an object it accepts.
func checkExact(t testing.TB, obj map[string]any) []byte {
	t.Helper()
	encoded, err := Encode(obj)
	if err != nil {
		t.Fatalf("Encode: %v", err)
	}
	decoded, err := Decode(encoded)
	if err != nil {
		t.Fatalf("Decode: %v\n%s", err, encoded)
	}
	if want := throughJSON(t, obj); !reflect.DeepEqual(want, decoded) { // cmp takes minutes on deep objects
		t.Fatalf("object changed on its way through YAML (-want +got):\n%s\n%s", cmp.Diff(want, decoded), encoded)
	}
	again, err := Encode(decoded)
	if err != nil {
		t.Fatalf("Encode again: %v", err)
	}
	if string(again) != string(encoded) {
		t.Fatalf("bytes are not stable: %s", cmp.Diff(string(encoded), string(again)))
	}
	return encoded
}

func TestGolden(t *testing.T) {
	corpus(t, func(name string, obj map[string]any) {
		t.Run(filepath.Base(name), func(t *testing.T) {
			clean, err := Sanitize(obj, Policy{})
			if err != nil {
				t.Fatal(err)
			}
			got := checkExact(t, clean)
			golden := name + ".yaml"
			if *update {
				if err := os.WriteFile(golden, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("generation %d has other bytes than its golden file (-want +got):\n%s", Generation, diff)
			}
		})
	})
}
