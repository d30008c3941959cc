package harness

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// Links are ways from one party to another over TCP that can be cut and slowed: proxies,
// each on an address of its own. Its methods may be called from any goroutine.
type Links struct {
	server *toxiproxy.ApiServer // its API is not served
	harms  atomic.Int64
}

// NewLinks are none so far.
func NewLinks() *Links {
	return &Links{server: toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())}
}

// Link is one of them.
type Link struct {
	Address string // what its one end connects to

	of    *Links
	proxy *toxiproxy.Proxy
}

// To is a way from a host of this process's, an IP address, to another address, until Close.
func (l *Links) To(host, address string) (*Link, error) {
	p := toxiproxy.NewProxy(l.server, address, net.JoinHostPort(host, "0"), address)
	if err := p.Start(); err != nil {
		return nil, fmt.Errorf("making a way to %s: %w", address, err)
	}
	return &Link{Address: p.Listen, of: l, proxy: p}, nil
}

// Close ends it, and all connections.
func (l *Link) Close() { l.proxy.Stop() }

// Harm is what is done to a link.
type Harm struct {
	// Cut has nothing come through. Connections stand until it is mended, and are gone then,
	// with what was under way.
	Cut bool
	// Reset has connections end as soon as something comes, new ones too.
	Reset bool
	// Delay is added in each direction, give or take a half.
	Delay time.Duration
	// Only is one direction: "upstream" or "downstream". Empty: both.
	Only string
}

// Do does harm, until mend. Several harms of one link add up.
func (l *Link) Do(h Harm) (mend func() error, err error) {
	kind, attributes := "latency", fmt.Sprintf(`{"latency": %d, "jitter": %d}`, h.Delay.Milliseconds(), h.Delay.Milliseconds()/2)
	switch {
	case h.Cut:
		kind, attributes = "timeout", `{"timeout": 0}`
	case h.Reset:
		kind, attributes = "reset_peer", `{"timeout": 0}`
	}
	directions := []string{"upstream", "downstream"}
	if h.Only != "" {
		directions = []string{h.Only}
	}
	var names []string
	for _, direction := range directions {
		name := fmt.Sprintf("harm-%d", l.of.harms.Add(1))
		toxic := fmt.Sprintf(`{"name": %q, "type": %q, "stream": %q, "attributes": %s}`, name, kind, direction, attributes)
		if _, err := l.proxy.Toxics.AddToxicJson(strings.NewReader(toxic)); err != nil {
			return nil, fmt.Errorf("harming the way to %s: %w", l.proxy.Upstream, err)
		}
		names = append(names, name)
	}
	return func() error { return l.mend(names) }, nil
}

func (l *Link) mend(harms []string) error {
	for _, name := range harms {
		if err := l.proxy.Toxics.RemoveToxic(context.Background(), name); err != nil {
			return fmt.Errorf("mending the way to %s: %w", l.proxy.Upstream, err)
		}
	}
	return nil
}
