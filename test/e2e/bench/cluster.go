package bench

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

// fillClients create objects at the same time.
const fillClients = 8

// fill makes the objects of a state in a cluster.
func fill(ctx context.Context, cp *harness.ControlPlane, size int) error {
	cfg, err := cp.REST()
	if err != nil {
		return err
	}
	objs, err := harness.NewObjects(cfg)
	if err != nil {
		return err
	}
	for n := range namespaces {
		if _, err := objs.Apply(ctx, "{apiVersion: v1, kind: Namespace, metadata: {name: "+namespaceName(n)+"}}"); err != nil {
			return err
		}
	}
	work, ctx := errgroup.WithContext(ctx)
	work.SetLimit(fillClients)
	for o := range objects(size) {
		work.Go(func() error {
			_, err := objs.Apply(ctx, string(o.appendJSON(nil, version{revision: 1})))
			return err
		})
	}
	if err := work.Wait(); err != nil {
		return fmt.Errorf("making %d objects: %w", size, err)
	}
	return nil
}
