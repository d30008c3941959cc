package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/service"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// deadLetters puts letters into an install, and returns their IDs.
func (in *idle) deadLetters(letters ...bus.Letter) (ids []string) {
	in.Helper()
	for _, l := range letters {
		if err := in.bus.DeadLetter(in.Context(), l.Stage, l.Destination, l.Stream, l.Message, errors.New(l.Reason)); err != nil {
			in.Fatal(err)
		}
		m, err := in.bus.LastFor(in.Context(), subject.DLQ, subject.AllDLQ)
		if err != nil {
			in.Fatal(err)
		}
		ids = append(ids, fmt.Sprint(m.Seq))
	}
	return ids
}

// on runs a command on the install's bus until it ends.
func (in *idle) on(args ...string) result {
	in.Helper()
	return command(in.T, append(args, "--nats", in.url)...)
}

// left are the IDs of the letters that there are.
func (in *idle) left() (ids string) {
	in.Helper()
	for l, err := range in.bus.Letters(in.Context()) {
		if err != nil {
			in.Fatal(err)
		}
		ids += fmt.Sprint(l.ID, " ")
	}
	return strings.TrimSpace(ids)
}

// at is a letter of a change that stood at another place.
func at(l bus.Letter, seq uint64) bus.Letter {
	l.Message.Seq = seq
	return l
}

// wants checks how a command ended, and what it said.
func wants(t *testing.T, got result, code int, stdout, stderr string) {
	t.Helper()
	if got.code != code || !strings.Contains(got.stdout, stdout) || !strings.Contains(got.stderr, stderr) || stdout == "" && got.stdout != "" || stderr == "" && got.stderr != "" {
		t.Errorf("it ended with %d and said %q and %q; want %d, %q and %q", got.code, got.stdout, got.stderr, code, stdout, stderr)
	}
}

// TestLettersListed: dead letters are listed, all or those of a destination, shown, and counted.
func TestLettersListed(t *testing.T) {
	in := newIdle(t)
	wants(t, in.on("dlq", "ls"), service.ExitOK, "", noLetters)
	wants(t, in.on("dlq", "ls", "-o", "json"), service.ExitOK, "[]\n", "")
	wants(t, in.on("dlq", "drop", "--all"), service.ExitOK, "", noLetters)
	in.register(liveKey, "/srv/live.git")
	in.register(shopKey, "/srv/shop.git")
	change := aChange(func(*event.Change) {})
	ids := in.deadLetters(letterOf(liveKey, change), at(ofWatcher(liveKey, shopKey), 7), at(letterOf(leftKey, change), 9))

	var all []shownLetter
	list := func(args ...string) (ids string) {
		t.Helper()
		got := in.on(append([]string{"dlq", "ls", "-o", "json"}, args...)...)
		if err := json.Unmarshal([]byte(got.stdout), &all); err != nil || got.code != service.ExitOK {
			t.Fatalf("it ended with %+v, %v", got, err)
		}
		for _, l := range all {
			ids += fmt.Sprint(l.ID, " ")
		}
		return strings.TrimSpace(ids)
	}
	for destination, want := range map[string]string{"live": ids[0] + " " + ids[1], "gitops/shop": ids[1], "left": ids[2]} {
		if got := list("--destination", destination); got != want {
			t.Errorf("of %s there are %q, want %q", destination, got, want)
		}
	}
	if got := list(); got != strings.Join(ids, " ") {
		t.Errorf("there are %q", got)
	}
	if l := all[0]; l.Stage != bus.StageGitWriter || l.Reason != "live/shop is a link" || l.Attempts != 1 || l.Stream != subject.Write || l.Sequence != 42 ||
		*l.Object != change.Object || l.Body != "" || l.Kept.IsZero() || l.Destinations[0] != "prod/gitops/live" {
		t.Errorf("the first one is %+v", l)
	}
	wants(t, in.on("dlq", "ls"), service.ExitOK, "configmaps shop/web", "")
	wants(t, in.on("dlq", "ls", "--destination", "nobody"), service.ExitError, "", "there is no destination \"nobody\"")

	wants(t, in.on("dlq", "show", ids[0]), service.ExitOK, "\n---\nkind: ConfigMap\n", "")
	wants(t, in.on("dlq", "show", ids[0]), service.ExitOK, "to retry:     kubescribe dlq retry --nats "+in.url+" "+ids[0], "")
	var one shownLetter
	if got := in.on("dlq", "show", ids[0], "-o", "json"); json.Unmarshal([]byte(got.stdout), &one) != nil || one.Body != "kind: ConfigMap\n" || one.Headers[event.HeaderUID][0] != "u-web" {
		t.Errorf("it shows %+v", got)
	}

	got := in.on("get", "-o", "json")
	var destinations []shown
	if err := json.Unmarshal([]byte(got.stdout), &destinations); err != nil || len(destinations) != 2 || destinations[0].Letters != 2 || destinations[1].Letters != 1 {
		t.Errorf("get shows %+v, %v", got, err)
	}
}

// TestLettersRetried: what is tried again is asked for, and its letter goes once that is stored;
// what cannot be is said, and stays.
func TestLettersRetried(t *testing.T) {
	in := newIdle(t)
	in.register(liveKey, "/srv/live.git")
	in.register(shopKey, "/srv/shop.git")
	change := aChange(func(*event.Change) {})
	ids := in.deadLetters(at(ofWatcher(liveKey, shopKey), 7), at(letterOf(leftKey, change), 9), at(letterOf(liveKey, change), 11), at(letterOf(shopKey, change), 12))
	request := func(k event.DestinationKey, id string) event.Request {
		t.Helper()
		letter, err := strconv.ParseUint(id, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		m, err := in.bus.LastFor(t.Context(), subject.Ctl, subject.CtlObject(subject.Part("prod", "", "configmaps"), k, letter))
		if err != nil {
			t.Fatalf("of letter %s for %s: %v", id, k, err)
		}
		q, err := event.Decode[event.Request](m.Data)
		if err != nil {
			t.Fatal(err)
		}
		return q
	}
	wants(t, in.on("dlq", "retry", ids[0]), service.ExitOK, "dead letter "+ids[0]+": asked for again: configmaps shop/web\n", "")
	for _, k := range []event.DestinationKey{liveKey, shopKey} {
		if q := request(k, ids[0]); q.Object != change.Object || q.UID != "u-web" || q.Registered == 0 || fmt.Sprint(q.Letter) != ids[0] {
			t.Errorf("it asks for %+v", q)
		}
	}
	if got, want := in.left(), strings.Join(ids[1:], " "); got != want {
		t.Errorf("there are %q left, want %q", got, want)
	}
	wants(t, in.on("dlq", "retry", ids[0]), service.ExitError, "", "there is no dead letter "+ids[0]+"; those that there are: kubescribe dlq ls --nats "+in.url)
	wants(t, in.on("dlq", "retry", "--all", "--destination", "shop"), service.ExitOK, "dead letter "+ids[3]+": asked", "")
	// One that cannot be tried again keeps no other from it.
	wants(t, in.on("dlq", "retry", "--all"), service.ExitError, "dead letter "+ids[2]+": asked", "dead letter "+ids[1]+": it cannot be tried again: no destination is registered any more")
	request(liveKey, ids[2])
	if got := in.left(); got != ids[1] {
		t.Errorf("there are %q left, want %q", got, ids[1])
	}
	wants(t, in.on("dlq", "retry", ids[1]), service.ExitError, "", "kubescribe dlq drop --nats "+in.url+" "+ids[1]+" removes it")
}

// TestLettersDropped: those that are meant are removed, and no other.
func TestLettersDropped(t *testing.T) {
	in := newIdle(t)
	in.register(liveKey, "/srv/live.git")
	change := aChange(func(*event.Change) {})
	ids := in.deadLetters(at(letterOf(liveKey, change), 1), at(letterOf(leftKey, change), 2), at(letterOf(liveKey, change), 3), at(letterOf(leftKey, change), 4))
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"drop"}, service.ExitUsage, "ID is missing"},
		{[]string{"drop", ids[0], ids[1]}, service.ExitUsage, "unexpected argument"},
		{[]string{"drop", ids[0], "--all"}, service.ExitUsage, "exclude each other"},
		{[]string{"drop", ids[0], "--destination", "live"}, service.ExitUsage, "goes with --all"},
		{[]string{"drop", "first"}, service.ExitUsage, `"first" is no ID`},
		{[]string{"drop", "0"}, service.ExitUsage, `"0" is no ID`},
		{[]string{"drop", "4711"}, service.ExitError, "there is no dead letter 4711"},
		{[]string{"show"}, service.ExitUsage, "ID is missing"},
		{[]string{"show", "4711"}, service.ExitError, "there is no dead letter 4711"},
		{[]string{"ls", "-o", "yaml"}, service.ExitUsage, "use table or json"},
		{[]string{"show", ids[0], "-o", "yaml"}, service.ExitUsage, "use table or json"},
		{[]string{"retry"}, service.ExitUsage, "ID is missing"},
	} {
		wants(t, in.on(append([]string{"dlq"}, c.args...)...), c.code, "", c.says)
	}
	if got := in.left(); got != strings.Join(ids, " ") {
		t.Errorf("there are %q left", got)
	}
	wants(t, in.on("dlq", "drop", ids[1]), service.ExitOK, "dead letter "+ids[1]+": dropped\n", "")
	wants(t, in.on("dlq", "drop", "--all", "--destination", "live"), service.ExitOK, "dead letter "+ids[2]+": dropped\n", "")
	if got := in.left(); got != ids[3] {
		t.Errorf("there are %q left, want %q", got, ids[3])
	}
	wants(t, in.on("dlq", "drop", "--all"), service.ExitOK, "dead letter "+ids[3]+": dropped\n", "")
	if got := in.left(); got != "" {
		t.Errorf("there are %q left", got)
	}
}
