package subject

import (
	"testing"

	"github.com/kubescribe/kubescribe/shared/event"
)

// id names one message of a table by what must tell it from the others.
type id struct{ what, id string }

// checkDistinct asserts that each of some messages has an ID of its own.
func checkDistinct(t *testing.T, ids []id) {
	t.Helper()
	seen := map[string]string{}
	for _, i := range ids {
		if other, taken := seen[i.id]; taken {
			t.Errorf("%s and %s share the ID %s: one of them would be dropped", i.what, other, i.id)
		}
		seen[i.id] = i.what
		if i.id == "" || Token(i.id) != i.id {
			t.Errorf("%s has the ID %q, which does not stand on a header line as it is", i.what, i.id)
		}
	}
}

func change(f func(*event.Change)) event.Change {
	c := event.Change{
		Object: event.Object{APIVersion: "v1", Resource: "configmaps", Kind: "ConfigMap", Namespace: "shop", Name: "web"},
		Op:     event.Update, Cluster: "prod", ClusterID: "c-1", UID: "u-web", ResourceVersion: "1", Hash: "aaaa", Sanitizer: 1,
	}
	if f != nil {
		f(&c)
	}
	return c
}

func TestChangeID(t *testing.T) {
	checkDistinct(t, []id{
		{"A", ChangeID(change(nil))},
		{"A→B", ChangeID(change(func(c *event.Change) { c.ResourceVersion, c.Hash = "2", "bbbb" }))},
		{"A→B→A", ChangeID(change(func(c *event.Change) { c.ResourceVersion = "3" }))},
		{"another object of the same content", ChangeID(change(func(c *event.Change) { c.Name, c.UID = "api", "u-api" }))},
		{"the same object made again", ChangeID(change(func(c *event.Change) { c.UID = "u-web-2" }))},
		{"its deletion", ChangeID(change(func(c *event.Change) { c.Op, c.Hash = event.Delete, "" }))},
		{"its creation", ChangeID(change(func(c *event.Change) { c.Op = event.Create }))},
		{"the same in another cluster", ChangeID(change(func(c *event.Change) { c.ClusterID = "c-2" }))},
		{"rendered by other rules", ChangeID(change(func(c *event.Change) { c.Sanitizer = 2 }))},
		{"as it is now, because of a letter", ChangeID(change(func(c *event.Change) { c.Retry = 7 }))},
		{"the same because of another letter", ChangeID(change(func(c *event.Change) { c.Retry = 8 }))},
		{"fields that run into each other", ChangeID(change(func(c *event.Change) { c.UID, c.ResourceVersion = "u-web1", "" }))},
	})
}

// TestChangeIDOfRetries: what differs between two attempts at the same change,
// by one watcher or its successor, must not be in the ID.
func TestChangeIDOfRetries(t *testing.T) {
	want := ChangeID(change(nil))
	for name, c := range map[string]event.Change{
		"again":                      change(nil),
		"under a newer registry":     change(func(c *event.Change) { c.Registry = 9 }),
		"from another position":      change(func(c *event.Change) { c.Resume = "0" }),
		"found by a list":            change(func(c *event.Change) { c.Origin = event.Reconcile }),
		"cluster under another name": change(func(c *event.Change) { c.Cluster = "production" }),
		"served in another version":  change(func(c *event.Change) { c.APIVersion = "v2" }),
	} {
		if got := ChangeID(c); got != want {
			t.Errorf("%s: it has the ID %s, was %s", name, got, want)
		}
	}
}

func TestMarkID(t *testing.T) {
	m := event.Mark{Cluster: "prod", Part: 1, Destination: "prod/gitops/live", Run: "run-1", Attempt: 1}
	with := func(f func(*event.Mark)) string { n := m; f(&n); return MarkID(n) }
	checkDistinct(t, []id{
		{"a mark", MarkID(m)},
		{"another lane's", with(func(m *event.Mark) { m.Part = 2 })},
		{"another run's", with(func(m *event.Mark) { m.Run = "run-2" })},
		{"another attempt's", with(func(m *event.Mark) { m.Attempt = 2 })},
		{"another destination's", with(func(m *event.Mark) { m.Destination = "prod/gitops/other" })},
		{"another cluster's", with(func(m *event.Mark) { m.Cluster = "test" })},
		{"part and run that run into each other", with(func(m *event.Mark) { m.Part, m.Destination = 11, "prod/gitops/live" })},
	})
	if again := with(func(m *event.Mark) { m.Registry = 9 }); again != MarkID(m) {
		t.Error("a repeated mark has another ID")
	}
}

func TestOutputID(t *testing.T) {
	live := event.DestinationKey{Cluster: "prod", Namespace: "gitops", Name: "live"}
	other := event.DestinationKey{Cluster: "prod", Namespace: "gitops", Name: "other"}
	checkDistinct(t, []id{
		{"an output", OutputID("i-1", 1, live, "aaaa")},
		{"of the next input, the same content", OutputID("i-1", 2, live, "aaaa")},
		{"for another destination", OutputID("i-1", 1, other, "aaaa")},
		{"of another install", OutputID("i-2", 1, live, "aaaa")},
		{"of other content", OutputID("i-1", 1, live, "bbbb")},
		{"a deletion", OutputID("i-1", 1, live, "")},
	})
	if again := OutputID("i-1", 1, live, "aaaa"); again != OutputID("i-1", 1, live, "aaaa") {
		t.Error("the same output has two IDs")
	}
}

func TestResultID(t *testing.T) {
	live := event.DestinationKey{Cluster: "prod", Namespace: "gitops", Name: "live"}
	other := event.DestinationKey{Cluster: "prod", Namespace: "gitops", Name: "other"}
	checkDistinct(t, []id{
		{"the barrier", ResultID(live, "run-1", 1, 0)},
		{"the first result", ResultID(live, "run-1", 1, 1)},
		{"the eleventh result", ResultID(live, "run-1", 1, 11)},
		{"of another attempt", ResultID(live, "run-1", 2, 1)},
		{"of another run", ResultID(live, "run-2", 1, 1)},
		{"for another destination", ResultID(other, "run-1", 1, 1)},
		{"attempt and number that run into each other", ResultID(live, "run-1", 11, 1)},
		{"run and attempt that run into each other", ResultID(live, "run-11", 1, 1)},
		{"what a hop makes", OutputID("i-1", 1, live, "aaaa")},
		{"a mark", MarkID(event.Mark{Cluster: "prod", Part: 1, Destination: live.String(), Run: "run-1", Attempt: 1})},
	})
	if again := ResultID(live, "run-1", 1, 1); again != ResultID(live, "run-1", 1, 1) {
		t.Error("the same result has two IDs")
	}
}

func TestBranchKey(t *testing.T) {
	checkDistinct(t, []id{
		{"a branch", BranchKey("https://git.example.com/a.git", "main")},
		{"another branch", BranchKey("https://git.example.com/a.git", "live")},
		{"another remote", BranchKey("https://git.example.com/b.git", "main")},
		{"url and branch that run into each other", BranchKey("https://git.example.com/a.gitm", "ain")},
	})
}

// TestIDsAreFixed: IDs are compared with those that former versions stored.
func TestIDsAreFixed(t *testing.T) {
	live := event.DestinationKey{Cluster: "prod", Namespace: "gitops", Name: "live"}
	for name, tt := range map[string]struct{ got, want string }{
		"change": {ChangeID(change(nil)), "rom9EKD9yLuYE4OB6b1gkA"},
		"mark":   {MarkID(event.Mark{Cluster: "prod", Part: 1, Destination: live.String(), Run: "run-1", Attempt: 1}), "Bh4vujz-GorX2kJIyjl4wA"},
		"output": {OutputID("i-1", 1, live, "aaaa"), "gq8i0cC4Vxm6KLE2q--iMQ"},
		"result": {ResultID(live, "run-1", 1, 1), "tH2ecPmJMNRpiFuLjdFHUw"},
		"branch": {BranchKey("https://git.example.com/a.git", "main"), "6fad8008e50c57f7"},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: %s, was %s", name, tt.got, tt.want)
		}
	}
}
