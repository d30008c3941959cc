package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

// TestBecomingSensitive: a type that is said to be sensitive, while changes of it wait for a remote
// that is away, is in Git encrypted from then on, and in clear nowhere at the tip, whatever prune
// says; a rule that mirrors no Secrets mirrors none, nor does an installation.
func TestBecomingSensitive(t *testing.T) {
	w := newWorld(t, cluster)
	ns := w.namespace(t, "becoming")
	owner := newReader(t, w, "owner")
	config := func(encryption, secrets string) {
		t.Helper()
		w.file(t, "config.yaml", fmt.Sprintf(`
apiVersion: kubescribe.dev/v1alpha1
kind: GitRemote
metadata: {name: live}
spec: {url: %[1]q}
---
apiVersion: kubescribe.dev/v1alpha1
kind: GitDestination
metadata: {name: live}
spec:
  remoteRef: {name: live}
  prune: {mode: Never}
  encryption: {recipients: [%[2]s]%[3]s}
---
apiVersion: kubescribe.dev/v1alpha1
kind: ClusterWatchRule
metadata: {name: live}
spec:
  destinationRef: {name: live, namespace: default}
  namespaces: [%[4]s]
  mirrorSecrets: %[5]s
  rules: [{apiGroups: [""], resources: [configmaps, secrets]}]
`, w.remote.URL, owner.recipient, encryption, ns, secrets))
	}
	config("", "Never")
	w.options.Repo, w.options.Args = "", []string{"--config", w.dir + "/config.yaml"}
	w.apply(t, configMap(ns, "a", "in-clear-once"))
	w.apply(t, secret(ns, "db", "correct-horse"))
	k := w.startReady(t)
	w.settle(t, scope(ns))
	folder := "live/" + ns
	w.stands(t, folder, folder+"/configmaps/a.yaml") // and no Secret: the rule says Never

	open := w.gate.close(beforeLanding)
	w.apply(t, configMap(ns, "a", "while-nobody-looked"))
	w.apply(t, configMap(ns, "b", "while-nobody-looked"))
	must(t, harness.Poll(within(t, stepLimit), 50*time.Millisecond, "a push to be held", func(context.Context) error {
		if w.gate.holds() == 0 {
			return errors.New("none is")
		}
		return nil
	}))
	stop(t, k)
	config(", types: [{resource: configmaps, fields: [data]}]", "Encrypted")
	w.options.Args = append(w.options.Args, "--mirror-secrets", "Never")
	open()
	k = w.startReady(t)
	w.stands(t, folder, folder+"/configmaps/a.sops.yaml", folder+"/configmaps/b.sops.yaml") // in spite of prune: Never
	files, err := w.remote.Files("live")
	must(t, err)
	for path, file := range files {
		if strings.Contains(file.Content, "while-nobody-looked") || strings.Contains(file.Content, "in-clear-once") {
			t.Errorf("%s stands in clear", path)
		}
	}
	stop(t, k)

	w.options.Args = w.options.Args[:2]
	k = w.startReady(t)
	w.stands(t, folder, folder+"/configmaps/a.sops.yaml", folder+"/configmaps/b.sops.yaml", folder+"/secrets/db.sops.yaml")
	w.history(t)
	stop(t, k)
}

// stands waits until these files are all that stand below a folder.
func (w *world) stands(t *testing.T, folder string, want ...string) {
	t.Helper()
	must(t, harness.Poll(within(t, stepLimit), 50*time.Millisecond, "the files to be "+strings.Join(want, ", "), func(context.Context) error {
		files, err := w.remote.Files(folder)
		if err != nil {
			return err
		}
		var got []string
		for path := range files {
			got = append(got, path)
		}
		if slices.Sort(got); !slices.Equal(got, want) {
			return fmt.Errorf("they are %q", got)
		}
		return nil
	}))
}
