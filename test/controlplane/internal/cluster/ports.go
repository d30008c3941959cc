package cluster

import (
	"fmt"
	"math/rand/v2"
	"net"
)

// Free ports are picked from this range, below the one from which the kernel
// numbers outgoing connections (32768 and up on Linux). From inside that one,
// another connection, even that of a client dialing the port itself, could
// occupy the port while the server is down.
const firstPort, lastPort = 20000, 32000

// listen opens 127.0.0.1:port, or a free port if port is 0.
func listen(port int) (net.Listener, error) {
	var listener net.Listener
	err := retry(func() (err error) {
		candidate := port
		if port == 0 {
			candidate = firstPort + rand.IntN(lastPort-firstPort)
		}
		listener, err = net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", candidate))
		return err
	})
	return listener, err
}
