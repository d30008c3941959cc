package recorded

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/kubescribe/kubescribe/services/stream/phase"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

var (
	live = event.DestinationKey{Cluster: "prod", Namespace: "gitops", Name: "live"}
	when = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
)

func change(op event.Op, version int, manifest string) event.Change {
	c := event.Change{
		Object: event.Object{Group: "apps", APIVersion: "v1", Resource: "deployments", Kind: "Deployment", Namespace: "shop", Name: "web"},
		Op:     op, Cluster: "prod", ClusterID: "id", UID: "u", ResourceVersion: fmt.Sprint(version), Origin: event.Live, FieldManager: "kubectl",
	}
	if op != event.Delete {
		c.Manifest, c.Hash = []byte(manifest), "hash"
	}
	return c
}

func message(subj string, seq uint64, encode func() (event.Header, []byte)) bus.Message {
	h, body := encode()
	return bus.Message{Subject: subj, Seq: seq, Time: when, Header: h, Data: body}
}

func written(seq uint64, c event.Change) bus.Message {
	return message(subject.WriteData("key", live), seq, c.Message)
}

// TestLine: each kind of message is one line that says what it is and what became of it.
func TestLine(t *testing.T) {
	event1 := change(event.Update, 7, "a\n")
	event1.To = []event.DestinationKey{live, {Cluster: "prod", Namespace: "gitops", Name: "other"}}
	result := change(event.Update, 8, "a\n")
	result.Origin, result.Run, result.Attempt = event.Reconcile, "run-1", 1
	orphan := event.Change{Op: event.Delete, Origin: event.Reconcile, Run: "run-1", Path: "shop/x.yaml"}
	holds := message(subject.WriteCheckpoint(live), 9, func() (event.Header, []byte) {
		h := event.NewHeader(event.KindCheckpoint)
		h[event.HeaderState] = []string{phase.State{Live: true}.String()}
		return h, nil
	})
	letter := written(3, change(event.Update, 7, "a\n"))
	letter.Subject = subject.DeadLetter("stream", live, subject.Live, 5)
	letter.Header[event.HeaderReason] = []string{"it is \x1b[2Jwrong"}
	newer := written(4, change(event.Update, 7, "a\n"))
	newer.Header[event.HeaderVersion] = []string{"99"}
	for _, tt := range []struct {
		stream string
		m      bus.Message
		want   string
	}{
		{subject.Events, message("ks.ev.d.1.prod.apps.deployments.shop", 1, event1.Message), "UPDATE deployments.apps shop/web at 7 for prod/gitops/live, prod/gitops/other"},
		{subject.Events, message("ks.ev.d.1.prod.=20.gitops.live", 2, event.Mark{Cluster: "prod", Destination: live.String(), Run: "run-1"}.Message), "MARK for prod/gitops/live run run-1"},
		{subject.Events, message("ks.ev.fence.1.prod", 3, func() (event.Header, []byte) { return event.NewHeader(event.KindFence), nil }), "fence"},
		{subject.Live, message(subject.LiveData(1, live), 2, event1.Message), "UPDATE deployments.apps shop/web at 7 for prod/gitops/live routed"},
		{subject.Write, written(4, result), "UPDATE deployments.apps shop/web at 8 for prod/gitops/live run run-1 forwarded"},
		{subject.Write, written(5, orphan), "DELETE shop/x.yaml for prod/gitops/live run run-1 forwarded"},
		{subject.Write, message(subject.WriteData("key", live), 6, event.Barrier{Run: "run-1"}.Message), "BARRIER for prod/gitops/live run run-1"},
		{subject.Write, holds, "checkpoint for prod/gitops/live LIVE_PROCESSING"},
		{subject.Write, newer, "unreadable for prod/gitops/live (message has a newer envelope version"},
		{subject.Write, bus.Message{Subject: "nonsense", Seq: 1, Time: when}, "unreadable (not a kubescribe subject"},
		{subject.DLQ, letter, `UPDATE deployments.apps shop/web at 7 for prod/gitops/live dead_lettered (stream: it is \u001b[2Jwrong)`},
	} {
		line := Read(tt.stream, tt.m).Line()
		if want := fmt.Sprintf("2026-03-01T12:00:00Z %s %d %s", tt.stream, tt.m.Seq, tt.want); !strings.HasPrefix(line, want) || strings.Contains(line, "\n") {
			t.Errorf("it is\n%s\nwant\n%s", line, want)
		}
	}
}

// TestSealedIsNotShown: nor what was dead-lettered, by any printer.
func TestSealedIsNotShown(t *testing.T) {
	sealed := change(event.Update, 7, "hush")
	sealed.SealedTo, sealed.Path = "age1x", "shop/x.sops.yaml"
	letter := written(3, change(event.Update, 7, "hush"))
	letter.Subject = subject.DeadLetter("git-writer", live, subject.Write, 3)
	var out bytes.Buffer
	for _, e := range []Entry{Read(subject.Write, written(1, sealed)), Read(subject.DLQ, letter)} {
		for _, printer := range []Printer{JSON(&out), YAML(&out), Diff(&out)} {
			if err := printer(e); err != nil {
				t.Fatal(err)
			}
		}
	}
	if text := out.String(); strings.Contains(text, "hush") || !strings.Contains(text, "(sealed: the git-writer's key alone opens it)") || !strings.Contains(text, `"sealed":true`) {
		t.Errorf("it prints\n%s", text)
	}
}

// TestPrinters: a version, the next one and the deletion, each as it was.
func TestPrinters(t *testing.T) {
	entries := []Entry{
		Read(subject.Write, written(1, change(event.Update, 7, "a: 1\n"))), Read(subject.Write, written(2, change(event.Update, 8, "a: 2\n"))),
		Read(subject.Write, written(3, change(event.Delete, 9, ""))), Read(subject.Write, written(4, change(event.Create, 10, "a: \x1b\n"))),
	}
	head := func(seq int, what string) string {
		return fmt.Sprintf("# KS_WRITE %d 2026-03-01T12:00:00.000Z %s for prod/gitops/live by kubectl", seq, what)
	}
	one, two := head(1, "UPDATE deployments.apps shop/web at 7"), head(2, "UPDATE deployments.apps shop/web at 8")
	gone, again := head(3, "DELETE deployments.apps shop/web at 9"), head(4, "CREATE deployments.apps shop/web at 10")
	const of = "deployments.apps shop/web"
	for name, tt := range map[string]struct {
		printer func(*bytes.Buffer) Printer
		want    string
	}{
		"yaml": {func(b *bytes.Buffer) Printer { return YAML(b) }, "---\n" + one + "\na: 1\n---\n" + two + "\na: 2\n---\n" + gone + "\n---\n" + again + "\na: \\u001b\n"},
		"diff": {
			func(b *bytes.Buffer) Printer { return Diff(b) },
			one + "; the version before is not there\n--- /dev/null\n+++ b/" + of + "\n@@ -0,0 +1 @@\n+a: 1\n" +
				two + "\n--- a/" + of + "\n+++ b/" + of + "\n@@ -1 +1 @@\n-a: 1\n+a: 2\n" +
				gone + "\n--- a/" + of + "\n+++ /dev/null\n@@ -1 +0,0 @@\n-a: 2\n" +
				again + "\n--- /dev/null\n+++ b/" + of + "\n@@ -0,0 +1 @@\n+a: \\u001b\n",
		},
	} {
		var out bytes.Buffer
		printer := tt.printer(&out)
		for _, e := range entries {
			if err := printer(e); err != nil {
				t.Fatal(err)
			}
		}
		if out.String() != tt.want {
			t.Errorf("%s:\n%s\nwant\n%s", name, out.String(), tt.want)
		}
	}
	var out bytes.Buffer
	if err := JSON(&out)(entries[3]); err != nil {
		t.Fatal(err)
	}
	var got Entry
	if err := json.Unmarshal(out.Bytes(), &got); err != nil || got.Manifest != "a: \x1b\n" || strings.Contains(out.String(), "\x1b") || got.Object() != entries[3].Object() {
		t.Errorf("json: %s: %+v, %v", out.String(), got, err)
	}
}

// TestVersionsAreBounded: what is remembered of former versions does not grow with how many
// there were, and what was not asked for longest is forgotten.
func TestVersionsAreBounded(t *testing.T) {
	var v Versions
	version := func(name string) (string, bool) {
		c := change(event.Update, 7, strings.Repeat("x", 1<<20))
		c.Name = name
		return v.Take(Read(subject.Write, written(1, c)))
	}
	version("first")
	for i := range 100 {
		version(fmt.Sprint(i))
		if _, known := version("often"); known != (i > 0) {
			t.Fatalf("after %d others the object is known: %t", i, known)
		}
		if n := len(v.young) + len(v.old); n > 2*(versionBytes>>20+2) {
			t.Fatalf("%d are remembered", n)
		}
	}
	if _, known := version("first"); known {
		t.Error("nothing is forgotten")
	}
}
