package watcher

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/flowcontrol"

	"github.com/kubescribe/kubescribe/services/watcher/internal/documents"
	"github.com/kubescribe/kubescribe/services/watcher/internal/registry"
	"github.com/kubescribe/kubescribe/services/watcher/internal/unmatched"
	"github.com/kubescribe/kubescribe/services/watcher/selection"
	"github.com/kubescribe/kubescribe/shared/api/v1alpha1"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/fault"
	"github.com/kubescribe/kubescribe/shared/seal"
	"github.com/kubescribe/kubescribe/shared/secretmark"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// takeOverAfter is how long a watcher that lost its lanes leaves them to whoever
// took them, at first.
const takeOverAfter = time.Minute

// patience is how long a run waits for a type that cannot be read while the API server
// answers about others.
const patience = 2 * time.Minute

// answerWait bounds a request for one object. Nothing else would end it: the
// server, or a proxy before it, may take the connection and never say anything.
const answerWait = 30 * time.Second

// Config says what is watched.
type Config struct {
	Cluster   string              // the name people give it
	Documents *v1alpha1.Documents // nil: the custom resources of the cluster
	REST      *rest.Config        // its Host is printed: as LoadREST makes it, without a password
	Owner     string              // who this is, for those who look at a lane's fence
	// Recipient is the git-writer, to whom the Secrets of remotes are sealed, and those that are
	// mirrored; nil: no remote's is read, and none is mirrored.
	Recipient *seal.Recipient
	// MarkKey marks what is mirrored of Secrets; nil: none is.
	MarkKey *secretmark.Key
	// NoSecrets is whether Secrets are not mirrored, whatever documents say.
	NoSecrets bool
	// Skip is whether a Secret, cluster/namespace/name, is not read either; nil: none is
	// skipped.
	Skip func(secret string) bool
}

// Deps is what a watcher works with.
type Deps struct {
	Bus     *bus.Bus
	Log     *slog.Logger
	Metrics prometheus.Registerer
}

// Watcher is the role. Make it with [New].
type Watcher struct {
	// Patience is how long a run waits for a type that cannot be read while the API server
	// answers about others; no other run waits for it again. Set before Run.
	Patience time.Duration

	cfg           Config
	bus           *bus.Bus
	log           *slog.Logger
	dynamic       dynamic.Interface
	discovery     discovery.DiscoveryInterfaceWithContext
	metadata      metadata.Interface
	client        kubernetes.Interface
	bookmarks     *bus.Bucket[event.Bookmark]
	phases        *bus.Bucket[event.PhaseRecord]
	statuses      *bus.Bucket[event.Status]
	credentials   *bus.Bucket[event.Credential]
	source        *documents.Source                       // nil: the documents are given
	patterns      unmatched.Patterns                      // of the rules
	refused       map[string]bool                         // what was said of documents; the follower's of the session alone
	withheld      map[event.DestinationKey]event.Withheld // as it was said last; Run's
	events        *prometheus.CounterVec
	freezes       *prometheus.CounterVec
	entries       prometheus.Counter
	contentsOf    *prometheus.CounterVec
	interruptions prometheus.Counter
	said          string // what was last logged as wrong; Run's

	mu      sync.Mutex
	why     error             // why nothing is captured; nil once a session works; guarded by mu
	session *session          // guarded by mu
	verdict documents.Verdict // on the documents, of the session; guarded by mu
}

// New makes a watcher of one cluster. It does not talk to the API server yet.
func New(ctx context.Context, cfg Config, d Deps) (*Watcher, error) {
	w := &Watcher{Patience: patience, cfg: cfg, bus: d.Bus, log: d.Log.With("role", "watcher"), why: errors.New("starting"), withheld: map[event.DestinationKey]event.Withheld{}}
	rc := clientOf(cfg.REST)
	var err error
	if w.dynamic, err = dynamic.NewForConfig(rc); err != nil {
		return nil, fmt.Errorf("reading the kubeconfig: %w", err)
	}
	if w.metadata, err = metadata.NewForConfig(rc); err != nil {
		return nil, fmt.Errorf("reading the kubeconfig: %w", err)
	}
	client, err := kubernetes.NewForConfig(rc)
	if err != nil {
		return nil, fmt.Errorf("reading the kubeconfig: %w", err)
	}
	w.client = client
	if cfg.Documents == nil {
		if w.source, err = documents.New(w.dynamic, w.log); err != nil {
			return nil, err
		}
	}
	if w.discovery, err = discovery.NewDiscoveryClientForConfig(rc); err != nil {
		return nil, fmt.Errorf("reading the kubeconfig: %w", err)
	}
	if w.bookmarks, err = bus.OpenBucket[event.Bookmark](ctx, d.Bus, subject.BucketCursor); err != nil {
		return nil, err
	}
	if w.phases, err = bus.OpenBucket[event.PhaseRecord](ctx, d.Bus, subject.BucketPhase); err != nil {
		return nil, err
	}
	if w.statuses, err = bus.OpenBucket[event.Status](ctx, d.Bus, subject.BucketStatus); err != nil {
		return nil, err
	}
	if w.credentials, err = bus.OpenBucket[event.Credential](ctx, d.Bus, subject.BucketCredential); err != nil {
		return nil, err
	}
	w.freezes = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "kubescribe_watcher_freezes_total",
		Help: "Requests for the state of a lane, by what became of them: answered, or failed for another attempt.",
	}, []string{"outcome"})
	w.entries = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "kubescribe_watcher_entries_total", Help: "Objects in the states of lanes that were answered.",
	})
	w.contentsOf = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "kubescribe_watcher_contents_total",
		Help: "Contents that runs asked for, by what became of them: answered, skipped because the object is not as it was, or left to another run because there was no room.",
	}, []string{"outcome"})
	w.events = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "kubescribe_watcher_events_total",
		Help: "Versions seen, by what became of them: published, duplicate, unwanted or dead_lettered.",
	}, []string{"outcome"})
	w.interruptions = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "kubescribe_watcher_interruptions_total", Help: "How often types that were watched, or all of the cluster, could not be watched any more.",
	})
	up := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "kubescribe_watcher_up", Help: "1 while every type that may be watched is.",
	}, func() float64 {
		if w.Ready() == nil {
			return 1
		}
		return 0
	})
	d.Metrics.MustRegister(w.events, w.freezes, w.entries, w.contentsOf, w.interruptions, up,
		w.types("watched", func(watched, _, _ int) int { return watched }),
		w.types("waiting", func(_, waiting, _ int) int { return waiting }),
		w.types("forbidden", func(_, _, forbidden int) int { return forbidden }))
	return w, nil
}

// clientOf is how the API server is asked. As often as there is something to ask:
// whoever asks waits for the answer before asking again, and the API server has
// priorities of its own. client-go's 5 a second would take half a minute to look at
// sixty types, and minutes to read the thousand objects that a run may want. Where a rate is
// asked for, all clients that are made of it keep it together.
func clientOf(rc *rest.Config) *rest.Config {
	rc = rest.CopyConfig(rc)
	switch {
	case rc.QPS == 0:
		rc.QPS = -1
	case rc.QPS > 0 && rc.RateLimiter == nil:
		rc.RateLimiter = flowcontrol.NewTokenBucketRateLimiter(rc.QPS, max(rc.Burst, 1))
	}
	rc.WarningHandler = rest.NoWarnings{} // about types that are old, at each look at them
	rc.UserAgent = rest.DefaultKubernetesUserAgent() + " kubescribe"
	return rc
}

// types is the metric of how many types stand in one way.
func (w *Watcher) types(state string, of func(watched, waiting, forbidden int) int) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "kubescribe_watcher_types", Help: "Types that are selected and served, by state: watched, waiting (being retried) or forbidden (left out).",
		ConstLabels: prometheus.Labels{"state": state},
	}, func() float64 {
		w.mu.Lock()
		s := w.session
		w.mu.Unlock()
		if s == nil {
			return 0
		}
		return float64(of(s.states()))
	})
}

// Run captures until ctx ends, then stores where it stands and returns nil.
// Whatever goes wrong, it begins a new session: the lanes tell it where to go on.
func (w *Watcher) Run(ctx context.Context) error {
	if w.source != nil {
		var followed sync.WaitGroup
		defer followed.Wait()
		followed.Go(func() { w.source.Run(ctx) })
		followed.Go(func() { w.reportDocuments(ctx) })
	}
	backoff := fault.Backoff{Max: 5 * time.Second}
	// Another watcher of this cluster is at work. Taking the lanes back at once
	// would only make both begin their lists again and again.
	yield := fault.Backoff{Min: takeOverAfter, Max: 10 * takeOverAfter}
	for ctx.Err() == nil {
		begun := time.Now()
		err := w.capture(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if fault.ClassOf(err) == fault.Terminate {
			return err
		}
		w.setSession(nil, err)
		if errors.Is(err, errReconfigured) {
			backoff.Reset()
			continue
		}
		w.interruptions.Inc()
		if said := fault.Gist(err); said != w.said {
			w.said = said // once; /readyz goes on saying it
			w.log.Warn("the cluster is not being watched, retrying", "err", err)
		}
		if lasted := time.Since(begun); lasted > takeOverAfter {
			backoff.Reset()
			if lasted > 10*takeOverAfter {
				yield.Reset()
			}
		}
		wait := backoff.Next()
		if errors.Is(err, bus.ErrFenced) {
			wait = yield.Next()
		}
		_ = fault.Wait(ctx, wait)
	}
	return nil
}

// Ready is nil while all types that may be watched are being watched.
func (w *Watcher) Ready() error {
	w.mu.Lock()
	s, why := w.session, w.why
	w.mu.Unlock()
	if s == nil {
		return why
	}
	return s.ready()
}

// Registered is the newest revision among the destinations that this watcher was
// configured with; 0 until it has registered them.
func (w *Watcher) Registered() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.session == nil {
		return 0
	}
	return w.session.newest
}

func (w *Watcher) setSession(s *session, why error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.session, w.why = s, why
	if s == nil {
		w.verdict = documents.Verdict{}
	}
}

// capture is one session: it registers the destinations, takes the lanes and
// works until ctx ends or it has lost a lane.
func (w *Watcher) capture(ctx context.Context) error {
	id, err := w.clusterID(ctx)
	if err != nil {
		return err
	}
	plan, err := w.configured(ctx, id)
	if err != nil {
		return err
	}
	destinations := plan.destinations
	w.sayWithheld(destinations)
	synced, err := registry.Sync(ctx, w.bus, w.cfg.Cluster, destinations, w.source != nil)
	if errors.Is(err, registry.ErrMoved) {
		return fault.As(fault.Terminate, err)
	}
	if err != nil {
		return err
	}
	selector, err := selection.New(destinations)
	if err != nil {
		return err
	}
	if err := w.patterns.Follow(destinations); err != nil {
		return err
	}
	s := newSession(w, id, destinations, selector, synced)
	for part := range s.lanes {
		if s.lanes[part], err = w.bus.TakeLane(ctx, part, w.cfg.Cluster, w.cfg.Owner); err != nil {
			return err
		}
	}
	// Another watcher may have come in between, removed a destination and registered it
	// again, and stored the MARK of its first run: what was published behind it under the
	// revision from before would be left out by all. From here on it is fenced.
	if s.registered, err = registry.Confirm(ctx, w.bus, w.cfg.Cluster, synced); err != nil {
		return err
	}
	for part := range subject.Parts {
		s.requests = append(s.requests, &bus.Responder{
			Bus: w.bus, Sole: true, Consumer: subject.ConsumerClusterState(w.cfg.Cluster, part), Filter: subject.CtlClusterStates(w.cfg.Cluster, part),
			Handle: s.answerState, Log: w.log,
		}, &bus.Responder{
			Bus: w.bus, Sole: true, Consumer: subject.ConsumerResources(w.cfg.Cluster, part), Filter: subject.CtlResourcesOf(w.cfg.Cluster, part),
			Handle: s.answerResources, Log: w.log,
		})
	}
	if err := s.recall(ctx); err != nil {
		return err
	}
	w.setSession(s, nil)
	w.said = ""
	sctx, cancel := context.WithCancelCause(ctx)
	var follows sync.WaitGroup
	defer follows.Wait()
	defer cancel(nil)
	if w.source != nil {
		follows.Go(func() { cancel(w.reconfigured(sctx, id, plan)) })
	}
	return s.run(sctx)
}

// checkNamespaces says which of the namespaces that are asked for do not exist:
// a mistyped one would be followed in silence.
func (w *Watcher) checkNamespaces(ctx context.Context, destinations []event.Destination) {
	for _, d := range destinations {
		for _, r := range d.Rules {
			for _, ns := range r.Namespaces {
				if _, err := w.namespace(ctx, ns); apierrors.IsNotFound(err) {
					w.log.Warn("the namespace does not exist yet: it is mirrored once it does", "namespace", ns, "destination", d.Key.String())
				}
			}
		}
	}
}

// clusterID is the uid of the namespace kube-system: it stays while the cluster
// lives, whatever name, address or certificate it goes by.
func (w *Watcher) clusterID(ctx context.Context) (string, error) {
	uid, err := w.namespace(ctx, "kube-system")
	if err != nil {
		remedy := ""
		switch {
		case apierrors.IsForbidden(err):
			remedy = "; grant get on it (the README's section Rights has the role)"
		case apierrors.IsUnauthorized(err):
			remedy = "; the kubeconfig's credentials are not valid, or not any more: log in again"
		}
		return "", fmt.Errorf("reading the namespace kube-system of %s, whose uid identifies the cluster: %w%s", w.cfg.REST.Host, err, remedy)
	}
	return string(uid), nil
}

// namespace is the uid of a namespace.
func (w *Watcher) namespace(ctx context.Context, name string) (types.UID, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	ns, err := w.client.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	return ns.UID, nil
}
