package natstest

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
)

// Nodes is how many a cluster has.
const Nodes = 3

// Cluster is nodes that keep the same.
type Cluster struct {
	Address
	nodes [Nodes]*Server
	turn  int // of the node that is restarted next
}

// StartCluster runs a cluster until the test ends.
func StartCluster(t testing.TB) *Cluster {
	t.Helper()
	c := &Cluster{}
	var ports [Nodes]int
	var routes []*url.URL
	var addresses []string
	for i := range Nodes {
		c.nodes[i], ports[i] = newServer(t, fmt.Sprint("node-", i)), freePort(t)
		routes = append(routes, &url.URL{Scheme: "nats-route", Host: fmt.Sprint("127.0.0.1:", ports[i])})
		addresses = append(addresses, c.nodes[i].URL())
	}
	c.Address = Address(strings.Join(addresses, ","))
	for i, n := range c.nodes {
		// Who reaches a node by a link is not to be told of others.
		n.opts.Cluster = server.ClusterOpts{Name: "test", Host: "127.0.0.1", Port: ports[i], NoAdvertise: true}
		n.opts.Routes = routes
		n.start(t)
		t.Cleanup(func() { n.stop() })
	}
	c.whole(t)
	return c
}

// Restart stops a node, each time another one, starts it again, and returns once it has what
// the others have.
func (c *Cluster) Restart(t testing.TB) {
	t.Helper()
	n := c.nodes[c.turn%Nodes]
	c.turn++
	n.Restart(t)
	c.whole(t)
}

// Clear removes all that is kept, so that the next test finds nothing.
func (c *Cluster) Clear(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	js, done := c.client(t)
	defer done()
	names := js.StreamNames(ctx)
	for name := range names.Name() {
		if err := js.DeleteStream(ctx, name); err != nil {
			t.Error(err)
		}
	}
	if err := names.Err(); err != nil {
		t.Error(err)
	}
}

// client is a stock client's, until done is called.
func (c *Cluster) client(t testing.TB) (js jetstream.JetStream, done func()) {
	t.Helper()
	nc := c.dial(t)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js, nc.Close
}

// whole waits until the nodes have a leader, and each stream has one that all follow.
func (c *Cluster) whole(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	js, done := c.client(t)
	defer done()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for err := follow(ctx, js); err != nil; err = follow(ctx, js) {
		select {
		case <-ctx.Done():
			t.Fatalf("the NATS servers are not whole: %v", err)
		case <-tick.C:
		}
	}
}

// follow is nil if every stream has a leader, and every other node of it is up to date.
func follow(ctx context.Context, js jetstream.JetStream) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second) // without a leader nobody answers
	defer cancel()
	all := js.ListStreams(ctx)
	for info := range all.Info() {
		if info.Cluster == nil || info.Cluster.Leader == "" {
			return fmt.Errorf("stream %s has no leader", info.Config.Name)
		}
		for _, peer := range info.Cluster.Replicas {
			if !peer.Current || peer.Offline {
				return fmt.Errorf("%s has not all of stream %s", peer.Name, info.Config.Name)
			}
		}
	}
	return all.Err()
}
