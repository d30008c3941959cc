package sealing

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/seal"
)

var key = event.DestinationKey{Cluster: "prod", Namespace: "shop", Name: "git"}

func TestWanted(t *testing.T) {
	t.Parallel()
	got := wanted([]event.Destination{
		{URL: "https://b", Credentials: "prod/shop/git"},
		{URL: "https://a", Credentials: "prod/shop/git"},
		{URL: "https://b", Credentials: "prod/shop/git"},
		{URL: "https://c", Credentials: "prod/billing/git"},
		{URL: "https://d"},
		{URL: "https://e", Credentials: "prod/shop/files"},
	}, func(secret string) bool { return secret == "prod/shop/files" })
	want := map[event.DestinationKey][]string{
		key: {"https://a", "https://b"},
		{Cluster: "prod", Namespace: "billing", Name: "git"}: {"https://c"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func newSecret(version string, pairs map[string]string) *corev1.Secret {
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "git", UID: "u", ResourceVersion: version}, Data: map[string][]byte{}}
	for key, value := range pairs {
		s.Data[key] = []byte(value)
	}
	return s
}

func newRecipient(t *testing.T) *seal.Recipient {
	t.Helper()
	file, err := seal.Generate()
	if err != nil {
		t.Fatal(err)
	}
	ids, err := seal.ParseIdentities(file)
	if err != nil {
		t.Fatal(err)
	}
	return ids.Recipients()[0]
}

// TestSealable: what the remote does not need stays in the cluster.
func TestSealable(t *testing.T) {
	t.Parallel()
	got := sealable(key, []string{"https://a"}, newSecret("1", map[string]string{"username": "me", "password": "hush", "stripe-key": "hush"}))
	if keys := slices.Sorted(maps.Keys(got.Data)); got.Name != "prod/shop/git" || !slices.Equal(got.Remotes, []string{"https://a"}) || !slices.Equal(keys, []string{"password", "username"}) {
		t.Errorf("it seals %s for %v, %v", got.Name, got.Remotes, keys)
	}
}

// TestSource: it is the same as long as what is sealed is, and nothing of the values is in
// it: one that is guessed cannot be held against it.
func TestSource(t *testing.T) {
	t.Parallel()
	to, other := newRecipient(t), newRecipient(t)
	of := func(s *corev1.Secret, remotes []string, to *seal.Recipient) string {
		t.Helper()
		got, err := source(s, sealable(key, remotes, s), to)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	remotes := []string{"https://a"}
	first := of(newSecret("1", map[string]string{"password": "hush"}), remotes, to)
	if again := of(newSecret("1", map[string]string{"password": "another", "stripe-key": "hush"}), remotes, to); again != first {
		t.Error("a value is in it")
	}
	anew := newSecret("1", map[string]string{"password": "hush"})
	anew.UID = "v"
	for what, got := range map[string]string{
		"another version":   of(newSecret("2", map[string]string{"password": "hush"}), remotes, to),
		"made anew":         of(anew, remotes, to),
		"one more key":      of(newSecret("1", map[string]string{"password": "hush", "username": "me"}), remotes, to),
		"another remote":    of(newSecret("1", map[string]string{"password": "hush"}), []string{"https://a", "https://b"}, to),
		"another recipient": of(newSecret("1", map[string]string{"password": "hush"}), remotes, other),
	} {
		if got == first {
			t.Errorf("%s is not told", what)
		}
	}
}
