package integration

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

var everything = event.Rule{Groups: []string{"*"}, Resources: []string{"*"}}

// routed lists what stands in KS_LIVE, as "object → destination", up to the
// object that comes last.
func (in *install) routed(last string) []string {
	in.Helper()
	var lines []string
	for _, m := range in.read(subject.Live, subject.AllLive, named(last)) {
		_, k, err := subject.ParseLiveData(m.Subject)
		if err != nil {
			in.Fatal(err)
		}
		what := "mark"
		if v := m.Header[event.HeaderName]; len(v) == 1 {
			what = v[0]
		}
		lines = append(lines, what+" → "+k.Name)
	}
	return lines
}

func deployment(name, namespace string, rv int) event.Change {
	c := configMap(event.Update, name, "x", rv)
	c.Group, c.Resource, c.Kind, c.Namespace = "apps", "deployments", "Deployment", namespace
	return c
}

// TestRouterSends: a change goes to the destinations that it names, as far as they are
// registered, and a MARK to the one that it is for.
func TestRouterSends(t *testing.T) {
	in := newInstall(t)
	in.register("all", everything)
	in.register("apps", event.Rule{Groups: []string{"apps"}, Resources: []string{"*"}})
	in.register("shop", event.Rule{Groups: []string{"*"}, Resources: []string{"*"}, Namespaces: []string{"shop"}})
	rev := in.register("none", event.Rule{Groups: []string{"batch"}, Resources: []string{"jobs"}})
	r := in.router()

	// All on one part, so that their order in KS_LIVE is that of the lane.
	part := subject.Part("test", "apps", "deployments")
	publish := func(c event.Change) {
		c.Registry = rev
		in.publish(c)
	}
	publish(deployment("web", "shop", 1))
	publish(deployment("bill", "billing", 2))
	in.publishMark(event.Mark{Cluster: "test", Part: part, Destination: key("apps").String(), Run: "run-1", Attempt: 1, Registry: rev})
	in.publishMark(event.Mark{Cluster: "test", Part: part, Destination: key("removed").String(), Run: "run-1", Attempt: 1, Registry: rev})
	foreign := deployment("foreign", "shop", 5)
	foreign.Cluster = "other"
	h, body := foreign.Message()
	in.laneStore(part, "test", subject.ChangeID(foreign), bus.Output{
		Subject: subject.EventChange(part, "other", "apps", "deployments", "shop"), Header: h, Data: body,
	})
	orphan := deployment("orphan", "shop", 6)
	orphan.To = []event.DestinationKey{key("removed")}
	publish(orphan)
	publish(deployment("last", "billing", 7))

	got := slices.DeleteFunc(in.routed("last"), func(line string) bool { return strings.HasPrefix(line, "last") })
	want := []string{
		"bill → all", "bill → apps", "mark → apps",
		"web → all", "web → apps", "web → shop",
	}
	if s := slices.Sorted(slices.Values(got)); !slices.Equal(s, want) {
		t.Errorf("it routed\n\t%s\nwant\n\t%s", strings.Join(s, "\n\t"), strings.Join(want, "\n\t"))
	}
	order := func(line string) int { return slices.Index(got, line) }
	if order("web → all") > order("bill → all") || order("bill → apps") > order("mark → apps") {
		t.Errorf("the order is %q", got)
	}
	in.until("all is counted", func() bool {
		return in.counted(r, "kubescribe_router_events_total", "routed") == 4 &&
			in.counted(r, "kubescribe_router_events_total", "unregistered") == 3
	})
	r.stop()
	in.noneLeft()
}

// TestRouterForwards: what is routed is the change as it was, under an ID of its
// own.
func TestRouterForwards(t *testing.T) {
	in := newInstall(t)
	rev := in.register("all", everything)
	in.router()
	c := configMap(event.Update, "web", "x", 1)
	c.Registry, c.FieldManager = rev, "kubectl"
	seq := in.publish(c)
	m := in.read(subject.Live, subject.AllLive, named("web"))[0]
	got := in.change(m)
	want := in.change(mustMessage(in, subject.Events, seq))
	want.To = nil // is in the subject
	if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
		t.Errorf("it forwarded\n%+v\nof\n%+v", got, want)
	}
	if id := subject.OutputID(in.bus.Install.Incarnation, seq, key("all"), c.Hash); m.ID() != id {
		t.Errorf("it has the ID %s, want %s", m.ID(), id)
	}
	if len(m.Header["Nats-Msg-Id"]) != 0 {
		t.Error("an output of a hop has a Nats-Msg-Id, which would refuse whole batches")
	}
}

// TestUnknownHeaders: what neither router nor stream knows of a change reaches the git-writer.
func TestUnknownHeaders(t *testing.T) {
	in := newInstall(t)
	c := configMap(event.Update, "web", "x", 1)
	c.Registry, c.To = in.register("all", everything), []event.DestinationKey{key("all")}
	in.router()
	in.stream()
	h, body := c.Message()
	actor := []string{"system:serviceaccount:ci:deployer", "ada@example.com"}
	h["Ks-Actor"] = actor
	part := subject.Part("test", "", "configmaps")
	in.laneStore(part, "test", subject.ChangeID(c), bus.Output{Subject: subject.EventChange(part, "test", "", "configmaps", "shop"), Header: h, Data: body})
	all := in.read(subject.Write, subject.WriteDestination(key("all")), named("web"))
	if got := all[len(all)-1].Header["Ks-Actor"]; !slices.Equal(got, actor) {
		t.Errorf("the actor is %q, want %q", got, actor)
	}
}

func mustMessage(in *install, stream string, seq uint64) bus.Message {
	in.Helper()
	m, err := in.bus.MessageAt(in.Context(), stream, seq)
	if err != nil {
		in.Fatal(err)
	}
	return m
}

// delivered reports whether any consumer of a stream was handed a message.
func (in *install) delivered(stream string, seq uint64) bool {
	in.Helper()
	st, err := in.js.Stream(in.Context(), stream)
	if err != nil {
		in.Fatal(err)
	}
	all := st.ListConsumers(in.Context())
	found := false
	for info := range all.Info() {
		found = found || info.Delivered.Stream >= seq
	}
	if err := all.Err(); err != nil {
		in.Fatal(err)
	}
	return found
}

// TestRouterWaitsForTheRegistry: an event whose watcher knew a destination is not
// routed by a router that does not know it yet: the destination would miss it.
func TestRouterWaitsForTheRegistry(t *testing.T) {
	in := newInstall(t)
	rev := in.register("old", everything)
	r := in.router()
	c := configMap(event.Update, "web", "x", 1)
	c.Registry, c.To = rev+1, []event.DestinationKey{key("old"), key("new")}
	seq := in.publish(c)
	in.until("the event is with the router", func() bool { return in.delivered(subject.Events, seq) })
	if got := in.register("new", everything); got != rev+1 {
		t.Fatalf("the registry is at %d, want %d", got, rev+1)
	}
	last := configMap(event.Update, "last", "x", 2)
	last.Registry = rev + 1
	last.Namespace = "else"
	in.publish(last)
	got := slices.DeleteFunc(in.routed("last"), func(line string) bool { return strings.HasPrefix(line, "last") })
	if want := []string{"web → new", "web → old"}; !slices.Equal(slices.Sorted(slices.Values(got)), want) {
		t.Errorf("it routed %q, want %q", got, want)
	}
	r.stop()
	in.noneLeft()
}

// TestRouterKilled: two routers that compete, and lose their connections in the
// middle, route each event once and in order.
func TestRouterKilled(t *testing.T) {
	const n = 240
	in := newInstall(t)
	rev := in.register("a", everything)
	rev = max(rev, in.register("b", everything))
	routers := []role{in.router(), in.router()}
	for i := range n {
		c := configMap(event.Update, "c"+strconv.Itoa(i), strconv.Itoa(i), i+1)
		c.Registry = rev
		in.publish(c)
		if i%60 == 30 {
			routers[0].bus.Close() // in the middle of whatever it does
			routers[0].stop()
			routers = append(routers[1:], in.router())
		}
	}
	var want []string
	for i := range n {
		want = append(want, fmt.Sprintf("c%d", i))
	}
	for _, name := range []string{"a", "b"} {
		var got []string
		for _, m := range in.read(subject.Live, subject.LiveDestination(key(name)), named(want[n-1])) {
			got = append(got, in.change(m).Name)
		}
		if !slices.Equal(got, want) {
			t.Errorf("destination %s got %d of %d, %s", name, len(got), n, firstDifference(got, want))
		}
	}
	for _, r := range routers {
		r.stop()
	}
	in.noneLeft()
}

func firstDifference(got, want []string) string {
	for i := range want {
		if i >= len(got) || got[i] != want[i] {
			return fmt.Sprintf("first wrong at %d: %q", i, got[i:min(len(got), i+3)])
		}
	}
	return fmt.Sprintf("more than it should: %q", got[len(want):])
}

// TestRouterRestartsQuietly: what has no output is not read again for ever.
func TestRouterRestartsQuietly(t *testing.T) {
	in := newInstall(t)
	c := configMap(event.Update, "web", "x", 1)
	c.To = []event.DestinationKey{key("all")}
	in.publish(c)
	r := in.router()
	in.until("the event is counted", func() bool { return in.counted(r, "kubescribe_router_events_total", "unregistered") == 1 })
	r.stop()
	// Were it read again, this destination would get it.
	rev := in.register("all", everything)
	again := in.router()
	c = configMap(event.Update, "last", "x", 2)
	c.Registry = rev
	in.publish(c)
	if got := in.routed("last"); !slices.Equal(got, []string{"last → all"}) {
		t.Errorf("it routed %q", got)
	}
	again.stop()
	in.noneLeft()
}

// TestRouterPoison: what is no event goes to the dead letters, once, and the next
// one is routed.
func TestRouterPoison(t *testing.T) {
	in := newInstall(t)
	rev := in.register("all", everything)
	part := subject.Part("test", "", "configmaps")
	in.laneStore(part, "test", "broken", bus.Output{
		Subject: subject.EventChange(part, "test", "", "configmaps", "shop"), Header: event.NewHeader(event.KindChange), Data: []byte("x"),
	})
	r := in.router()
	c := configMap(event.Update, "last", "x", 1)
	c.Registry = rev
	in.publish(c)
	if got := in.routed("last"); !slices.Equal(got, []string{"last → all"}) {
		t.Errorf("it routed %q", got)
	}
	r.stop()
	st, err := in.js.Stream(t.Context(), subject.DLQ)
	if err != nil {
		t.Fatal(err)
	}
	info, err := st.Info(t.Context(), jetstream.WithSubjectFilter(subject.AllDLQ))
	if err != nil {
		t.Fatal(err)
	}
	if len(info.State.Subjects) != 1 {
		t.Errorf("the dead letters are %v", info.State.Subjects)
	}
}

// TestRouterBehindRemoved: what a destination leaves is removed, and with it no cursor
// of the router's, which goes on where it stood: the others get what comes, once.
func TestRouterBehindRemoved(t *testing.T) {
	for _, test := range []struct {
		leaves, stays string // each of them has the newest message of the lane in one case
		restarts      bool
	}{{"a", "b", false}, {"b", "a", false}, {"a", "b", true}, {"b", "a", true}} {
		t.Run(fmt.Sprintf("%s leaves, restarts %v", test.leaves, test.restarts), func(t *testing.T) {
			in := newInstall(t)
			in.register("a", everything)
			rev := in.register("b", everything)
			r := in.router()
			in.reconciler()
			publish := func(name string, rv int) {
				c := configMap(event.Update, name, "x", rv)
				c.Registry = rev
				in.publish(c)
			}
			publish("one", 1)
			publish("two", 2)
			in.routed("two")
			in.until("both are reconciled", func() bool { return len(in.subjects("KV_KS_PHASE", "$KV.KS_PHASE.>")) == 2 })
			if test.restarts {
				r.stop()
			}
			in.unregister(test.leaves)
			in.until("nothing is left", func() bool { return len(in.subjects(subject.Live, subject.LiveDestination(key(test.leaves)))) == 0 })
			if test.restarts {
				r = in.router()
			}
			publish("three", 3)
			var got []string
			for _, m := range in.read(subject.Live, subject.LiveDestination(key(test.stays)), named("three")) {
				got = append(got, m.Header[event.HeaderName][0])
			}
			if want := []string{"one", "two", "three"}; !slices.Equal(got, want) {
				t.Errorf("the other destination has %q, want %q", got, want)
			}
			r.stop()
		})
	}
}
