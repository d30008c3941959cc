package bus

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// kept is a letter as it is read after it was stored.
func kept(l Letter, id uint64, when time.Time) Message {
	out := l.output()
	h := event.Header{"Nats-Stream": {subject.DLQ}}
	for name, v := range out.Header {
		h[name] = v
	}
	return Message{Subject: out.Subject, Seq: id, Time: when, Header: h, Data: out.Data}
}

// TestLetter: what is kept of a message reads as it was, whatever it held.
func TestLetter(t *testing.T) {
	when := time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC)
	k := event.DestinationKey{Cluster: "prod", Namespace: "gitops", Name: "live.eu"}
	for name, l := range map[string]Letter{
		"a change": {
			Stage: StageGitWriter, Destination: k, Stream: subject.Write, Reason: "live/shop is a link", Attempts: 1,
			Message: Message{
				Subject: subject.WriteData("0123456789abcdef", k), Seq: 42, Data: []byte("kind: ConfigMap\n"),
				Header: event.Header{event.HeaderVersion: {"1"}, event.HeaderReason: {"one of its own"}, "Ks-Unknown": {"a", "b"}},
			},
		},
		"one before destinations, with a reason of several lines": {
			Stage: StageWatcher, Destination: event.DestinationKey{Cluster: "prod"}, Stream: "deployments.apps", Reason: " 100%\nof it ", Attempts: 1,
			Message: Message{Subject: "ks.ev.d.1.prod.apps.deployments.shop", Seq: 1042, Header: event.Header{}},
		},
		"a request that was tried often": {
			Stage: StageReconciler, Destination: k, Stream: subject.Ctl, Reason: "no", Attempts: 12,
			Message: Message{Subject: subject.CtlRun(k), Seq: 7, Header: event.Header{}, Data: []byte(`{"v":1}`)},
		},
		"one of a subject that is none": {
			Stage: StageStream, Stream: subject.Live, Attempts: 1,
			Message: Message{Subject: "ks.live.a b", Seq: 1, Header: event.Header{}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			want := l
			want.ID, want.When = 17, when
			if diff := cmp.Diff(want, parseLetter(kept(l, 17, when))); diff != "" {
				t.Errorf("it reads otherwise (-kept +read):\n%s", diff)
			}
		})
	}
}

// TestLetterAgain: what the server was told with a message, and what a letter in a letter was told
// with, is not kept.
func TestLetterAgain(t *testing.T) {
	l := Letter{Stage: StageRouter, Stream: subject.Events, Reason: "why", Attempts: 1, Message: Message{
		Subject: "ks.ev.d.0.a.b.c.d", Seq: 1, Header: event.Header{"Nats-Msg-Id": {"x"}, "Nats-Expected-Last-Sequence": {"7"}, headerLetterReason: {"another"}},
	}}
	got := parseLetter(kept(l, 2, time.Time{}))
	if got.Reason != "why" || len(got.Message.Header) != 0 {
		t.Errorf("it reads as %+v", got)
	}
	for name := range l.output().Header {
		if strings.HasPrefix(name, "Nats-") {
			t.Errorf("it is stored with the instruction %s", name)
		}
	}
}

// TestLetterOfOthers: what anybody may have put there is shown as it is, and is of no stage.
func TestLetterOfOthers(t *testing.T) {
	right := kept(Letter{Stage: StageRouter, Stream: subject.Events, Attempts: 1, Message: Message{Seq: 1}}, 3, time.Time{})
	for name, change := range map[string]func(*Message){
		"no subject of ours": func(m *Message) { m.Subject = "ks.dlq.test.1" },
		"no number":          func(m *Message) { m.Subject = strings.TrimSuffix(m.Subject, "1") + "x" },
		"a number otherwise": func(m *Message) { m.Subject = strings.TrimSuffix(m.Subject, "1") + "01" },
		"no token":           func(m *Message) { m.Subject = strings.Replace(m.Subject, "router", "=41", 1) },
		"no attempts":        func(m *Message) { delete(m.Header, headerLetterAttempts) },
		"no headers":         func(m *Message) { m.Header = nil },
	} {
		m := right
		m.Header = event.Header{headerLetterAttempts: {"1"}}
		change(&m)
		if got := parseLetter(m); got.Stage != "" || got.ID != 3 || got.Reason == "" || got.Message.Subject != m.Subject {
			t.Errorf("%s: it reads as %+v", name, got)
		}
	}
	if got := parseLetter(right); got.Stage != StageRouter {
		t.Errorf("the right one reads as %+v", got)
	}
}
