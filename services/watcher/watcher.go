package watcher

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
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

	"github.com/kubescribe/kubescribe/services/watcher/internal/unmatched"
	"github.com/kubescribe/kubescribe/shared/api/v1alpha1"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/seal"
	"github.com/kubescribe/kubescribe/shared/secretmark"
	"github.com/kubescribe/kubescribe/shared/subject"
)

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

var errStarting = errors.New("starting")

// Deps is what a watcher works with.
type Deps struct {
	Bus     *bus.Bus
	Log     *slog.Logger
	Metrics prometheus.Registerer
	// Replica is its name among the watchers of its cluster, with which it shares the lanes and
	// the configuration; "": it has all of them, and takes them from whoever else does.
	Replica string
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
	lags          *bus.Bucket[event.Lag]
	credentials   *bus.Bucket[event.Credential]
	registry      *bus.Registry
	leases        *bus.Leases
	alone         bool // it shares with nobody
	holding       *holding
	patterns      unmatched.Patterns // of the rules
	events        *prometheus.CounterVec
	freezes       *prometheus.CounterVec
	entries       prometheus.Counter
	contentsOf    *prometheus.CounterVec
	interruptions prometheus.Counter

	mu         sync.Mutex
	registered uint64   // the newest revision among the destinations that it registered; guarded by mu
	waits      error    // why the configuration is not followed, where that is this watcher's; guarded by mu
	why        error    // why nothing is captured; nil once a session works; guarded by mu
	session    *session // guarded by mu
}

// New makes a watcher of one cluster. It does not talk to the API server yet.
func New(ctx context.Context, cfg Config, d Deps) (*Watcher, error) {
	w := &Watcher{Patience: patience, cfg: cfg, bus: d.Bus, log: d.Log.With("role", "watcher"), why: errStarting, waits: errStarting, registry: bus.NewRegistry(), alone: d.Replica == "", holding: newHolding(d.Replica == "")}
	w.leases = &bus.Leases{Bus: d.Bus, Role: subject.LeaseWatcher(cfg.Cluster), Shards: shards, Owner: d.Replica, Log: w.log}
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
	if w.lags, err = bus.OpenBucket[event.Lag](ctx, d.Bus, subject.BucketLag); err != nil {
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

// Run does its part until ctx ends, then stores where it stands and returns nil.
// Whatever goes wrong, it begins a new session: the lanes tell it where to go on.
func (w *Watcher) Run(ctx context.Context) error {
	sctx, cancel := context.WithCancel(context.WithoutCancel(ctx)) // lanes are given back once sessions have ended
	var beside sync.WaitGroup
	beside.Go(func() { _ = w.registry.Run(sctx, w.bus, w.log) }) // returns only with its context, without error
	beside.Go(func() { w.captureAll(sctx) })
	err := w.leases.Run(ctx, w.share)
	cancel()
	beside.Wait()
	return err
}

// Ready is nil while all types that may be watched are being watched, and the documents are
// followed, as far as that is this watcher's part.
func (w *Watcher) Ready() error {
	held := w.leases.Held()
	w.mu.Lock()
	s, why, waits := w.session, w.why, w.waits
	w.mu.Unlock()
	if waits != nil && (w.alone || slices.Contains(held, configurationShard)) {
		return errors.Join(w.leases.Ready(), waits)
	}
	switch {
	case s != nil:
		why = s.ready()
	case !w.alone && !slices.ContainsFunc(held, func(shard int) bool { return shard < configurationShard }):
		why = nil // others capture
	}
	return errors.Join(w.leases.Ready(), why)
}

// Registered is the newest revision among the destinations that this watcher has
// registered; 0 until it has.
func (w *Watcher) Registered() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.registered
}

func (w *Watcher) setSession(s *session, why error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.session, w.why = s, why
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
