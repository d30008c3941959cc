package wording

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/template"
	"text/template/parse"
	"unicode/utf8"
)

// Part is what of a message a template is for.
type Part string

// The parts.
const (
	Subject Part = "subject"
	Body    Part = "body"
)

const (
	maxTemplate = 8 << 10  // bytes of a template
	maxSubject  = 200      // bytes of what one gives; what is longer is cut
	maxBody     = 32 << 10 // the same
)

// reserved begins the trailers, which are kubescribe's own: a line of a template's
// that looks like one is not for it to write.
var reserved = []string{"kubescribe-", "field-manager:"}

func isReserved(line string) bool {
	line = strings.ToLower(strings.TrimSpace(line))
	return slices.ContainsFunc(reserved, func(begin string) bool { return strings.HasPrefix(line, begin) })
}

// Template is one that was found right.
type Template struct {
	part Part
	t    *template.Template
}

// Parse reads a template. Its errors say what is wrong and what to do, and repeat
// nothing of the template but the names in it.
func Parse(part Part, text string) (*Template, error) {
	if len(text) > maxTemplate {
		return nil, fmt.Errorf("is longer than %d bytes; shorten it", maxTemplate)
	}
	name, set := string(part), map[string]*parse.Tree{}
	tree := parse.New(name)
	tree.Mode = parse.SkipFuncCheck // check knows which there are
	if _, err := tree.Parse(text, "", "", set); err != nil {
		return nil, fmt.Errorf("is no Go template: %s; correct it", gist(err))
	}
	if tree.Root == nil || len(set) > 1 {
		return nil, errors.New("defines other templates; write one that stands for itself")
	}
	if err := check(tree.Root); err != nil {
		return nil, err
	}
	parsed, err := template.New(name).AddParseTree(name, tree)
	if err != nil {
		return nil, fmt.Errorf("is no Go template: %s; correct it", gist(err))
	}
	t := &Template{part, parsed}
	for _, s := range samples {
		if _, err := t.Words(s.commit); err != nil {
			return nil, fmt.Errorf("%w, for %s; %s", err, s.is, remedy(err))
		}
	}
	return t, nil
}

// What is wrong with what a template gives.
var (
	errEmpty    = errors.New("gives no text")
	errLines    = errors.New("gives several lines")
	errReserved = errors.New("gives a line that begins with Kubescribe- or Field-Manager")
	errFails    = errors.New("compares or counts what cannot be")
)

func remedy(err error) string {
	switch {
	case errors.Is(err, errEmpty):
		return "a subject needs some: .Action, .Object, .Resource and .Name are empty in a commit of several changes, so begin with {{if .Action}} and write an {{else}}"
	case errors.Is(err, errLines):
		return "write a subject of one line, with {{- and -}} where it is long"
	case errors.Is(err, errReserved):
		return "those trailers are kubescribe's own, and are added to every message; begin it otherwise"
	}
	return "compare values of one kind: texts with texts, numbers with numbers"
}

// errFull ends a template that gives more than there is room for.
var errFull = errors.New("no more room")

// Words is what the template gives for a commit: of a subject, one line that is not
// empty; of a body, lines of which none looks like a trailer of ours. What is too
// long is cut. An error says that it gives no such thing: the commit is to be worded
// as if there was no template.
func (t *Template) Words(c Commit) (string, error) {
	w := &limited{room: maxBody}
	if t.part == Subject {
		w.room = maxSubject
	}
	err := t.t.Execute(w, c.clean())
	if err != nil && !errors.Is(err, errFull) {
		return "", errFails
	}
	words := tidy(w.String())
	if t.part == Subject {
		words = strings.TrimSpace(words)
	}
	if err != nil {
		words += "…"
	}
	for line := range strings.Lines(words) {
		if isReserved(line) {
			return "", errReserved
		}
	}
	switch {
	case t.part == Body:
		return words, nil
	case words == "" || words == "…":
		return "", errEmpty
	case strings.Contains(words, "\n"):
		return "", errLines
	}
	return words, nil
}

// tidy takes out what does not print, and the space at the ends of lines and of the
// whole.
func tidy(s string) string {
	lines := strings.Split(strings.ToValidUTF8(s, ""), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(printing(line), " ")
	}
	return strings.Trim(strings.Join(lines, "\n"), "\n")
}

// limited takes as much as there is room for.
type limited struct {
	strings.Builder
	room int
}

// Write takes what still has room, up to the end of a rune.
func (l *limited) Write(p []byte) (int, error) {
	left := l.room - l.Len()
	if len(p) <= left {
		return l.Builder.Write(p)
	}
	for left > 0 && !utf8.RuneStart(p[left]) {
		left--
	}
	n, _ := l.Builder.Write(p[:left])
	return n, errFull
}
