package gittest_test

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"testing"

	"github.com/kubescribe/kubescribe/shared/gittest"
)

// TestStockGitOverHTTPS: git trusts the authority that it is told of, and is let in with
// a certificate of that.
func TestStockGitOverHTTPS(t *testing.T) {
	t.Parallel()
	authority, err := gittest.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	config, err := authority.Serves(tls.RequireAndVerifyClientCert)
	if err != nil {
		t.Fatal(err)
	}
	s, err := gittest.Serve(gittest.Options{TLS: config})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if _, err := s.Init("live.git", "main"); err != nil {
		t.Fatal(err)
	}
	certificate, key, err := authority.Issue("writer")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	options := []string{"-c", "http.sslCAInfo=" + filepath.Join(dir, "ca.crt")}
	for name, content := range map[string][]byte{"ca.crt": authority.PEM, "tls.crt": certificate, "tls.key": key} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := gittest.Git(dir, "ls-remote", s.URL("live.git")); err == nil {
		t.Error("git trusts an authority that it was not told of")
	}
	if _, err := gittest.Git(dir, append(options, "ls-remote", s.URL("live.git"))...); err == nil {
		t.Error("git was let in without a certificate")
	}
	options = append(options, "-c", "http.sslCert="+filepath.Join(dir, "tls.crt"), "-c", "http.sslKey="+filepath.Join(dir, "tls.key"))
	if _, err := gittest.Git(dir, append(options, "ls-remote", s.URL("live.git"))...); err != nil {
		t.Error(err)
	}
}
