package watcher

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/kubescribe/kubescribe/services/watcher/internal/capture"
	"github.com/kubescribe/kubescribe/services/watcher/internal/documents"
	"github.com/kubescribe/kubescribe/services/watcher/internal/registry"
	"github.com/kubescribe/kubescribe/shared/api/v1alpha1"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/fault"
)

// documentsWait is how long a session waits for the custom resources before it says why they
// are not there.
const documentsWait = 10 * time.Second

// errReconfigured ends a session because the configuration, or what the watcher has of it, is
// another.
var errReconfigured = errors.New("the configuration has changed")

// plan is what the documents mean.
type plan struct {
	destinations []event.Destination
	verdict      documents.Verdict // on custom resources
	changed      <-chan struct{}   // closed once a document has changed; nil: none does
}

// same reports whether nothing has to be done differently: the order of destinations says nothing.
func (p plan) same(other plan) bool {
	return maps.Equal(p.encoded(), other.encoded())
}

// encoded are the destinations by their keys, but for when they were registered.
func (p plan) encoded() map[event.DestinationKey]string {
	all := map[event.DestinationKey]string{}
	for _, d := range p.destinations {
		d.First = 0
		all[d.Key] = string(event.Encode(d))
	}
	return all
}

// maxDestination bounds what is registered of a destination: one that is larger would stand in
// the way of all, since a message of the bus holds no more than that.
const maxDestination = 512 << 10

// configured is what the documents mean for a cluster by its id. Of custom resources, one that
// is wrong stands in nobody else's way; a file was found right before.
func (c *configurer) configured(ctx context.Context, id string) (p plan, err error) {
	if c.source == nil {
		if p.destinations, err = registry.Compile(c.cfg.Documents, c.cfg.Cluster, id); err != nil {
			return p, fault.As(fault.Terminate, err)
		}
		c.withhold(p.destinations)
		return p, nil
	}
	registered, _, err := registry.Read(ctx, c.bus, c.cfg.Cluster)
	if err != nil {
		return p, err
	}
	read, err := c.read(ctx, registered)
	if err != nil {
		return p, err
	}
	all := read.Documents
	usable, refused := all.Usable(read.Unread, registry.Held(registry.Standing(registered, all, read.Unread)))
	p.changed, p.verdict = read.Changed, documents.Judge(all)
	compiled, err := registry.Compile(usable, c.cfg.Cluster, id)
	if err != nil {
		return p, err
	}
	for i := len(compiled) - 1; i >= 0; i-- {
		if size := len(event.Encode(compiled[i])); size > maxDestination {
			of := v1alpha1.Ref{Kind: v1alpha1.KindGitDestination, Namespace: compiled[i].Key.Namespace, Name: compiled[i].Key.Name}
			text := fmt.Sprintf("comes to %d KiB with all rules that refer to it, and %d are taken; write fewer rules, or exclude less in each", size>>10, maxDestination>>10)
			refused = append(refused, v1alpha1.Refused{Ref: of, Problems: v1alpha1.Problems{{Object: of.String(), Text: text}}})
			compiled = slices.Delete(compiled, i, i+1)
		}
	}
	p.verdict.Refused = refused
	p.destinations = registry.Retain(compiled, registered, refused, read.Unread, all, id)
	c.withhold(p.destinations)
	p.verdict.Withheld = map[string]event.Withheld{}
	for _, d := range p.destinations {
		ref := v1alpha1.Ref{Kind: v1alpha1.KindGitDestination, Namespace: d.Key.Namespace, Name: d.Key.Name}
		p.verdict.Withheld[ref.String()] = d.Withheld
	}
	return p, nil
}

// withhold has destinations say what they do not get of what is sensitive.
func (w *Watcher) withhold(destinations []event.Destination) {
	s := registry.Secrecy{Never: w.cfg.NoSecrets}
	if keys := w.sealing(); keys != nil {
		s.SealedTo, s.MarkedBy = keys.To.String(), keys.Key.ID()
	}
	for i, d := range destinations {
		destinations[i] = s.Withhold(d)
	}
}

// sayWithheld logs which destinations have begun to get nothing of what is sensitive.
func (c *configurer) sayWithheld(destinations []event.Destination) {
	for _, d := range destinations {
		if d.Withheld != "" && d.Withheld != c.withheld[d.Key] {
			c.log.Info("sensitive objects are not mirrored", "destination", d.Key.String(), "why", d.Withheld.Message())
		}
		c.withheld[d.Key] = d.Withheld
	}
}

// sealing is what sensitive objects are sealed with, nil if a key is missing.
func (w *Watcher) sealing() *capture.Sealing {
	if w.cfg.Recipient == nil || w.cfg.MarkKey == nil {
		return nil
	}
	return &capture.Sealing{To: w.cfg.Recipient, Key: *w.cfg.MarkKey}
}

// read is the custom resources. Where what is registered has none, and this process has only
// begun to read them, they may be about to be made again: that is awaited for a moment.
func (c *configurer) read(ctx context.Context, registered []event.Destination) (documents.Read, error) {
	for said := false; ; said = true {
		r, err := c.source.Get(ctx, documentsWait)
		if err != nil {
			return r, err
		}
		unsure, missing := c.source.Unsure(), registry.Missing(registered, r.Documents)
		if unsure == 0 || missing == "" {
			return r, nil
		}
		if !said {
			c.log.Info("a document of what is registered is not there: it may be about to be made again, and ends otherwise", "document", missing, "in", unsure.Round(time.Second).String())
		}
		select {
		case <-ctx.Done():
			return r, ctx.Err()
		case <-r.Changed:
		case <-time.After(unsure):
		}
	}
}
