package event

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// contentsOf reads a body, and asserts that an error is the last thing of it.
func contentsOf(t testing.TB, body []byte) (changes []Change, err error) {
	t.Helper()
	for c, ierr := range Contents(body) {
		if err != nil {
			t.Fatalf("after %v comes %+v, %v", err, c, ierr)
		}
		if err = ierr; err == nil {
			changes = append(changes, c)
		}
	}
	return changes, err
}

func TestContents(t *testing.T) {
	var want []Change
	var body []byte
	for _, c := range goldenChanges {
		want = append(want, c)
		body = AppendContent(body, c)
	}
	got, err := contentsOf(t, body)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Fatalf("%v, -written +read:\n%s", err, diff)
	}
	// Who appends to a manifest writes into no other one.
	for i := range got {
		_ = append(got[i].Manifest, "changed"...)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("appending to a manifest changed another:\n%s", diff)
	}
	for c := range Contents(body) {
		if c.Name == "" {
			t.Error("nothing was read")
		}
		break // who has seen enough gets no more
	}
}

func TestMalformedContents(t *testing.T) {
	item := func(head, manifest string) []byte {
		b := binary.AppendUvarint(nil, uint64(len(head)))
		b = binary.AppendUvarint(append(b, head...), uint64(len(manifest)))
		return append(b, manifest...)
	}
	headers := func(h Header) string {
		b, err := json.Marshal(h)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	sound := AppendContent(nil, goldenChange())
	mark, _ := goldenMarks["mark"].Message()
	noOp, manifest := set(goldenChange(), HeaderOp, "")
	newer, _ := set(goldenChange(), HeaderVersion, "2")
	for name, tt := range map[string]struct {
		body []byte
		want error
	}{
		"cut":                      {sound[:len(sound)-1], ErrMalformed},
		"cut behind the envelope":  {sound[:bytes.Index(sound, []byte("}"))+1], ErrMalformed},
		"one more byte":            {append(slices.Clone(sound), 1), ErrMalformed},
		"length above all there":   {[]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, '{', '}'}, ErrMalformed},
		"no JSON":                  {item("{", "x"), ErrMalformed},
		"another form of envelope": {item(`{"Ks-V":"1"}`, "x"), ErrMalformed},
		"null":                     {item("null", "x"), ErrMalformed},
		"empty":                    {item("", ""), ErrMalformed},
		"a mark":                   {item(headers(mark), ""), ErrMalformed},
		"no change":                {item(headers(noOp), string(manifest)), ErrMalformed},
		"a newer version":          {item(headers(newer), string(manifest)), ErrNewerVersion},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := contentsOf(t, tt.body)
			onlyIs(t, err, tt.want)
			if err == nil {
				t.Errorf("read as %+v", got)
			}
		})
	}
}

// FuzzContents: any body is changes that can be written again, malformed, or of a
// newer version.
func FuzzContents(f *testing.F) {
	for _, c := range goldenChanges {
		f.Add(AppendContent(nil, c))
		f.Add(AppendContent(AppendContent(nil, c), goldenChange()))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		changes, err := contentsOf(t, body)
		if err != nil && errors.Is(err, ErrMalformed) == errors.Is(err, ErrNewerVersion) {
			t.Fatal(err)
		}
		var b []byte
		for _, c := range changes {
			b = AppendContent(b, c)
		}
		again, err := contentsOf(t, b)
		if diff := cmp.Diff(changes, again); diff != "" || err != nil {
			t.Fatalf("%v, -read +read again:\n%s", err, diff)
		}
	})
}

// FuzzAppendContent: whatever is in a change, it comes out as it went in.
func FuzzAppendContent(f *testing.F) {
	f.Add("web", "shop/configmaps/web.yaml", "kubectl", []byte(goldenManifest))
	f.Add("a\xffb", "<&>\u2028", " hand\r\nmade ", []byte{0xff, 0})
	f.Fuzz(func(t *testing.T, name, path, manager string, manifest []byte) {
		if name == "" || len(manifest) == 0 {
			t.Skip("a change names an object, and one with a hash has a manifest")
		}
		c := goldenChange()
		c.Name, c.Path, c.FieldManager, c.Manifest = name, path, manager, manifest
		got, err := contentsOf(t, AppendContent(AppendContent(nil, c), c))
		if diff := cmp.Diff([]Change{c, c}, got); diff != "" || err != nil {
			t.Fatalf("%v, -written +read:\n%s", err, diff)
		}
		h, _ := c.Message()
		if v := h[HeaderName][0]; strings.ToValidUTF8(v, "") != v {
			t.Errorf("the header %q is not UTF-8", v)
		}
	})
}
