// Package registry compiles configuration documents into the destinations that
// every other service reads from KS_DESTINATION.
package registry

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/kubescribe/kubescribe/shared/api/v1alpha1"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// Compile resolves the references of documents that are defaulted and validated,
// for a cluster known by its name and id. Destinations come in the documents' order.
func Compile(docs *v1alpha1.Documents, cluster, clusterID string) ([]event.Destination, error) {
	var all []event.Destination
	for _, d := range docs.GitDestinations {
		i := slices.IndexFunc(docs.GitRemotes, func(r v1alpha1.GitRemote) bool {
			return r.Namespace == d.Namespace && r.Name == d.Spec.RemoteRef.Name
		})
		if i < 0 {
			return nil, fmt.Errorf("GitDestination %s/%s: no GitRemote %s in its namespace", d.Namespace, d.Name, d.Spec.RemoteRef.Name)
		}
		remote := docs.GitRemotes[i].Spec
		dest := event.Destination{
			V:         event.Version,
			Key:       event.DestinationKey{Cluster: cluster, Namespace: d.Namespace, Name: d.Name},
			ClusterID: clusterID,
			URL:       remote.URL,
			BranchKey: subject.BranchKey(v1alpha1.CanonicalURL(remote.URL), d.Spec.Branch),
			Branch:    d.Spec.Branch,
			Adopt:     d.Spec.Adopt,
			Interval:  d.Spec.Interval.Duration,
			DryRun:    d.Spec.Mode == v1alpha1.ModeDryRun,
			Window:    d.Spec.Commit.Window.Duration,
			Committer: event.Person{Name: remote.Committer.Name, Email: remote.Committer.Email},
			Author:    author(d.Spec.Commit.Author, remote.Committer),
			Authors:   authors(d.Spec.Commit, remote.Committer),
			Without:   d.Spec.WithoutExclusions,
			Sensitive: sensitive(d.Spec.Encryption.Types),
			Wording:   event.Wording{Subject: d.Spec.Commit.Message.Subject, Body: d.Spec.Commit.Message.Body},

			MinPushInterval: remote.MinPushInterval.Duration,
			MaxCommits:      int(d.Spec.Commit.MaxCommitsPerObjectPerMinute),
		}
		if ref := remote.SecretRef; ref != nil {
			dest.Credentials = event.DestinationKey{Cluster: cluster, Namespace: d.Namespace, Name: ref.Name}.String()
		}
		dest.Recipients = slices.Compact(slices.Sorted(slices.Values(d.Spec.Encryption.Recipients)))
		var err error
		if dest.Prune, err = prune(d.Spec.Prune); err != nil {
			return nil, fmt.Errorf("GitDestination %s/%s: spec.prune.maxDeletions: %w", d.Namespace, d.Name, err)
		}
		if d.Spec.BaseFolder != "." {
			dest.BaseFolder = d.Spec.BaseFolder
		}
		to := v1alpha1.DestinationRef{Namespace: d.Namespace, Name: d.Name}
		for _, r := range docs.WatchRules {
			if r.Spec.DestinationRef == to && d.Admits(r.Namespace) {
				dest.Rules = append(dest.Rules, rules(r.Ref(), r.Spec.Rules, r.Spec.Exclude, r.Spec.Sanitize, r.Spec.MirrorSecrets, []string{r.Namespace})...)
			}
		}
		for _, r := range docs.ClusterWatchRules {
			if r.Spec.DestinationRef == to {
				dest.Rules = append(dest.Rules, rules(r.Ref(), r.Spec.Rules, r.Spec.Exclude, r.Spec.Sanitize, r.Spec.MirrorSecrets, r.Spec.Namespaces)...)
			}
		}
		all = append(all, dest)
	}
	return all, nil
}

// author is nobody where the committer is the author, too.
func author(a v1alpha1.Author, committer v1alpha1.Committer) event.Person {
	if a == (v1alpha1.Author{}) {
		return event.Person{}
	}
	return event.Person{Name: cmp.Or(a.Name, committer.Name), Email: cmp.Or(a.Email, committer.Email)}
}

// authors are those of field managers.
func authors(c v1alpha1.Commit, committer v1alpha1.Committer) (all []event.ManagerAuthor) {
	for _, a := range c.Authors {
		all = append(all, event.ManagerAuthor{
			FieldManager: a.FieldManager,
			Person:       event.Person{Name: a.Name, Email: cmp.Or(a.Email, c.Author.Email, committer.Email)},
		})
	}
	return all
}

// allowedFiles is how many deletions a run may always make where maxDeletions is a
// percentage: in a small folder each file is many of them.
const allowedFiles = 10

func prune(p v1alpha1.Prune) (event.Prune, error) {
	n, err := intstr.GetScaledValueFromIntOrPercent(p.MaxDeletions, 100, false)
	if err != nil {
		return event.Prune{}, err
	}
	if p.MaxDeletions.Type == intstr.Int {
		return event.Prune{Mode: event.PruneMode(p.Mode), MaxFiles: n}, nil
	}
	return event.Prune{Mode: event.PruneMode(p.Mode), MaxPercent: n, MaxFiles: allowedFiles}, nil
}

// rules are those of one document, within namespaces.
func rules(of v1alpha1.Ref, from, exclude []v1alpha1.Rule, sanitize v1alpha1.Sanitize, secrets v1alpha1.MirrorSecrets, namespaces []string) []event.Rule {
	var all, except []event.Rule
	for _, r := range exclude {
		except = append(except, rule(r))
	}
	if secrets == v1alpha1.MirrorSecretsNever {
		except = append(except, allSecrets())
	}
	for _, r := range from {
		to := rule(r)
		to.Namespaces, to.Except, to.Of = namespaces, except, of.String()
		to.Policy = event.Policy{
			DropFinalizers: sanitize.Finalizers == v1alpha1.RemoveIt,
			KeepOwners:     sanitize.OwnerReferences == v1alpha1.KeepIt,
			KeepTracking:   sanitize.TrackingMarks == v1alpha1.KeepIt,
			Drop:           sanitize.Fields,
			IgnoreManagers: sanitize.IgnoreFieldManagers,
		}
		all = append(all, to)
	}
	return all
}

func rule(r v1alpha1.Rule) event.Rule {
	return event.Rule{
		Groups: r.APIGroups, Versions: r.APIVersions, Resources: r.Resources,
		Labels: labelsOf(r.ObjectSelector), Names: r.Names, Owners: r.Owners,
	}
}

func sensitive(types []v1alpha1.SensitiveType) (all []event.Sensitive) {
	for _, t := range types {
		fields := slices.Compact(slices.Sorted(slices.Values(t.Fields)))
		all = append(all, event.Sensitive{Group: t.APIGroup, Resource: t.Resource, Fields: fields})
	}
	return all
}

// labelsOf is a label selector that was found right, as kubectl's -l takes it.
func labelsOf(s *metav1.LabelSelector) string {
	if s == nil {
		return ""
	}
	return metav1.FormatLabelSelector(s)
}

// Synced says what revisions of the registry a configuration stands for.
type Synced struct {
	Newest    uint64                          // of its destinations
	Revisions map[event.DestinationKey]uint64 // of each of its destinations
}

// ErrWritten says that somebody else wrote what was synced.
var ErrWritten = errors.New("another watcher of this cluster wrote the registry of destinations meanwhile")

// ErrMoved refuses to let a destination point elsewhere than it did.
var ErrMoved = errors.New("where a destination points cannot change")

// Sync makes the registry hold exactly these destinations of a cluster, writing
// only what differs: a destination that did not change keeps its revision. One
// that points elsewhere than before is ErrMoved, and nothing is written; but where replaced,
// which is for documents whose own place cannot change, it is another one by the same name.
// ErrWritten if somebody else wrote one of them meanwhile, who may know more: nothing of that is
// undone. Others may write behind it: see Confirm.
func Sync(ctx context.Context, b *bus.Bus, cluster string, want []event.Destination, replaced bool) (Synced, error) {
	bucket, err := bus.OpenBucket[event.Destination](ctx, b, subject.BucketDestination)
	if err != nil {
		return Synced{}, err
	}
	have, err := bucket.All(ctx)
	if err != nil {
		return Synced{}, err
	}
	keep := map[string]event.Destination{}
	for _, d := range want {
		key := subject.DestinationToken(d.Key)
		keep[key] = d
		if e, ok := have[key]; ok {
			err := moved(e.Record, d)
			switch {
			case err != nil && !replaced:
				return Synced{}, err
			case err != nil:
				delete(keep, key)
			}
		}
	}
	r := Synced{Revisions: map[event.DestinationKey]uint64{}}
	// Those that leave go first: their folders may be others' from now on. A crash in
	// between leaves too few, until the next start.
	for key, e := range have {
		if _, ok := keep[key]; !ok && e.Record.Key.Cluster == cluster {
			if err := bucket.Remove(ctx, key, e.Revision); err != nil {
				return Synced{}, written(err)
			}
			delete(have, key)
		}
	}
	for _, d := range want {
		revision, err := put(ctx, bucket, d, have[subject.DestinationToken(d.Key)])
		if err != nil {
			return Synced{}, written(err)
		}
		r.Newest, r.Revisions[d.Key] = max(r.Newest, revision), revision
	}
	return r, nil
}

// Read is what is registered of a cluster, sorted by key, with its revisions; First is set in
// each. It may be older than what
// the bucket's leader has: see Confirm.
func Read(ctx context.Context, b *bus.Bus, cluster string) (all []event.Destination, s Synced, err error) {
	bucket, err := bus.OpenBucket[event.Destination](ctx, b, subject.BucketDestination)
	if err != nil {
		return nil, s, err
	}
	have, err := bucket.All(ctx)
	if err != nil {
		return nil, s, err
	}
	s.Revisions = map[event.DestinationKey]uint64{}
	for _, e := range have {
		if e.Record.Key.Cluster != cluster {
			continue
		}
		e.Record.First = cmp.Or(e.Record.First, e.Revision)
		all = append(all, e.Record)
		s.Newest, s.Revisions[e.Record.Key] = max(s.Newest, e.Revision), e.Revision
	}
	slices.SortFunc(all, func(a, b event.Destination) int { return cmp.Compare(a.Key.String(), b.Key.String()) })
	return all, s, nil
}

// Confirm is a revision at which the registry held, of a cluster, exactly what was synced,
// and does since: what it no longer holds is gone there. ErrWritten if somebody wrote
// anything else. Only its leader is asked.
func Confirm(ctx context.Context, b *bus.Bus, cluster string, s Synced) (whole uint64, err error) {
	bucket, err := bus.OpenBucket[event.Destination](ctx, b, subject.BucketDestination)
	if err != nil {
		return 0, err
	}
	if whole, err = b.LastSeq(ctx, "KV_"+subject.BucketDestination); err != nil {
		return 0, err
	}
	keys, err := bucket.Written(ctx, subject.Token(cluster))
	if err != nil {
		return 0, err
	}
	ours := 0
	for _, key := range keys {
		d, revision, err := bucket.Newest(ctx, key)
		switch {
		case errors.Is(err, bus.ErrNoMessage):
		case err != nil:
			return 0, err
		case revision != s.Revisions[d.Key]:
			return 0, ErrWritten
		default:
			ours++
		}
	}
	if ours != len(s.Revisions) {
		return 0, ErrWritten
	}
	return whole, nil
}

// moved compares where two versions of a destination point. What waits for the old
// place has its branch in its subject: nobody would write it any more.
func moved(old, d event.Destination) error {
	if old.BranchKey == d.BranchKey && old.BaseFolder == d.BaseFolder {
		return nil
	}
	place := func(d event.Destination) string {
		return fmt.Sprintf("folder %q of branch %s of %s", d.BaseFolder, d.Branch, d.URL)
	}
	return fmt.Errorf("%w: GitDestination %s/%s wrote to %s, and now says %s: give the new place a name of its own, and remove the old one once it is no longer needed",
		ErrMoved, d.Key.Namespace, d.Key.Name, place(old), place(d))
}

// put writes a destination that has not changed since it was read; one that says the same
// keeps its revision.
func put(ctx context.Context, bucket *bus.Bucket[event.Destination], d event.Destination, was bus.Entry[event.Destination]) (uint64, error) {
	if was.Revision > 0 && same(was.Record, d) {
		return was.Revision, nil
	}
	d.First = cmp.Or(was.Record.First, was.Revision)
	return bucket.Put(ctx, subject.DestinationToken(d.Key), d, was.Revision)
}

// written is a conflict as what it means here.
func written(err error) error {
	if errors.Is(err, bus.ErrConflict) {
		return fmt.Errorf("%w: %w", ErrWritten, err)
	}
	return err
}

// same compares destinations as they are stored, but for when they were registered:
// what is read back has no lists that are empty but there.
func same(a, b event.Destination) bool {
	a.First, b.First = 0, 0
	return bytes.Equal(event.Encode(a), event.Encode(b))
}
