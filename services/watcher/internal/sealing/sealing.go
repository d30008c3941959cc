package sealing

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/watch"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/fault"
	"github.com/kubescribe/kubescribe/shared/seal"
)

const (
	// watchLength is how long one watch of a Secret is asked for: it is read anew then.
	watchLength = 10 * time.Minute
	// answerWait bounds a request that nothing else would end.
	answerWait = 30 * time.Second
	// retryWait is the longest that lies between two attempts.
	retryWait = 30 * time.Second
)

// Config says what is sealed, and to whom.
type Config struct {
	Cluster      string
	Destinations []event.Destination
	Recipient    *seal.Recipient          // nil: nothing is sealed, and no Secret is read
	Skip         func(secret string) bool // whether one, cluster/namespace/name, is not to be; nil: all are
	Secrets      typedcorev1.SecretsGetter
	Store        *bus.Bucket[event.Credential]
	Log          *slog.Logger
}

// Run seals until ctx ends. What fails is retried, and stops nothing else.
func Run(ctx context.Context, cfg Config) {
	want := map[event.DestinationKey][]string{}
	if cfg.Recipient != nil {
		want = wanted(cfg.Destinations, cfg.Skip)
	}
	var all sync.WaitGroup
	defer all.Wait()
	all.Go(func() { cfg.tidy(ctx, want) })
	for k, remotes := range want {
		f := &follower{Config: cfg, key: k, remotes: remotes}
		all.Go(func() { f.run(ctx) })
	}
}

// follower follows one Secret.
type follower struct {
	Config
	key     event.DestinationKey
	remotes []string
	said    string // what was last logged as wrong
}

// errMissing says that a Secret does not exist.
var errMissing = errors.New("the Secret does not exist")

// remedy is what a person can do about an error.
func (f *follower) remedy(err error) string {
	switch {
	case errors.Is(err, errMissing):
		return "; create it, or correct spec.secretRef of the GitRemote"
	case errors.Is(err, seal.ErrTooLarge):
		return "; remove from it what the remote does not need"
	case apierrors.IsForbidden(err):
		return fmt.Sprintf("; grant list and watch on secrets with resourceNames [%s] in its namespace (docs/rbac.yaml has the role)", f.key.Name)
	}
	return ""
}

// say logs what keeps a Secret from being sealed, once; nil: nothing does any more.
func (f *follower) say(err error) {
	if err == nil {
		f.said = ""
		return
	}
	if said := fault.Gist(err); said != f.said {
		f.said = said
		f.Log.Warn("the Secret of a remote could not be sealed for the git-writer, retrying", "secret", f.key.String(), "err", fmt.Errorf("%w%s", err, f.remedy(err)))
	}
}

func (f *follower) run(ctx context.Context) {
	backoff := fault.Backoff{Max: retryWait}
	for ctx.Err() == nil {
		begun := time.Now()
		if err := f.follow(ctx); err != nil && ctx.Err() == nil {
			f.say(err)
		}
		if time.Since(begun) > retryWait {
			backoff.Reset()
		}
		_ = fault.Wait(ctx, backoff.Next())
	}
}

// follow reads the Secret and follows it until its watch ends or something fails. Reading is
// a list of one, which needs no other right than the watch behind it.
func (f *follower) follow(ctx context.Context) error {
	seconds := int64(watchLength / time.Second)
	ctx, cancel := context.WithTimeout(ctx, watchLength+answerWait)
	defer cancel()
	secrets := f.Secrets.Secrets(f.key.Namespace)
	only := metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("metadata.name", f.key.Name).String()}
	listed, err := func() (*corev1.SecretList, error) {
		ctx, cancel := context.WithTimeout(ctx, answerWait)
		defer cancel()
		return secrets.List(ctx, only)
	}()
	if err != nil {
		return err
	}
	var now *corev1.Secret
	for i := range listed.Items {
		if listed.Items[i].Name == f.key.Name {
			now = &listed.Items[i]
		}
	}
	wrong, err := f.store(ctx, now)
	if err != nil {
		return err
	}
	only.ResourceVersion, only.TimeoutSeconds = listed.ResourceVersion, &seconds
	events, err := secrets.Watch(ctx, only)
	if err != nil {
		return err
	}
	defer events.Stop()
	f.say(wrong)
	for e := range events.ResultChan() { // client-go closes it when ctx ends
		s, ok := e.Object.(*corev1.Secret)
		switch {
		case e.Type == watch.Error:
			if err := apierrors.FromObject(e.Object); !apierrors.IsResourceExpired(err) && !apierrors.IsGone(err) {
				return err
			}
			return nil // it is read anew
		case !ok || s.Name != f.key.Name || e.Type == watch.Bookmark:
			continue
		case e.Type == watch.Deleted:
			s = nil
		}
		if wrong, err = f.store(ctx, s); err != nil {
			return err
		}
		f.say(wrong)
	}
	return nil
}

// store makes what stands on the bus be what the Secret is, nil for none. wrong is what is
// wrong with that; err is why it could not be done.
func (f *follower) store(ctx context.Context, s *corev1.Secret) (wrong, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	if s == nil {
		return errMissing, f.remove(ctx, f.key)
	}
	what := sealable(f.key, f.remotes, s)
	from, err := source(s, what, f.Recipient)
	if err != nil {
		return nil, err
	}
	written, err := f.put(ctx, f.key, from, func() (event.Credential, error) {
		sealed, err := seal.Seal(f.Recipient, what)
		return event.Credential{V: event.Version, Sealed: sealed, Recipient: f.Recipient.String(), Source: from}, err
	})
	if errors.Is(err, seal.ErrTooLarge) {
		// What was sealed before is not what the Secret is any more.
		return err, f.remove(ctx, f.key)
	}
	if written {
		f.Log.Info("the Secret of a remote is sealed for the git-writer", "secret", f.key.String())
	}
	return nil, err
}
