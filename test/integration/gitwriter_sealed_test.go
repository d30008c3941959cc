package integration

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/prometheus/client_golang/prometheus"

	gitwriter "github.com/kubescribe/kubescribe/services/git-writer"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/gittest"
	"github.com/kubescribe/kubescribe/shared/seal"
	"github.com/kubescribe/kubescribe/shared/secretmark"
)

// vault seals Secrets as a watcher does, to a git-writer's key, for one reader.
type vault struct {
	*stand
	file   string // with the git-writer's key
	to     *seal.Recipient
	marks  secretmark.Key
	reader string
}

func newVault(s *stand) *vault {
	s.Helper()
	v := &vault{stand: s, file: filepath.Join(s.TempDir(), "identity")}
	b, err := seal.Generate()
	if err != nil {
		s.Fatal(err)
	}
	if err := os.WriteFile(v.file, b, 0o600); err != nil {
		s.Fatal(err)
	}
	ids, err := seal.ParseIdentities(b)
	if err != nil {
		s.Fatal(err)
	}
	v.to = ids.Recipients()[0]
	if v.marks, err = secretmark.ParseKey(secretmark.Generate()); err != nil {
		s.Fatal(err)
	}
	id, err := age.GenerateX25519Identity()
	if err != nil {
		s.Fatal(err)
	}
	v.reader = id.Recipient().String()
	return v
}

// secret is a version of a Secret.
func (v *vault) secret(op event.Op, name, value string, rv int) event.Change {
	v.Helper()
	c := event.Change{
		Object: event.Object{APIVersion: "v1", Resource: "secrets", Kind: "Secret", Namespace: "shop", Name: name},
		Op:     op, Cluster: "test", ClusterID: "cluster-uid", UID: "uid-" + name, ResourceVersion: strconv.Itoa(rv),
		Origin: event.Live, Time: time.Unix(1_700_000_000, 0), Resume: strconv.Itoa(rv), Path: "shop/secrets/" + name + ".sops.yaml",
	}
	if op == event.Delete {
		return c
	}
	plain := fmt.Appendf(nil, "apiVersion: v1\nkind: Secret\nmetadata:\n  name: %s\n  namespace: shop\ndata:\n  a: %s\n", name, value)
	of := seal.Content{
		Object: c.SealedAs(), Recipients: []string{v.reader}, Fields: []string{"annotations", "data", "stringData"}, Manifest: plain,
		Mark: v.marks.Mark(secretmark.Object{Cluster: c.Cluster, Resource: c.Resource, Namespace: c.Namespace, Name: c.Name}, plain),
	}
	var err error
	if c.Manifest, err = seal.SealContent(v.to, of); err != nil {
		v.Fatal(err)
	}
	c.SealedTo, c.Hash = v.to.String(), secretmark.Hash(of.Mark, of.Recipients, of.Fields)
	return c
}

// startWith runs a git-writer with a key.
func (v *vault) startWith(file string) (w *gitwriter.Writer, stop func()) {
	v.Helper()
	return v.startAs(gitwriter.Credentials{Identity: file}, prometheus.NewRegistry())
}

// TestGitWriterSealed: what comes sealed is encrypted in Git, the same content makes no commit
// whatever bytes it would come to, and the file of the same object in clear goes.
func TestGitWriterSealed(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	v := newVault(s)
	clone := filepath.Join(t.TempDir(), "clone")
	s.git("clone", "-q", s.dir, clone)
	for _, name := range []string{"db", "gone", "untouched"} {
		path := filepath.Join(clone, "live/shop/secrets", name+".yaml")
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("apiVersion: v1\nkind: Secret\nmetadata: {name: "+name+"}\ndata: {a: aHVzaA==}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{{"checkout", "-qb", "main"}, {"add", "-A"}, {"commit", "-qm", "Leave Secrets in clear"}, {"push", "-q", "origin", "main"}} {
		if _, err := gittest.Git(clone, args...); err != nil {
			t.Fatal(err)
		}
	}
	d := s.register("live", "live", true)
	s.write(d, v.secret(event.Create, "db", "YQ==", 1))
	s.write(d, v.secret(event.Update, "db", "YQ==", 2)) // the same
	_, stop := v.startWith(v.file)
	s.write(d, v.secret(event.Update, "db", "Yg==", 2))
	s.until("two commits", func() bool { return len(s.versions()) == 2 })
	stop()
	v.startWith(v.file) // which remembers nothing
	s.write(d, v.secret(event.Update, "db", "Yg==", 3))
	s.write(d, configMap(event.Create, "web", "a", 3))
	s.write(d, v.secret(event.Delete, "db", "", 4))
	s.write(d, v.secret(event.Create, "other", "YQ==", 5))
	s.write(d, v.secret(event.Delete, "gone", "", 6)) // of which the file in clear is all there is
	s.wantVersions(6)
	got := s.git("log", "--reverse", "--format=%s", "--name-status", "main")
	want := []string{
		"Create secrets shop/db", "A\tlive/.kubescribe.yaml", "A\tlive/shop/secrets/db.sops.yaml", "D\tlive/shop/secrets/db.yaml",
		"Update secrets shop/db", "M\tlive/shop/secrets/db.sops.yaml",
		"Create configmaps shop/web", "A\tlive/shop/configmaps/web.yaml",
		"Delete secrets shop/db", "D\tlive/shop/secrets/db.sops.yaml",
		"Create secrets shop/other", "A\tlive/shop/secrets/other.sops.yaml",
		"Delete secrets shop/gone", "D\tlive/shop/secrets/gone.yaml",
	}
	if body := s.git("log", "--format=%b", "--grep=^Create secrets shop/db$", "main"); !strings.HasPrefix(body, "It is encrypted from now on, and its file in clear is gone.\n") {
		t.Errorf("the commit says\n%s", body)
	}
	if lines := strings.Join(strings.FieldsFunc(got, func(r rune) bool { return r == '\n' })[4:], "\n"); lines != strings.Join(want, "\n") {
		t.Errorf("the history is\n%s\nwant\n%s", lines, strings.Join(want, "\n"))
	}
}

// TestGitWriterSealedAnswersLost: restarts, pushes whose answers are lost and pushes of others, and
// each change is one commit, though its bytes are others each time that it is encrypted.
func TestGitWriterSealedAnswersLost(t *testing.T) {
	t.Parallel()
	const n = 60
	s := newStand(t)
	v := newVault(s)
	d := s.register("live", "live", false)
	var pushes atomic.Int64
	s.gate.set(func(next http.Handler, _ http.ResponseWriter, r *http.Request) bool {
		if !isPush(r) || pushes.Add(1)%3 != 0 {
			return false
		}
		next.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler) // closes the connection without an answer
	})
	var stop func()
	for i := range n {
		if i%20 == 0 {
			if stop != nil {
				stop()
			}
			_, stop = v.startWith(v.file)
		}
		s.write(d, v.secret(event.Update, "db", strconv.Itoa(1000+i), i+1))
	}
	s.wantVersions(n)
	if got := s.git("show", "main:live/shop/secrets/db.sops.yaml"); !strings.Contains(got, "recipient: "+v.reader) || strings.Contains(got, strconv.Itoa(1000+n-1)) {
		t.Errorf("the file is\n%s", got)
	}
}

// TestGitWriterWithoutKey: what came before is pushed, the status names the key that is missing, and
// it goes on once the key is there, or once the watcher seals to the key that is there: what was
// sealed to the other one is left to the comparison that this begins.
func TestGitWriterWithoutKey(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	lost, v := newVault(s), newVault(s)
	d := s.register("live", "live", false)
	d.SealedTo = lost.to.String()
	s.put(d)
	s.write(d, configMap(event.Create, "before", "a", 1))
	s.write(d, lost.secret(event.Create, "db", "YQ==", 2))
	s.write(d, configMap(event.Create, "behind", "a", 2))
	v.startWith(v.file)
	s.until("what came before", func() bool { return len(s.versions()) == 1 })
	s.isStalled(d, "EncryptionKeyMissing", "secrets shop/db was sealed to "+lost.to.String(), "--credentials-recipient")
	d.SealedTo = v.to.String()
	s.put(d)
	s.write(d, v.secret(event.Create, "web", "YQ==", 3))
	s.wantVersions(3)
	if got := s.git("ls-tree", "-r", "--name-only", "main"); got != "live/.kubescribe.yaml\nlive/shop/configmaps/before.yaml\nlive/shop/configmaps/behind.yaml\nlive/shop/secrets/web.sops.yaml" {
		t.Errorf("files %q", got)
	}
}
