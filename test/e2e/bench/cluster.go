package bench

import (
	"context"
	"fmt"
	"iter"

	"golang.org/x/sync/errgroup"

	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

// fillClients create objects at the same time.
const fillClients = 8

// cluster starts a control plane that syncs nothing to disk.
func (p place) cluster(ctx context.Context, o harness.ControlPlaneOptions) (*harness.ControlPlane, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*startLimit)
	defer cancel()
	o.Bins, o.Fast = p.bins, true
	return harness.StartControlPlane(ctx, o)
}

// fill makes objects in a cluster, and the namespaces in which any are.
func fill(ctx context.Context, objs *harness.Objects, all iter.Seq[object]) error {
	err := apply(ctx, objs, func(yield func(string) bool) {
		for n := range namespaces {
			if !yield("{apiVersion: v1, kind: Namespace, metadata: {name: " + namespaceName(n) + "}}") {
				return
			}
		}
	})
	if err != nil {
		return fmt.Errorf("making namespaces: %w", err)
	}
	err = apply(ctx, objs, func(yield func(string) bool) {
		for o := range all {
			if !yield(string(o.appendJSON(nil, version{revision: 1}))) {
				return
			}
		}
	})
	if err != nil {
		return fmt.Errorf("making objects: %w", err)
	}
	return nil
}

// apply applies manifests, several at a time.
func apply(ctx context.Context, objs *harness.Objects, manifests iter.Seq[string]) error {
	work, ctx := errgroup.WithContext(ctx)
	work.SetLimit(fillClients)
	for m := range manifests {
		work.Go(func() error {
			_, err := objs.Apply(ctx, m)
			return err
		})
	}
	return work.Wait()
}
