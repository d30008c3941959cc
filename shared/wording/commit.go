package wording

import (
	"strings"
	"unicode"
)

// Listed is how many changes of a commit a template sees.
const Listed = 200

// Commit is what a template sees of a commit.
type Commit struct {
	Change             // the one that it makes; empty where it makes several
	Cluster     string // its name
	Destination string // its name
	Run         string // that found the changes; empty where they were seen to happen
	Created     int    // files
	Updated     int
	Deleted     int
	Changes     []Change // the first of them, up to Listed
	More        int      // how many others there are
}

// Change is what a template sees of a change.
type Change struct {
	Action    string // Create, Update or Delete
	Object    string // deployments.apps shop/web
	Resource  string // deployments.apps
	Namespace string // empty for what is cluster-scoped
	Name      string
}

// String makes {{.}} say something in a list.
func (c Change) String() string { return c.Action + " " + c.Object }

// OneLine keeps what comes from a cluster from adding lines: the names of some
// kinds (roles, say) may hold whatever is no slash and no percent sign.
func OneLine(s string) string { return strings.Join(strings.Fields(printing(s)), " ") }

// printing is s with a space for all that does not print.
func printing(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
}

// clean is c with values that are one line each.
func (c Commit) clean() Commit {
	c.Change = c.Change.clean()
	c.Cluster, c.Destination, c.Run = OneLine(c.Cluster), OneLine(c.Destination), OneLine(c.Run)
	changes := make([]Change, len(c.Changes))
	for i, ch := range c.Changes {
		changes[i] = ch.clean()
	}
	c.Changes = changes
	return c
}

func (c Change) clean() Change {
	return Change{OneLine(c.Action), OneLine(c.Object), OneLine(c.Resource), OneLine(c.Namespace), OneLine(c.Name)}
}
