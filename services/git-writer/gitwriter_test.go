package gitwriter

import (
	"strings"
	"testing"
	"time"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
)

func TestSlow(t *testing.T) {
	now := time.Date(2026, 11, 25, 9, 0, 0, 0, time.UTC)
	if err := slow(Snapshot{}, now); err != nil {
		t.Errorf("no push: %v", err)
	}
	if err := slow(Snapshot{Pushing: now.Add(-slowPush)}, now); err != nil {
		t.Errorf("a push: %v", err)
	}
	err := slow(Snapshot{URL: "https://git.example.com/live.git", Branch: "main", Pushing: now.Add(-42 * time.Second)}, now)
	if err == nil || err.Error() != "branch main of https://git.example.com/live.git: a push has not ended after 42s" {
		t.Errorf("a slow push: %v", err)
	}
}

// TestBranchesAreOpenedBy: of two destinations, the one that was registered first says
// how their branch is opened, whatever their names.
func TestBranchesAreOpenedBy(t *testing.T) {
	all := map[event.DestinationKey]bus.Registered{}
	for i, name := range []string{"b", "a", "c"} {
		k := event.DestinationKey{Cluster: "prod", Namespace: name, Name: "live"}
		all[k] = bus.Registered{Destination: event.Destination{Key: k, BranchKey: "one", Credentials: name + "/git"}, Revision: uint64(7 + i)}
	}
	if got := branches(all)["one"].Credentials; got != "b/git" {
		t.Errorf("opened by %s", got)
	}
	changed := all[event.DestinationKey{Cluster: "prod", Namespace: "b", Name: "live"}]
	changed.Revision, changed.First = 99, 7
	all[changed.Key] = changed
	if got := branches(all)["one"].Credentials; got != "b/git" {
		t.Errorf("opened by %s after a change", got)
	}
	delete(all, changed.Key)
	if got := branches(all)["one"].Credentials; got != "a/git" {
		t.Errorf("opened by %s", got)
	}
}

// TestBranches: two spellings of a URL make one branch, and always the same one.
func TestBranches(t *testing.T) {
	all := map[event.DestinationKey]bus.Registered{}
	add := func(name, url, branchKey string) {
		k := event.DestinationKey{Cluster: "prod", Namespace: "default", Name: name}
		all[k] = bus.Registered{Destination: event.Destination{Key: k, URL: url, BranchKey: branchKey}}
	}
	add("c", "https://git.example.com/live.git", "one")
	add("a", "https://git.example.com/live", "one")
	add("b", "https://GIT.example.com/live.git", "one")
	add("z", "https://git.example.com/other.git", "two")
	for range 50 { // maps have no order
		got := branches(all)
		if len(got) != 2 || got["one"].URL != "https://git.example.com/live" || got["two"].URL != "https://git.example.com/other.git" {
			t.Fatalf("got %v", got)
		}
	}
}

func TestCheckHosts(t *testing.T) {
	given := Credentials{Username: "me", PasswordFile: "password"}
	for name, c := range map[string]struct {
		creds Credentials
		urls  []string
		says  string // "" for allowed
	}{
		"one host":             {creds: given, urls: []string{"https://git.example.com/a.git", "https://GIT.example.com/b.git", "https://git.example.com:443/c.git"}},
		"other ways are free":  {creds: given, urls: []string{"https://git.example.com/a.git", "git@elsewhere:b.git", "/srv/c.git"}},
		"nothing given":        {urls: []string{"https://git.example.com/a.git", "https://elsewhere/b.git"}},
		"two hosts":            {creds: given, urls: []string{"https://git.example.com/a.git", "https://elsewhere/b.git"}, says: "elsewhere and git.example.com"},
		"two ports are two":    {creds: given, urls: []string{"https://git.example.com/a.git", "https://git.example.com:8443/b.git"}, says: "git.example.com and git.example.com:8443"},
		"a name and no secret": {creds: given, urls: []string{"https://u:hush@one/a.git", "https://two/b.git"}, says: "one and two"},
	} {
		all := map[event.DestinationKey]bus.Registered{
			// It names a Secret, and so gets no other password.
			{Name: "its own"}: {Destination: event.Destination{URL: "https://its.own/a.git", Credentials: "default/own"}},
		}
		for _, u := range c.urls {
			all[event.DestinationKey{Name: u}] = bus.Registered{Destination: event.Destination{URL: u}}
		}
		err := c.creds.checkHosts(all)
		switch {
		case c.says == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "hush")):
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestValidateCacheDir(t *testing.T) {
	if err := (Config{}).Validate(); err == nil || !strings.Contains(err.Error(), "--cache-dir") {
		t.Errorf("no directory: %v", err)
	}
	t.Setenv("XDG_CACHE_HOME", "/var/cache/me")
	if err := (Config{CacheDir: DefaultCacheDir()}).Validate(); err != nil || DefaultCacheDir() != "/var/cache/me/kubescribe/git-writer" {
		t.Errorf("%s: %v", DefaultCacheDir(), err)
	}
}
