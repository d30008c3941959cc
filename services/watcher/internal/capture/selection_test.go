package capture

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/kubescribe/kubescribe/shared/event"
)

// labelled is a widget with a label.
func labelled(name string, size int64, team string) *unstructured.Unstructured {
	o := widget(name, size)
	o.SetLabels(map[string]string{"team": team})
	return o
}

// selecting is a destination that selects by label, with a policy.
func selecting(name, labels string, policy event.Policy) event.Destination {
	d := destination(name, "shop")
	d.Rules[0].Labels, d.Rules[0].Policy = labels, policy
	return d
}

// sent asserts what was published since the last call, and for whom.
func (r *running) sent(t *testing.T, when string, want ...string) {
	t.Helper()
	synctest.Wait()
	var got []string
	for _, c := range r.lane.changes(t) {
		var to []string
		for _, k := range c.To {
			to = append(to, k.Name)
		}
		got = append(got, fmt.Sprintf("%s %s %s to %s, %s", c.Op, c.Name, c.ResourceVersion, strings.Join(to, " "), c.Resume))
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s it published\n\t%s\nwant\n\t%s", when, strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

// TestEnterAndLeave: an object that stops matching is deleted where it was, and one that
// begins to match is made; whoever has it as it is hears nothing. Only the last message of a
// version says that a watch may resume behind it.
func TestEnterAndLeave(t *testing.T) {
	bubble(t, func(t *testing.T, s *server, l *lane) {
		all, red, blue := destination("all", "shop"), selecting("red", "team=red", event.Policy{}), selecting("blue", "team=blue", event.Policy{})
		s.put(labelled("a", 1, "red"))
		r := begin(t, s, l, all, red, blue)
		r.sent(t, "at first")
		frozen := func(when string, want ...string) {
			t.Helper()
			var got []string
			for _, d := range []event.Destination{all, red, blue} {
				objects, exact := r.Freeze(d.Key)
				if !exact {
					t.Errorf("%s there is no index", when)
				}
				for _, o := range objects {
					got = append(got, d.Key.Name+" "+o.Name)
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s the index has %q, want %q", when, got, want)
			}
		}
		frozen("at first", "all a", "red a")
		s.put(labelled("a", 1, "blue"))
		r.sent(t, "moved", "DELETE a 102 to red, 101", "UPDATE a 102 to all blue, 102")
		frozen("moved", "all a", "blue a")
		s.put(labelled("a", 2, "blue"))
		r.sent(t, "changed", "UPDATE a 103 to all blue, 103")
		s.put(labelled("b", 1, "green"))
		r.sent(t, "another one", "CREATE b 104 to all, 104")
		s.remove("a")
		r.sent(t, "removed", "DELETE a 105 to all blue, 105")
		frozen("removed", "all b")
		r.stop(t)

		// What a process before has published nobody knows: a run finds who had it, once.
		s.put(labelled("b", 1, "red"))
		s.put(labelled("c", 1, "red"))
		l.runs()
		r = begin(t, s, l, all, red, blue)
		r.sent(t, "restarted", "UPDATE b 106 to all red, 106", "CREATE c 107 to all red, 107")
		r.asked(t, "blue MayHaveLeft at 105")
		s.remove("c")
		advance(2 * catchUpLength)
		s.put(labelled("b", 1, "blue"))
		r.sent(t, "with an exact index again", "DELETE c 108 to all red, 108", "DELETE b 109 to red, 108", "UPDATE b 109 to all blue, 109")
		r.asked(t)
		r.stop(t)
	})
}

// TestPolicies: whoever has an object look otherwise gets a message of their own, and only
// when what they have changes; where policies come to the same there is one.
func TestPolicies(t *testing.T) {
	bubble(t, func(t *testing.T, s *server, l *lane) {
		plain, bare := destination("plain", "shop"), selecting("bare", "", event.Policy{Drop: []string{"/spec/size"}})
		keeper := selecting("keeper", "", event.Policy{KeepOwners: true})
		r := begin(t, s, l, plain, bare, keeper)
		o := widget("a", 1)
		o.Object["spec"].(map[string]any)["color"] = "red"
		s.put(o)
		r.sent(t, "made", "CREATE a 101 to plain keeper, 100", "CREATE a 101 to bare, 101")
		o.Object["spec"].(map[string]any)["size"] = int64(2)
		s.put(o)
		r.sent(t, "what one of them leaves out has changed", "UPDATE a 102 to plain keeper, 102")
		o.SetOwnerReferences(nil)
		o.Object["metadata"].(map[string]any)["ownerReferences"] = []any{map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "name": "c", "uid": "u"}}
		s.put(o)
		r.sent(t, "its owner has", "UPDATE a 103 to keeper, 103")
		r.stop(t)
	})
}

// TestIgnoredManagers: what ignored managers change of what they alone own nobody hears who
// ignores them; an object leaves those once nobody else owns anything of it, and enters once
// somebody does.
func TestIgnoredManagers(t *testing.T) {
	bubble(t, func(t *testing.T, s *server, l *lane) {
		owned := func(size int64, by map[string]string) *unstructured.Unstructured {
			o := widget("a", size)
			o.Object["spec"].(map[string]any)["color"] = "red"
			var entries []any
			for manager, field := range by {
				entries = append(entries, map[string]any{
					"manager": manager, "operation": "Update", "apiVersion": "example.com/v1",
					"fieldsV1": map[string]any{"f:spec": map[string]any{"f:" + field: map[string]any{}}},
				})
			}
			o.Object["metadata"].(map[string]any)["managedFields"] = entries
			return o
		}
		quiet := selecting("quiet", "", event.Policy{IgnoreManagers: []string{"robot-*"}})
		s.put(owned(1, map[string]string{"robot-1": "size"}))
		r := begin(t, s, l, live, quiet)
		r.frozen(t, "with one that is a robot's", "shop/a 101")
		if objects, _ := r.Freeze(quiet.Key); len(objects) > 0 {
			t.Errorf("who ignores the robot has %v", objects)
		}
		s.put(owned(2, map[string]string{"robot-1": "size"}))
		r.sent(t, "the robot wrote", "UPDATE a 102 to live, 102")
		s.put(owned(2, map[string]string{"robot-1": "size", "kubectl-edit": "color"}))
		r.sent(t, "somebody owns a part", "UPDATE a 103 to quiet, 103")
		s.put(owned(3, map[string]string{"robot-1": "size", "kubectl-edit": "color"}))
		r.sent(t, "the robot wrote again", "UPDATE a 104 to live, 104")
		s.put(owned(4, map[string]string{"kubectl-edit": "size"}))
		r.sent(t, "somebody wrote what was the robot's", "UPDATE a 105 to live quiet, 105")
		s.put(owned(4, map[string]string{"robot-1": "size", "robot-2": "color"}))
		r.sent(t, "all are robots", "DELETE a 106 to quiet, 106")
		r.stop(t)
	})
}

// TestCrashBetweenPublications: the successor of a process that published only a part of what
// a version comes to publishes all of it, and nothing of what came before it in the same burst.
func TestCrashBetweenPublications(t *testing.T) {
	bubble(t, func(t *testing.T, s *server, l *lane) {
		red, blue := selecting("red", "team=red", event.Policy{}), selecting("blue", "team=blue", event.Policy{})
		s.put(labelled("a", 1, "red"))
		r := begin(t, s, l, red, blue)
		rest := make(chan struct{})
		l.refuse(func(c event.Change) error {
			if c.Name == "first" {
				<-rest
			}
			if c.Op == event.Update {
				r.cancel()
				return context.Canceled
			}
			return nil
		})
		s.put(labelled("first", 1, "red"))
		synctest.Wait() // what comes now is one burst
		s.put(labelled("b", 1, "red"))
		s.put(labelled("a", 1, "blue"))
		close(rest)
		<-r.done
		l.refuse(nil)
		r.sent(t, "ended", "CREATE first 102 to red, 102", "CREATE b 103 to red, 103", "DELETE a 104 to red, 103")
		l.runs()
		r = begin(t, s, l, red, blue)
		r.sent(t, "begun again", "UPDATE a 104 to blue, 104")
		r.asked(t, "red MayHaveLeft at 103") // it may have had it: the first one's deletion is in the lane
		r.stop(t)
	})
}
