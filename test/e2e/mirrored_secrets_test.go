package e2e_test

import (
	"encoding/base64"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kubescribe/kubescribe/shared/gittest"
	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

// reader is somebody who may read what is encrypted.
type reader struct{ file, recipient string }

func newReader(t *testing.T, w *world, name string) reader {
	t.Helper()
	r := reader{file: filepath.Join(w.dir, name+".key")}
	var err error
	r.recipient, err = harness.ReaderKey(bins, r.file)
	must(t, err)
	return r
}

// decrypt is what the stock sops makes of a file, by the reader's key alone.
func (r reader) decrypt(content string) (string, error) {
	return harness.Decrypt(bins, r.file, content)
}

// decryptAll decrypts what is encrypted below a folder, where it stands.
func (r reader) decryptAll(t *testing.T, folder string) {
	t.Helper()
	n := 0
	must(t, filepath.WalkDir(folder, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".sops.yaml") {
			return err
		}
		n++
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		plain, err := r.decrypt(string(content))
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		return os.WriteFile(path, []byte(plain), 0o600)
	}))
	t.Logf("%d files were decrypted", n)
	if n == 0 {
		t.Error("nothing is encrypted")
	}
}

// secret is a manifest.
func secret(namespace, name, value string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: Secret\nmetadata: {name: %s, namespace: %s, labels: {app: db}}\nstringData: {password: %q}\n", name, namespace, value)
}

// TestMirroredSecrets: Secrets stand in Git encrypted to who was named, with the stock sops to
// prove it; what is a no-op makes no commit, across restarts and kills; another
// recipient, or another key of marks, has all of them written anew, once; and no value is anywhere else.
func TestMirroredSecrets(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ownCluster(t))
	ns := w.namespace(t, "vault")
	alice, bob := newReader(t, w, "alice"), newReader(t, w, "bob")
	values := []string{"correct-horse-battery", "staple-at-midnight", "third-time-lucky", "grace-hopper-1906"}
	w.apply(t, secret(ns, "db", values[0]))
	w.apply(t, secret(ns, "db.sops", values[3]))
	w.apply(t, configMap(ns, "clear", inClear))
	w.apply(t, fmt.Sprintf("apiVersion: v1\nkind: Secret\nmetadata: {name: sh.helm.release.v1.web.v1, namespace: %s}\ntype: helm.sh/release.v1\nstringData: {release: %q}\n", ns, values[2]))
	as := func(readers ...reader) harness.Scope {
		s := scope(ns)
		s.Decrypt = readers[0].decrypt
		w.options.Args = []string{"--namespace", ns, "--verbose"}
		for _, r := range readers {
			w.options.Args = append(w.options.Args, "--recipient", r.recipient)
		}
		return s
	}
	in := as(alice)
	k := w.startReady(t)
	w.settle(t, in)
	first := w.tip(t)

	// A change, a change that is none, and another object.
	written := w.apply(t, secret(ns, "db", values[1]))
	must(t, w.awaitVersions(within(t, stepLimit), "", written))
	w.apply(t, secret(ns, "db", values[1])) // the same
	w.sentinel(t, ns)
	w.settle(t, in)
	if n, err := w.remote.History(first + "..HEAD"); err != nil || len(n) != 2 {
		t.Errorf("%d commits of one change of a Secret and one of a ConfigMap, %v", len(n), err)
	}
	searchEverywhere(t, w, k, values)
	stop(t, k)

	// Nothing is written again by another process.
	before := w.tip(t)
	k = w.startReady(t)
	w.settle(t, in)
	k.Kill()
	k = w.startReady(t)
	w.settle(t, in)
	w.reconcile(t)
	if after := w.tip(t); after != before {
		t.Errorf("a restart wrote %s", w.between(t, before, after))
	}
	stop(t, k)

	// Another reader: all Secrets in one commit, and both read them. Then the first one goes.
	for _, readers := range [][]reader{{alice, bob}, {bob}} {
		before, in = w.tip(t), as(readers...)
		k = w.startReady(t)
		for _, r := range readers {
			in.Decrypt = r.decrypt
			w.settle(t, in)
		}
		w.reconcile(t)
		w.writtenAnew(t, before, "the same content, encrypted anew")
		stop(t, k)
	}
	files, err := w.remote.Files("live")
	must(t, err)
	if _, err := alice.decrypt(files["live/"+ns+"/secrets/db.sops.yaml"].Content); err == nil {
		t.Error("who is no recipient any more reads it")
	}

	// The key of marks is lost: all is written with another one, once.
	must(t, os.Remove(filepath.Join(w.options.DataDir, "keys", "marks")))
	before = w.tip(t)
	k = w.startReady(t)
	w.settle(t, in)
	w.reconcile(t)
	w.writtenAnew(t, before, "encrypted anew, marked with another key")
	// Somebody writes another value into a file: it is put right.
	edit(t, w, bob, "live/"+ns+"/secrets/db.sops.yaml")
	if code, said := runToEnd(t, "diff", w.get(t).Destination.Key.Name, "--data-dir", w.options.DataDir); code != 0 || !strings.Contains(said, "\n~ "+ns+"/secrets/db.sops.yaml: content differs\n") {
		t.Errorf("diff ends with %d: %s", code, said)
	}
	w.reconcile(t)
	w.settle(t, in)
	w.remove(t, secret(ns, "db", ""))
	w.settle(t, in)
	searchEverywhere(t, w, k, values)
	stop(t, k)
	if dead := strings.Count(string(k.Output()), "dead letters"); dead > 0 {
		t.Errorf("%d were sent to the dead letters", dead)
	}
}

// writtenAnew checks that behind a commit stands one more, of both Secrets, that says why.
func (w *world) writtenAnew(t *testing.T, before, why string) {
	t.Helper()
	if said := w.between(t, before, w.tip(t)); strings.Count(said, "("+why+")") != 2 {
		t.Errorf("the commit does not say why: %s", said)
	}
	if commits, err := w.remote.History(before + "..HEAD"); err != nil || len(commits) != 1 || len(commits[0].Files) != 2 {
		t.Errorf("%d commits, %v: %s", len(commits), err, w.between(t, before, w.tip(t)))
	}
}

// between is what stands between two commits.
func (w *world) between(t *testing.T, from, to string) string {
	t.Helper()
	out, err := gittest.Git(w.remote.Dir, "log", "--stat", "--format=%h %s%n%b", from+".."+to)
	must(t, err)
	return out
}

// edit changes a value of an encrypted file as its reader does, and pushes that.
func edit(t *testing.T, w *world, r reader, path string) {
	t.Helper()
	clone := filepath.Join(t.TempDir(), "clone")
	_, err := gittest.Git(w.dir, "clone", "-q", w.remote.Dir, clone)
	must(t, err)
	out, err := harness.SetValue(bins, r.file, filepath.Join(clone, path), `["data"]["password"]`, `"dG9vIHNob3J0"`)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, args := range [][]string{{"add", "-A"}, {"-c", "user.name=x", "-c", "user.email=x@example.com", "commit", "-qm", "Edit"}, {"push", "-q"}} {
		_, err := gittest.Git(clone, args...)
		must(t, err)
	}
}

// inClear is a value of a ConfigMap, by which a search shows that it finds what is there.
const inClear = "nothing-to-hide-0815"

// searchEverywhere looks for values where kubescribe has put anything: the bus, the files of the
// data directory, the log, the metrics, and each object of the repository.
func searchEverywhere(t *testing.T, w *world, k *harness.Daemon, values []string) {
	t.Helper()
	objects, err := gittest.Git(w.remote.Dir, "cat-file", "--batch-all-objects", "--batch", "--unordered")
	must(t, err)
	if !strings.Contains(objects, "ENC[AES256_GCM") {
		t.Error("the search of the repository finds nothing at all")
	}
	bus, err := harness.DumpDataDir(within(t, stepLimit), w.options.DataDir)
	must(t, err)
	for where, text := range map[string]string{"the repository": objects, "the bus": bus} {
		if !strings.Contains(text, inClear) {
			t.Errorf("%s does not even hold what is in clear", where)
		}
	}
	pages := map[string]string{"the repository": objects, "the bus": bus, "the log": string(k.Output())}
	for _, path := range []string{"/metrics", "/readyz"} {
		_, pages[path], err = k.Get(within(t, stepLimit), path)
		must(t, err)
	}
	for _, value := range values {
		for _, form := range []string{value, base64.StdEncoding.EncodeToString([]byte(value)), fmt.Sprintf("%x", value)} {
			checkAbsent(t, w.options.DataDir, form)
			for where, text := range pages {
				if text == "" || strings.Contains(text, form) {
					t.Errorf("%s holds %q, or nothing", where, form)
				}
			}
		}
	}
}
