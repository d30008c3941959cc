package v1alpha1

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Problem is one thing that is wrong in a configuration.
//
// +kubebuilder:object:generate=false
type Problem struct {
	File     string // as given to Load; empty if the documents did not come from a file
	Line     int    // in File, from 1
	Document int    // in File, from 1, counting documents with content; 0 if the file as a whole is meant
	Object   string // such as "GitDestination default/live"; empty while that is not known
	Path     string // such as "spec.rules[0].resources"; empty if the whole document is meant
	Text     string // what is wrong; what to do

	kind  string // with index: which element of Documents is meant
	index int
	hides string // a path at and below which validation would only say the same again
}

// Error is one line:
// FILE:LINE (document N, KIND NAMESPACE/NAME): PATH: what is wrong; what to do
func (p Problem) Error() string {
	var b strings.Builder
	switch {
	case p.File != "" && p.Document > 0 && p.Object != "":
		fmt.Fprintf(&b, "%s:%d (document %d, %s): ", p.File, p.Line, p.Document, p.Object)
	case p.File != "" && p.Document > 0:
		fmt.Fprintf(&b, "%s:%d (document %d): ", p.File, p.Line, p.Document)
	case p.File != "":
		fmt.Fprintf(&b, "%s:%d: ", p.File, p.Line)
	case p.Object != "":
		fmt.Fprintf(&b, "%s: ", p.Object)
	}
	if p.Path != "" {
		fmt.Fprintf(&b, "%s: ", p.Path)
	}
	b.WriteString(p.Text)
	return b.String()
}

// Problems is everything that is wrong in a configuration, up to a bound that no file
// by hand reaches. It is never empty where it is returned as an error.
//
// +kubebuilder:object:generate=false
type Problems []Problem

const (
	maxProblems = 1000 // that are looked for: a file may be all problems
	maxPrinted  = 100  // of these in a message
)

// Error is one line per problem.
func (ps Problems) Error() string {
	lines := make([]string, 0, min(len(ps), maxPrinted)+1)
	for i, p := range ps {
		if i == maxPrinted {
			lines = append(lines, "and more problems; correct these first")
			break
		}
		lines = append(lines, p.Error())
	}
	return strings.Join(lines, "\n")
}

// gist is what is wrong, in short: the first problem, without what to do.
func (ps Problems) gist() string {
	first := ps[0]
	what, _, _ := strings.Cut(first.Text, "; ")
	if first.Path != "" {
		what = first.Path + ": " + what
	}
	if len(ps) > 1 {
		what += fmt.Sprintf(", and %d more", len(ps)-1)
	}
	return what
}

// printable holds neither ":" nor "@", so that no part of a URL that carries
// credentials matches it together with them.
var printable = regexp.MustCompile(`^[A-Za-z0-9._/*-]{1,100}$`)

// subject quotes a value as the first words of a message, or is empty if the value is
// not one to be echoed.
func subject(value string) string {
	if !printable.MatchString(value) {
		return ""
	}
	return strconv.Quote(value) + " "
}

// objectName is how messages call an object.
func objectName(kind, namespace, name string) string {
	full := name
	if namespace != "" && kind != KindClusterWatchRule {
		full = namespace + "/" + name
	}
	if name == "" || !printable.MatchString(full) {
		return kind
	}
	return kind + " " + full
}
