package repo

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"
	gitssh "github.com/go-git/go-git/v5/plumbing/transport/ssh"

	"github.com/kubescribe/kubescribe/shared/gittest"
)

const password = "s3cr3t/+ %word"

func withAuth(user, password string) func(*Config) {
	return func(c *Config) {
		c.Auth = func(context.Context) (Access, error) {
			return Access{Method: &githttp.BasicAuth{Username: user, Password: password}}, nil
		}
	}
}

// allErrors is every text that err can be made to show.
func allErrors(err error) string {
	out := fmt.Sprintf("%v %+v %#v", err, err, err)
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		if inner := e.Unwrap(); inner != nil {
			out += allErrors(inner)
		}
	case interface{ Unwrap() []error }:
		for _, inner := range e.Unwrap() {
			out += allErrors(inner)
		}
	}
	return out
}

func checkNoSecret(t *testing.T, err error, secrets ...string) {
	t.Helper()
	text := allErrors(err)
	for _, s := range secrets {
		if strings.Contains(text, s) {
			t.Errorf("%q is in %s", s, text)
		}
	}
}

func TestBasicAuth(t *testing.T) {
	r := newRemoteRepo(t, gittest.Options{User: "writer", Password: password})
	b := r.fetched(withAuth("writer", password))
	put(t, b, 1, "a", "1")
	push(t, b)

	// The same in the URL.
	withUser := strings.Replace(r.url(), "http://", "http://writer:s3cr3t%2F+%20%25word@", 1)
	b = r.fetched(func(c *Config) { c.URL = withUser })
	put(t, b, 1, "b", "1")
	push(t, b)
	if n := len(r.log("main")); n != 2 {
		t.Errorf("%d commits", n)
	}

	for name, change := range map[string]func(*Config){
		"none":  func(*Config) {},
		"wrong": withAuth("writer", "wr0ng"),
		"wrong in the URL": func(c *Config) {
			c.URL = strings.Replace(r.url(), "http://", "http://writer:wr0ng@", 1)
		},
		"of another protocol": func(c *Config) {
			c.Auth = func(context.Context) (Access, error) {
				return Access{Method: &gitssh.Password{User: "u", Password: "wr0ng"}}, nil
			}
		},
		"not to be had": func(c *Config) {
			c.URL = withUser
			c.Auth = func(context.Context) (Access, error) {
				return Access{}, errors.New("no Secret, and " + password)
			}
		},
	} {
		_, err := r.branch(change).Fetch(t.Context())
		want := ErrAuth
		if name == "not to be had" {
			want = ErrNoCredentials
		}
		if !errors.Is(err, want) {
			t.Errorf("%s: %v", name, err)
		}
		checkNoSecret(t, err, "wr0ng", password, "s3cr3t")
	}
}

// Credentials are asked for in each session, and what an earlier session
// learnt with others is not relied on.
func TestCredentialsRotate(t *testing.T) {
	current, asked := "old", 0
	r := newRemoteRepo(t, gittest.Options{})
	var gets []string
	r.meddle(func(w http.ResponseWriter, req *http.Request, next http.Handler) {
		if _, p, _ := req.BasicAuth(); p != current {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if req.Method == http.MethodGet {
			gets = append(gets, req.URL.RawQuery)
		}
		next.ServeHTTP(w, req)
	})
	given := "old"
	b := r.fetched(func(c *Config) {
		c.Auth = func(context.Context) (Access, error) {
			asked++
			return Access{Method: &githttp.BasicAuth{Username: "u", Password: given}}, nil
		}
	})
	put(t, b, 1, "a", "1")
	push(t, b)
	put(t, b, 2, "b", "1")
	push(t, b)
	if len(gets) != 2 || asked != 3 {
		t.Errorf("%v, asked %d times", gets, asked)
	}
	current = "new"
	put(t, b, 3, "c", "1")
	if _, err := b.Push(t.Context()); !errors.Is(err, ErrAuth) {
		t.Errorf("error %v", err)
	}
	given = "new"
	if res := push(t, b); res.Landed != 1 {
		t.Errorf("result %+v", res)
	}
	if len(gets) != 3 || asked != 5 {
		t.Errorf("%v, asked %d times", gets, asked)
	}
}

// A server, a proxy or a hook that repeats the credentials does not get them into an error.
func TestEchoedCredentials(t *testing.T) {
	basic := base64.StdEncoding.EncodeToString([]byte("writer:" + password))
	secrets := []string{password, "s3cr3t", basic}
	for _, status := range []int{400, 401, 403, 404, 429, 500, 502} {
		r := newRemoteRepo(t, gittest.Options{User: "writer", Password: password})
		b := r.fetched(withAuth("writer", password))
		put(t, b, 1, "a", "1")
		r.meddle(func(w http.ResponseWriter, req *http.Request, _ http.Handler) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, "you said "+req.Header.Get("Authorization")+" that is "+password+" or s3cr3t%2F+%20%25word")
		})
		_, err := b.Push(t.Context())
		checkNoSecret(t, err, secrets...)
		_, err = b.Fetch(t.Context())
		checkNoSecret(t, err, secrets...)
		if err == nil {
			t.Error("fetched")
		}
	}

	r := newRemoteRepo(t, gittest.Options{User: "writer", Password: password})
	b := r.fetched(withAuth("writer", password))
	put(t, b, 1, "a", "1")
	if err := gittest.InstallHook(r.dir, "pre-receive", gittest.RefuseWith("refused for "+password)); err != nil {
		t.Fatal(err)
	}
	_, err := b.Push(t.Context())
	if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "refused for ***") {
		t.Errorf("error %v", err)
	}
	checkNoSecret(t, err, secrets...)

	// A connection that fails quotes the URL.
	for _, url := range []string{"http://writer:s3cr3t@127.0.0.1:1/x", "http://s3cr3t@127.0.0.1:1/x"} {
		b := New(Config{URL: url, Branch: "main", Dir: t.TempDir()})
		_, err := b.Fetch(t.Context())
		if !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), "127.0.0.1:1") {
			t.Errorf("error %v", err)
		}
		checkNoSecret(t, err, "s3cr3t", base64.StdEncoding.EncodeToString([]byte("s3cr3t")))
	}
}

// Credentials do not follow a redirect to another host, and a push works through one.
func TestRedirect(t *testing.T) {
	target := newRemoteRepo(t, gittest.Options{})
	target.foreign("main", "start", map[string]string{"x": "1"})
	leaked := 0
	target.meddle(func(w http.ResponseWriter, req *http.Request, next http.Handler) {
		if req.Header.Get("Authorization") != "" {
			leaked++
		}
		next.ServeHTTP(w, req)
	})
	r := newRemoteRepo(t, gittest.Options{})
	r.meddle(func(w http.ResponseWriter, req *http.Request, _ http.Handler) {
		http.Redirect(w, req, target.url()+strings.TrimPrefix(req.URL.Path, "/"+r.name)+"?"+req.URL.RawQuery, http.StatusMovedPermanently)
	})
	b := r.fetched(withAuth("writer", password))
	for i := range 2 {
		put(t, b, uint64(i+1), "a", fmt.Sprint(i))
		push(t, b)
	}
	if leaked > 0 {
		t.Errorf("credentials reached another host %d times", leaked)
	}
	if n := len(target.log("main")); n != 3 {
		t.Errorf("%d commits", n)
	}
}

func TestSSHIsChosen(t *testing.T) {
	for raw, want := range map[string]string{
		"ssh://git@host:2222/org/repo.git": "ssh://git@host:2222/org/repo.git",
		"git@host:org/repo.git":            "ssh://git@host/org/repo.git",
		"host:/srv/repo":                   "ssh://host/srv/repo",
	} {
		r := newRemote(Config{URL: raw, Branch: "main"})
		s, err := r.begin(t.Context(), "testing")
		if err != nil {
			t.Fatal(err)
		}
		if got := s.endpoint.String(); got != want || s.transport() != gitssh.DefaultClient {
			t.Errorf("%s: %s over %T", raw, got, s.transport())
		}
		s.end()
	}
	// What comes before the colon of an scp-like URL is not made absolute.
	if l, err := locate("git@host:org/repo"); err != nil || l.endpoint().Path != "org/repo" {
		t.Errorf("%+v, %v", l, err)
	}
}

func TestSignatures(t *testing.T) {
	r := newRemoteRepo(t, gittest.Options{})
	if err := gittest.Configure(r.dir, "receive.fsckObjects", "true"); err != nil {
		t.Fatal(err)
	}
	b := r.fetched()
	tests := []struct {
		in   Signature
		want string
	}{
		{Signature{"Jane Doe", "jane@example.com", epoch}, "Jane Doe <jane@example.com>"},
		{Signature{"Evil <root@x>\ncommitter you", "a\n<b>@c", epoch}, "Evil root@x committer you <a b@c>"},
		{Signature{"", "jane@example.com", epoch}, "jane <jane@example.com>"},
		{Signature{"<>\n", "", epoch}, "unknown <>"},
		{Signature{"  system:node:\x00x\xff ", "é@x", epoch}, "system:node: x� <é@x>"},
		{Signature{Name: "long ago", Email: "x@y"}, "long ago <x@y>"},
	}
	for i, test := range tests {
		c := newCommit(uint64(i+1), Op{Path: "a", Content: fmt.Append(nil, i)})
		c.Author, c.Committer = test.in, test.in
		c.Message = func([]Change) string { return "one\x00two\xff\n\n\n" }
		if _, err := b.Commit(c); err != nil {
			t.Fatal(err)
		}
		push(t, b)
		got := r.log("-1", "main")[0]
		if got.Author != test.want || got.Committer != test.want || got.Message != "onetwo�\n" {
			t.Errorf("%+v, want %s", got, test.want)
		}
	}
	r.check()
}
