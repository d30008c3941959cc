package recorded

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	udiff "github.com/aymanbagabas/go-udiff"

	"github.com/kubescribe/kubescribe/shared/event"
)

// Printer prints changes as they were.
type Printer func(Entry) error

// JSON prints an object a line.
func JSON(w io.Writer) Printer {
	e := json.NewEncoder(w)
	return func(entry Entry) error { return e.Encode(entry) }
}

// YAML prints a document a change: the manifest as it was, below a comment that says what
// it is. Of a deletion, and of what is sealed, there is the comment alone.
func YAML(w io.Writer) Printer {
	return func(e Entry) error {
		_, err := io.WriteString(w, "---\n# "+head(e)+"\n"+Safe(e.Manifest))
		return err
	}
}

// Diff prints what a change has changed, from the version of its object before. Where that
// was not seen it says so, and the whole version is new.
func Diff(w io.Writer) Printer {
	var versions Versions
	return func(e Entry) error {
		before, known := versions.Take(e)
		head := head(e)
		if !known && e.Op != event.Create && !e.Sealed {
			head += "; the version before is not there"
		}
		path := Safe(e.Object().String())
		from, to := "a/"+path, "b/"+path
		if before == "" {
			from = "/dev/null"
		}
		if e.Manifest == "" {
			to = "/dev/null"
		}
		diff := udiff.Unified(from, to, Safe(before), Safe(e.Manifest))
		_, err := io.WriteString(w, "# "+head+"\n"+diff)
		return err
	}
}

// head is what a change is, on one line.
func head(e Entry) string {
	words := []string{e.Stream, fmt.Sprint(e.Seq), e.Time.Format("2006-01-02T15:04:05.000Z"), e.what()}
	switch {
	case e.Destination != "":
		words = append(words, "for "+e.Destination)
	case len(e.To) > 0:
		words = append(words, "for "+strings.Join(e.To, ", "))
	}
	if e.FieldManager != "" {
		words = append(words, "by "+e.FieldManager)
	}
	if e.Run != "" {
		words = append(words, "found by run "+e.Run)
	}
	if e.Sealed {
		words = append(words, "(sealed: the git-writer's key alone opens it)")
	}
	return oneLine(words)
}
