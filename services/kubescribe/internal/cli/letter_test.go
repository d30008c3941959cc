package cli

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

var (
	liveKey, shopKey, leftKey = named("gitops", "live"), named("gitops", "shop"), named("gitops", "left")
	twoRegistered             = map[event.DestinationKey]bus.Registered{
		liveKey: {Destination: event.Destination{Key: liveKey}, Revision: 7},
		shopKey: {Destination: event.Destination{Key: shopKey, Sensitive: []event.Sensitive{{Resource: "configmaps"}}}, Revision: 8},
	}
)

func aChange(f func(*event.Change)) event.Change {
	c := event.Change{
		Object: event.Object{APIVersion: "v1", Resource: "configmaps", Kind: "ConfigMap", Namespace: "shop", Name: "web"},
		Op:     event.Update, Cluster: "prod", ClusterID: "c-1", UID: "u-web", ResourceVersion: "1042", Hash: "aaaa",
		Origin: event.Live, FieldManager: "kubectl", Manifest: []byte("kind: ConfigMap\n"),
	}
	f(&c)
	return c
}

// letterOf is the git-writer's letter of a change.
func letterOf(k event.DestinationKey, c event.Change) bus.Letter {
	h, body := c.Message()
	return bus.Letter{
		ID: 17, Stage: bus.StageGitWriter, Destination: k, Stream: subject.Write, Reason: "live/shop is a link", Attempts: 1,
		Message: bus.Message{Subject: subject.WriteData("0123456789abcdef", k), Seq: 42, Header: h, Data: body},
	}
}

// ofWatcher is the watcher's, which holds no more than whose and of what it is.
func ofWatcher(to ...event.DestinationKey) bus.Letter {
	l := letterOf(event.DestinationKey{Cluster: "prod"}, aChange(func(c *event.Change) { c.To = to }))
	delete(l.Message.Header, event.HeaderOp)
	delete(l.Message.Header, event.HeaderHash)
	l.Stage, l.Stream, l.Message.Seq, l.Message.Data = bus.StageWatcher, "configmaps", 1042, nil
	return l
}

func ofRequest(q event.Request, subj string) bus.Letter {
	q.V = event.Version
	return bus.Letter{
		ID: 17, Stage: bus.StageReconciler, Destination: q.Destination, Stream: subject.Ctl, Reason: "nobody may ask for that", Attempts: 3,
		Message: bus.Message{Subject: subj, Seq: 5, Data: event.Encode(q)},
	}
}

// TestAsks: a letter is tried again by asking each destination that lacks it for the object as it
// is now; what a run had removed, by a run; a request as it was.
func TestAsks(t *testing.T) {
	object := func(k event.DestinationKey) ask {
		part := subject.Part("prod", "", "configmaps")
		return ask{subject.CtlObject(part, k, 17), event.Request{
			V: event.Version, Kind: event.RequestObject, Destination: k, Part: part, Registered: twoRegistered[k].Revision,
			Object: aChange(func(*event.Change) {}).Object, UID: "u-web", Letter: 17,
		}}
	}
	orphan := event.Change{Op: event.Delete, Cluster: "prod", Origin: event.Reconcile, Run: "r1", Path: "shop/configmaps/web.yaml"}
	asked := event.Request{V: event.Version, Kind: event.RequestRun, Destination: liveKey, Reason: "Whim"}
	for name, tt := range map[string]struct {
		of   bus.Letter
		want []ask
		says string
	}{
		"a change":           {of: letterOf(liveKey, aChange(func(*event.Change) {})), want: []ask{object(liveKey)}},
		"a deletion":         {of: letterOf(liveKey, aChange(func(c *event.Change) { c.Op, c.Hash, c.Manifest = event.Delete, "", nil })), want: []ask{object(liveKey)}},
		"of the watcher":     {of: ofWatcher(liveKey, leftKey, shopKey), want: []ask{object(liveKey), object(shopKey)}},
		"an orphan":          {of: letterOf(liveKey, orphan), want: []ask{{subject.CtlRun(liveKey), event.Request{V: event.Version, Kind: event.RequestRun, Destination: liveKey, Reason: event.ReasonRequested}}}},
		"a request":          {of: ofRequest(asked, "ks.ctl.where.it.was"), want: []ask{{"ks.ctl.where.it.was", asked}}},
		"of one that left":   {of: letterOf(leftKey, aChange(func(*event.Change) {})), says: "registered any more"},
		"of nobody":          {of: ofWatcher(), says: "for nobody"},
		"without an object":  {of: letterOf(liveKey, aChange(func(c *event.Change) { c.Resource = "" })), says: "of what object"},
		"without a uid":      {of: letterOf(liveKey, aChange(func(c *event.Change) { c.UID = "" })), says: "of what object"},
		"no change":          {of: bus.Letter{Destination: liveKey, Stream: subject.Live, Message: bus.Message{Header: event.NewHeader(event.KindMark)}}, says: "of no object"},
		"no message of ours": {of: bus.Letter{Destination: liveKey, Stream: subject.Events}, says: "of no object"},
		"no request":         {of: bus.Letter{Destination: liveKey, Stream: subject.Ctl, Message: bus.Message{Data: []byte("{")}}, says: "of no object"},
	} {
		got, err := readLetter(tt.of).asks(twoRegistered)
		if !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: it asks for %+v, want %+v", name, got, tt.want)
		}
		if tt.says != "" && (!errors.Is(err, errNoRetry) || !strings.Contains(err.Error(), tt.says)) || tt.says == "" && err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestLetterHidden: nothing that may be a secret is shown.
func TestLetterHidden(t *testing.T) {
	for name, tt := range map[string]struct {
		of   bus.Letter
		says string // "": it is shown
	}{
		"a change":      {letterOf(liveKey, aChange(func(*event.Change) {})), ""},
		"of one left":   {letterOf(leftKey, aChange(func(*event.Change) {})), ""},
		"a request":     {ofRequest(event.Request{Destination: liveKey}, "ks.ctl.x"), ""},
		"nothing":       {ofWatcher(liveKey), ""},
		"sensitive":     {letterOf(shopKey, aChange(func(*event.Change) {})), "sensitive"},
		"a Secret":      {letterOf(leftKey, aChange(func(c *event.Change) { c.Resource = "secrets" })), "sensitive"},
		"sealed":        {letterOf(liveKey, aChange(func(c *event.Change) { c.SealedTo, c.Path = "age1x", "x" })), "sealed"},
		"not whole":     {letterOf(liveKey, aChange(func(c *event.Change) { c.Hash = "" })), "cannot be read"},
		"anybody's":     {bus.Letter{Stream: subject.Events, Message: bus.Message{Data: []byte("password")}}, "cannot be read"},
		"not a request": {bus.Letter{Stream: subject.Ctl, Message: bus.Message{Data: []byte("password")}}, "cannot be read"},
	} {
		l := readLetter(tt.of)
		why := l.hidden(twoRegistered)
		if (why == "") != (tt.says == "") || !strings.Contains(why, tt.says) {
			t.Errorf("%s: hidden because %q", name, why)
		}
		if text := l.text(time.Now(), why, ""); tt.says != "" && (strings.Contains(text, string(tt.of.Message.Data)) || !strings.Contains(text, "not shown: "+why)) {
			t.Errorf("%s: it shows %s", name, text)
		}
	}
}

func TestLetterText(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	l := readLetter(letterOf(liveKey, aChange(func(*event.Change) {})))
	l.When = now.Add(-5 * time.Minute)
	want := `letter:       17, kept 5m ago (2026-03-01T11:55:00Z)
reason:       live/shop is a link
stage:        git-writer
attempts:     1
destination:  prod/gitops/live
about:        configmaps shop/web
change:       UPDATE live
version:      1042
manager:      kubectl
position:     message 42 of KS_WRITE, ks.write.d.` + strings.TrimPrefix(l.Message.Subject, "ks.write.d.") + `
to retry:     kubescribe dlq retry --data-dir d 17
to drop:      kubescribe dlq drop --data-dir d 17
---
kind: ConfigMap
`
	if got := l.text(now, "", " --data-dir d"); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if got := readLetter(ofWatcher(liveKey, shopKey)).text(now, "", ""); !strings.Contains(got, "position:     version 1042 of configmaps\n") || !strings.Contains(got, "destination:  prod/gitops/live, prod/gitops/shop\n") {
		t.Errorf("of the watcher: %s", got)
	}
	if got := readLetter(bus.Letter{ID: 3, Message: bus.Message{Subject: "ks.dlq.x"}}).text(now, "", ""); strings.Contains(got, "to retry") || !strings.Contains(got, "position:     ks.dlq.x\n") {
		t.Errorf("of nobody: %s", got)
	}
}

func TestLetterTable(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	request := ofRequest(event.Request{Kind: event.RequestRun, Destination: liveKey, Reason: "Whim"}, "ks.ctl.x")
	request.Reason = strings.Repeat("ü", 120)
	var all []letter
	for i, l := range []bus.Letter{letterOf(liveKey, aChange(func(*event.Change) {})), ofWatcher(liveKey, shopKey), request, {Reason: "a\tb"}} {
		l.ID, l.When = uint64(i+8), now.Add(-time.Minute)
		all = append(all, readLetter(l))
	}
	var b strings.Builder
	if err := letterTable(&b, now, all); err != nil {
		t.Fatal(err)
	}
	want := strings.Join([]string{
		"ID   AGE   STAGE        DESTINATION                         ABOUT                 ATTEMPTS   REASON",
		"8    60s   git-writer   prod/gitops/live                    configmaps shop/web   1          live/shop is a link",
		"9    60s   watcher      prod/gitops/live,prod/gitops/shop   configmaps shop/web   1          live/shop is a link",
		"10   60s   reconciler   prod/gitops/live                    REQUEST_RUN Whim      3          " + strings.Repeat("ü", 99) + "…",
		`11   60s   -            -                                   -                     0          "a\tb"`,
		"",
	}, "\n")
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
}
