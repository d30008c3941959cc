package message

import (
	"errors"
	"strings"

	"github.com/kubescribe/kubescribe/services/git-writer/internal/repo"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/wording"
)

// Words is the templates of a destination's messages; nil: what this package says
// itself.
type Words struct {
	subject, body *wording.Template
}

// ParseWords reads templates. Those that are wrong are left out.
func ParseWords(w event.Wording) (Words, error) {
	subject, err1 := parse(wording.Subject, w.Subject)
	body, err2 := parse(wording.Body, w.Body)
	return Words{subject, body}, errors.Join(err1, err2)
}

func parse(part wording.Part, text string) (*wording.Template, error) {
	if text == "" {
		return nil, nil //nolint:nilnil // no template
	}
	return wording.Parse(part, text)
}

// begin writes subject and body, in the words of the templates where they have some.
// What follows is a paragraph of its own, so that nothing of this is read as a
// trailer: see ParsePosition.
func (w Words) begin(b *strings.Builder, items []Item, d event.DestinationKey, subject, body string) {
	if w != (Words{}) && len(items) > 0 { // else it is the marker alone
		c := seen(items, d)
		subject, body = instead(w.subject, c, subject), instead(w.body, c, body)
	}
	b.WriteString(subject + "\n\n")
	if body != "" {
		b.WriteString(body + "\n\n")
	}
}

// instead is what the template says, or else what is said without it.
func instead(t *wording.Template, c wording.Commit, otherwise string) string {
	if t == nil {
		return otherwise
	}
	words, err := t.Words(c)
	if err != nil { // of a kind that no sample is
		return otherwise
	}
	return words
}

// seen is what templates see of a commit.
func seen(items []Item, d event.DestinationKey) wording.Commit {
	c := wording.Commit{
		Cluster: d.Cluster, Destination: d.Name, Run: items[0].Change.Run,
		More: max(0, len(items)-wording.Listed),
	}
	for k, i := range items {
		switch i.Effect {
		case repo.Created:
			c.Created++
		case repo.Updated:
			c.Updated++
		case repo.Deleted:
			c.Deleted++
		}
		if k < wording.Listed {
			c.Changes = append(c.Changes, i.seen())
		}
	}
	if len(items) == 1 {
		c.Change = c.Changes[0]
	}
	return c
}

// seen is what templates see of a change. Of a file whose object is not known there is
// the path alone.
func (i Item) seen() wording.Change {
	o := i.Change.Object
	resource := o.Resource
	if o.Group != "" {
		resource += "." + o.Group
	}
	return wording.Change{Action: i.Effect.String(), Object: i.object(), Resource: resource, Namespace: o.Namespace, Name: o.Name}
}
