package recorded

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// Line is an entry on one line, for a terminal.
func (e Entry) Line() string {
	words := []string{e.Time.Format(time.RFC3339Nano), e.Stream, fmt.Sprint(e.Seq), e.what()}
	if e.Destination != "" {
		words = append(words, "for "+e.Destination)
	}
	if e.Run != "" {
		words = append(words, "run "+e.Run)
	}
	if e.Phase != "" {
		words = append(words, string(e.Phase))
	}
	if became := e.became(); became != "" {
		words = append(words, became)
	}
	return oneLine(words)
}

// oneLine joins words on one line that a terminal may be shown.
func oneLine(words []string) string {
	return strings.ReplaceAll(Safe(strings.Join(words, " ")), "\n", " ")
}

// what is what it is about.
func (e Entry) what() string {
	switch {
	case e.Kind == event.KindChange && e.Name == "":
		return string(e.Op) + " " + e.Path
	case e.Kind == event.KindChange && e.ResourceVersion != "":
		return string(e.Op) + " " + e.Object().String() + " at " + e.ResourceVersion
	case e.Kind == event.KindChange:
		return string(e.Op) + " " + e.Object().String()
	case e.Kind == event.KindMark:
		return "MARK"
	case e.Kind == event.KindRepoState:
		return "BARRIER"
	case e.Kind == "":
		return "unreadable"
	}
	return string(e.Kind)
}

// became is what became of it, as far as that is known here.
func (e Entry) became() string {
	switch {
	case e.Stream == subject.Events && len(e.To) > 0:
		return "for " + strings.Join(e.To, ", ")
	case e.Reason != "" && e.Outcome != "":
		return string(e.Outcome) + " (" + e.Reason + ")"
	case e.Reason != "":
		return "(" + e.Reason + ")"
	}
	return string(e.Outcome)
}

// Safe is a text as a terminal may be shown it, on lines of its own: control characters,
// and bytes that are no character, are written out.
func Safe(text string) string {
	bad := func(r rune) bool {
		return r == unicode.ReplacementChar || unicode.IsControl(r) && r != '\n' && r != '\t' || unicode.Is(unicode.Bidi_Control, r)
	}
	if !strings.ContainsFunc(text, bad) {
		return text
	}
	var b strings.Builder
	for i, r := range text {
		switch {
		case r == unicode.ReplacementChar && !strings.HasPrefix(text[i:], string(unicode.ReplacementChar)):
			fmt.Fprintf(&b, `\x%02x`, text[i])
		case bad(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
