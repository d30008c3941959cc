package watcher

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

const kubeconfig = `apiVersion: v1
kind: Config
current-context: one
contexts:
- {name: one, context: {cluster: prod, user: me}}
- {name: two, context: {cluster: test, user: me}}
- {name: eks, context: {cluster: "arn:aws:eks:eu-west-1:1:cluster/prod", user: me}}
clusters:
- {name: prod, cluster: {server: "https://prod.example.com"}}
- {name: test, cluster: {server: "https://test.example.com"}}
- {name: "arn:aws:eks:eu-west-1:1:cluster/prod", cluster: {server: "https://eks.example.com"}}
users:
- {name: me, user: {token: s3cret}}
`

func TestLoadREST(t *testing.T) {
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(file, []byte(kubeconfig), 0o600); err != nil {
		t.Fatal(err)
	}
	for context, want := range map[string][2]string{
		"":    {"prod", "https://prod.example.com"},
		"one": {"prod", "https://prod.example.com"},
		"two": {"test", "https://test.example.com"},
		"eks": {"arn:aws:eks:eu-west-1:1:cluster-prod", "https://eks.example.com"}, // a slash has no place in a key
	} {
		rc, name, err := LoadREST(file, context)
		if err != nil {
			t.Fatal(err)
		}
		if name != want[0] || rc.Host != want[1] {
			t.Errorf("context %q is cluster %s at %s", context, name, rc.Host)
		}
	}
	if _, _, err := LoadREST(file, "three"); err == nil || !strings.Contains(err.Error(), `"three"`) {
		t.Errorf("an unknown context: %v", err)
	}
	if _, _, err := LoadREST(file+"-none", ""); err == nil || !strings.Contains(err.Error(), file+"-none") {
		t.Errorf("a file that is not there: %v", err)
	}
	if err := os.WriteFile(file, []byte("apiVersion: v1\nkind: Config\nusers: [{name: me, user: {token: s3cret"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := LoadREST(file, ""); err == nil || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("a file that is cut: %v", err)
	}
}

// TestUserInServer: a password in the server's URL is used, and stands nowhere
// that is printed.
func TestUserInServer(t *testing.T) {
	const password = "s3cret-in-the-url"
	load := func(server string) (*rest.Config, error) {
		file := filepath.Join(t.TempDir(), "kubeconfig")
		if err := os.WriteFile(file, []byte(strings.Replace(kubeconfig, "https://prod.example.com", server, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		rc, _, err := LoadREST(file, "")
		return rc, err
	}
	asked := ""
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, pass, _ := r.BasicAuth()
		asked = user + " " + pass
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer api.Close()
	at := strings.TrimPrefix(api.URL, "http://")
	for server, host := range map[string]string{
		"http://joe:" + password + "@" + at + "/prefix": api.URL + "/prefix",
		"http://joe:" + password + "@" + at:             api.URL,
	} {
		rc, err := load(server)
		if err != nil {
			t.Fatal(err)
		}
		if rc.Host != host {
			t.Errorf("the server is called %s", rc.Host)
		}
		client, err := kubernetes.NewForConfig(rc)
		if err != nil {
			t.Fatal(err)
		}
		w := &Watcher{cfg: Config{REST: rc}, client: client}
		if _, err := w.clusterID(t.Context()); err == nil || !strings.Contains(err.Error(), host) || strings.Contains(err.Error(), password) {
			t.Errorf("%s, asked for its cluster: %v", host, err)
		}
		if asked != "joe "+password {
			t.Errorf("the server was asked by %q", asked)
		}
	}
	for _, server := range []string{"joe:" + password + "@api.example.com/prefix", "https://joe:" + password + "%zz@api.example.com"} {
		if _, err := load(server); err == nil || strings.Contains(err.Error(), password) {
			t.Errorf("a server that is no URL: %v", err)
		}
	}
	if rc, err := load("joe:" + password + "@api.example.com"); err != nil || strings.Contains(rc.Host, password) {
		t.Errorf("a server without a scheme: %v, %v", rc, err)
	}
}

// TestClientRate: nothing but the API server says how often it is asked, unless somebody does;
// then that holds for all clients together.
func TestClientRate(t *testing.T) {
	if rc := clientOf(&rest.Config{}); rc.QPS >= 0 {
		t.Errorf("the API server is asked %v times a second at most", rc.QPS)
	}
	rc := clientOf(&rest.Config{QPS: 7, Burst: 3})
	if rc.QPS != 7 || rc.RateLimiter == nil || rc.RateLimiter.QPS() != 7 {
		t.Fatalf("of 7 requests a second that were configured, %v became", rc.QPS)
	}
	for n := range 4 {
		if taken := rc.RateLimiter.TryAccept(); taken != (n < 3) {
			t.Errorf("request %d at once is made: %t", n+1, taken)
		}
	}
}
