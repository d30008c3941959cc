// Package registry compiles configuration documents into the destinations that
// every other service reads from KS_DESTINATION.
package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/kubescribe/kubescribe/shared/api/v1alpha1"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// Compile resolves the references of validated documents, for a cluster known
// by its name and id. Destinations come in the documents' order.
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
			Committer: event.Person{Name: remote.Committer.Name, Email: remote.Committer.Email},
		}
		if d.Spec.BaseFolder != "." {
			dest.BaseFolder = d.Spec.BaseFolder
		}
		for _, r := range docs.WatchRules {
			if r.Namespace == d.Namespace && r.Spec.DestinationRef.Name == d.Name {
				dest.Rules = append(dest.Rules, rules(r.Spec.Rules, []string{r.Namespace})...)
			}
		}
		for _, r := range docs.ClusterWatchRules {
			if r.Spec.DestinationRef.Namespace == d.Namespace && r.Spec.DestinationRef.Name == d.Name {
				dest.Rules = append(dest.Rules, rules(r.Spec.Rules, r.Spec.Namespaces)...)
			}
		}
		all = append(all, dest)
	}
	return all, nil
}

func rules(from []v1alpha1.Rule, namespaces []string) []event.Rule {
	var all []event.Rule
	for _, r := range from {
		all = append(all, event.Rule{Groups: r.APIGroups, Versions: r.APIVersions, Resources: r.Resources, Namespaces: namespaces})
	}
	return all
}

// Sync makes the registry hold exactly these destinations of a cluster, writing
// only what differs: a destination that did not change keeps its revision. It
// returns the newest revision among them.
func Sync(ctx context.Context, b *bus.Bus, cluster string, want []event.Destination) (uint64, error) {
	bucket, err := bus.OpenBucket[event.Destination](ctx, b, subject.BucketDestination)
	if err != nil {
		return 0, err
	}
	have, err := bucket.All(ctx)
	if err != nil {
		return 0, err
	}
	var newest uint64
	keep := map[string]bool{}
	for _, d := range want {
		key := subject.DestinationToken(d.Key)
		keep[key] = true
		revision, err := put(ctx, bucket, key, d)
		if err != nil {
			return 0, err
		}
		newest = max(newest, revision)
	}
	for key, e := range have {
		if e.Record.Key.Cluster == cluster && !keep[key] {
			if err := bucket.Delete(ctx, key); err != nil {
				return 0, err
			}
		}
	}
	return newest, nil
}

func put(ctx context.Context, bucket *bus.Bucket[event.Destination], key string, d event.Destination) (uint64, error) {
	for {
		old, revision, err := bucket.Get(ctx, key)
		if err != nil && !errors.Is(err, bus.ErrNoMessage) {
			return 0, err
		}
		if err == nil && same(old, d) {
			return revision, nil
		}
		next, err := bucket.Put(ctx, key, d, revision)
		if !errors.Is(err, bus.ErrConflict) {
			return next, err
		}
	}
}

// same compares destinations as they are stored: what is read back has no lists
// that are empty but there.
func same(a, b event.Destination) bool { return bytes.Equal(event.Encode(a), event.Encode(b)) }
