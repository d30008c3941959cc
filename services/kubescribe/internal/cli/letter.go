package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// letter is a dead letter, and what its message was about as far as that can be read.
type letter struct {
	bus.Letter
	change  *event.Change  // nil: it was none
	whole   bool           // the change is one as it should be
	request *event.Request // nil: it was none
}

// readLetter reads what a letter holds.
func readLetter(l bus.Letter) letter {
	if l.Stream == subject.Ctl {
		if q, err := event.Decode[event.Request](l.Message.Data); err == nil {
			return letter{Letter: l, request: &q}
		}
		return letter{Letter: l}
	}
	if kind, err := event.KindOf(l.Message.Header); err != nil || kind != event.KindChange {
		return letter{Letter: l}
	}
	c, err := event.ParseChange(l.Message.Header, l.Message.Data)
	return letter{Letter: l, change: &c, whole: err == nil}
}

// whose are the destinations that lack what the letter holds.
func (l letter) whose() []event.DestinationKey {
	switch {
	case l.Destination.Name != "":
		return []event.DestinationKey{l.Destination}
	case l.change != nil:
		return l.change.To
	}
	return nil
}

// about is what it is about, as people write it; "" if that cannot be read.
func (l letter) about() string {
	switch {
	case l.change != nil && l.change.Name != "":
		return l.change.Object.String()
	case l.change != nil:
		return l.change.Path
	case l.request != nil && l.request.Kind == event.RequestObject:
		return l.request.Object.String()
	case l.request != nil:
		return strings.TrimSpace(l.request.Kind + " " + l.request.Reason)
	}
	return ""
}

// hidden is why what the letter holds is not shown to a person; "": it is shown, or there is
// nothing. A body of which nobody knows what it is may be a secret.
func (l letter) hidden(registered map[event.DestinationKey]bus.Registered) string {
	c := l.change
	switch {
	case len(l.Message.Data) == 0 || l.request != nil:
		return ""
	case c == nil || !l.whole:
		return "they cannot be read"
	case c.SealedTo != "":
		return "they are sealed to the git-writer"
	}
	sensitive := event.IsSecrets(c.Group, c.Resource)
	for _, k := range l.whose() {
		_, encrypts := registered[k].Encrypts(c.Group, c.Resource)
		sensitive = sensitive || encrypts
	}
	if sensitive {
		return "the type is sensitive"
	}
	return ""
}

// ask is a request, and where it is stored.
type ask struct {
	subject string
	event.Request
}

// errNoRetry says that nothing would come of asking again.
var errNoRetry = errors.New("it cannot be tried again")

// asks is what is asked for when a letter is tried again: the object as it is now, for each
// destination that lacks a version of it. That a run removes a file without an object only a run can
// decide again. A request is asked as it was.
func (l letter) asks(registered map[event.DestinationKey]bus.Registered) (all []ask, err error) {
	whose := l.whose()
	if len(whose) == 0 || l.about() == "" {
		return nil, fmt.Errorf("%w: it says of no object, or for nobody, what it was", errNoRetry)
	}
	for _, k := range whose {
		d, ok := registered[k]
		if !ok {
			continue
		}
		c := l.change
		switch {
		case l.request != nil:
			all = append(all, ask{l.Message.Subject, *l.request})
		case c.Name == "" && c.Path != "":
			all = append(all, ask{subject.CtlRun(k), event.Request{V: event.Version, Kind: event.RequestRun, Destination: k, Reason: event.ReasonRequested}})
		case c.Resource == "" || c.UID == "":
			return nil, fmt.Errorf("%w: it does not say of what object it was", errNoRetry)
		default:
			part := subject.Part(k.Cluster, c.Group, c.Resource)
			all = append(all, ask{subject.CtlObject(part, k, l.ID), event.Request{
				V: event.Version, Kind: event.RequestObject, Destination: k, Part: part, Registered: d.Revision, Object: c.Object, UID: c.UID, Letter: l.ID,
			}})
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%w: no destination is registered any more that it was for", errNoRetry)
	}
	return all, nil
}
