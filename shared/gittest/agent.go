package gittest

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"golang.org/x/crypto/ssh/agent"
)

// Agent is an SSH agent. Its methods may be called from any goroutine.
type Agent struct {
	// Socket is what SSH_AUTH_SOCK has to name.
	Socket string

	listener net.Listener
	open     atomic.Int64
	running  sync.WaitGroup
}

// ServeAgent starts an agent that holds those keys. It runs until Close, which
// waits for its clients.
func ServeAgent(keys ...Key) (*Agent, error) {
	ring := agent.NewKeyring()
	for _, key := range keys {
		if err := ring.Add(agent.AddedKey{PrivateKey: key.private}); err != nil {
			return nil, fmt.Errorf("adding a key to the agent: %w", err)
		}
	}
	// A socket's path has to be short: not in a directory of a test.
	dir, err := os.MkdirTemp("", "agent-")
	if err != nil {
		return nil, fmt.Errorf("making a directory for the agent: %w", err)
	}
	a := &Agent{Socket: filepath.Join(dir, "socket")}
	if a.listener, err = net.Listen("unix", a.Socket); err != nil {
		_ = os.RemoveAll(dir)
		return nil, fmt.Errorf("listening: %w", err)
	}
	a.running.Go(func() {
		for {
			conn, err := a.listener.Accept()
			if err != nil {
				return // by Close
			}
			a.open.Add(1)
			a.running.Go(func() {
				defer a.open.Add(-1)
				defer conn.Close()
				_ = agent.ServeAgent(ring, conn) // ends when the client goes
			})
		}
	})
	return a, nil
}

// Open is how many clients are connected.
func (a *Agent) Open() int { return int(a.open.Load()) }

// Close ends the agent, after its clients.
func (a *Agent) Close() error {
	err := a.listener.Close()
	a.running.Wait()
	if gone := os.RemoveAll(filepath.Dir(a.Socket)); err == nil {
		err = gone
	}
	return err
}
