package manifest

import (
	"errors"
	"math"
	"os"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestText(t *testing.T) {
	tests := []struct{ value, want string }{
		{"plain", "plain"},
		{"-v", "-v"},
		{"--flag=value", "--flag=value"},
		{"http://a/b?c#d", "http://a/b?c#d"},
		{"500m", "500m"},
		{"Größe", "Größe"},
		{"", `""`},
		{"~", `"~"`},
		{"yEs", `"yEs"`},
		{"0777", `"0777"`},
		{"12:30:45", `"12:30:45"`},
		{"2026-03-01", `"2026-03-01"`},
		{"10.0.0.1", `"10.0.0.1"`},
		{"+.inf", `"+.inf"`},
		{"<<", `"<<"`},
		{"---", `"---"`},
		{"a: b", `"a: b"`},
		{"a #b", `"a #b"`},
		{"a ", `"a "`},
		{"a\r\n", `"a\r\n"`},
		{"\n", `"\n"`},
		{"\x00\u0085\ufeff\U000e0041", `"\u0000\u0085\ufeff\U000e0041"`},
		{"a\nb", "|-\n  a\n  b"},
		{"a\n", "|\n  a"},
		{"a\n\n\n", "|+\n  a\n\n"},
		{" a\n\n b\n", "|2\n   a\n\n   b"},
		{"\n\ta", "|2-\n\n  \ta"},
		{"a\n \n\n", "|+\n  a\n   \n"},
	}
	for _, test := range tests {
		got := checkExact(t, map[string]any{"k": test.value})
		if want := "k: " + test.want + "\n"; string(got) != want {
			t.Errorf("%q is written %q, want %q", test.value, got, want)
		}
	}
}

func TestNumber(t *testing.T) {
	tests := []struct {
		value any
		want  string
	}{
		{int64(math.MinInt64), "-9223372036854775808"},
		{int64(math.MaxInt64), "9223372036854775807"},
		{1.0, "1"},
		{math.Copysign(0, -1), "0"},
		{-2.5, "-2.5"},
		{float64(1 << 60), "1152921504606847000"}, // as encoding/json writes it
		{float64(1 << 63), "9.223372036854776e+18"},
		{1e20, "1.0e+20"},
		{1e-7, "1.0e-07"},
		{math.MaxFloat64, "1.7976931348623157e+308"},
		{math.SmallestNonzeroFloat64, "5.0e-324"},
	}
	for _, test := range tests {
		got := checkExact(t, map[string]any{"k": test.value})
		if want := "k: " + test.want + "\n"; string(got) != want {
			t.Errorf("%v is written %q, want %q", test.value, got, want)
		}
	}
}

func TestOrderAndShape(t *testing.T) {
	obj := map[string]any{
		"spec": map[string]any{
			"metadata": map[string]any{"namespace": "b", "name": "c", "annotations": map[string]any{}},
			"list":     []any{[]any{[]any{int64(1)}, map[string]any{"b": "x\ny\n", "a": nil}}, []any{}},
		},
		"metadata":   map[string]any{"finalizers": []any{"f"}, "annotations": map[string]any{"z": "1z"}, "labels": map[string]any{}, "namespace": "ns", "name": "n"},
		"kind":       "K",
		"apiVersion": "v1",
		"Zed":        true,
	}
	const want = `apiVersion: v1
kind: K
metadata:
  name: "n"
  namespace: ns
  labels: {}
  annotations:
    z: 1z
  finalizers:
  - f
Zed: true
spec:
  list:
  - - - 1
    - a: null
      b: |
        x
        y
  - []
  metadata:
    annotations: {}
    name: c
    namespace: b
`
	if got := checkExact(t, obj); string(got) != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	if got := checkExact(t, map[string]any{}); string(got) != "{}\n" {
		t.Errorf("empty object is %q", got)
	}
}

func TestLongKeys(t *testing.T) {
	for _, length := range []int{127, 128, 129, 997, 998, 999, 1000, 1001, 1022, 1023, 1024, 1025, 5000} {
		for _, letter := range []string{"k", "ü", "\x00", "\""} {
			key := strings.Repeat(letter, length)
			checkExact(t, map[string]any{
				key: []any{int64(1), map[string]any{key: map[string]any{key: " a\nb"}}},
				"s": []any{map[string]any{key: []any{}}, []any{map[string]any{key: []any{[]any{key}}}}},
			})
		}
	}
}

func TestRefusals(t *testing.T) {
	type private struct{ Secret string }
	tests := []struct {
		name, want string
		obj        map[string]any
		is         error
	}{
		{"NaN", "encoding spec.ratio: NaN and infinities are no JSON numbers", map[string]any{"spec": map[string]any{"ratio": math.NaN()}}, ErrNotFinite},
		{"infinity", `encoding spec["a.b/c"][1]: NaN and infinities are no JSON numbers`, map[string]any{"spec": map[string]any{"a.b/c": []any{nil, math.Inf(-1)}}}, ErrNotFinite},
		{"value", "encoding data.password: string is not valid UTF-8", map[string]any{"data": map[string]any{"password": "hunter2\xff"}}, ErrNotUTF8},
		{"block", "encoding data.password: string is not valid UTF-8", map[string]any{"data": map[string]any{"password": "hunter2\n\xff"}}, ErrNotUTF8},
		{"key", `encoding data["k\xff"]: string is not valid UTF-8`, map[string]any{"data": map[string]any{"k\xff": "hunter2"}}, ErrNotUTF8},
		{"struct", "encoding a[0].b: unsupported Go type manifest.private", map[string]any{"a": []any{map[string]any{"b": private{"hunter2"}}}}, ErrUnsupported},
		{"int", "encoding n: unsupported Go type int", map[string]any{"n": 1}, ErrUnsupported},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			out, err := Encode(test.obj)
			if out != nil || err == nil || err.Error() != test.want || !errors.Is(err, test.is) {
				t.Errorf("got %q and %v, want %s", out, err, test.want)
			}
		})
	}
}

func TestBounds(t *testing.T) {
	list := func(depth int) map[string]any {
		var v any = "x"
		for range depth - 1 {
			v = []any{v}
		}
		return map[string]any{"k": v}
	}
	checkExact(t, list(maxDepth))
	_, err := Encode(list(maxDepth + 1))
	if !errors.Is(err, ErrTooDeep) || len(err.Error()) > 2*maxPath {
		t.Errorf("one level too many: %v", err)
	}

	// A megabyte that would be gigabytes of indentation, in each shape.
	deep := func(leaf any) map[string]any {
		for range 4000 {
			leaf = map[string]any{"a": leaf}
		}
		return leaf.(map[string]any)
	}
	items := make([]any, 100_000)
	keys := make(map[string]any, len(items))
	for i := range items {
		items[i] = int64(i)
		keys[strings.Repeat("k", i%20)+string(rune(i+0x10000))] = map[string]any{}
	}
	for _, leaf := range []any{items, keys, strings.Repeat("a\n", 500_000)} {
		if _, err := Encode(deep(leaf)); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%T in depth: %v", leaf, err)
		}
	}
}

func TestDecodeRefusals(t *testing.T) {
	for _, text := range []string{"", "null", "- a", "hunter2", "a: [", "? {hunter2: 1}\n: 2", "a: .nan"} {
		if _, err := Decode([]byte(text)); !errors.Is(err, ErrNotAnObject) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("Decode(%q): %v", text, err)
		}
	}
}

// FuzzManifest takes whatever parses as an object through bytes and back, twice.
func FuzzManifest(f *testing.F) {
	corpus(f, func(name string, _ map[string]any) {
		if data, err := os.ReadFile(name + ".yaml"); err == nil && len(data) < 4096 {
			f.Add(data)
		}
	})
	f.Fuzz(func(t *testing.T, data []byte) {
		if obj, err := Decode(data); err == nil && !tooDeep(obj, 200) {
			checkExact(t, obj)
		}
	})
}

// FuzzRoundTrip puts text and numbers into every position an object has.
func FuzzRoundTrip(f *testing.F) {
	scalars := readObject(f, "testdata/scalars.json")["data"].(map[string]any)
	for key, value := range scalars {
		if value := value.(string); len(value) < 100 {
			f.Add(key, value, int64(len(key)), float64(len(key))*1.1e-5)
		}
	}
	f.Fuzz(func(t *testing.T, key, value string, i int64, n float64) {
		obj := map[string]any{
			"apiVersion": "v1", "kind": "Fuzz",
			"metadata": map[string]any{"name": value, "annotations": map[string]any{key: value}},
			"list":     []any{value, key, []any{[]any{value, i}, map[string]any{value: value}, value}, n},
			value:      map[string]any{key: []any{map[string]any{key: value, value: n}}},
			"nested":   map[string]any{key: map[string]any{value: i, "tail": value}},
		}
		encoded, err := Encode(obj)
		switch {
		case !utf8.ValidString(key) || !utf8.ValidString(value):
			if !errors.Is(err, ErrNotUTF8) && !errors.Is(err, ErrNotFinite) {
				t.Fatalf("invalid UTF-8 gave %v", err)
			}
			return
		case math.IsNaN(n) || math.IsInf(n, 0):
			if !errors.Is(err, ErrNotFinite) {
				t.Fatalf("%v gave %v", n, err)
			}
			return
		case err != nil:
			t.Fatal(err)
		}
		if !utf8.Valid(encoded) || encoded[len(encoded)-1] != '\n' {
			t.Fatalf("not a text file: %q", encoded)
		}
		checkExact(t, obj)
	})
}

func tooDeep(v any, levels int) bool {
	if levels == 0 {
		return true
	}
	switch v := v.(type) {
	case map[string]any:
		for _, child := range v {
			if tooDeep(child, levels-1) {
				return true
			}
		}
	case []any:
		for _, child := range v {
			if tooDeep(child, levels-1) {
				return true
			}
		}
	}
	return false
}

// TestEncodeHoldsNoMore: thousands of manifests are in memory at a time, and most of
// them are small.
func TestEncodeHoldsNoMore(t *testing.T) {
	b, err := Encode(map[string]any{"kind": "ConfigMap", "metadata": map[string]any{"name": "small"}})
	if err != nil {
		t.Fatal(err)
	}
	if cap(b) > 2*len(b) {
		t.Errorf("a manifest of %d bytes holds %d", len(b), cap(b))
	}
}
