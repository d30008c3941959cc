package gitwriter

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kubescribe/kubescribe/services/git-writer/internal/branch"
	"github.com/kubescribe/kubescribe/services/git-writer/internal/repo"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// slowPush is after how long a push that has not ended is worth a person's eye.
const slowPush = 30 * time.Second

// Config says where caches are kept, what opens remotes and what signs commits.
type Config struct {
	CacheDir    string // may be deleted at any time: losing it costs a fetch
	Credentials Credentials
	Signing     Signing
}

// Flags declares the flags; what is set is the default.
func (c *Config) Flags(fs *flag.FlagSet) {
	fs.StringVar(&c.Credentials.Dir, "git-credentials", c.Credentials.Dir, "`directory` of the Secrets that remotes name, with cluster/namespace/name/key; else $KUBESCRIBE_GIT_CREDENTIALS_DIR")
	fs.StringVar(&c.Credentials.Identity, "credentials-identity", c.Credentials.Identity, "`file` with the private key (age-keygen -o FILE) that the watcher seals Secrets to: others that remotes name, and those that are mirrored; else $KUBESCRIBE_CREDENTIALS_IDENTITY_FILE")
	fs.StringVar(&c.CacheDir, "cache-dir", c.CacheDir, "`directory` of the caches of remotes")
}

// DefaultCacheDir is in the user's own cache directory; "" if there is none.
func DefaultCacheDir() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "kubescribe", "git-writer")
}

// Validate finds what is wrong with a configuration before anything is started.
func (c Config) Validate() error {
	if c.CacheDir == "" {
		return errors.New("--cache-dir is needed here: neither $XDG_CACHE_HOME nor $HOME is set")
	}
	return errors.Join(c.Credentials.Validate(), c.Signing.Validate())
}

// Deps is what a writer works with.
type Deps struct {
	Bus     *bus.Bus
	Log     *slog.Logger
	Metrics prometheus.Registerer
	Now     func() time.Time // by which held versions wait for their turn; nil: the machine's clock
	// Replica is its name among those with which it shares the branches; "": it writes to all of
	// them, whoever else does.
	Replica string
}

// Snapshot is what a person wants to know of a branch right now.
type Snapshot = branch.Snapshot

// Writer is the role. Make it with [New].
type Writer struct {
	opener   opener
	signer   *signer
	bus      *bus.Bus
	log      *slog.Logger
	metrics  *branch.Metrics
	now      func() time.Time
	registry *bus.Registry
	leases   *bus.Leases // of writer shards
	hints    *bus.Bucket[event.Hint]
	statuses *bus.Bucket[event.Status]
	phases   *bus.Bucket[event.PhaseRecord]
	sealed   *bus.Bucket[event.Credential]

	mu      sync.Mutex
	workers map[string]*running     // by branch key; guarded by mu
	paces   map[string]*branch.Pace // by remote; guarded by mu
}

type running struct {
	*branch.Worker
	cancel context.CancelFunc
	done   chan struct{}
}

// New makes a writer, with credentials and a key that are valid. It talks to
// no remote yet.
func New(ctx context.Context, cfg Config, d Deps) (*Writer, error) {
	w := &Writer{
		signer: &signer{Signing: cfg.Signing}, bus: d.Bus, log: d.Log.With("role", "git-writer"), metrics: branch.NewMetrics(d.Metrics), now: d.Now,
		registry: bus.NewRegistry(), workers: map[string]*running{}, paces: map[string]*branch.Pace{},
	}
	if w.now == nil {
		w.now = time.Now
	}
	w.leases = &bus.Leases{Bus: d.Bus, Role: subject.LeaseGitWriter, Shards: subject.WriteShards, Owner: d.Replica, Log: w.log}
	var err error
	if w.hints, err = bus.OpenBucket[event.Hint](ctx, d.Bus, subject.BucketCursor); err != nil {
		return nil, err
	}
	if w.statuses, err = bus.OpenBucket[event.Status](ctx, d.Bus, subject.BucketStatus); err != nil {
		return nil, err
	}
	if w.phases, err = bus.OpenBucket[event.PhaseRecord](ctx, d.Bus, subject.BucketPhase); err != nil {
		return nil, err
	}
	if w.sealed, err = bus.OpenBucket[event.Credential](ctx, d.Bus, subject.BucketCredential); err != nil {
		return nil, err
	}
	w.opener = opener{cfg, w.sealed, sealedWait}
	return w, nil
}

// Run writes until ctx ends, then brings what it has built to the remotes and
// returns nil.
func (w *Writer) Run(ctx context.Context) error {
	rctx, cancel := context.WithCancel(context.WithoutCancel(ctx)) // the last push may still need the registry
	var followed sync.WaitGroup
	followed.Go(func() {
		_ = w.registry.Run(rctx, w.bus, w.log) // returns only with its context, without error
	})
	if w.opener.Credentials.Identity != "" {
		followed.Go(func() { w.followSealed(rctx) })
	}
	defer func() { cancel(); followed.Wait() }()
	return w.leases.Run(ctx, w.write)
}

// write keeps a worker on each branch of a shard until ctx ends, and until what they have
// built is on the remotes.
func (w *Writer) write(ctx context.Context, shard int) error {
	if w.registry.Wait(ctx, 0) != nil {
		return nil
	}
	for {
		all, changed := w.registry.All()
		w.adjust(ctx, shard, all)
		select {
		case <-ctx.Done():
			w.adjust(ctx, shard, nil)
			return nil
		case <-changed:
		}
	}
}

// adjust keeps a worker on each branch of a shard that destinations point to, by the URL
// they write it with, and by their credentials.
func (w *Writer) adjust(ctx context.Context, shard int, all map[event.DestinationKey]bus.Registered) {
	want := branches(all)
	maps.DeleteFunc(want, func(key string, _ event.Destination) bool { return subject.WriteShard(key) != shard })
	w.mu.Lock()
	var leaving []*running
	for key, r := range w.workers {
		if subject.WriteShard(key) != shard {
			continue
		}
		d, ok := want[key]
		if ok && d.URL == r.URL && d.Credentials == r.Credentials {
			delete(want, key)
			continue
		}
		r.cancel()
		leaving = append(leaving, r)
		if !ok {
			delete(w.workers, key)
		}
	}
	for key, d := range want {
		w.workers[key] = w.start(ctx, d, w.workers[key])
	}
	w.mu.Unlock()
	for _, r := range leaving {
		<-r.done
	}
}

// branches are those that destinations point to, by key. One URL may be written
// in more ways than one, and opened by more than one Secret: those of the destination
// that was registered first count, as long as it stays.
func branches(all map[event.DestinationKey]bus.Registered) map[string]event.Destination {
	first := map[string]bus.Registered{}
	for _, d := range all {
		if other, ok := first[d.BranchKey]; !ok || branch.Before(d, other) {
			first[d.BranchKey] = d
		}
	}
	found := map[string]event.Destination{}
	for key, d := range first {
		found[key] = d.Destination
	}
	return found
}

// pace is that of a remote, however its URL is written, with mu held. It outlives workers:
// one that begins anew does not push too soon.
func (w *Writer) pace(url string) *branch.Pace {
	remote := repo.Remote(url)
	p := w.paces[remote]
	if p == nil {
		p = &branch.Pace{}
		w.paces[remote] = p
	}
	return p
}

// start starts the worker of a branch, once the one before it, if any, has given
// the cache back. mu is held.
func (w *Writer) start(ctx context.Context, d event.Destination, before *running) *running {
	ctx, cancel := context.WithCancel(ctx)
	r := &running{cancel: cancel, done: make(chan struct{})}
	r.Worker = branch.New(branch.Config{
		BranchKey: d.BranchKey, URL: d.URL, Branch: d.Branch, CacheDir: filepath.Join(w.opener.CacheDir, d.BranchKey),
		Credentials: d.Credentials, Auth: w.auth(d), Identities: w.opener.identities, Sign: w.signer.sign, Pace: w.pace(d.URL), Bus: w.bus, Registry: w.registry, Hints: w.hints, Statuses: w.statuses, Phases: w.phases,
		Log: w.log, Metrics: w.metrics, Now: w.now,
	})
	go func() {
		defer close(r.done)
		defer cancel()
		if before != nil {
			<-before.done
		}
		_ = r.Run(ctx) // returns only with its context, without error
	}()
	return r
}

// auth says what a session with a destination's remote is opened with. Secrets name their
// remotes as they are configured.
func (w *Writer) auth(d event.Destination) func(context.Context) (repo.Access, error) {
	return func(ctx context.Context) (repo.Access, error) {
		all, _ := w.registry.All()
		return w.opener.access(ctx, all, d.URL, d.Credentials)
	}
}

// Ready is nil while every branch moves.
func (w *Writer) Ready() error {
	errs := []error{w.registry.Ready(), w.leases.Ready()}
	for _, s := range w.Snapshots() {
		if s.Why != nil {
			errs = append(errs, fmt.Errorf("branch %s of %s: %w", s.Branch, s.URL, s.Why))
		}
		errs = append(errs, slow(s, time.Now()))
		for _, r := range s.Refused {
			errs = append(errs, r.Why)
		}
	}
	return errors.Join(errs...)
}

// slow says that a push takes long.
func slow(s Snapshot, now time.Time) error {
	if took := now.Sub(s.Pushing); !s.Pushing.IsZero() && took > slowPush {
		return fmt.Errorf("branch %s of %s: a push has not ended after %s", s.Branch, s.URL, took.Round(time.Second))
	}
	return nil
}

// Snapshots is how things stand on each branch, sorted.
func (w *Writer) Snapshots() []Snapshot {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []Snapshot
	for _, r := range w.workers {
		all = append(all, r.Snapshot())
	}
	slices.SortFunc(all, func(a, b Snapshot) int { return strings.Compare(a.URL+" "+a.Branch, b.URL+" "+b.Branch) })
	return all
}
