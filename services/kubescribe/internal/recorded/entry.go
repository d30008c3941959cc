// Package recorded reads what stands on the bus, for people.
package recorded

import (
	"fmt"
	"time"

	"github.com/kubescribe/kubescribe/services/stream/phase"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/outcome"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// Entry is one message of KS_EVENTS, KS_LIVE, KS_WRITE or KS_DLQ. What it does not say is
// left out.
type Entry struct {
	Stream          string          `json:"stream"`
	Seq             uint64          `json:"seq"`
	Time            time.Time       `json:"time"` // when it was stored
	Kind            event.Kind      `json:"kind,omitempty"`
	Outcome         outcome.Outcome `json:"outcome,omitempty"` // what became of it, by its being here
	Op              event.Op        `json:"op,omitempty"`
	Group           string          `json:"group,omitempty"`
	APIVersion      string          `json:"apiVersion,omitempty"`
	Resource        string          `json:"resource,omitempty"`
	Namespace       string          `json:"namespace,omitempty"`
	Name            string          `json:"name,omitempty"`
	UID             string          `json:"uid,omitempty"`
	ResourceVersion string          `json:"resourceVersion,omitempty"`
	FieldManager    string          `json:"fieldManager,omitempty"`
	Origin          event.Origin    `json:"origin,omitempty"`
	Run             string          `json:"run,omitempty"`
	Path            string          `json:"path,omitempty"`
	Hash            string          `json:"hash,omitempty"`
	Destination     string          `json:"destination,omitempty"`
	To              []string        `json:"to,omitempty"`     // in KS_EVENTS, the destinations that it is for
	Phase           event.Phase     `json:"phase,omitempty"`  // in KS_WRITE, that of the destination from here on, where it is said
	Reason          string          `json:"reason,omitempty"` // of a fence or a dead letter; or why it cannot be read
	Sealed          bool            `json:"sealed,omitempty"` // there is a manifest, and it is not shown
	Manifest        string          `json:"manifest,omitempty"`
}

// Object is whose change it is.
func (e Entry) Object() event.Object {
	return event.Object{Group: e.Group, APIVersion: e.APIVersion, Resource: e.Resource, Namespace: e.Namespace, Name: e.Name}
}

// Change is whether it is one version of an object.
func (e Entry) Change() bool { return e.Kind == event.KindChange && e.Stream != subject.DLQ }

// Read reads a message. One that cannot be read says so by its Reason. What is sealed, or
// was kept because it is wrong, is not shown.
func Read(stream string, m bus.Message) Entry {
	e := Entry{Stream: stream, Seq: m.Seq, Time: m.Time.UTC()}
	if err := e.placed(m); err != nil {
		e.Reason = err.Error()
		return e
	}
	kind, err := event.KindOf(m.Header)
	if err != nil {
		if e.Reason == "" {
			e.Reason = err.Error()
		}
		return e
	}
	e.Kind = kind
	switch kind {
	case event.KindChange:
		err = e.change(m)
	case event.KindMark:
		var mark event.Mark
		mark, err = event.ParseMark(m.Header)
		e.Run = mark.Run
		if e.Destination == "" {
			e.Destination = mark.Destination
		}
	case event.KindRepoState:
		var b event.Barrier
		b, err = event.ParseBarrier(m.Header)
		e.Run = b.Run
	case event.KindFence, event.KindCheckpoint:
	}
	if err != nil && e.Reason == "" {
		e.Reason = err.Error()
	}
	return e
}

// placed takes in what a message's place says of it.
func (e *Entry) placed(m bus.Message) (err error) {
	var k event.DestinationKey
	switch e.Stream {
	case subject.Events:
		return nil
	case subject.Live:
		e.Outcome = outcome.Routed
		_, k, err = subject.ParseLiveData(m.Subject)
	case subject.Write:
		if k, err = subject.ParseWriteCheckpoint(m.Subject); err != nil {
			_, k, err = subject.ParseWriteData(m.Subject)
		}
		if v := m.Header[event.HeaderState]; len(v) == 1 && err == nil {
			var st phase.State
			st, err = phase.Parse(v[0])
			e.Phase = st.Phase()
		}
	case subject.DLQ:
		e.Outcome = outcome.DeadLettered
		var stage string
		stage, k, _, _, err = subject.ParseDeadLetter(m.Subject)
		e.Reason = stage
		if v := m.Header[event.HeaderReason]; len(v) == 1 {
			e.Reason += ": " + v[0]
		}
	default:
		return fmt.Errorf("%s is not read here", e.Stream)
	}
	if err == nil && k != (event.DestinationKey{}) {
		e.Destination = k.String()
	}
	return err
}

// change takes in a change, as far as it can be read.
func (e *Entry) change(m bus.Message) error {
	c, err := event.ParseChange(m.Header, m.Data)
	e.Op, e.Group, e.APIVersion, e.Resource, e.Namespace, e.Name = c.Op, c.Group, c.APIVersion, c.Resource, c.Namespace, c.Name
	e.UID, e.ResourceVersion, e.FieldManager = c.UID, c.ResourceVersion, c.FieldManager
	e.Origin, e.Run, e.Path, e.Hash = c.Origin, c.Run, c.Path, c.Hash
	for _, k := range c.To {
		e.To = append(e.To, k.String())
	}
	switch {
	case c.SealedTo != "":
		e.Sealed = true
	case err == nil && e.Stream != subject.DLQ:
		e.Manifest = string(c.Manifest)
	}
	if e.Stream == subject.Write {
		e.Outcome = outcome.Forwarded
	}
	return err
}
