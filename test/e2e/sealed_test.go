package e2e_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

// TestSealedSecret: with the rights of docs/rbac.yaml, and no other, to a Secret of one name,
// that opens the remote: nothing else is set up, no other Secret is asked for, and what is in
// it stands on no disk. Without them it is said which these are, and once they are there it
// goes on.
func TestSealedSecret(t *testing.T) {
	w := newWorld(t, cluster)
	remotes, mirrored := w.namespace(t, "sealed-remotes"), w.namespace(t, "sealed")
	rights, err := os.ReadFile(filepath.Join("..", "..", "docs", "rbac.yaml"))
	must(t, err)
	grant := func(namespace, role string) {
		t.Helper()
		mine := strings.NewReplacer("namespace: shop\n", "namespace: "+namespace+"\n", "name: kubescribe\n", "name: "+harness.LimitedUser+"\n").Replace(string(rights))
		for manifest := range strings.SplitSeq(mine, "\n---\n") {
			if strings.Contains(manifest, "name: "+role+"\n") {
				w.apply(t, manifest)
			}
		}
	}
	secret := func(name, password string) string {
		return fmt.Sprintf("apiVersion: v1\nkind: Secret\ntype: kubernetes.io/basic-auth\nmetadata: {name: %s, namespace: %s}\nstringData: {username: %q, password: %q}\n", name, remotes, user, password)
	}
	grant("", "kubescribe-identify")
	grant(mirrored, "kubescribe-mirror")
	w.apply(t, secret("git", password))
	w.apply(t, secret("other", "xyzzy"))
	w.apply(t, configMap(mirrored, "before", "x"))
	documents := fmt.Sprintf(`apiVersion: kubescribe.dev/v1alpha1
kind: GitRemote
metadata: {name: git, namespace: %[1]s}
spec: {url: %[2]q, secretRef: {name: git}}
---
apiVersion: kubescribe.dev/v1alpha1
kind: GitDestination
metadata: {name: live, namespace: %[1]s}
spec: {remoteRef: {name: git}, baseFolder: live}
---
apiVersion: kubescribe.dev/v1alpha1
kind: ClusterWatchRule
metadata: {name: live}
spec: {destinationRef: {name: live, namespace: %[1]s}, namespaces: [%[3]s], rules: [{apiGroups: ["*"], resources: ["*"]}]}
`, remotes, w.remote.URL, mirrored)
	w.options.Kubeconfig, w.options.Repo, w.options.Username = w.cluster.LimitedKubeconfig(), "", ""
	w.options.Args = []string{"--config", w.file(t, "config.yaml", documents)}

	earlier := w.auditLength(t)
	k := w.start(t)
	awaitNotReady(t, k, "git-writer", "Secret e2e/"+remotes+"/git: no watcher has sealed it")
	const remedy = "grant list and watch on secrets with resourceNames [git]"
	must(t, harness.Poll(within(t, stepLimit), 50*time.Millisecond, "the log to say "+remedy, func(context.Context) error {
		if !strings.Contains(string(k.Output()), remedy) {
			return errors.New("it does not")
		}
		return nil
	}))
	grant(remotes, "kubescribe-credentials")
	must(t, k.AwaitReady(within(t, startLimit)))
	w.settle(t, scope(mirrored))
	must(t, w.awaitVersions(within(t, stepLimit), "", w.apply(t, configMap(mirrored, "after", "x"))))
	stop(t, k)

	for path, mode := range map[string]os.FileMode{"keys": 0o700 | os.ModeDir, "keys/credentials": 0o600} {
		if info, err := os.Stat(filepath.Join(w.options.DataDir, path)); err != nil || info.Mode() != mode {
			t.Errorf("%s: %v, want %s", path, err, mode)
		}
	}
	for _, form := range []string{password, "xyzzy", base64.StdEncoding.EncodeToString([]byte(password))} {
		checkAbsent(t, w.options.DataDir, form)
	}
	asked := 0
	for _, r := range w.audited(t, earlier) {
		if !r.OfKubescribe() || r.ObjectRef.Resource != "secrets" {
			continue
		}
		asked++
		if r.ObjectRef.Namespace != remotes || !strings.Contains(r.RequestURI, "fieldSelector=metadata.name%3Dgit") || (r.Verb != "list" && r.Verb != "watch") {
			t.Errorf("it asked the API server: %s %s", r.Verb, r.RequestURI)
		}
	}
	if asked == 0 {
		t.Error("the audit log has no request for the Secret: it proves nothing")
	}
}
