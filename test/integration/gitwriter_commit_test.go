package integration

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	gitwriter "github.com/kubescribe/kubescribe/services/git-writer"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/gittest"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// sign lets the writers that are started sign with a new key, made by OpenSSH, and the
// repository's git verify what they signed. The key of before is known no more.
func (s *stand) sign(kind, passphrase string) {
	s.Helper()
	program, err := exec.LookPath("ssh-keygen")
	if err != nil {
		s.Skip("ssh-keygen is not installed here")
	}
	if s.signing.KeyFile == "" {
		dir := s.TempDir()
		s.signing = gitwriter.Signing{KeyFile: filepath.Join(dir, "key")}
		if passphrase != "" {
			s.signing.PassphraseFile = filepath.Join(dir, "passphrase")
			if err := os.WriteFile(s.signing.PassphraseFile, []byte(passphrase+"\n"), 0o600); err != nil {
				s.Fatal(err)
			}
		}
		if err := gittest.Configure(s.dir, "gpg.ssh.allowedSignersFile", filepath.Join(dir, "allowed")); err != nil {
			s.Fatal(err)
		}
	}
	made := filepath.Join(s.TempDir(), "key")
	if out, err := exec.CommandContext(s.Context(), program, "-q", "-t", kind, "-N", passphrase, "-f", made).CombinedOutput(); err != nil {
		s.Fatalf("%v: %s", err, out)
	}
	public, err := os.ReadFile(made + ".pub")
	if err == nil {
		err = os.WriteFile(filepath.Join(filepath.Dir(s.signing.KeyFile), "allowed"), append([]byte("kubescribe@localhost "), public...), 0o600)
	}
	if err == nil {
		err = os.Rename(made, s.signing.KeyFile)
	}
	if err != nil {
		s.Fatal(err)
	}
}

// verified are the subjects of the commits of main that git says are signed right,
// oldest first.
func (s *stand) verified() (subjects []string) {
	s.Helper()
	for line := range strings.Lines(s.git("log", "--reverse", "--format=%H %s", "main") + "\n") {
		hash, sub, _ := strings.Cut(strings.TrimSpace(line), " ")
		if _, err := gittest.Git(s.dir, "verify-commit", hash); err == nil {
			subjects = append(subjects, sub)
		}
	}
	return subjects
}

// TestGitWriterSigns: what git verifies are all of the writer's commits, those too that it
// built again on somebody else's.
func TestGitWriterSigns(t *testing.T) {
	t.Parallel()
	for name, key := range map[string]struct{ kind, passphrase string }{
		"ed25519": {"ed25519", ""}, "ed25519 with a passphrase": {"ed25519", "s3cret"}, "rsa": {"rsa", ""}, "ecdsa": {"ecdsa", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStand(t)
			s.sign(key.kind, key.passphrase)
			d := s.register("live", "live", false)
			s.commitFile("README.md", "hello\n")
			var once sync.Once
			s.gate.set(func(_ http.Handler, _ http.ResponseWriter, r *http.Request) bool {
				if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/git-receive-pack") {
					once.Do(func() { s.commitFile("NEWS.md", "more\n") })
				}
				return false
			})
			s.write(d, configMap(event.Create, "web", "a", 1), configMap(event.Update, "web", "b", 2))
			s.start()
			s.wantVersions(2)
			s.write(d, configMap(event.Delete, "web", "", 3))
			s.wantVersions(3)
			if got, want := s.subjects(), []string{"Add README.md", "Add NEWS.md", "Create configmaps shop/web", "Update configmaps shop/web", "Delete configmaps shop/web"}; fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("commits %q", got)
			}
			if got, want := s.verified(), s.subjects()[2:]; fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("git verifies %q", got)
			}
			if _, err := gittest.Git(s.dir, "-c", "gpg.ssh.allowedSignersFile="+os.DevNull, "verify-commit", "main"); err == nil {
				t.Error("git verifies what anybody has signed")
			}
		})
	}
}

// TestGitWriterRotatesSigningKey: another key is taken up with the next push, and one that
// cannot be read stops the branch until it can.
func TestGitWriterRotatesSigningKey(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	s.sign("ed25519", "")
	d := s.register("live", "live", false)
	w, _ := s.start()
	s.write(d, configMap(event.Create, "one", "a", 1))
	s.wantVersions(1)
	s.sign("ed25519", "")
	s.write(d, configMap(event.Create, "two", "a", 2))
	s.wantVersions(2)
	if got := fmt.Sprint(s.verified()); got != "[Create configmaps shop/two]" {
		t.Errorf("by the new key git verifies %s", got)
	}
	if err := os.WriteFile(s.signing.KeyFile, []byte("hunter2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.write(d, configMap(event.Create, "three", "a", 3))
	s.saysNotReady(w.Ready, s.signing.KeyFile, "holds no SSH private key", "ssh-keygen")
	s.sign("ed25519", "")
	s.wantVersions(3)
	s.until("ready", func() bool { return w.Ready() == nil })
	if got := fmt.Sprint(s.verified()); got != "[Create configmaps shop/three]" {
		t.Errorf("by the newest key git verifies %s", got)
	}
}

// TestGitWriterRepeatsHashes: changes that are committed again, because the writer was
// killed before it pushed them, become the same commits; signed ones, too.
func TestGitWriterRepeatsHashes(t *testing.T) {
	t.Parallel()
	for name, kind := range map[string]string{"unsigned": "", "ed25519": "ed25519", "rsa": "rsa", "ecdsa": "ecdsa"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStand(t)
			if kind != "" {
				s.sign(kind, "")
			}
			d := s.register("live", "live", false)
			s.write(d, configMap(event.Create, "web", "a", 1), configMap(event.Update, "web", "b", 2), configMap(event.Delete, "web", "", 3))
			_, stop := s.start()
			s.wantVersions(3)
			stop()
			tip := s.git("rev-parse", "main")

			s.git("update-ref", "-d", "refs/heads/main")
			hints, err := bus.OpenBucket[event.Hint](t.Context(), s.bus, subject.BucketCursor)
			if err == nil {
				err = hints.Delete(t.Context(), subject.HintKey(d.BranchKey))
			}
			if err != nil {
				t.Fatal(err)
			}
			s.start()
			s.wantVersions(3)
			if again := s.git("rev-parse", "main"); again != tip {
				t.Errorf("main was %s and is %s", tip, again)
			}
		})
	}
}

// TestGitWriterWords: author and messages are what the destination says, from the next
// commit on, and the position is read from them as from any other.
func TestGitWriterWords(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	d := s.register("live", "live", false)
	_, stop := s.start()
	s.write(d, configMap(event.Create, "web", "a", 1))
	s.wantVersions(1)

	d.Author = event.Person{Name: "Platform Team", Email: "platform@example.com"}
	d.Wording = event.Wording{
		Subject: "{{if .Action}}[{{.Cluster}}] {{.Action}} {{.Name}}{{else}}{{.Destination}}: {{len .Changes}}{{end}}",
		Body:    "Kept by {{.Cluster}}.\n\nPosition: {{.Name}}",
	}
	s.put(d)
	s.write(d, configMap(event.Update, "web", "b", 2))
	s.wantVersions(2)
	stop()
	s.start()
	s.write(d, configMap(event.Delete, "web", "", 3))
	s.wantVersions(3)
	s.results(d, "r1", 2)
	want := []string{
		"kubescribe <kubescribe@localhost>, kubescribe: Create configmaps shop/web",
		"Platform Team <platform@example.com>, kubescribe: [test] Update web",
		"Platform Team <platform@example.com>, kubescribe: [test] Delete web",
		"Platform Team <platform@example.com>, kubescribe: live: 2",
	}
	s.until("the run is in", func() bool { return len(s.subjects()) >= len(want) })
	if got := strings.Split(s.git("log", "--reverse", "--format=%an <%ae>, %cn: %s", "main"), "\n"); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("commits %q", got)
	}
	if got := s.git("log", "-1", "--format=%b", "main~1"); !strings.HasPrefix(got, "Kept by test.\n\nPosition: web\n\nKubescribe-Position: ") {
		t.Errorf("body %q", got)
	}
	s.git("fsck", "--strict")
}

// TestGitWriterAuthors: a commit is whose changes it has, by their field managers, and names
// those who have a part in it where it has several's. What was deleted, and what a run found,
// is nobody's.
func TestGitWriterAuthors(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	d := s.register("live", "live", false)
	d.Author = event.Person{Name: "Platform Team", Email: "platform@example.com"}
	d.Authors = []event.ManagerAuthor{
		{FieldManager: "kubectl-edit", Person: event.Person{Name: "Ada", Email: "ada@example.com"}},
		{FieldManager: "kubectl*", Person: event.Person{Name: "Bob", Email: "bob@example.com"}},
	}
	s.put(d)
	n := 0
	by := func(op event.Op, manager, name, content string) event.Change {
		n++
		c := configMap(op, name, content, n)
		c.FieldManager = manager
		return c
	}
	s.write(d, by(event.Create, "kubectl-edit", "a", "1"), by(event.Update, "kubectl-create", "a", "2"), by(event.Update, "helm", "a", "3"), by(event.Delete, "", "a", ""))
	s.start()
	s.wantVersions(n)
	s.results(d, "r1", 2)
	s.until("the run is in", func() bool { return len(s.subjects()) >= n+1 })

	d.Window = time.Hour
	s.put(d)
	s.write(d, by(event.Create, "kubectl-edit", "b", "1"), by(event.Create, "kubectl-edit", "c", "1"),
		by(event.Update, "helm", "b", "2"), by(event.Update, "kubectl", "c", "2"), by(event.Update, "kubectl-edit", "a", "4"),
		by(event.Update, "kubectl-edit", "b", "3"), by(event.Update, "helm", "c", "3"))
	s.results(d, "r2", 2) // which no window holds
	want := []string{
		"Ada <ada@example.com> Create configmaps shop/a []",
		"Bob <bob@example.com> Update configmaps shop/a []",
		"Platform Team <platform@example.com> Update configmaps shop/a []",
		"Platform Team <platform@example.com> Delete configmaps shop/a []",
		"Platform Team <platform@example.com> Reconcile live: 2 created []",
		"Ada <ada@example.com> Change live: 2 created []",
		"Platform Team <platform@example.com> Change live: 1 created, 2 updated [Bob <bob@example.com>,Ada <ada@example.com>]",
		"Platform Team <platform@example.com> Change live: 2 updated [Ada <ada@example.com>]",
		"Platform Team <platform@example.com> Reconcile live: 2 created []",
	}
	s.until("all are in", func() bool { return len(s.subjects()) >= len(want) })
	got := strings.Split(s.git("log", "--reverse", "--format=%an <%ae> %s [%(trailers:key=Co-authored-by,valueonly,separator=%x2C)]", "main"), "\n")
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("commits\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if got := s.git("log", "--format=%cn", "main"); strings.Contains(got, "Ada") {
		t.Errorf("committers\n%s", got)
	}
	s.git("fsck", "--strict")
}

// TestGitReadsTheFieldManager: git knows who made each change by its trailer, whatever words
// stand before it.
func TestGitReadsTheFieldManager(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	d := s.register("live", "live", false)
	d.Wording = event.Wording{Body: "Field managers are named below.\n\n{{.Object}}: {{.Action}}"}
	s.put(d)
	made, edited, deleted := configMap(event.Create, "web", "a", 1), configMap(event.Update, "web", "b", 2), configMap(event.Delete, "web", "", 3)
	made.FieldManager, edited.FieldManager = "apiextensions.crossplane.io/composed", "kubectl-edit\nby: hand"
	s.write(d, made, edited, deleted)
	s.start()
	s.wantVersions(3)
	got := s.git("log", "--reverse", "--format=%s [%(trailers:key=Field-Manager,valueonly,separator=%x2C)]", "main")
	want := "Create configmaps shop/web [apiextensions.crossplane.io/composed]\nUpdate configmaps shop/web [kubectl-edit by: hand]\nDelete configmaps shop/web []"
	if got != want {
		t.Errorf("git reads\n%s\nwant\n%s", got, want)
	}
}
