package secret

import (
	"maps"
	"slices"
	"testing"
)

// TestSelect: what says nothing of how a remote is opened stays where it is.
func TestSelect(t *testing.T) {
	t.Parallel()
	got := Select(map[string][]byte{
		"username": []byte("me"), "password": nil, "sshPrivateKey": []byte("key"), "insecure": []byte("true"), "proxy": []byte("p"),
		"url": []byte("https://x"), "githubAppPrivateKey": []byte("hush"), "identity.pub": []byte("x"), "Password": []byte("hush"), "": []byte("hush"),
	})
	if keys, want := slices.Sorted(maps.Keys(got)), []string{"insecure", "password", "proxy", "sshPrivateKey", "username"}; !slices.Equal(keys, want) {
		t.Errorf("it hands on %q, want %q", keys, want)
	}
	if string(got["username"]) != "me" {
		t.Error("a value is another")
	}
}
