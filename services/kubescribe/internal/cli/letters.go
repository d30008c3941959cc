package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

const noLetters = "there are no dead letters"

// shownLetter is a dead letter as -o json shows it.
type shownLetter struct {
	ID              uint64        `json:"id"`
	Kept            time.Time     `json:"kept"`
	Stage           string        `json:"stage,omitempty"`
	Reason          string        `json:"reason"`
	Attempts        uint64        `json:"attempts"`
	Destinations    []string      `json:"destinations"`
	Object          *event.Object `json:"object,omitempty"`
	Op              event.Op      `json:"op,omitempty"`
	ResourceVersion string        `json:"resourceVersion,omitempty"`
	Request         string        `json:"request,omitempty"` // its kind
	Stream          string        `json:"stream,omitempty"`
	Sequence        uint64        `json:"sequence"`
	Subject         string        `json:"subject"`
	// Of one that is shown whole. Hidden is why there is no body.
	Headers event.Header `json:"headers,omitempty"`
	Body    string       `json:"body,omitempty"`
	Hidden  string       `json:"hidden,omitempty"`
}

func (l letter) shown() shownLetter {
	s := shownLetter{
		ID: l.ID, Kept: l.When, Stage: l.Stage, Reason: l.Reason, Attempts: l.Attempts, Destinations: []string{},
		Stream: l.Stream, Sequence: l.Message.Seq, Subject: l.Message.Subject,
	}
	for _, k := range l.whose() {
		s.Destinations = append(s.Destinations, k.String())
	}
	switch {
	case l.change != nil:
		s.Op, s.ResourceVersion = l.change.Op, l.change.ResourceVersion
		if l.change.Name != "" {
			s.Object = &l.change.Object
		}
	case l.request != nil:
		s.Request = l.request.Kind
		if l.request.Kind == event.RequestObject {
			s.Object = &l.request.Object
		}
	}
	return s
}

// list prints the letters.
func (q *dlq) list(ctx context.Context) error {
	all, err := q.letters(ctx)
	if err != nil {
		return err
	}
	if q.output == "json" {
		shown := []shownLetter{}
		for _, l := range all {
			shown = append(shown, l.shown())
		}
		return asJSON(q.env.Stdout, shown)
	}
	if len(all) == 0 {
		_, err := fmt.Fprintln(q.env.Stderr, noLetters)
		return err
	}
	return letterTable(q.env.Stdout, time.Now(), all)
}

// letterTable writes letters as a person reads them.
func letterTable(w io.Writer, now time.Time, all []letter) error {
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	var lines strings.Builder
	lines.WriteString("ID\tAGE\tSTAGE\tDESTINATION\tABOUT\tATTEMPTS\tREASON\n")
	for _, l := range all {
		fmt.Fprintf(&lines, "%d\t%s\t%s\t%s\t%s\t%d\t%s\n", l.ID, ago(now, l.When), orNone(l.Stage), orNone(few(l.shown().Destinations)), orNone(safe(l.about())), l.Attempts, safe(short(l.Reason)))
	}
	if _, err := io.WriteString(t, lines.String()); err != nil {
		return err
	}
	return t.Flush()
}

func orNone(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// short is the beginning of a text.
func short(s string) string {
	const most = 100
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}

// show prints one letter whole.
func (q *dlq) show(ctx context.Context, id string) error {
	l, err := q.letter(ctx, id)
	if err != nil {
		return err
	}
	hidden := l.hidden(q.registered)
	if q.output == "json" {
		s := l.shown()
		s.Headers, s.Hidden = l.Message.Header, hidden
		if hidden == "" {
			s.Body = string(l.Message.Data)
		}
		return asJSON(q.env.Stdout, s)
	}
	_, err = io.WriteString(q.env.Stdout, l.text(time.Now(), hidden, q.typed()))
	return err
}

// text is a letter as a person reads it. typed is with what flags another command reaches it.
func (l letter) text(now time.Time, hidden, typed string) string {
	var b strings.Builder
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%-14s%s\n", name+":", safe(value))
		}
	}
	line("letter", fmt.Sprintf("%d, kept %s ago (%s)", l.ID, ago(now, l.When), l.When.UTC().Format(time.RFC3339)))
	line("reason", l.Reason)
	line("stage", l.Stage)
	line("attempts", fmt.Sprint(l.Attempts))
	line("destination", strings.Join(l.shown().Destinations, ", "))
	line("about", l.about())
	if c := l.change; c != nil {
		line("change", strings.TrimSpace(string(c.Op)+" "+string(c.Origin)))
		line("version", c.ResourceVersion)
		line("manager", c.FieldManager)
		line("run", c.Run)
	}
	line("position", l.position())
	if l.about() != "" {
		line("to retry", fmt.Sprintf("kubescribe dlq retry%s %d", typed, l.ID))
	}
	line("to drop", fmt.Sprintf("kubescribe dlq drop%s %d", typed, l.ID))
	n := len(l.Message.Data)
	switch {
	case hidden != "":
		line("holds", fmt.Sprintf("%d bytes, not shown: %s", n, hidden))
	case n > 0:
		fmt.Fprintf(&b, "---\n%s\n", strings.TrimSuffix(string(l.Message.Data), "\n"))
	}
	return b.String()
}

// position is where the message stood.
func (l letter) position() string {
	switch l.Stream {
	case "":
		return l.Message.Subject
	case subject.Events, subject.Live, subject.Write, subject.Ctl:
		return fmt.Sprintf("message %d of %s, %s", l.Message.Seq, l.Stream, l.Message.Subject)
	}
	return fmt.Sprintf("version %d of %s", l.Message.Seq, l.Stream) // the watcher's
}

func asJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
