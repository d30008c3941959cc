package e2e_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

// TestSealedBus: between services of their own, Secrets are sealed: no value stands on the bus's
// disk, nor in a log. A git-writer without the key says whose it lacks and loses nothing: once it
// has both, what waited is written, each change once, whatever was killed meanwhile.
func TestSealedBus(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ownCluster(t))
	ns := w.namespace(t, "sealed")
	owner := newReader(t, w, "owner")
	keygen := func(whose, name string) (file, public string) {
		t.Helper()
		file = filepath.Join(w.dir, name)
		program, err := bins.Program("kubescribe")
		must(t, err)
		out, err := exec.Command(program, "keygen", whose, file).Output()
		must(t, err)
		return file, strings.TrimSpace(string(out))
	}
	marks, _ := keygen("watcher", "marks.key")
	current, recipient := keygen("git-writer", "current.key")
	other, _ := keygen("git-writer", "other.key")

	f := newFleet(t, w)
	f.config = w.file(t, "config.yaml", fmt.Sprintf(`
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
  allowedNamespaces: [%[3]s]
  encryption:
    recipients: [%[2]s]
    types: [{resource: configmaps, fields: [data]}]
---
apiVersion: kubescribe.dev/v1alpha1
kind: WatchRule
metadata: {name: live, namespace: %[3]s}
spec: {destinationRef: {name: live, namespace: default}, rules: [{apiGroups: ["*"], resources: ["*"]}]}
`, w.remote.URL, owner.recipient, ns))
	startWatcher := func() {
		t.Helper()
		f.run(t, "watcher", harness.Command{Program: "watcher", Args: []string{
			"--config", f.config, "--kubeconfig", w.cluster.Kubeconfig(), "--cluster", "e2e", "--credentials-recipient", recipient, "--mark-key", marks,
		}})
	}
	startWriter := func(identity string) {
		t.Helper()
		f.run(t, "git-writer", harness.Command{
			Program: "git-writer", Args: []string{"--cache-dir", filepath.Join(w.dir, "cache"), "--credentials-identity", identity},
			Env: []string{"KUBESCRIBE_GIT_USERNAME=" + user, "KUBESCRIBE_GIT_PASSWORD_FILE=" + w.options.Password},
		})
	}
	values := []string{"correct-horse-battery", "staple-at-midnight", "grace-hopper-1906"}
	w.apply(t, secret(ns, "db", values[0]))
	w.apply(t, configMap(ns, "settings", values[2]))
	w.apply(t, "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: plain, namespace: "+ns+", labels: {role: plain}}\n")
	startWatcher()
	for _, name := range []string{"router", "stream", "reconciler"} {
		f.start(t, name)
	}
	startWriter(other)
	must(t, harness.Poll(within(t, stepLimit), 50*time.Millisecond, "the git-writer to say which key it lacks", func(ctx context.Context) error {
		_, body, err := f.running["git-writer"].Get(ctx, "/readyz")
		if err == nil && !strings.Contains(body, "sealed to "+recipient) {
			err = errors.New(body)
		}
		return err
	}))
	written := []harness.Written{w.apply(t, secret(ns, "db", values[1])), w.apply(t, secret(ns, "web", values[0]))}
	f.running["watcher"].Kill()
	f.running["git-writer"].Kill()
	content := func(file string) string {
		t.Helper()
		b, err := os.ReadFile(file)
		must(t, err)
		return string(b)
	}
	startWatcher()
	startWriter(w.file(t, "both.key", content(other)+content(current)))

	in := scope(ns)
	in.Decrypt = owner.decrypt
	w.settle(t, in)
	must(t, w.awaitVersions(within(t, stepLimit), "", written...))
	w.history(t)
	files, err := w.remote.Files("live")
	must(t, err)
	if m := files["live/"+ns+"/configmaps/settings.sops.yaml"].Content; !strings.Contains(m, "value: ENC[") {
		t.Errorf("the type that is sensitive by configuration is\n%s", m)
	}
	bus, err := harness.DumpBus(within(t, stepLimit), f.server.URL, everyStream)
	must(t, err)
	if !strings.Contains(bus, "role: plain") {
		t.Error("the search of the bus does not even find what is in clear")
	}
	for _, value := range values {
		for _, form := range []string{value, base64.StdEncoding.EncodeToString([]byte(value))} {
			checkAbsent(t, f.server.Dir, form)
			if strings.Contains(bus, form) {
				t.Errorf("the bus holds %q", form)
			}
			for name := range f.running {
				if strings.Contains(content(f.log(name)), form) {
					t.Errorf("the log of %s holds %q", name, form)
				}
			}
			for path, file := range files {
				if strings.Contains(file.Content, form) {
					t.Errorf("%s holds %q", path, form)
				}
			}
		}
	}
}
