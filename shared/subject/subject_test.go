package subject

import (
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/kubescribe/kubescribe/shared/event"
)

var (
	// keyPattern is what NATS allows in a key of a bucket (ADR-8).
	keyPattern = regexp.MustCompile(`^[-/_=\.a-zA-Z0-9]+$`)
	// consumerPattern is what NATS allows in a consumer's name, strictly.
	consumerPattern = regexp.MustCompile(`^[-_=a-zA-Z0-9]+$`)
)

// match reports whether a subject is selected by a filter, as a NATS server
// decides it: * is one token, > is one or more at the end.
func match(filter, s string) bool {
	f, t := strings.Split(filter, "."), strings.Split(s, ".")
	for i, want := range f {
		switch {
		case want == ">":
			return i == len(f)-1 && len(t) > i
		case i >= len(t), want != "*" && want != t[i]:
			return false
		}
	}
	return len(f) == len(t)
}

func TestMatcher(t *testing.T) {
	for _, tt := range []struct {
		filter, subject string
		want            bool
	}{
		{"a.b", "a.b", true},
		{"a.b", "a.b.c", false},
		{"a.b.c", "a.b", false},
		{"a.*", "a.b", true},
		{"a.*", "a.b.c", false},
		{"a.*.c", "a.b.c", true},
		{"a.>", "a.b.c", true},
		{"a.>", "a", false},
		{"a.*", "a", false},
		{"b.>", "a.b", false},
	} {
		if got := match(tt.filter, tt.subject); got != tt.want {
			t.Errorf("%q matches %q: %v", tt.filter, tt.subject, got)
		}
	}
}

// checkSubject asserts that a subject to publish to is legal, and of its stream.
func checkSubject(t *testing.T, stream, s string) {
	t.Helper()
	if !match(stream, s) {
		t.Errorf("%q is not stored by %q", s, stream)
	}
	for _, token := range strings.Split(s, ".") {
		if token == "" || strings.ContainsAny(token, "*>") || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
			t.Errorf("%q has the token %q", s, token)
		}
	}
}

func checkKey(t *testing.T, key string) {
	t.Helper()
	if !keyPattern.MatchString(key) || strings.HasPrefix(key, ".") || strings.HasSuffix(key, ".") || strings.Contains(key, "..") {
		t.Errorf("%q is no legal key of a bucket", key)
	}
}

// awkward are names that would collide or break a subject if they were put
// there as they are.
var awkward = []string{"", "_", "__", "a", "a.b", "a-b", "a=2Eb", "=5F", "=20", " ", "*", ">", "a b", "größe", "\x00", "\xff", "shop", "Shop", "x/y", "system:node", "d", "ckpt", "0"}

func TestTokensAreInjective(t *testing.T) {
	seen := map[string]string{}
	for _, s := range awkward {
		token := Token(s)
		if other, taken := seen[token]; taken {
			t.Errorf("%q and %q are both %q", s, other, token)
		}
		seen[token] = s
	}
}

func TestParseTokenRefuses(t *testing.T) {
	for _, token := range []string{"", "a.b", " ", "a*", "=", "=2", "=2e", "=41", "=ZZ", "a=", "=5f", "größe", "a/b", "=+1"} {
		if s, err := ParseToken(token); !errors.Is(err, ErrSubject) {
			t.Errorf("%q was read as %q, %v", token, s, err)
		}
	}
}

// FuzzToken: any string is a legal token that reads back as itself.
func FuzzToken(f *testing.F) {
	for _, s := range awkward {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		token := Token(s)
		if !consumerPattern.MatchString(token) {
			t.Errorf("%q is no legal token", token)
		}
		if got, err := ParseToken(token); got != s || err != nil {
			t.Errorf("%q was read back from %q as %q, %v", s, token, got, err)
		}
	})
}

// FuzzParseToken: what is read is written the same, so no two tokens mean the
// same.
func FuzzParseToken(f *testing.F) {
	for _, s := range awkward {
		f.Add(s)
		f.Add(Token(s))
	}
	f.Fuzz(func(t *testing.T, token string) {
		s, err := ParseToken(token)
		if err != nil {
			if !errors.Is(err, ErrSubject) {
				t.Errorf("%q: %v", token, err)
			}
			return
		}
		if got := Token(s); got != token {
			t.Errorf("%q reads as %q, which is written %q", token, s, got)
		}
	})
}

// FuzzSubjects: for any names, what is stored is found by who looks for it, by
// nobody else, and reads back.
func FuzzSubjects(f *testing.F) {
	for _, s := range awkward {
		f.Add(s, "gitops", "live", "apps", "deployments", "shop", "0123456789abcdef", uint8(3))
		f.Add("prod", s, s, s, s, s, s, uint8(7))
	}
	f.Fuzz(func(t *testing.T, cluster, namespace, name, group, resource, objectNamespace, branchKey string, n uint8) {
		part := int(n) % Parts
		k := event.DestinationKey{Cluster: cluster, Namespace: namespace, Name: name}
		other := event.DestinationKey{Cluster: cluster, Namespace: namespace + "x", Name: name}

		change := EventChange(part, cluster, group, resource, objectNamespace)
		checkSubject(t, AllEvents, change)
		selects(t, change, EventPart(part), EventType(part, cluster, group, resource, ""), EventType(part, cluster, group, resource, objectNamespace))
		ignores(t, change, EventPart((part+1)%Parts), EventType(part, cluster, group, resource+"x", ""), EventType(part, cluster+"x", group, resource, ""),
			EventType(part, cluster, group, resource, objectNamespace+"x"), EventFence(part, cluster))
		if p, err := ParseEventPart(change); p != part || err != nil {
			t.Errorf("%q is of part %d, %v", change, p, err)
		}

		if group != " " {
			if got, err := ParseEvent(change); err != nil || got != (Event{Part: part, Cluster: cluster, Group: group, Resource: resource, Namespace: objectNamespace}) {
				t.Errorf("%q reads as %+v, %v", change, got, err)
			}
		}

		mark := EventMark(part, cluster, k)
		if got, err := ParseEvent(mark); err != nil || got.Part != part || got.Mark == nil || *got.Mark != k {
			t.Errorf("%q reads as %+v, %v", mark, got, err)
		}
		checkSubject(t, AllEvents, mark)
		selects(t, mark, EventPart(part), EventMarks(k))
		ignores(t, mark, EventMarks(other), EventMarks(event.DestinationKey{Cluster: cluster + "x", Namespace: namespace, Name: name}))
		ignores(t, mark, EventMark(part, cluster, other), EventMark(part, cluster+"x", k), EventMark((part+1)%Parts, cluster, k), EventFence(part, cluster))
		// Names hold no blank: Kubernetes allows none.
		if !strings.Contains(group, " ") && !strings.Contains(resource, " ") {
			ignores(t, mark, change, EventType(part, cluster, group, resource, ""))
			ignores(t, change, EventMarks(k))
		}

		fence := EventFence(part, cluster)
		checkSubject(t, AllEvents, fence)
		if p, c, err := ParseEventFence(fence); p != part || c != cluster || err != nil {
			t.Errorf("%q reads as part %d of %q, %v", fence, p, c, err)
		}
		if _, err := ParseEvent(fence); err == nil {
			t.Errorf("%q reads as an event", fence)
		}
		if _, _, err := ParseEventFence(change); err == nil {
			t.Errorf("%q reads as a fence", change)
		}
		ignores(t, fence, EventPart(part), EventMarks(k), EventFence(part, cluster+"x"), EventFence((part+1)%Parts, cluster))

		live := LiveData(part, k)
		checkSubject(t, AllLive, live)
		selects(t, live, LivePart(part), LiveShardData(LiveShard(k)), LiveDestination(k))
		ignores(t, live, LivePart((part+1)%Parts), LiveShardData((LiveShard(k)+1)%LiveShards), LiveDestination(other), LiveCheckpoint(part))
		if p, got, err := ParseLiveData(live); p != part || got != k || err != nil {
			t.Errorf("%q reads as part %d of %v, %v", live, p, got, err)
		}

		checkpoint := LiveCheckpoint(part)
		checkSubject(t, AllLive, checkpoint)
		if p, err := ParseLiveCheckpoint(checkpoint); p != part || err != nil {
			t.Errorf("%q reads as part %d, %v", checkpoint, p, err)
		}
		selects(t, checkpoint, LivePart(part))
		ignores(t, checkpoint, LivePart((part+1)%Parts), LiveDestination(k), LiveShardData(LiveShard(k)))

		write := WriteData(branchKey, k)
		checkSubject(t, AllWrite, write)
		selects(t, write, WriteDestination(k), WriteBranch(branchKey))
		ignores(t, write, WriteDestination(other), WriteBranch(branchKey+"x"), WriteCheckpoint(k))
		if b, got, err := ParseWriteData(write); b != branchKey || got != k || err != nil {
			t.Errorf("%q reads as branch %q of %v, %v", write, b, got, err)
		}

		checkpoint = WriteCheckpoint(k)
		checkSubject(t, AllWrite, checkpoint)
		selects(t, checkpoint, WriteDestination(k))
		ignores(t, checkpoint, WriteDestination(other), WriteBranch(branchKey))
		if got, err := ParseWriteCheckpoint(checkpoint); got != k || err != nil {
			t.Errorf("%q reads as %v, %v", checkpoint, got, err)
		}

		state := CtlClusterState(cluster, part, name, uint64(n))
		checkSubject(t, AllCtl, state)
		selects(t, state, CtlClusterStates(cluster, part))
		ignores(t, state, CtlClusterStates(cluster, (part+1)%Parts), CtlClusterStates(cluster+"x", part), CtlRuns)
		contents := CtlResources(cluster, part, name, uint64(n))
		checkSubject(t, AllCtl, contents)
		selects(t, contents, CtlResourcesOf(cluster, part))
		ignores(t, contents, CtlResourcesOf(cluster, (part+1)%Parts), CtlResourcesOf(cluster+"x", part), CtlRuns, CtlClusterStates(cluster, part))
		ignores(t, state, CtlResourcesOf(cluster, part))
		run := CtlRun(k)
		checkSubject(t, AllCtl, run)
		selects(t, run, CtlRuns)
		ignores(t, run, CtlClusterStates(cluster, part), CtlResourcesOf(cluster, part), CtlRun(other), CtlRunsBehind(k))
		behind := CtlRunBehind(k, event.ReasonWatchGap, int(n%2))
		checkSubject(t, AllCtl, behind)
		selects(t, behind, CtlRuns, CtlRunsBehind(k))
		ignores(t, behind, run, CtlRunsBehind(other), CtlClusterStates(cluster, part), CtlResourcesOf(cluster, part))

		object := CtlObject(part, k, uint64(n))
		checkSubject(t, AllCtl, object)
		selects(t, object, CtlObjects(cluster, part), CtlObjectsOf(k))
		ignores(t, object, CtlObjects(cluster, (part+1)%Parts), CtlObjects(cluster+"x", part), CtlObjectsOf(other), CtlRuns, CtlResourcesOf(cluster, part), CtlOfRun(cluster, name))
		ignores(t, run, CtlObjects(cluster, part))
		ignores(t, contents, CtlObjects(cluster, part), CtlObjectsOf(k))

		letter := DeadLetter(name, k, resource, uint64(n))
		checkSubject(t, AllDLQ, letter)
		if stage, of, stream, seq, err := ParseDeadLetter(letter); stage != name || of != k || stream != resource || seq != uint64(n) || err != nil {
			t.Errorf("%q reads as %q, %v, %q, %d, %v", letter, stage, of, stream, seq, err)
		}
		for _, c := range []string{ConsumerClusterState(cluster, part), ConsumerResources(cluster, part), ConsumerObjects(cluster, part), ConsumerRuns} {
			if !consumerPattern.MatchString(c) {
				t.Errorf("%q is no legal name of a consumer", c)
			}
		}

		token := DestinationToken(k)
		checkKey(t, token)
		if got, err := ParseDestinationToken(token); got != k || err != nil {
			t.Errorf("%q reads as %v, %v", token, got, err)
		}
		bookmark, hint := BookmarkKey(cluster, group, resource, objectNamespace), HintKey(branchKey)
		checkKey(t, bookmark)
		checkKey(t, hint)
		if bookmark == hint {
			t.Errorf("a bookmark and a hint share the key %q", hint)
		}
		if c, g, r, ns, err := ParseBookmarkKey(bookmark); c != cluster || g != group || r != resource || ns != objectNamespace || err != nil || !strings.HasPrefix(bookmark, BookmarksOf(cluster)+".") {
			t.Errorf("%q reads as %q, %q, %q, %q, %v", bookmark, c, g, r, ns, err)
		}
		if _, _, _, _, err := ParseBookmarkKey(hint); !errors.Is(err, ErrSubject) {
			t.Errorf("the hint %q is a bookmark: %v", hint, err)
		}
	})
}

func selects(t *testing.T, s string, filters ...string) {
	t.Helper()
	for _, f := range filters {
		if !match(f, s) {
			t.Errorf("%q does not select %q", f, s)
		}
	}
}

func ignores(t *testing.T, s string, filters ...string) {
	t.Helper()
	for _, f := range filters {
		if match(f, s) {
			t.Errorf("%q selects %q", f, s)
		}
	}
}

// FuzzParseSubjects: what a parser accepts is what its builder builds.
func FuzzParseSubjects(f *testing.F) {
	k := event.DestinationKey{Cluster: "prod", Namespace: "gitops", Name: "live"}
	for _, s := range []string{
		LiveData(3, k), WriteData("0123456789abcdef", k), WriteCheckpoint(k), DestinationToken(k), LiveCheckpoint(3),
		"ks.live.d.3.9.prod.gitops.live", "ks.live.d.03.1.prod.gitops.live", "ks.write.d.x.y.prod.gitops.live", "a.b.c.3.e.prod.gitops.live",
		"ks.live.d.8.1.prod.gitops.live", "ks.live.d.-1.1.prod.gitops.live", "ks.live", "", ".......",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		built := func(what, again string, err error) {
			switch {
			case err == nil && again != s:
				t.Errorf("%s was read from %q and is built as %q", what, s, again)
			case err != nil && !errors.Is(err, ErrSubject):
				t.Errorf("%s from %q: %v", what, s, err)
			}
		}
		part, k, err := ParseLiveData(s)
		built("live data", LiveData(part, k), err)
		branch, k, err := ParseWriteData(s)
		built("write data", WriteData(branch, k), err)
		k, err = ParseWriteCheckpoint(s)
		built("a write checkpoint", WriteCheckpoint(k), err)
		k, err = ParseDestinationToken(s)
		built("a destination", DestinationToken(k), err)
		secret, err := ParseCredentialKey(s)
		key, _ := CredentialKey(secret) // "" where there is none, which is not s
		built("a Secret", key, err)
		if part, err := ParseEventPart(s); err == nil && (part < 0 || part >= Parts) {
			t.Errorf("%q is of part %d", s, part)
		}
	})
}

// TestCredentialKey: each Secret has a key of its own, and nothing else has one.
func TestCredentialKey(t *testing.T) {
	keys := map[string]string{}
	for _, secret := range []string{"prod/shop/git", "prod/shop/git.token", "prod/shop/git=2Etoken", "prod.shop/git/token", "prod/shop.git/token", "arn:aws:eks:1/shop/git", "_/_/_"} {
		key, err := CredentialKey(secret)
		if err != nil {
			t.Fatal(err)
		}
		checkKey(t, key)
		if other, is := keys[key]; is {
			t.Errorf("%q and %q have one key", other, secret)
		}
		keys[key] = secret
		if got, err := ParseCredentialKey(key); got != secret || err != nil {
			t.Errorf("%q reads as %q, %v", key, got, err)
		}
	}
	for _, secret := range []string{"", "git", "shop/git", "//", "prod//git", "prod/shop/git/x"} {
		if key, err := CredentialKey(secret); !errors.Is(err, ErrSubject) || key != "" {
			t.Errorf("%q has the key %q, %v", secret, key, err)
		}
	}
	for _, key := range []string{"", "prod.shop", "prod.shop.a=2Fb", "_._._", "prod.shop.=67it"} {
		if secret, err := ParseCredentialKey(key); !errors.Is(err, ErrSubject) || secret != "" {
			t.Errorf("%q is the key of %q, %v", key, secret, err)
		}
	}
}

// TestShardsAreFixed: parts and shards stand in streams for good. A table that
// has to change here is an install that reads its messages no more.
func TestShardsAreFixed(t *testing.T) {
	k := event.DestinationKey{Cluster: "prod", Namespace: "gitops", Name: "live"}
	for name, tt := range map[string]struct{ got, want int }{
		"core configmaps":   {Part("prod", "", "configmaps"), 7},
		"apps deployments":  {Part("prod", "apps", "deployments"), 0},
		"other cluster":     {Part("test", "apps", "deployments"), 1},
		"live shard":        {LiveShard(k), 6},
		"write shard":       {WriteShard("0123456789abcdef"), 7},
		"other write shard": {WriteShard("fedcba9876543210"), 3},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: %d, was %d", name, tt.got, tt.want)
		}
	}
}

// TestPartsAreUsed: types spread over all lanes.
func TestPartsAreUsed(t *testing.T) {
	used := map[int]bool{}
	for _, r := range []string{"configmaps", "services", "pods", "serviceaccounts", "persistentvolumes", "persistentvolumeclaims", "namespaces", "replicationcontrollers", "resourcequotas", "limitranges", "deployments", "statefulsets", "daemonsets", "replicasets", "jobs", "cronjobs", "ingresses", "networkpolicies", "roles", "rolebindings", "clusterroles", "clusterrolebindings"} {
		p := Part("prod", "", r)
		if p < 0 || p >= Parts {
			t.Fatalf("%s is of part %d", r, p)
		}
		used[p] = true
	}
	if len(used) < Parts-1 {
		t.Errorf("22 types are in %d of %d parts", len(used), Parts)
	}
}
