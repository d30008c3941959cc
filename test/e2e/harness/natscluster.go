package harness

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
)

// NATSCluster is three NATS servers that keep the same, each a process of its own.
type NATSCluster struct {
	URL   string // of all of them
	Nodes []*NATS
}

// NATSClusterOptions says how a cluster runs.
type NATSClusterOptions struct {
	Bins       Bins
	Dir        string // of each node's NodeStore
	MaxPayload int
	Clocks     bool     // of each node: as Command.Clock
	Places     []*Place // of each node, if set: as Command.Place
	// Route, if set, gives the address at which a node reaches another one that listens at
	// an address. Nodes tell nobody of any other way then.
	Route func(from, to int, address string) (string, error)
}

// NodeStore is where a node keeps what it stores.
func (o NATSClusterOptions) NodeStore(node int) string { return filepath.Join(o.node(node), "store") }

func (o NATSClusterOptions) node(n int) string {
	return filepath.Join(o.Dir, fmt.Sprintf("node-%d", n))
}

// NATSNodes is how many there are.
const NATSNodes = 3

// StartNATSCluster starts the three, and returns once they take clients and have chosen a
// leader: who asks for a stream before that is not answered.
func StartNATSCluster(ctx context.Context, o NATSClusterOptions) (*NATSCluster, error) {
	clients, nodes, err := o.listens()
	if err != nil {
		return nil, fmt.Errorf("starting the NATS servers: %w", err)
	}
	c := &NATSCluster{URL: "nats://" + strings.Join(clients, ",nats://")}
	for i := range NATSNodes {
		n := &NATS{bins: o.Bins, URL: "nats://" + clients[i], Dir: o.node(i), clock: o.Clocks}
		if o.Places != nil {
			n.place = o.Places[i]
		}
		var cluster string
		cluster, err = o.cluster(i, nodes)
		// What it would take for its limit is the free space, of which a small disk has too little.
		config := fmt.Sprintf("server_name: node-%d\nlisten: %q\nmax_payload: %d\njetstream {store_dir: %q, sync_interval: always, max_file_store: 64GB}\n%s\n%s",
			i, clients[i], o.MaxPayload, o.NodeStore(i), cluster, natsUsers())
		if err == nil {
			err = os.MkdirAll(n.Dir, 0o755)
		}
		if err == nil {
			err = os.WriteFile(n.config(), []byte(config), 0o600)
		}
		if err == nil {
			err = n.start(ctx)
		}
		if err != nil {
			c.Kill()
			return nil, fmt.Errorf("starting the NATS servers: %w", err)
		}
		c.Nodes = append(c.Nodes, n)
	}
	if err := Poll(ctx, pollStart, "the NATS servers to choose a leader", c.led); err != nil {
		c.Kill()
		return nil, err
	}
	return c, nil
}

// listens are the addresses at which nodes listen for clients, and for each other.
func (o NATSClusterOptions) listens() (clients, nodes []string, err error) {
	for _, p := range o.Places { // nobody else has ports there
		clients, nodes = append(clients, p.Address+":4222"), append(nodes, p.Address+":6222")
	}
	if o.Places != nil {
		return clients, nodes, nil
	}
	ports, err := FreePorts(2 * NATSNodes)
	if err != nil {
		return nil, nil, err
	}
	return ports[:NATSNodes], ports[NATSNodes:], nil
}

// cluster is how a node finds the other ones, by where each listens for them.
func (o NATSClusterOptions) cluster(node int, listens []string) (string, error) {
	var routes []string
	more := ""
	for to, address := range listens {
		if o.Route != nil {
			more = `, no_advertise: true, advertise: "127.0.0.1:1"` // where nobody is
			if to == node {
				continue
			}
			var err error
			if address, err = o.Route(node, to, address); err != nil {
				return "", err
			}
		}
		routes = append(routes, "nats-route://"+address)
	}
	return fmt.Sprintf("cluster {name: test, listen: %q, routes: [%s]%s}", listens[node], strings.Join(routes, ", "), more), nil
}

// led is nil once each knows of a leader.
func (c *NATSCluster) led(context.Context) error {
	for _, n := range c.Nodes {
		if !strings.Contains(string(n.Output()), "metadata leader") {
			return fmt.Errorf("the log of %s does not say it", n.Dir)
		}
	}
	return nil
}

// Kill kills all of them.
func (c *NATSCluster) Kill() {
	for _, n := range c.Nodes {
		n.Kill()
	}
}

// FreePorts are addresses on loopback that nobody listens on, and that no connection is
// given: who listens there, and is killed, finds it free again.
func FreePorts(n int) (addresses []string, err error) {
	const first, beyond = 10_000, 32_768 // from there on Linux gives ports to connections
	for tries := 0; len(addresses) < n; tries++ {
		l, lerr := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", first+rand.IntN(beyond-first)))
		if lerr != nil && tries < 100*n {
			continue // it is taken
		}
		if lerr != nil {
			return nil, lerr
		}
		defer func() { err = errors.Join(err, l.Close()) }() // all at once: each is another
		addresses = append(addresses, l.Addr().String())
	}
	return addresses, nil
}
