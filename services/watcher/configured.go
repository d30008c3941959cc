package watcher

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/record"

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

// errReconfigured ends a session because the custom resources mean something else.
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
func (w *Watcher) configured(ctx context.Context, id string) (p plan, err error) {
	if w.source == nil {
		if p.destinations, err = registry.Compile(w.cfg.Documents, w.cfg.Cluster, id); err != nil {
			return p, fault.As(fault.Terminate, err)
		}
		w.withhold(p.destinations)
		return p, nil
	}
	registered, err := registry.Registered(ctx, w.bus, w.cfg.Cluster)
	if err != nil {
		return p, err
	}
	read, err := w.read(ctx, registered)
	if err != nil {
		return p, err
	}
	all := read.Documents
	usable, refused := all.Usable(read.Unread, registry.Held(registry.Standing(registered, all, read.Unread)))
	p.changed, p.verdict = read.Changed, documents.Judge(all)
	compiled, err := registry.Compile(usable, w.cfg.Cluster, id)
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
	w.withhold(p.destinations)
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
func (w *Watcher) sayWithheld(destinations []event.Destination) {
	for _, d := range destinations {
		if d.Withheld != "" && d.Withheld != w.withheld[d.Key] {
			w.log.Info("sensitive objects are not mirrored", "destination", d.Key.String(), "why", d.Withheld.Message())
		}
		w.withheld[d.Key] = d.Withheld
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
func (w *Watcher) read(ctx context.Context, registered []event.Destination) (documents.Read, error) {
	for said := false; ; said = true {
		r, err := w.source.Get(ctx, documentsWait)
		if err != nil {
			return r, err
		}
		unsure, missing := w.source.Unsure(), registry.Missing(registered, r.Documents)
		if unsure == 0 || missing == "" {
			return r, nil
		}
		if !said {
			w.log.Info("a document of what is registered is not there: it may be about to be made again, and ends otherwise", "document", missing, "in", unsure.Round(time.Second).String())
		}
		select {
		case <-ctx.Done():
			return r, ctx.Err()
		case <-r.Changed:
		case <-time.After(unsure):
		}
	}
}

// leastSession is how long a session lasts before another configuration ends it: documents that
// change all the time leave time to capture.
const leastSession = 3 * time.Second

// reconfigured returns once the documents mean something else than a session goes by, or ctx
// has ended.
func (w *Watcher) reconfigured(ctx context.Context, id string, by plan) error {
	begun := time.Now()
	w.judged(by.verdict)
	for changed := by.changed; ; {
		if err := w.source.Settled(ctx, changed); err != nil {
			return err
		}
		now, err := w.configured(ctx, id)
		if err != nil || !now.same(by) {
			_ = fault.Wait(ctx, leastSession-time.Since(begun)) // who ends the session sees how ctx is
			w.log.Info("the configuration has changed")
			return errReconfigured // which finds out what is wrong, if anything
		}
		w.judged(now.verdict)
		changed = now.changed
	}
}

// judged has the statuses of the documents say what has come of them, and the log what is wrong,
// each once.
func (w *Watcher) judged(v documents.Verdict) {
	w.mu.Lock()
	w.verdict = v
	w.mu.Unlock()
	said := map[string]bool{}
	for _, r := range v.Refused {
		text := r.Problems.Error()
		said[text] = true
		if !w.refused[text] {
			w.log.Warn("a document is not taken; what it meant before stays", "document", r.String(), "err", text)
		}
	}
	w.refused = said
}

// reportDocuments has the statuses of the custom resources say what becomes of them, until ctx ends.
func (w *Watcher) reportDocuments(ctx context.Context) {
	events := record.NewBroadcaster(record.WithContext(ctx))
	defer events.Shutdown()
	events.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: w.client.CoreV1().Events("")})
	r := documents.Reporter{
		Source: w.source, Client: w.dynamic, Cluster: w.cfg.Cluster, Phases: w.phases, Statuses: w.statuses,
		Events: events.NewRecorder(runtime.NewScheme(), corev1.EventSource{Component: "kubescribe"}), Log: w.log,
	}
	r.Run(ctx, func() documents.Verdict {
		w.mu.Lock()
		verdict, s := w.verdict, w.session
		w.mu.Unlock()
		if s == nil {
			return verdict
		}
		var ok bool
		if verdict.Unmatched, ok = s.remarks(); !ok {
			return documents.Verdict{} // a session that begins would take back what the one before has said
		}
		return verdict
	})
}
