package integration

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// letters are those that stand in KS_DLQ.
func letters(t *testing.T, b *bus.Bus) (all []bus.Letter) {
	t.Helper()
	for l, err := range b.Letters(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, l)
	}
	return all
}

// newestLetter is the newest of them, the zero one if there is none.
func newestLetter(t *testing.T, b *bus.Bus) bus.Letter {
	t.Helper()
	all := letters(t, b)
	if len(all) == 0 {
		return bus.Letter{}
	}
	return all[len(all)-1]
}

// TestLettersCounted: the metrics show how many letters there are of each role, as they come
// and go.
func TestLettersCounted(t *testing.T) {
	t.Parallel()
	in := newInstall(t)
	clock := newHandClock()
	r := in.reconcilerAt(clock)
	counts := func(stage string, want int) {
		t.Helper()
		in.until("letters of "+stage+" are counted", func() bool {
			clock.advance(time.Minute)
			return in.counted(r, "kubescribe_dead_letters", stage) == want
		})
	}
	counts("other", 0)
	send := func(stage string, seq uint64) {
		t.Helper()
		if err := in.bus.DeadLetter(t.Context(), stage, key("d"), subject.Write, bus.Message{Seq: seq}, errors.New("as the test wants it")); err != nil {
			t.Fatal(err)
		}
	}
	send(bus.StageGitWriter, 1)
	send(bus.StageGitWriter, 2)
	send("somebody's", 3)
	counts(bus.StageGitWriter, 2)
	counts("other", 1)
	counts(bus.StageRouter, 0)
	for _, l := range letters(t, in.bus) {
		if err := in.bus.DropLetter(t.Context(), l.ID); err != nil {
			t.Fatal(err)
		}
	}
	counts(bus.StageGitWriter, 0)
	in.until("it is ready", func() bool { return r.ready() == nil })
}

// TestWatcherAnswersObject: who holds a lane publishes an object once more, as it is now, for the
// destination that asks, and then the request is gone. What cannot be written is the letter of
// the request, with its reason. What nobody selects or serves is nothing.
func TestWatcherAnswersObject(t *testing.T) {
	t.Parallel()
	in := newInstall(t)
	c, rc := newCluster(t, "configmaps", "secrets", "deployments.apps")
	c.put("configmaps", "shop", "a", "1")
	c.put("configmaps", "shop", "bad", strings.Repeat("x", bus.MaxPayload))
	c.change(func() { c.forbidden["deployments"] = true })
	_, w := in.watcher(rc, documents(t, "d"))
	in.until("it is ready", func() bool { return w.Ready() == nil })
	in.until("the poison is a letter", func() bool { return newestLetter(t, in.bus).Stage == bus.StageWatcher })
	poison := newestLetter(t, in.bus)
	if of, err := event.ParseChange(poison.Message.Header, nil); err == nil || len(of.To) != 1 || of.To[0] != key("d") || of.Name != "bad" {
		t.Errorf("it says %+v, %v", of, err)
	}
	ask := func(letter uint64, typ, name string) {
		t.Helper()
		resource, group, _ := strings.Cut(typ, ".")
		q := event.Request{
			V: event.Version, Kind: event.RequestObject, Destination: key("d"), Part: subject.Part("test", group, resource), Registered: in.registered()["test/d"],
			Object: event.Object{Group: group, Resource: resource, Namespace: "shop", Name: name}, UID: "u-1", Letter: letter,
		}
		at := subject.CtlObject(q.Part, q.Destination, letter)
		if err := in.bus.Ask(t.Context(), at, q); err != nil {
			t.Fatal(err)
		}
		in.until("the request is done with", func() bool {
			_, err := in.bus.LastFor(t.Context(), subject.Ctl, at)
			return errors.Is(err, bus.ErrNoMessage)
		})
	}
	published := func() (all []event.Change) {
		t.Helper()
		for m, err := range in.bus.Range(t.Context(), subject.Events, subject.EventType(configmaps, "test", "", "configmaps", ""), 1, ^uint64(0)) {
			if err != nil {
				t.Fatal(err)
			}
			change, err := event.ParseChange(m.Header, m.Data)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, change)
		}
		return all
	}
	ask(5, "configmaps", "a")
	ask(6, "configmaps", "gone")
	all := published()
	if len(all) != 2 || all[0].Name != "a" || all[0].Op != event.Update || all[0].Retry != 5 || all[1].Name != "gone" || all[1].Op != event.Delete || all[1].UID != "u-1" {
		t.Fatalf("published: %+v", all)
	}
	if len(all[0].To) != 1 || all[0].To[0] != key("d") {
		t.Errorf("it is for %v", all[0].To)
	}
	ask(7, "secrets", "s") // withheld: nobody follows it
	ask(8, "widgets", "w")
	ask(9, "configmaps", "bad")
	if got := published(); len(got) != 2 {
		t.Errorf("published: %+v", got[2:])
	}
	l := newestLetter(t, in.bus)
	if l.ID == poison.ID || l.Stage != bus.StageWatcher || l.Stream != subject.Ctl || l.Destination != key("d") || l.Attempts == 0 || !strings.Contains(l.Reason, "shop/bad") {
		t.Errorf("the letter is %+v", l)
	}
	ask(10, "deployments.apps", "web")
	if l := newestLetter(t, in.bus); !strings.Contains(l.Reason, "not allowed to list and watch") {
		t.Errorf("the letter is %+v", l)
	}
	if n := len(letters(t, in.bus)); n != 3 {
		t.Errorf("there are %d letters, want the object's and those of two requests", n)
	}
}
