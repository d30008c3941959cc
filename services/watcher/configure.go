package watcher

import (
	"context"
	"errors"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/record"

	"github.com/kubescribe/kubescribe/services/watcher/internal/documents"
	"github.com/kubescribe/kubescribe/services/watcher/internal/registry"
	"github.com/kubescribe/kubescribe/services/watcher/internal/sealing"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/fault"
)

// leastConfiguration is how long a configuration lasts before another one ends it: documents that
// change all the time leave time to capture.
const leastConfiguration = 3 * time.Second

// configurer has the configuration of a cluster: it registers what the documents mean, seals what
// opens their remotes, and reports on them. Of the watchers of a cluster one does. What another one
// writes into the registry, who stood still and has not heard yet, it writes over.
type configurer struct {
	*Watcher
	source   *documents.Source                       // nil: the documents are given
	refused  map[string]bool                         // what was said of documents
	withheld map[event.DestinationKey]event.Withheld // as it was said last

	vmu     sync.Mutex
	verdict documents.Verdict // on the documents; guarded by vmu
}

// configure follows the documents until ctx ends. An error is one that no retry can mend.
func (w *Watcher) configure(ctx context.Context) error {
	c := &configurer{Watcher: w, withheld: map[event.DestinationKey]event.Withheld{}}
	w.holding.configure(true)
	defer w.holding.configure(false)
	defer w.setWaits(errStarting)
	var followed sync.WaitGroup
	defer followed.Wait()
	ctx, cancel := context.WithCancel(ctx) // an error ends those who follow, too
	defer cancel()
	if w.cfg.Documents == nil {
		source, err := documents.New(w.dynamic, w.log)
		if err != nil {
			return fault.As(fault.Terminate, err)
		}
		c.source = source
		followed.Go(func() { source.Run(ctx) })
		followed.Go(func() { c.report(ctx) })
	}
	backoff := fault.Backoff{Max: 5 * time.Second}
	said := "" // what was last logged as wrong
	for {
		begun := time.Now()
		err := c.follow(ctx, func() { said = "" })
		if time.Since(begun) > takeOverAfter {
			backoff.Reset()
		}
		wait := backoff.Next()
		switch {
		case ctx.Err() != nil:
			return nil
		case fault.ClassOf(err) == fault.Terminate:
			return err
		case errors.Is(err, errReconfigured):
			backoff.Reset()
			continue
		case errors.Is(err, registry.ErrWritten):
			w.log.Info("another watcher has written the registry, writing it anew")
		default:
			w.interruptions.Inc()
			w.setWaits(err)
			if gist := fault.Gist(err); gist != said {
				said = gist // once; /readyz goes on saying it
				w.log.Warn("the configuration is not being followed, retrying", "err", err)
			}
		}
		_ = fault.Wait(ctx, wait) // the loop sees how ctx is
	}
}

func (w *Watcher) setWaits(why error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waits = why
}

// follow registers what the documents mean, and follows them until they mean something
// else, somebody else has written the registry, or ctx ends.
func (c *configurer) follow(ctx context.Context, works func()) error {
	id, err := c.clusterID(ctx)
	if err != nil {
		return err
	}
	p, err := c.configured(ctx, id)
	if err != nil {
		return err
	}
	c.sayWithheld(p.destinations)
	synced, at, err := c.register(ctx, p)
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.registered, c.waits = synced.Newest, nil
	c.mu.Unlock()
	works()
	ctx, cancel := context.WithCancelCause(ctx)
	var beside sync.WaitGroup
	defer beside.Wait()
	defer cancel(nil)
	beside.Go(func() {
		sealing.Run(ctx, sealing.Config{
			Cluster: c.cfg.Cluster, Destinations: p.destinations, Recipient: c.cfg.Recipient, Skip: c.cfg.Skip,
			Secrets: c.client.CoreV1(), Store: c.credentials, Log: c.log,
		})
	})
	beside.Go(func() { c.checkNamespaces(ctx, p.destinations) })
	beside.Go(func() {
		if c.otherThan(ctx, synced, at) == nil {
			cancel(registry.ErrWritten)
		}
	})
	if c.source != nil {
		beside.Go(func() { cancel(c.reconfigured(ctx, id, p)) })
	}
	<-ctx.Done()
	return context.Cause(ctx)
}

// register makes the registry say what the documents mean, and returns a revision at which it
// does. Where that is something else than it said, our session ends first: it would be asked for runs of
// what it does not know.
//
// A crash in between leaves some of it, for the next one to complete.
func (c *configurer) register(ctx context.Context, p plan) (synced registry.Synced, at uint64, err error) {
	standing, _, err := registry.Read(ctx, c.bus, c.cfg.Cluster)
	if err != nil {
		return synced, 0, err
	}
	if !p.same(plan{destinations: standing}) {
		c.holding.register(false)
		if err := c.holding.idle(ctx); err != nil {
			return synced, 0, err
		}
	}
	synced, err = registry.Sync(ctx, c.bus, c.cfg.Cluster, p.destinations, c.source != nil)
	if errors.Is(err, registry.ErrMoved) {
		return synced, 0, fault.As(fault.Terminate, err)
	}
	if err == nil {
		at, err = registry.Confirm(ctx, c.bus, c.cfg.Cluster, synced)
	}
	if err != nil {
		return synced, 0, err
	}
	c.holding.register(true)
	return synced, at, nil
}

// reconfigured returns once the documents mean something else than is registered, or ctx
// has ended.
func (c *configurer) reconfigured(ctx context.Context, id string, by plan) error {
	begun := time.Now()
	c.judged(by.verdict)
	for changed := by.changed; ; {
		if err := c.source.Settled(ctx, changed); err != nil {
			return err
		}
		now, err := c.configured(ctx, id)
		if err != nil || !now.same(by) {
			_ = fault.Wait(ctx, leastConfiguration-time.Since(begun)) // who follows sees how ctx is
			c.log.Info("the configuration has changed")
			return errReconfigured // which finds out what is wrong, if anything
		}
		c.judged(now.verdict)
		changed = now.changed
	}
}

// judged has the statuses of the documents say what has come of them, and the log what is wrong,
// each once.
func (c *configurer) judged(v documents.Verdict) {
	c.vmu.Lock()
	c.verdict = v
	c.vmu.Unlock()
	said := map[string]bool{}
	for _, r := range v.Refused {
		text := r.Problems.Error()
		said[text] = true
		if !c.refused[text] {
			c.log.Warn("a document is not taken; what it meant before stays", "document", r.String(), "err", text)
		}
	}
	c.refused = said
}

// report has the statuses of the custom resources say what becomes of them, until ctx ends.
func (c *configurer) report(ctx context.Context) {
	events := record.NewBroadcaster(record.WithContext(ctx))
	defer events.Shutdown()
	events.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: c.client.CoreV1().Events("")})
	r := documents.Reporter{
		Source: c.source, Client: c.dynamic, Cluster: c.cfg.Cluster, Phases: c.phases, Statuses: c.statuses, Lags: c.lags,
		Events: events.NewRecorder(runtime.NewScheme(), corev1.EventSource{Component: "kubescribe"}), Log: c.log,
	}
	r.Run(ctx, c.reported)
}

// reported is the verdict with what rules select nothing by, as far as that is known.
func (c *configurer) reported() documents.Verdict {
	c.vmu.Lock()
	verdict := c.verdict
	c.vmu.Unlock()
	c.mu.Lock()
	s := c.session
	c.mu.Unlock()
	known := false
	if s != nil {
		verdict.Unmatched, known = s.remarks()
	}
	if !known && c.holding.any() {
		return documents.Verdict{} // a session that begins would take back what the one before has said
	}
	return verdict
}
