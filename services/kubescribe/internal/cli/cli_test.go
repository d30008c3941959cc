package cli

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/kubescribe/kubescribe/shared/service"
)

// result is what a command line did.
type result struct {
	code           int
	stdout, stderr string
}

// command runs a command line in a process that has no environment.
func command(t *testing.T, args ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := Main(t.Context(), Env{
		Args: args, Stdout: &stdout, Stderr: &stderr, Getenv: func(string) string { return "" }, Version: "v1.2.3", Owner: "test",
	})
	return result{code, stdout.String(), stderr.String()}
}

func file(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestUsageErrors(t *testing.T) {
	invalid := file(t, "config.yaml", "apiVersion: kubescribe.dev/v1alpha1\nkind: GitRemote\nmetadata: {name: git, namespace: shop}\nspec: {url: nonsense}\n")
	for name, tt := range map[string]struct {
		args []string
		says []string
	}{
		"unknown command":         {[]string{"frobnicate"}, []string{"frobnicate", "kubescribe"}},
		"unknown flag":            {[]string{"run", "--frobnicate"}, []string{"--frobnicate", "kubescribe run --help"}},
		"unknown flag before":     {[]string{"--frobnicate"}, []string{"--frobnicate"}},
		"flag without value":      {[]string{"run", "--repo"}, []string{"--repo"}},
		"wrong value":             {[]string{"run", "--repo", "/tmp/x", "--adopt=maybe"}, []string{"--adopt"}},
		"an argument":             {[]string{"run", "now"}, []string{"now", "kubescribe run --help"}},
		"neither":                 {[]string{"run"}, []string{"--repo", "--config"}},
		"both":                    {[]string{"run", "--repo", "/tmp/x", "--config", invalid}, []string{"--repo", "--config"}},
		"branch with config":      {[]string{"run", "--config", invalid, "--branch", "main"}, []string{"--branch", "--config"}},
		"folder with config":      {[]string{"run", "--config", invalid, "--base-folder", "live"}, []string{"--base-folder", "--config"}},
		"namespace with config":   {[]string{"run", "--config", invalid, "--namespace", "shop"}, []string{"--namespace", "--config"}},
		"adopt with config":       {[]string{"run", "--config", invalid, "--adopt"}, []string{"--adopt", "--config"}},
		"invalid document":        {[]string{"run", "--config", invalid}, []string{invalid, "spec.url"}},
		"config that is not":      {[]string{"run", "--config", invalid + "-none"}, []string{invalid + "-none"}},
		"scheme":                  {[]string{"run", "--repo", "ftp://git.example.com/x.git"}, []string{"--repo"}},
		"branch":                  {[]string{"run", "--repo", "/tmp/x", "--branch", "a..b"}, []string{"--branch"}},
		"folder above":            {[]string{"run", "--repo", "/tmp/x", "--base-folder", "../live"}, []string{"--base-folder"}},
		"namespace":               {[]string{"run", "--repo", "/tmp/x", "--namespace", "Not A Namespace"}, []string{"--namespace"}},
		"empty repo":              {[]string{"run", "--repo", ""}, []string{"--repo is empty"}},
		"empty branch":            {[]string{"run", "--repo", "/tmp/x", "--branch", ""}, []string{"--branch is empty"}},
		"empty folder":            {[]string{"run", "--repo", "/tmp/x", "--base-folder="}, []string{"--base-folder is empty"}},
		"empty cluster":           {[]string{"run", "--repo", "/tmp/x", "--cluster", ""}, []string{"--cluster is empty"}},
		"empty kubeconfig":        {[]string{"run", "--repo", "/tmp/x", "--kubeconfig", ""}, []string{"--kubeconfig is empty"}},
		"empty context":           {[]string{"run", "--repo", "/tmp/x", "--context", ""}, []string{"--context is empty"}},
		"empty namespace":         {[]string{"run", "--repo", "/tmp/x", "--namespace", "shop", "--namespace", ""}, []string{"--namespace is empty"}},
		"empty data directory":    {[]string{"run", "--repo", "/tmp/x", "--data-dir", ""}, []string{"--data-dir is empty"}},
		"empty address":           {[]string{"run", "--repo", "/tmp/x", "--listen", ""}, []string{"--listen is empty"}},
		"empty config":            {[]string{"run", "--config", ""}, []string{"--config is empty"}},
		"empty NATS URL":          {[]string{"provision", "--nats", ""}, []string{"--nats is empty"}},
		"version with argument":   {[]string{"version", "now"}, []string{"now"}},
		"two replicas":            {[]string{"provision", "--replicas", "2"}, []string{"--replicas", "2"}},
		"replicas in words":       {[]string{"provision", "--replicas", "three"}, []string{"--replicas", "three"}},
		"provision with argument": {[]string{"provision", "now"}, []string{"now"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := command(t, tt.args...)
			if r.code != service.ExitUsage {
				t.Errorf("it ends with %d", r.code)
			}
			if r.stdout != "" {
				t.Errorf("it prints %q", r.stdout)
			}
			for _, want := range tt.says {
				if !strings.Contains(r.stderr, want) {
					t.Errorf("%q does not name %s", r.stderr, want)
				}
			}
		})
	}
}

// TestPasswordIsNotEchoed: a password in --repo is refused, and stands in no
// message, wherever in the URL it is.
func TestPasswordIsNotEchoed(t *testing.T) {
	for _, repo := range []string{
		"https://joe:s3cret@git.example.com/live.git",
		"https://s3cret@git.example.com/live.git",
		"ssh://git:s3cret@git.example.com/live.git",
		"https://joe:s3cret@git.example.com:port/live.git",
		"https://joe:s3cret@git.example.com/li%zzve.git",
		"https://git.example.com/live.git?token=s3cret",
		"ftp://joe:s3cret@git.example.com/live.git",
	} {
		r := command(t, "run", "--repo", repo)
		if r.code != service.ExitUsage || !strings.Contains(r.stderr, "--repo") {
			t.Errorf("%s: it ends with %d: %s", repo, r.code, r.stderr)
		}
		if strings.Contains(r.stdout+r.stderr, "s3cret") {
			t.Errorf("%s: it shows the password: %s", repo, r.stderr)
		}
	}
}

func TestVersion(t *testing.T) {
	r := command(t, "version")
	if r.code != service.ExitOK || r.stderr != "" || !strings.HasPrefix(r.stdout, "kubescribe v1.2.3 (") || !strings.Contains(r.stdout, runtime.GOARCH) {
		t.Errorf("%+v", r)
	}
}

func TestHelp(t *testing.T) {
	for _, args := range [][]string{{}, {"--help"}, {"-h"}, {"help"}} {
		r := command(t, args...)
		if r.code != service.ExitOK || !strings.Contains(r.stdout, "run") || !strings.Contains(r.stdout, "version") {
			t.Errorf("%v: %+v", args, r)
		}
	}
	r := command(t, "run", "--help")
	for _, want := range []string{"--repo URL", "--config file", "--listen", "KUBESCRIBE_GIT_PASSWORD_FILE", "--git-credentials directory", "KUBESCRIBE_GIT_SIGNING_KEY_FILE", "Secrets are mirrored encrypted"} {
		if r.code != service.ExitOK || !strings.Contains(r.stdout, want) {
			t.Errorf("run --help ends with %d and does not mention %s", r.code, want)
		}
	}
}

// TestNoCluster: what was named and is not there was typed wrong; the message
// names what helps.
func TestNoCluster(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "kubeconfig")
	r := command(t, "run", "--repo", "/tmp/x", "--kubeconfig", missing)
	if r.code != service.ExitUsage || !strings.Contains(r.stderr, missing) || !strings.Contains(r.stderr, "--kubeconfig") {
		t.Errorf("%+v", r)
	}
	t.Setenv("KUBECONFIG", missing)
	r = command(t, "run", "--repo", "/tmp/x")
	if r.code != service.ExitUsage || !strings.Contains(r.stderr, missing) || !strings.Contains(r.stderr, "$KUBECONFIG") {
		t.Errorf("%+v", r)
	}
}

const kubeconfig = `apiVersion: v1
kind: Config
current-context: one
contexts: [{name: one, context: {cluster: prod, user: me}}]
clusters: [{name: prod, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: me, user: {token: s3cret}}]
`

// TestNoHome: without a place for data nothing starts.
func TestNoHome(t *testing.T) {
	config := file(t, "kubeconfig", kubeconfig)
	for name, tt := range map[string]struct {
		args []string
		says string
	}{
		"no home":    {nil, "--data-dir"},
		"no context": {[]string{"--context", "two"}, `"two"`},
		"slash":      {[]string{"--cluster", "a/b"}, "--cluster"},
	} {
		t.Run(name, func(t *testing.T) {
			r := command(t, append([]string{"run", "--repo", "/tmp/x", "--kubeconfig", config}, tt.args...)...)
			if r.code == service.ExitOK || !strings.Contains(r.stderr, tt.says) || strings.Contains(r.stderr, "s3cret") {
				t.Errorf("%+v", r)
			}
		})
	}
}

// TestSigningKey: a key that cannot sign is refused before anything starts.
func TestSigningKey(t *testing.T) {
	config, missing := file(t, "kubeconfig", kubeconfig), filepath.Join(t.TempDir(), "key")
	var stdout, stderr bytes.Buffer
	code := Main(t.Context(), Env{
		Args: []string{"run", "--repo", "/tmp/x", "--kubeconfig", config}, Stdout: &stdout, Stderr: &stderr,
		Getenv: func(name string) string { return map[string]string{"KUBESCRIBE_GIT_SIGNING_KEY_FILE": missing}[name] },
	})
	if code != service.ExitUsage || !strings.Contains(stderr.String(), missing) || !strings.Contains(stderr.String(), "KUBESCRIBE_GIT_SIGNING_KEY_FILE") {
		t.Errorf("it ends with %d: %s%s", code, stdout.String(), stderr.String())
	}
}

func TestDefaultDataDir(t *testing.T) {
	for _, tt := range []struct {
		cluster, home, xdg, want string
	}{
		{"prod", "/home/joe", "", "/home/joe/.local/share/kubescribe/cluster-prod"},
		{"prod", "/home/joe", "/data", "/data/kubescribe/cluster-prod"},
		{"arn:aws:eks", "/home/joe", "", "/home/joe/.local/share/kubescribe/cluster-arn_aws_eks"},
		{"..", "/home/joe", "", "/home/joe/.local/share/kubescribe/cluster-.."},
	} {
		got, err := defaultDataDir(func(name string) string {
			return map[string]string{"HOME": tt.home, "XDG_DATA_HOME": tt.xdg}[name]
		}, tt.cluster)
		if err != nil || got != tt.want {
			t.Errorf("%s is kept in %s, %v", tt.cluster, got, err)
		}
	}
}

func TestAbsolute(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for in, want := range map[string]string{
		"":                           "",
		"/srv/live.git":              "/srv/live.git",
		"live.git":                   filepath.Join(dir, "live.git"),
		"../live.git":                filepath.Join(filepath.Dir(dir), "live.git"),
		"https://git.example.com/x":  "https://git.example.com/x",
		"git@git.example.com:x.git":  "git@git.example.com:x.git",
		"file:///srv/live.git":       "file:///srv/live.git",
		"ssh://git@example.com/live": "ssh://git@example.com/live",
	} {
		if got := absolute(in); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
}

// TestProvisionUnreachable gives up when it is told to.
func TestProvisionUnreachable(t *testing.T) {
	var stdout, stderr bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	code := Main(ctx, Env{Args: []string{"provision", "--nats", "nats://127.0.0.1:1"}, Stdout: &stdout, Stderr: &stderr, Getenv: os.Getenv})
	if code != service.ExitError || !strings.Contains(stderr.String(), "nats://127.0.0.1:1") || stdout.Len() > 0 {
		t.Errorf("it ends with %d: %s%s", code, stdout.String(), stderr.String())
	}
}

// stopper is told to stop by what it writes.
type stopper struct {
	bytes.Buffer
	at   string
	stop context.CancelFunc
}

func (s *stopper) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte(s.at)) {
		s.stop()
	}
	return s.Buffer.Write(p)
}

// TestStoppedEarly: a start that is told to stop ends well.
func TestStoppedEarly(t *testing.T) {
	config, data := file(t, "kubeconfig", kubeconfig), filepath.Join(t.TempDir(), "data")
	for name, tt := range map[string]struct {
		at   string
		args []string
	}{
		"run":       {`"msg":"starting"`, []string{"run", "-v", "--repo", "/tmp/x", "--kubeconfig", config, "--data-dir", data, "--listen", "127.0.0.1:0"}},
		"the bus":   {`Server is ready`, []string{"run", "-v", "--repo", "/tmp/x", "--kubeconfig", config, "--data-dir", data, "--listen", "127.0.0.1:0"}},
		"provision": {`"level":"WARN"`, []string{"provision", "--nats", "nats://127.0.0.1:1"}},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			stderr := &stopper{at: tt.at, stop: cancel}
			code := Main(ctx, Env{Args: tt.args, Stdout: &bytes.Buffer{}, Stderr: stderr, Getenv: os.Getenv})
			if text := stderr.String(); code != service.ExitOK || ctx.Err() == nil || strings.Contains(text, "kubescribe is running") {
				t.Errorf("it ends with %d: %s", code, text)
			}
		})
	}
}

// natsServer is one with JetStream, and its URL.
func natsServer(t *testing.T) string {
	t.Helper()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	if !s.ReadyForConnections(30 * time.Second) {
		t.Fatal("the NATS server is not ready")
	}
	return s.ClientURL()
}

// TestProvision: it makes an install, and run again finds the one that is there.
func TestProvision(t *testing.T) {
	url := natsServer(t)
	first := command(t, "provision", "--nats", url)
	if first.code != service.ExitOK || !strings.HasPrefix(first.stdout, "provisioned install ") || !strings.HasSuffix(first.stdout, " on "+url+"\n") {
		t.Fatalf("%+v", first)
	}
	if again := command(t, "provision", "--nats", url); again.code != service.ExitOK || again.stdout != first.stdout {
		t.Errorf("run again, it ends with %d: %s%s, want %s", again.code, again.stdout, again.stderr, first.stdout)
	}
}

// TestProvisionFails: what one server cannot do is said, and nothing is claimed.
func TestProvisionFails(t *testing.T) {
	url, missing := natsServer(t), filepath.Join(t.TempDir(), "creds")
	for name, tt := range map[string]struct {
		args []string
		code int
		says string
	}{
		"three copies on one server": {[]string{"--replicas", "3"}, service.ExitError, "replicas"},
		"credentials that are not":   {[]string{"--nats-creds", missing}, service.ExitUsage, missing},
	} {
		t.Run(name, func(t *testing.T) {
			r := command(t, append([]string{"provision", "--nats", url}, tt.args...)...)
			if r.code != tt.code || r.stdout != "" || !strings.Contains(r.stderr, tt.says) {
				t.Errorf("%+v", r)
			}
		})
	}
}

// TestProvisionKeepsSecrets: credentials in the URL are refused and not shown.
func TestProvisionKeepsSecrets(t *testing.T) {
	r := command(t, "provision", "--nats", "nats://joe:s3cret@127.0.0.1:1")
	if r.code != service.ExitUsage || strings.Contains(r.stdout+r.stderr, "s3cret") || !strings.Contains(r.stderr, "credentials") {
		t.Errorf("%+v", r)
	}
}
