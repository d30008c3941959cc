package repo

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"

	"golang.org/x/net/proxy"
)

// go-git connects to SSH hosts with a context of its own that never ends, and the
// handshake looks at none: a host that accepts the connection and says nothing
// would keep it, and a goroutine, for good. The one thing of the way there that
// can be set for a single session is its proxy, by URL. So each session is
// one: a proxy that connects directly, and whose connection ends with the session.

// dialScheme is the scheme of such a proxy's URL; the host is the session's number.
const dialScheme = "kubescribe-session"

var (
	dialing     sync.Map // number of a session → *session, until it ends
	lastDialing atomic.Uint64
)

func init() {
	proxy.RegisterDialerType(dialScheme, func(u *url.URL, _ proxy.Dialer) (proxy.Dialer, error) {
		s, ok := dialing.Load(u.Host)
		if !ok {
			return nil, fmt.Errorf("connecting: session %s has ended", u.Host)
		}
		return sessionDialer{s.(*session)}, nil
	})
}

// dialItself makes go-git connect by a sessionDialer.
func (s *session) dialItself() {
	number := strconv.FormatUint(lastDialing.Add(1), 10)
	dialing.Store(number, s)
	context.AfterFunc(s.ctx, func() { dialing.Delete(number) })
	s.endpoint.Proxy.URL = dialScheme + "://" + number
}

// sessionDialer makes connections that end with the session.
type sessionDialer struct{ *session }

// Dial is proxy.Dialer.
func (d sessionDialer) Dial(network, address string) (net.Conn, error) {
	// By the proxy of the environment, if it names one.
	conn, err := proxy.Dial(d.ctx, network, address)
	if err != nil {
		return nil, err
	}
	context.AfterFunc(d.ctx, func() { _ = conn.Close() })
	return conn, nil
}

// DialContext is proxy.ContextDialer, without which go-git does not take it.
func (d sessionDialer) DialContext(_ context.Context, network, address string) (net.Conn, error) {
	return d.Dial(network, address)
}
