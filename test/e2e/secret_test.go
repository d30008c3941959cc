package e2e_test

import (
	"bytes"
	"encoding/base64"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/kubescribe/kubescribe/shared/gittest"
	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

// TestSecrets: where no GitRemote names one, and nobody is to read them, Secrets are neither listed, nor watched, nor
// written anywhere, and the log says so at start; nor is anything asked for of what is left out
// by default.
func TestSecrets(t *testing.T) {
	w := newWorld(t, cluster)
	ns := w.namespace(t, "secret")
	const before, after = "xyzzy-before-the-start", "xyzzy-while-it-runs"
	secret := func(name, value string) {
		w.apply(t, "apiVersion: v1\nkind: Secret\nmetadata:\n  name: "+name+"\n  namespace: "+ns+"\nstringData:\n  token: "+value+"\n")
	}
	secret("old", before)
	earlier := w.auditLength(t)
	k := w.startReady(t)
	w.settle(t, scope())
	secret("new", after)
	secret("old", after)
	w.sentinel(t, ns)
	w.settle(t, scope()) // which has no Secrets either
	if said := strings.Count(string(k.Output()), "are not mirrored, because nobody could read them"); said != 1 {
		t.Errorf("the log says %d times that Secrets are not mirrored", said)
	}
	if why := w.get(t).Destination.Withheld; why != "NoRecipient" {
		t.Errorf("kubescribe get says %q", why)
	}
	stop(t, k)

	listed, requests := 0, 0
	for _, r := range w.audited(t, earlier) {
		if !r.OfKubescribe() {
			continue
		}
		requests++
		if left := r.ObjectRef.Resource; slices.Contains([]string{"secrets", "events", "leases", "endpoints", "endpointslices", "nodes"}, left) {
			listed++
			t.Errorf("kubescribe asked the API server: %s %s", r.Verb, r.RequestURI)
		}
	}
	if requests == 0 {
		t.Error("the audit log has no request of kubescribe's: it proves nothing")
	}

	for _, value := range []string{before, after} {
		for _, form := range []string{value, base64.StdEncoding.EncodeToString([]byte(value))} {
			checkAbsent(t, w.dir, form)
			objects, err := gittest.Git(w.remote.Dir, "cat-file", "--batch-all-objects", "--batch")
			must(t, err)
			if strings.Contains(objects, form) {
				t.Errorf("an object of the repository holds %q", form)
			}
		}
	}
}

// auditLength is where the audit log ends.
func (w *world) auditLength(t *testing.T) int64 {
	t.Helper()
	n, err := w.cluster.AuditLength()
	must(t, err)
	return n
}

// audited is what the API server was asked since the audit log ended there.
func (w *world) audited(t *testing.T, since int64) []harness.Request {
	t.Helper()
	requests, err := w.cluster.Audited(since)
	must(t, err)
	return requests
}

// checkAbsent fails the test if a file below dir holds a text.
func checkAbsent(t *testing.T, dir, text string) {
	t.Helper()
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		if err == nil && bytes.Contains(content, []byte(text)) {
			t.Errorf("%s holds %q", path, text)
		}
		return err
	}))
}
