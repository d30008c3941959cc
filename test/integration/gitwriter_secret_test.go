package integration

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	gitwriter "github.com/kubescribe/kubescribe/services/git-writer"
	"github.com/kubescribe/kubescribe/shared/api/v1alpha1"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/gittest"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// secrets is a directory of Secrets.
type secrets struct {
	*testing.T
	dir string
}

// write replaces a Secret, whose name is cluster/namespace/name, by pairs of keys and values.
func (s secrets) write(name string, pairs ...string) {
	s.Helper()
	at := filepath.Join(s.dir, filepath.FromSlash(name))
	if err := os.RemoveAll(at); err != nil {
		s.Fatal(err)
	}
	if err := os.MkdirAll(at, 0o700); err != nil {
		s.Fatal(err)
	}
	for i := 0; i < len(pairs); i += 2 {
		if err := os.WriteFile(filepath.Join(at, pairs[i]), []byte(pairs[i+1]), 0o600); err != nil {
			s.Fatal(err)
		}
	}
}

// registerWith registers a destination whose remote names a Secret.
func (s *stand) registerWith(name, secret string) event.Destination {
	s.Helper()
	d := s.register(name, name, false)
	d.Credentials = secret
	s.put(d)
	return d
}

// isStalled waits until a destination is stalled for a reason, in these words.
func (s *stand) isStalled(d event.Destination, reason string, words ...string) {
	s.Helper()
	s.until(fmt.Sprintf("%s is stalled: %s, %q", d.Key, reason, words), func() bool {
		st := s.stalled(d.Key)
		if st == nil || st.Reason != reason {
			return false
		}
		for _, w := range words {
			if !strings.Contains(st.Message, w) {
				return false
			}
		}
		return true
	})
}

// logged keeps all that is logged.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer // guarded by mu
}

func (r *logged) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(p)
}

func (r *logged) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

// everything is the text of all streams: subjects, headers and bodies.
func (s *stand) everything() string {
	s.Helper()
	js, err := jetstream.New(s.nats.NATS(s.T))
	if err != nil {
		s.Fatal(err)
	}
	var all strings.Builder
	names := js.StreamNames(s.Context())
	for name := range names.Name() {
		stream, err := js.Stream(s.Context(), name)
		if err != nil {
			s.Fatal(err)
		}
		state := stream.CachedInfo().State
		for seq := state.FirstSeq; seq <= state.LastSeq && state.Msgs > 0; seq++ {
			if m, err := stream.GetMsg(s.Context(), seq); err == nil { // others were removed
				fmt.Fprintln(&all, m.Subject, m.Header, string(m.Data))
			}
		}
	}
	if err := names.Err(); err != nil {
		s.Fatal(err)
	}
	return all.String()
}

// TestGitWriterSecret: a destination whose Secret is wrong, expires or is no Secret is
// stalled and says why, goes on by itself once its files are replaced, and what is in them
// stands nowhere.
func TestGitWriterSecret(t *testing.T) {
	t.Parallel()
	const (
		password, basic = "hush-hush", "bWU6aHVzaC1odXNo"
		token           = "psst-psst"
		wrong           = "wr0ng"
	)
	s := newStand(t)
	log := &logged{}
	s.log = slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	var mu sync.Mutex
	wants := "Basic " + basic
	want := func(header string) {
		mu.Lock()
		defer mu.Unlock()
		wants = header
	}
	s.gate.set(func(_ http.Handler, w http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		if got := r.Header.Get("Authorization"); got != wants {
			_, said, _ := r.BasicAuth()
			http.Error(w, "you said "+got+", that is "+said, http.StatusUnauthorized)
			return true
		}
		return false
	})
	dir := secrets{t, t.TempDir()}
	d := s.registerWith("live", "test/default/git")
	s.write(d, configMap(event.Create, "web", "a", 1))
	metrics := prometheus.NewRegistry()
	w, _ := s.startAs(gitwriter.Credentials{Dir: dir.dir, AgentSocket: "/nonexistent"}, metrics)
	var said []string
	hear := func() {
		if err := w.Ready(); err != nil {
			said = append(said, fmt.Sprintf("%v %#v", err, err))
		}
	}
	s.isStalled(d, "AuthenticationFailed", "Secret test/default/git", "there is no directory")
	for _, c := range []struct {
		secret []string
		says   string
	}{
		{[]string{"username", "me"}, "Secret test/default/git: password is missing or empty"},
		{[]string{"username", "me", "password", password, "bearerToken", token}, "remove one of them"},
		{[]string{"username", "me", "password", wrong}, "check what stands in the Secret test/default/git"},
		{[]string{"identity", wrong, "password", password}, "identity is an SSH key"},
	} {
		dir.write("test/default/git", c.secret...)
		s.isStalled(d, "AuthenticationFailed", c.says)
		hear()
	}
	dir.write("test/default/git", "username", "me", "password", password)
	s.wantVersions(1)
	s.until("it moves", func() bool { return s.stalled(d.Key) == nil && w.Ready() == nil })

	// It expires.
	want("Bearer " + token)
	s.write(d, configMap(event.Update, "web", "b", 2))
	s.isStalled(d, "AuthenticationFailed", "check what stands in the Secret test/default/git, and that it has not expired")
	hear()
	dir.write("test/default/git", "bearerToken", token+"\n")
	s.wantVersions(2)
	s.until("it moves again", func() bool { return s.stalled(d.Key) == nil && w.Ready() == nil })

	families, err := metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for where, text := range map[string]string{
		"the log": log.String(), "/readyz": strings.Join(said, "\n"), "a stream": s.everything(), "the metrics": fmt.Sprint(families), "a snapshot": fmt.Sprintf("%#v", w.Snapshots()),
	} {
		if len(text) == 0 {
			t.Errorf("there is nothing in %s", where)
		}
		for _, secret := range []string{password, basic, token, wrong, "bWU6d3IwbmcK", "bWU6d3Iwbmc"} {
			if strings.Contains(text, secret) {
				t.Errorf("%q is in %s", secret, where)
			}
		}
	}
	if !strings.Contains(s.everything(), "test/default/git") {
		t.Error("the streams do not even name the Secret: they prove nothing")
	}
}

// TestGitWriterSecretOverSSH: the same of a key, with its passphrase, and of the host's.
func TestGitWriterSecretOverSSH(t *testing.T) {
	long(t)
	t.Parallel()
	s := newStand(t)
	log := &logged{}
	s.log = slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	key := func(algorithm string) gittest.Key {
		k, err := gittest.NewKey(algorithm)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	host, client := key("ssh-ed25519"), key("ssh-rsa")
	server, err := gittest.ServeSSH(gittest.SSHOptions{Dir: filepath.Dir(s.dir), HostKeys: []gittest.Key{host}, Client: client.PublicKey()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	s.url = server.URL("repo.git")
	const passphrase = "hush-hush"
	encrypted, err := client.PEM(passphrase)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := client.PEM("")
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := key("ssh-ed25519").PEM("")
	if err != nil {
		t.Fatal(err)
	}
	dir := secrets{t, t.TempDir()}
	d := s.registerWith("live", "test/default/key")
	s.write(d, configMap(event.Create, "web", "a", 1))
	known, changed := server.KnownHosts(host), server.KnownHosts(key("ssh-ed25519"))
	w, _ := s.startAs(gitwriter.Credentials{Dir: dir.dir}, prometheus.NewRegistry())
	for _, c := range []struct {
		secret []string
		says   string
	}{
		{[]string{"identity", string(encrypted), "known_hosts", known}, "Secret test/default/key: identity is encrypted"},
		{[]string{"identity", string(encrypted), "password", "wr0ng", "known_hosts", known}, "Secret test/default/key: password is not the passphrase"},
		{[]string{"identity", string(plain)}, "Secret test/default/key: no SSH host is trusted"},
		{[]string{"identity", string(plain), "known_hosts", changed}, "HAS CHANGED"},
		{[]string{"ssh-privatekey", string(stranger), "known_hosts", known}, "the public half of the key in the Secret test/default/key"},
	} {
		dir.write("test/default/key", c.secret...)
		reason := "AuthenticationFailed"
		if c.says == "HAS CHANGED" {
			reason = "HostKeyNotTrusted"
		}
		s.isStalled(d, reason, c.says)
	}
	dir.write("test/default/key", "identity", string(encrypted), "password", passphrase+"\n", "known_hosts", known)
	s.wantVersions(1)
	s.until("it moves", func() bool { return s.stalled(d.Key) == nil && w.Ready() == nil })
	text := log.String() + s.everything()
	for _, secret := range []string{passphrase, "wr0ng", "PRIVATE KEY", strings.Split(string(encrypted), "\n")[1]} {
		if strings.Contains(text, secret) {
			t.Errorf("%q stands somewhere", secret)
		}
	}
}

// TestGitWriterSecretsDiffer: a branch is opened with the Secret of the destination that
// was registered first. Another destination does not write with that, until it names the
// same one, or the first one leaves.
func TestGitWriterSecretsDiffer(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	s.gate.set(func(_ http.Handler, w http.ResponseWriter, r *http.Request) bool {
		if user, _, _ := r.BasicAuth(); user == "nobody" || user == "" {
			w.WriteHeader(http.StatusUnauthorized)
			return true
		}
		return false
	})
	dir := secrets{t, t.TempDir()}
	dir.write("test/default/ours", "username", "ours", "password", "hush")
	dir.write("test/default/theirs", "username", "theirs", "password", "hush")
	first := s.registerWith("first", "test/default/ours")
	without, other := s.register("anonymous", "anonymous", false), s.registerWith("another", "test/default/theirs")
	s.write(first, configMap(event.Create, "web", "a", 1))
	s.write(without, configMap(event.Create, "web", "a", 9))
	s.write(other, configMap(event.Create, "web", "a", 9))
	w, _ := s.startAs(gitwriter.Credentials{Dir: dir.dir}, prometheus.NewRegistry())
	s.wantVersions(1)
	s.isStalled(without, event.StalledCredentialsDiffer, "the Secret test/default/ours", "names none")
	s.isStalled(other, event.StalledCredentialsDiffer, "the Secret test/default/ours", "names the Secret test/default/theirs")
	s.saysNotReady(w.Ready, "destination test/default/another: the branch is opened with")
	if got := s.end(s.ask(other, "r1", 1)); !strings.HasPrefix(got.Failed, event.StalledCredentialsDiffer+": ") {
		t.Errorf("a run is told %+v", got)
	}

	// The first one names another Secret. Nobody is refused for the moment that takes.
	dir.write("test/default/newer", "username", "newer", "password", "hush")
	first.Credentials = "test/default/newer"
	s.put(first)
	s.write(first, configMap(event.Update, "web", "b", 2))
	s.wantVersions(2)
	if _, err := s.bus.LastFor(t.Context(), subject.Ctl, subject.CtlRun(first.Key)); err == nil {
		t.Error("a run of the first was asked for")
	}

	without.Credentials = first.Credentials
	s.put(without)
	s.write(without, configMap(event.Update, "web", "c", 3))
	s.wantVersions(3)
	s.unregister(first)
	s.unregister(without)
	s.write(other, configMap(event.Update, "web", "d", 4))
	s.wantVersions(4)
	s.until("nobody is refused", func() bool { return s.stalled(other.Key) == nil && w.Ready() == nil })
	for _, d := range []event.Destination{without, other} {
		m, err := s.bus.LastFor(t.Context(), subject.Ctl, subject.CtlRun(d.Key))
		if err != nil {
			t.Fatal(err)
		}
		if q, err := event.Decode[event.Request](m.Data); err != nil || q.Reason != event.ReasonAdmitted {
			t.Errorf("%s asked for %+v, %v", d.Key, q, err)
		}
	}
}

// TestSecretOfDocument: what a GitRemote names opens it for the git-writer and for
// kubescribe diff, by flag or environment, and nothing else does.
func TestSecretOfDocument(t *testing.T) {
	t.Parallel()
	m := prepareMirror(t, "{}", []string{"d"}, "configmaps")
	dir := secrets{t, t.TempDir()}
	dir.write("test/default/git", "username", "me", "password", "s3cret\n")
	m.docs.GitRemotes[0].Spec.SecretRef = &v1alpha1.SecretRef{Name: "git"}
	m.creds.Dir, m.creds.Username, m.creds.PasswordFile = dir.dir, "", ""
	environment := m.env
	m.env = []string{"KUBESCRIBE_GIT_CREDENTIALS_DIR=" + dir.dir}
	m.begin("a", "b")
	m.cluster.put("configmaps", "shop", "a", "2")
	m.until("a change is in Git", func() bool {
		return strings.Contains(m.stand.git("show", "main:live/shop/configmaps/a.yaml"), `"2"`)
	})
	m.stand.foreign("By hand", func(work string) error {
		return os.WriteFile(filepath.Join(work, "live", "shop", "configmaps", "a.yaml"), []byte("text: by hand\n"), 0o644)
	})
	const shown = "-text: by hand"
	if got := m.diff(1, "--exit-code"); !strings.Contains(got, shown) {
		t.Errorf("it prints\n%s", got)
	}
	m.env = environment
	if got := m.diff(1, "--exit-code", "--git-credentials", dir.dir); !strings.Contains(got, shown) {
		t.Errorf("by the flag it prints\n%s", got)
	}
	m.typesIn(m.env, append([]string{"diff", "d"}, m.access()...)...).ends(1, "Secret test/default/git", "--git-credentials")
	m.typesIn(m.env, append([]string{"diff", "d", "--git-credentials", dir.dir + "/none"}, m.access()...)...).ends(2, "the directory of Secrets")
}
