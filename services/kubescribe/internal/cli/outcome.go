package cli

import (
	"fmt"
	"strings"

	"github.com/kubescribe/kubescribe/shared/event"
)

// told is what a run of a destination came to, for a person. approve is what they type to
// approve its deletions.
func told(d event.Destination, rec event.PhaseRecord, approve string) string {
	var b strings.Builder
	k, o := d.Key, rec.Outcome
	if o == nil {
		return fmt.Sprintf("%s: run %s (%s) has closed; what it found is not known any more\n", k, rec.Run, rec.Reason)
	}
	before := o.Before
	fmt.Fprintf(&b, "%s: run %s: %d created, %d updated, %d deleted, %d equal\n", k, o.Run, before.Created+o.Created, before.Updated+o.Updated, before.Deleted+o.Deleted, o.Equal)
	if before.Runs > 0 {
		fmt.Fprintf(&b, "  in %s: there was no room for all contents in one\n", count(before.Runs+1, "run"))
	}
	if d.DryRun {
		fmt.Fprintf(&b, "  nothing of it is pushed (spec.mode: DryRun); kubescribe diff shows what Git lacks\n")
	}
	switch n := o.Left.Count(); {
	case n == 0 || o.Continues:
	case d.DryRun:
		fmt.Fprintf(&b, "  left out: %s, for whose contents there was no room\n", count(n, "object"))
	default:
		fmt.Fprintf(&b, "  left out: %s, after runs have brought twice as much as there are objects: something undoes it, or keeps it from the folder\n", count(n, "object"))
	}
	if o.Kept > 0 {
		fmt.Fprintf(&b, "  kept: %s of no object (prune.mode keeps them, or their type is not known wholly)\n", count(o.Kept, "file"))
	}
	if rec.Overrun > 0 && o.Run == rec.Run {
		fmt.Fprintf(&b, "  too late: %s, of objects of which something newer had passed\n", count(int(rec.Overrun), "result"))
	}
	if p := o.Pending; p != nil {
		fmt.Fprintf(&b, "  withheld: %s, more than prune allows; to approve: %s\n", count(p.Count, "deletion"), approve)
		some(&b, p.Paths, p.Count)
	}
	apart(&b, *o)
	return b.String()
}

// apart tells what a comparison left alone.
func apart(b *strings.Builder, o event.Outcome) {
	if o.ForeignCount > 0 {
		fmt.Fprintf(b, "  left alone: %d (files that hold resources and are not at their path, or hold several)\n", o.ForeignCount)
		some(b, o.Foreign, o.ForeignCount)
	}
	if len(o.Incomplete) > 0 {
		fmt.Fprintf(b, "  incomplete: types that could not be listed, nothing of theirs was taken for absent: %s\n", strings.Join(o.Incomplete, ", "))
	}
}

// some lists paths, of which there are n.
func some(b *strings.Builder, paths []string, n int) {
	for _, p := range paths {
		fmt.Fprintf(b, "    %s\n", safe(p))
	}
	if more := n - len(paths); more > 0 {
		fmt.Fprintf(b, "    and %d more\n", more)
	}
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// safe is a path as a terminal may be shown it: files of others may have any name.
func safe(path string) string {
	if strings.ContainsFunc(path, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\ufffd' || (r >= 0x80 && r < 0xa0) }) {
		return fmt.Sprintf("%q", path)
	}
	return path
}
