package bench

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/nats-io/nats.go"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

// startWhole starts all of kubescribe as one process, with a bus of its own.
func (i *install) startWhole(ctx context.Context, kubeconfig string) error {
	const name = "kubescribe"
	data := filepath.Join(i.dir, "data")
	err := i.launch(ctx, name, "run", "--listen", "127.0.0.1:0", "--data-dir", data,
		"--config", i.config(), "--kubeconfig", kubeconfig, "--cluster", destination.Cluster)
	if err == nil {
		err = i.running[name].AwaitReady(ctx)
	}
	if err != nil {
		return err
	}
	access, err := harness.AccessOf(data)
	if err != nil {
		return err
	}
	to := bus.Config{Access: bus.Access{URL: access.URL}, Username: access.User, Password: access.Password}
	if err := i.connect(ctx, to, nats.UserInfo(access.User, access.Password)); err != nil {
		return err
	}
	if err := i.bus.Verify(ctx); err != nil {
		return err
	}
	i.phases, err = bus.OpenBucket[event.PhaseRecord](ctx, i.bus, subject.BucketPhase)
	return err
}

// startApart starts a NATS server and so many replicas of each service, all processes of
// their own.
func (i *install) startApart(ctx context.Context, kubeconfig string, replicas int) (err error) {
	if i.nats, err = harness.StartNATS(ctx, i.bins, i.dir, bus.MaxPayload+64<<10); err != nil {
		return err
	}
	i.url = i.nats.URL
	if err := i.connect(ctx, bus.Config{Access: bus.Access{URL: i.url}}, nats.Name("bench")); err != nil {
		return err
	}
	if err := i.provision(ctx); err != nil {
		return err
	}
	var names []string
	for _, role := range roles {
		names = append(names, replicasOf(role, replicas)...)
	}
	return i.startRoles(ctx, kubeconfig, names...)
}

// replicasOf are the names of so many replicas of a role.
func replicasOf(role string, replicas int) []string {
	names := []string{role}
	for n := 2; n <= replicas; n++ {
		names = append(names, fmt.Sprintf("%s %d", role, n))
	}
	return names
}
