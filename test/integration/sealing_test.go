package integration

import (
	"encoding/base64"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	gitwriter "github.com/kubescribe/kubescribe/services/git-writer"
	"github.com/kubescribe/kubescribe/services/reconciler"
	"github.com/kubescribe/kubescribe/shared/api/v1alpha1"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/seal"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// sealing is a mirror whose remote names the Secret default/git, which the watcher seals.
type sealing struct {
	*mirror
	ids    seal.Identities
	file   string // with them
	said   *logged
	writer *gitwriter.Writer
	roles  map[string]role

	mu       sync.Mutex
	password string // that the Git server wants; guarded by mu
}

// gitKey is where the Secret stands.
const gitKey = "test.default.git"

func newSealing(t *testing.T) *sealing {
	t.Helper()
	s := &sealing{mirror: prepareMirror(t, "{}", []string{"d"}, "configmaps", "secrets"), file: filepath.Join(t.TempDir(), "identity"), said: &logged{}, password: "hush-1"}
	s.stand.gate.set(func(_ http.Handler, w http.ResponseWriter, r *http.Request) bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		if user, password, _ := r.BasicAuth(); user == "me" && password == s.password {
			return false
		}
		http.Error(w, "you said "+r.Header.Get("Authorization"), http.StatusUnauthorized)
		return true
	})
	s.docs.GitRemotes[0].Spec.SecretRef = &v1alpha1.SecretRef{Name: "git"}
	s.ids = s.newKey(s.file)
	s.recipient = s.ids.Recipients()[0]
	s.creds, s.env = gitwriter.Credentials{Identity: s.file, AgentSocket: "/nonexistent"}, nil
	s.log = slog.New(slog.NewJSONHandler(s.said, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s.stand.log = s.log
	return s
}

// newKey writes a private key to a file.
func (s *sealing) newKey(file string) seal.Identities {
	s.Helper()
	b, err := seal.Generate()
	if err != nil {
		s.Fatal(err)
	}
	if err := os.WriteFile(file, b, 0o600); err != nil {
		s.Fatal(err)
	}
	ids, err := seal.ParseIdentities(b)
	if err != nil {
		s.Fatal(err)
	}
	return ids
}

// start runs all roles.
func (s *sealing) start(metrics *prometheus.Registry) {
	s.Helper()
	s.roles = map[string]role{}
	for _, name := range []string{"watcher", "router", "stream", "reconciler"} {
		s.roles[name] = s.mirror.start(name, reconciler.Deps{})
	}
	s.writer, _ = s.stand.startAs(s.creds, metrics)
}

// wants has the Git server want a password, and no other.
func (s *sealing) wants(password string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.password = password
}

// writes changes a ConfigMap, and lands waits until that is in Git.
func (s *sealing) writes(text string) { s.cluster.put("configmaps", "shop", "a", text) }

func (s *sealing) lands(text string) {
	s.Helper()
	s.until("it is in Git: "+text, func() bool {
		return s.files() == 1 && strings.Contains(s.stand.git("show", "main:live/shop/configmaps/a.yaml"), text) && s.stand.stalled(key("d")) == nil
	})
}

func (s *sealing) isStalled(words ...string) {
	s.Helper()
	s.stand.isStalled(event.Destination{Key: key("d")}, "AuthenticationFailed", append(words, "Secret test/default/git")...)
}

// record is what stands in KS_CREDENTIAL of the Secret, and whether anything does.
func (s *sealing) record() (event.Credential, bool) {
	s.Helper()
	all, err := mustBucket[event.Credential](s.install, subject.BucketCredential).All(s.Context())
	if err != nil {
		s.Fatal(err)
	}
	e, ok := all[gitKey]
	return e.Record, ok
}

// writtenTo is how often KS_CREDENTIAL was written.
func (s *sealing) writtenTo() uint64 {
	s.Helper()
	n, err := s.bus.LastSeq(s.Context(), "KV_"+subject.BucketCredential)
	if err != nil {
		s.Fatal(err)
	}
	return n
}

// asked are the requests for Secrets so far.
func (s *sealing) asked() (all []string) {
	s.cluster.change(func() { all = slices.Clone(s.cluster.secrets) })
	return all
}

// watched are the watches of Secrets so far: what was read before them is stored.
func (s *sealing) watched() int {
	n := 0
	for _, r := range s.asked() {
		if strings.HasPrefix(r, "WATCH ") {
			n++
		}
	}
	return n
}

// shows asserts that what a text is of shows none of the words, in any form.
func (s *sealing) showsNone(words []string, texts map[string]string) {
	s.Helper()
	for where, text := range texts {
		if text == "" {
			s.Errorf("there is nothing in %s", where)
		}
		for _, w := range words {
			for _, form := range []string{w, base64.StdEncoding.EncodeToString([]byte(w)), base64.StdEncoding.EncodeToString([]byte("me:" + w))} {
				if strings.Contains(text, form) {
					s.Errorf("%q is in %s", form, where)
				}
			}
		}
	}
}

// TestSealedSecret: a Secret in the cluster opens the remote, a new one in its place is used
// at once, one that is gone stalls the destination, and one that comes back ends that. A
// restart writes nothing, only that Secret is ever asked for, and it stands in clear nowhere.
func TestSealedSecret(t *testing.T) {
	t.Parallel()
	s := newSealing(t)
	s.cluster.putSecret("default", "git", "username", "me", "password", "hush-1", "stripe-key", "not-for-git")
	s.cluster.putSecret("default", "other", "password", "not-for-git")
	s.cluster.putSecret("shop", "git", "password", "not-for-git")
	s.writes("one")
	metrics := prometheus.NewRegistry()
	s.start(metrics)
	s.lands("one")

	// It is sealed whole, and nothing beside it.
	c, _ := s.record()
	data, err := s.ids.Open(c.Sealed, "test/default/git", s.stand.url)
	if keys := slices.Sorted(maps.Keys(data)); err != nil || !slices.Equal(keys, []string{"password", "username"}) || string(data["password"]) != "hush-1" {
		t.Errorf("sealed are %q, %v", keys, err)
	}

	// Its content changes: the server takes the new password alone.
	s.wants("hush-2")
	s.writes("two")
	s.isStalled("check what stands in")
	s.cluster.putSecret("default", "git", "username", "me", "password", "hush-2", "stripe-key", "not-for-git")
	s.lands("two")

	// A restart of the watcher finds all as it is.
	before, watched := s.writtenTo(), s.watched()
	s.roles["watcher"].stop()
	s.roles["watcher"] = s.mirror.start("watcher", reconciler.Deps{})
	s.until("the Secret is watched again", func() bool { return s.watched() > watched })
	if now := s.writtenTo(); now != before {
		t.Errorf("a restart has written %d times", now-before)
	}

	// Nor do other Secrets change anything. What comes behind has passed them.
	s.cluster.putSecret("default", "other", "password", "not-for-git-either")
	s.cluster.remove("secrets", "default", "other")
	s.cluster.remove("secrets", "default", "git")
	s.until("what was sealed is gone", func() bool { _, there := s.record(); return !there })
	if now := s.writtenTo(); now != before+1 {
		t.Errorf("removing it has written %d times", now-before)
	}
	s.writes("three")
	s.isStalled("no watcher has sealed it", "--credentials-recipient "+s.recipient.String())
	s.cluster.putSecret("default", "git", "username", "me", "password", "hush-2")
	s.lands("three")
	s.until("all is well", func() bool { return s.writer.Ready() == nil })

	for _, r := range s.asked() {
		if !strings.Contains(r, "/namespaces/default/secrets?") || !strings.Contains(r, "fieldSelector=metadata.name%3Dgit") {
			t.Errorf("it asked for %s", r)
		}
	}
	families, err := metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var disk strings.Builder
	err = filepath.WalkDir(s.nats.StoreDir(), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		disk.Write(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	everything := s.stand.everything()
	s.showsNone([]string{"hush-1", "hush-2", "not-for-git"}, map[string]string{
		"the log": s.said.String(), "a stream": everything, "the NATS server's files": disk.String(), "the metrics": fmt.Sprint(families),
		"a snapshot": fmt.Sprintf("%#v", s.writer.Snapshots()),
	})
	private, err := os.ReadFile(s.file)
	if err != nil {
		t.Fatal(err)
	}
	key := strings.Split(string(private), "\n")[1]
	for where, text := range map[string]string{"the log": s.said.String(), "a stream": everything} {
		if strings.Contains(text, key) {
			t.Errorf("the private key is in %s", where)
		}
	}
	if !strings.Contains(everything, gitKey) || !strings.Contains(s.said.String(), "test/default/git") {
		t.Error("nothing even names the Secret: it proves nothing")
	}
}

// TestSealedToAnotherKey: what the git-writer's key does not open stalls the destination and
// says which key it takes; once the file has that, it goes on.
func TestSealedToAnotherKey(t *testing.T) {
	t.Parallel()
	s := newSealing(t)
	url := &s.docs.GitRemotes[0].Spec.URL
	*url = "HTTP" + strings.TrimPrefix(*url, "http") // as some write it
	former := s.newKey(s.file)                       // the writer has another one than the watcher seals to
	s.cluster.putSecret("default", "git", "username", "me", "password", "hush-1")
	s.writes("one")
	s.start(prometheus.NewRegistry())
	s.isStalled("sealed to another key, "+s.recipient.String(), "opens "+former.Recipients()[0].String())

	// The watcher is started with that one.
	s.roles["watcher"].stop()
	s.recipient = former.Recipients()[0]
	s.roles["watcher"] = s.mirror.start("watcher", reconciler.Deps{})
	s.lands("one")

	// The key is replaced: the Secret is sealed to the one before, until the watcher knows.
	next := s.newKey(s.file)
	s.writes("two")
	s.isStalled("sealed to another key, "+former.Recipients()[0].String(), "opens "+next.Recipients()[0].String())
	s.roles["watcher"].stop()
	s.recipient = next.Recipients()[0]
	s.roles["watcher"] = s.mirror.start("watcher", reconciler.Deps{})
	s.lands("two")
}

// TestSealedCopy: a Secret that somebody puts where another's would stand opens nothing, nor
// does what is no record; the watcher mends both once the Secret changes.
func TestSealedCopy(t *testing.T) {
	t.Parallel()
	s := newSealing(t)
	s.cluster.putSecret("default", "git", "username", "me", "password", "hush-1")
	s.writes("one")
	s.start(prometheus.NewRegistry())
	s.lands("one")
	for i, tt := range []struct {
		name string
		body []byte
		says string
	}{
		{"a copy", event.Encode(event.Credential{V: event.Version, Recipient: s.recipient.String(), Sealed: func() []byte {
			b, err := seal.Seal(s.recipient, seal.Secret{Name: "test/billing/git", Remotes: []string{s.stand.url}, Data: map[string][]byte{"username": []byte("me"), "password": []byte("hush-1")}})
			if err != nil {
				t.Fatal(err)
			}
			return b
		}()}), "it was sealed as another Secret"},
		{"no record", []byte("hello"), "is of no use"},
	} {
		if _, err := s.js.Publish(t.Context(), "$KV."+subject.BucketCredential+"."+gitKey, tt.body); err != nil {
			t.Fatal(err)
		}
		text := fmt.Sprintf("with %s, %d", tt.name, i)
		s.writes(text)
		s.isStalled(tt.says)
		s.cluster.putSecret("default", "git", "username", "me", "password", "hush-1")
		s.lands(text)
	}
}

// TestSealingWithoutRights: a Secret that may not be read stops nothing else, is said once,
// with the rights that it takes, and is sealed once they are there.
func TestSealingWithoutRights(t *testing.T) {
	long(t)
	t.Parallel()
	s := newSealing(t)
	s.cluster.putSecret("default", "git", "username", "me", "password", "hush-1")
	s.cluster.change(func() { s.cluster.forbidden["secrets/default"] = true })
	s.writes("one")
	s.start(prometheus.NewRegistry())
	s.isStalled("no watcher has sealed it")
	refused := len(s.asked())
	s.until("it is asked for again", func() bool { return len(s.asked()) > refused+1 })
	if err := s.roles["watcher"].ready(); err != nil {
		t.Errorf("the watcher is not ready: %v", err)
	}
	const remedy = "grant list and watch on secrets with resourceNames [git]"
	if n := strings.Count(s.said.String(), remedy); n != 1 {
		t.Errorf("it is said %d times", n)
	}
	s.cluster.change(func() { delete(s.cluster.forbidden, "secrets/default") })
	s.lands("one")
}

// TestSealingWithoutWatch: where a Secret may be listed alone, it is sealed all the same, and
// that it cannot be followed is said once.
func TestSealingWithoutWatch(t *testing.T) {
	t.Parallel()
	s := newSealing(t)
	s.cluster.putSecret("default", "git", "username", "me", "password", "hush-1")
	s.cluster.change(func() { s.cluster.forbidden["secrets/default/watch"] = true })
	s.writes("one")
	s.start(prometheus.NewRegistry())
	s.lands("one")
	refused := len(s.asked())
	s.until("it tries to follow it again", func() bool { return len(s.asked()) > refused+1 })
	if n := strings.Count(s.said.String(), "grant list and watch on secrets with resourceNames [git]"); n != 1 {
		t.Errorf("it is said %d times", n)
	}
}

// TestSealedAnew: a branch that waits tries again once its Secret is sealed anew, and does
// not wait until it would have by itself; a record that nobody can read keeps none from
// that. Only on a machine that is busy with other things may it come too late: it is tried
// some times.
func TestSealedAnew(t *testing.T) {
	long(t)
	t.Parallel()
	s := newSealing(t)
	kv, err := s.js.KeyValue(t.Context(), subject.BucketCredential)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []string{"other.default.git", "other.default.later"} {
		if _, err := kv.PutString(t.Context(), k, "{"); err != nil {
			t.Fatal(err)
		}
	}
	s.cluster.putSecret("default", "git", "username", "me", "password", "hush-1")
	s.writes("first")
	s.start(prometheus.NewRegistry())
	s.lands("first")
	for i := range 5 {
		password, name := fmt.Sprint("hush-", i+2), fmt.Sprint("change-", i)
		s.wants(password)
		s.writes(name)
		var next time.Time
		s.until("it waits for long", func() bool {
			next = s.writer.Snapshots()[0].Next
			return time.Until(next) > 15*time.Second
		})
		s.cluster.putSecret("default", "git", "username", "me", "password", password)
		s.lands(name)
		if s.writer.Snapshots()[0].Pushed.Before(next) {
			return
		}
	}
	t.Error("it went on when it would have by itself, each time")
}

// TestSealingEnds: what no remote names any more is removed, and so is all once nothing is to
// be sealed; no Secret is read then. Those of other clusters stay.
func TestSealingEnds(t *testing.T) {
	t.Parallel()
	s := newSealing(t)
	bucket := mustBucket[event.Credential](s.install, subject.BucketCredential)
	for _, k := range []string{"test.default.former", "other.default.git"} {
		if _, err := bucket.Put(t.Context(), k, event.Credential{V: event.Version}, 0); err != nil {
			t.Fatal(err)
		}
	}
	// What nobody can read is in nobody's way.
	kv, err := s.js.KeyValue(t.Context(), subject.BucketCredential)
	if err == nil {
		_, err = kv.PutString(t.Context(), "test.default.strange", "{")
	}
	if err != nil {
		t.Fatal(err)
	}
	keys := func(want ...string) {
		t.Helper()
		s.until(fmt.Sprintf("there are %q", want), func() bool {
			all, err := bucket.Keys(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return slices.Equal(slices.Sorted(maps.Keys(all)), want)
		})
	}
	s.cluster.putSecret("default", "git", "password", "hush-1", "ca.crt", strings.Repeat("x", 1000))
	w := s.mirror.start("watcher", reconciler.Deps{})
	keys("other.default.git", gitKey)

	// One that is too large is none.
	s.cluster.putSecret("default", "git", "password", "hush-1", "ca.crt", strings.Repeat("x", seal.MaxBytes))
	keys("other.default.git")
	s.until("it is said", func() bool { return strings.Contains(s.said.String(), "larger than 512 KiB; remove from it") })
	s.cluster.putSecret("default", "git", "password", "hush-1")
	keys("other.default.git", gitKey)

	w.stop()
	s.recipient = nil
	asked := len(s.asked())
	w = s.mirror.start("watcher", reconciler.Deps{})
	keys("other.default.git")
	if n := len(s.asked()); n != asked {
		t.Errorf("Secrets were asked for %d times", n-asked)
	}
	w.stop()
}

// TestSealedDiff: kubescribe diff opens the remote with the same Secret.
func TestSealedDiff(t *testing.T) {
	long(t)
	t.Parallel()
	s := newSealing(t)
	s.cluster.putSecret("default", "git", "username", "me", "password", "hush-1")
	s.writes("one")
	s.start(prometheus.NewRegistry())
	s.lands("one")
	s.stand.foreign("By hand", func(work string) error {
		return os.WriteFile(filepath.Join(work, "live", "shop", "configmaps", "a.yaml"), []byte("text: by hand\n"), 0o644)
	})
	const shown = "-text: by hand"
	if got := s.diff(1, "--exit-code", "--credentials-identity", s.file); !strings.Contains(got, shown) {
		t.Errorf("by the flag it prints\n%s", got)
	}
	s.env = []string{"KUBESCRIBE_CREDENTIALS_IDENTITY_FILE=" + s.file}
	if got := s.diff(1, "--exit-code"); !strings.Contains(got, shown) {
		t.Errorf("by the environment it prints\n%s", got)
	}
	s.typesIn(nil, append([]string{"diff", "d"}, s.access()...)...).ends(1, "Secret test/default/git", "--credentials-identity")
	s.typesIn(nil, append([]string{"diff", "d", "--credentials-identity", s.file + "-none"}, s.access()...)...).ends(2, "age-keygen")
}
