package event

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// set is a golden change's message with one header set, or removed by "".
func set(c Change, name, value string) (Header, []byte) {
	h, body := c.Message()
	delete(h, name)
	if value != "" {
		h[name] = []string{value}
	}
	return h, body
}

func TestMalformedChanges(t *testing.T) {
	deletion := changed(func(c *Change) { c.Op, c.Hash, c.Manifest = Delete, "", nil })
	tests := map[string]func() (Header, []byte){
		"no op":                 func() (Header, []byte) { return set(goldenChange(), HeaderOp, "") },
		"unknown op":            func() (Header, []byte) { return set(goldenChange(), HeaderOp, "PATCH") },
		"op in lower case":      func() (Header, []byte) { return set(goldenChange(), HeaderOp, "update") },
		"no cluster id":         func() (Header, []byte) { return set(goldenChange(), HeaderClusterID, "") },
		"no resource":           func() (Header, []byte) { return set(goldenChange(), HeaderResource, "") },
		"no name":               func() (Header, []byte) { return set(goldenChange(), HeaderName, "") },
		"no uid":                func() (Header, []byte) { return set(goldenChange(), HeaderUID, "") },
		"no version":            func() (Header, []byte) { return set(goldenChange(), HeaderRevision, "") },
		"no hash":               func() (Header, []byte) { return set(goldenChange(), HeaderHash, "") },
		"no manifest":           func() (Header, []byte) { h, _ := goldenChange().Message(); return h, nil },
		"neither":               func() (Header, []byte) { h, _ := set(goldenChange(), HeaderHash, ""); return h, nil },
		"delete with hash":      func() (Header, []byte) { return set(deletion, HeaderHash, "abc") },
		"delete with body":      func() (Header, []byte) { h, _ := deletion.Message(); return h, []byte("x") },
		"delete with both":      func() (Header, []byte) { h, _ := set(deletion, HeaderHash, "abc"); return h, []byte("x") },
		"run no origin":         func() (Header, []byte) { return set(goldenChange(), HeaderRun, "run-1") },
		"origin no run":         func() (Header, []byte) { return set(goldenChange(), HeaderOrigin, "reconcile") },
		"sealed without a path": func() (Header, []byte) { return set(goldenChange(), HeaderSealedTo, "age1qyq") },
		"sealed without a manifest": func() (Header, []byte) {
			c := deletion
			c.Path = "shop/secrets/db.sops.yaml"
			return set(c, HeaderSealedTo, "age1qyq")
		},
		"orphan no path": func() (Header, []byte) {
			return changed(func(c *Change) { *c = Change{Op: Delete, Origin: Reconcile, Run: "run-1"} }).Message()
		},
		"sanitizer no number": func() (Header, []byte) {
			return set(goldenChange(), HeaderSanitizer, "one")
		},
		"attempt negative":  func() (Header, []byte) { return set(goldenChange(), HeaderAttempt, "-1") },
		"registry too long": func() (Header, []byte) { return set(goldenChange(), HeaderRegistry, "99999999999999999999") },
		"time no time":      func() (Header, []byte) { return set(goldenChange(), HeaderTime, "yesterday") },
	}
	for name, message := range tests {
		t.Run(name, func(t *testing.T) {
			h, body := message()
			if c, err := ParseChange(h, body); !errors.Is(err, ErrMalformed) {
				t.Errorf("read as %+v, %v", c, err)
			} else if errors.Is(err, ErrNewerVersion) {
				t.Errorf("%v is both malformed and newer", err)
			}
		})
	}
}

func TestMalformedMarks(t *testing.T) {
	for _, tt := range []struct{ name, header, value string }{
		{"no cluster", HeaderCluster, ""},
		{"no destination", HeaderDestination, ""},
		{"no run", HeaderRun, ""},
		{"no part", HeaderPart, ""},
		{"part no number", HeaderPart, "first"},
		{"part negative", HeaderPart, "-1"},
		{"attempt no number", HeaderAttempt, "x"},
		{"registry no number", HeaderRegistry, "x"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h, _ := goldenMarks["mark"].Message()
			delete(h, tt.header)
			if tt.value != "" {
				h[tt.header] = []string{tt.value}
			}
			if m, err := ParseMark(h); !errors.Is(err, ErrMalformed) {
				t.Errorf("read as %+v, %v", m, err)
			}
		})
	}
}

func TestMalformedBarriers(t *testing.T) {
	for _, tt := range []struct{ name, header, value string }{
		{"no run", HeaderRun, ""},
		{"attempt no number", HeaderAttempt, "x"},
		{"registry no number", HeaderRegistry, "-1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h, _ := goldenBarriers["barrier"].Message()
			delete(h, tt.header)
			if tt.value != "" {
				h[tt.header] = []string{tt.value}
			}
			if b, err := ParseBarrier(h); !errors.Is(err, ErrMalformed) {
				t.Errorf("read as %+v, %v", b, err)
			}
		})
	}
}

// FuzzParseBarrier: a message is a barrier that can be sent on, or malformed.
func FuzzParseBarrier(f *testing.F) {
	f.Add("run-1", "1", "7")
	f.Add("", "", "")
	f.Add(" run%", "01", "99999999999999999999")
	f.Fuzz(func(t *testing.T, run, attempt, registry string) {
		b, err := ParseBarrier(Header{HeaderRun: {run}, HeaderAttempt: {attempt}, HeaderRegistry: {registry}})
		if err != nil {
			onlyIs(t, err, ErrMalformed)
			return
		}
		h, _ := b.Message()
		if k, err := KindOf(h); k != KindRepoState || err != nil {
			t.Errorf("kind %q, %v", k, err)
		}
		if again, err := ParseBarrier(h); again != b || err != nil {
			t.Errorf("%+v is read back as %+v, %v", b, again, err)
		}
	})
}

// TestVersions: a newer version is never malformed, whatever else is strange
// about the message, or it would go to the dead letters; an older or missing one
// never is newer, or it would stall the hop for ever.
func TestVersions(t *testing.T) {
	strange := Header{HeaderVersion: {"2"}, HeaderKind: {"tombstone"}, "Ks-Unheard-Of": {"x"}}
	for name, tt := range map[string]struct {
		header Header
		want   error
	}{
		"newer":            {Header{HeaderVersion: {"2"}, HeaderKind: {"change"}}, ErrNewerVersion},
		"newer kind":       {strange, ErrNewerVersion},
		"newer, no kind":   {Header{HeaderVersion: {"999999"}}, ErrNewerVersion},
		"no version":       {Header{HeaderKind: {"change"}}, ErrMalformed},
		"no headers":       {nil, ErrMalformed},
		"version no int":   {Header{HeaderVersion: {"1.0"}, HeaderKind: {"change"}}, ErrMalformed},
		"version zero":     {Header{HeaderVersion: {"0"}, HeaderKind: {"change"}}, ErrMalformed},
		"version negative": {Header{HeaderVersion: {"-1"}, HeaderKind: {"change"}}, ErrMalformed},
		"no kind":          {Header{HeaderVersion: {"1"}}, ErrMalformed},
		"unknown kind":     {Header{HeaderVersion: {"1"}, HeaderKind: {"tombstone"}}, ErrMalformed},
		"empty value":      {Header{HeaderVersion: {}, HeaderKind: {"change"}}, ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := KindOf(tt.header)
			onlyIs(t, err, tt.want)
		})
	}
}

// onlyIs asserts that err is one of the two errors of a reader, and not the other.
func onlyIs(t *testing.T, err, want error) {
	t.Helper()
	for _, e := range []error{ErrMalformed, ErrNewerVersion} {
		if errors.Is(err, e) != errors.Is(want, e) {
			t.Errorf("got %v, want %v alone", err, want)
		}
	}
}

func TestRecordVersions(t *testing.T) {
	for name, tt := range map[string]struct {
		json string
		want error
	}{
		"newer":             {`{"v":2,"resourceVersion":"1"}`, ErrNewerVersion},
		"newer, other form": {`{"v":2,"resourceVersion":{"of":"all"}}`, ErrNewerVersion},
		"no version":        {`{"resourceVersion":"1"}`, ErrMalformed},
		"null":              {`null`, ErrMalformed},
		"version a string":  {`{"v":"1"}`, ErrMalformed},
		"other form":        {`{"v":1,"resourceVersion":7}`, ErrMalformed},
		"empty":             {``, ErrMalformed},
		"cut":               {`{"v":1,"resourceVersion":"1`, ErrMalformed},
		"two":               {`{"v":1}{"v":1}`, ErrMalformed},
		"trailing":          {`{"v":1} x`, ErrMalformed},
		"array":             {`[{"v":1}]`, ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := Decode[Bookmark]([]byte(tt.json))
			onlyIs(t, err, tt.want)
			if err == nil {
				t.Errorf("read as %+v", r)
			}
		})
	}
	// A field that this version does not know is a newer writer's business as
	// long as the version is ours.
	if r, err := Decode[Bookmark]([]byte(`{"v":1,"resourceVersion":"7","new":true}`)); err != nil || r.ResourceVersion != "7" {
		t.Errorf("an unknown field: %+v, %v", r, err)
	}
}

func TestDestinationKey(t *testing.T) {
	k := DestinationKey{"prod", "gitops", "live"}
	if got, err := ParseDestinationKey(k.String()); got != k || err != nil {
		t.Errorf("%v, %v", got, err)
	}
	for _, s := range []string{"", "a", "a/b", "a/b/c/d", "/b/c", "a//c", "a/b/"} {
		if k, err := ParseDestinationKey(s); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q was read as %+v, %v", s, k, err)
		}
	}
}

func TestForward(t *testing.T) {
	h, _ := goldenChange().Message()
	h[HeaderID], h[HeaderCursor], h[HeaderState] = []string{"old"}, []string{"7 x"}, []string{"LIVE"}
	h["Nats-Msg-Id"] = []string{"old"}
	h["Nats-Expected-Last-Subject-Sequence"] = []string{"7"}
	next := Forward(h, "new")
	for name := range next {
		if name == HeaderCursor || name == HeaderState || strings.HasPrefix(name, "Nats-") {
			t.Errorf("%s was forwarded", name)
		}
	}
	if got := next[HeaderID]; !slices.Equal(got, []string{"new"}) || h[HeaderID][0] != "old" {
		t.Errorf("the ID is %q, the input's %q", got, h[HeaderID])
	}
	c, err := ParseChange(next, []byte(goldenManifest))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(goldenChange(), c); diff != "" {
		t.Errorf("forwarding changed the change:\n%s", diff)
	}
}

// FuzzParseChange: whatever stands in a message is a change that can be sent on
// as it is, or malformed.
func FuzzParseChange(f *testing.F) {
	raw := func(h Header, name string) string { return strings.Join(h[name], "") }
	for _, c := range goldenChanges {
		h, body := c.Message()
		f.Add(raw(h, HeaderOp), raw(h, HeaderName), raw(h, HeaderHash), raw(h, HeaderTime), raw(h, HeaderAttempt),
			raw(h, HeaderSanitizer), raw(h, HeaderPath), raw(h, HeaderRun), body)
	}
	f.Fuzz(func(t *testing.T, op, name, hash, when, attempt, sanitizer, path, run string, body []byte) {
		h, _ := goldenChange().Message()
		for k, v := range map[string]string{
			HeaderOp: op, HeaderName: name, HeaderHash: hash, HeaderTime: when, HeaderAttempt: attempt,
			HeaderSanitizer: sanitizer, HeaderDestination: "prod/gitops/live", HeaderPath: path, HeaderRun: run, HeaderPart: attempt,
		} {
			h[k] = []string{v}
		}
		if _, err := ParseMark(h); err != nil {
			onlyIs(t, err, ErrMalformed)
		}
		c, err := ParseChange(h, body)
		if err != nil {
			onlyIs(t, err, ErrMalformed)
			return
		}
		h2, body2 := c.Message()
		again, err := ParseChange(h2, body2)
		if err != nil {
			t.Fatalf("%+v cannot be read back: %v", c, err)
		}
		if diff := cmp.Diff(c, again); diff != "" {
			t.Fatalf("it changes on the way:\n%s", diff)
		}
	})
}

// FuzzHeaderValue: any value survives a header line, and stays on one.
func FuzzHeaderValue(f *testing.F) {
	for _, s := range []string{"", " ", "  ", "web", "100%", "%41", "%", "%4", "a b", " a", "a ", "a\r\nKs-Op: DELETE", "\x00\t\x7f", "größe", "\xff\xfe", "%2"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		e := Escape(s)
		if got := Unescape(e); got != s {
			t.Errorf("%q became %q by way of %q", s, got, e)
		}
		if i := strings.IndexFunc(e, func(r rune) bool { return r < ' ' || r == 0x7f }); i >= 0 {
			t.Errorf("%q holds a control character at %d", e, i)
		}
		if strings.Trim(e, " \t") != e {
			t.Errorf("%q would be trimmed", e)
		}
		h := Header{}
		put(h, HeaderName, s)
		if got := get(h, HeaderName); got != s {
			t.Errorf("%q became %q", s, got)
		}
	})
}

// TestLag: what waits on the way is one number, since the oldest of it came.
func TestLag(t *testing.T) {
	old, young := time.Unix(100, 0), time.Unix(200, 0)
	for _, c := range []struct {
		lag  Lag
		want Waiting
	}{
		{Lag{}, Waiting{}},
		{Lag{Stream: Waiting{3, young}}, Waiting{3, young}},
		{Lag{Writer: Waiting{4, old}}, Waiting{4, old}},
		{Lag{Stream: Waiting{3, young}, Writer: Waiting{4, old}}, Waiting{7, old}},
		{Lag{Stream: Waiting{3, old}, Writer: Waiting{4, young}}, Waiting{7, old}},
	} {
		if got := c.lag.Waiting(); !got.Equal(c.want) {
			t.Errorf("%+v is %+v in all, want %+v", c.lag, got, c.want)
		}
	}
}
