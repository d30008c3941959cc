package gitwriter

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/go-git/go-git/v5/plumbing/transport"
	gitssh "github.com/go-git/go-git/v5/plumbing/transport/ssh"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/kubescribe/kubescribe/services/git-writer/internal/repo"
)

// fromAgent lets the SSH agent's keys in where known_hosts knows the host. The
// agent's connection ends with ctx.
func (c Credentials) fromAgent(ctx context.Context, end *transport.Endpoint) (transport.AuthMethod, error) {
	signers, err := c.agentKeys(ctx)
	if err != nil {
		return nil, err
	}
	hosts, err := readKnownHosts(c.KnownHosts, repo.SSHAddress(end))
	if err != nil {
		return nil, err
	}
	return publicKeys(end, hosts, signers...), nil
}

// publicKeys lets those keys in where hosts knows the host.
func publicKeys(end *transport.Endpoint, hosts knownHosts, signers ...ssh.Signer) transport.AuthMethod {
	return &gitssh.PublicKeysCallback{
		User:     cmp.Or(end.User, gitssh.DefaultUsername),
		Callback: func() ([]ssh.Signer, error) { return signers, nil },
		HostKeyCallbackHelper: gitssh.HostKeyCallbackHelper{
			HostKeyCallback: hosts.check,
			// Else the host may show a key of another type than is known.
			HostKeyAlgorithms: hosts.db.HostKeyAlgorithms(repo.SSHAddress(end)),
		},
	}
}

// agentKeys are what the agent can sign with, until ctx ends.
func (c Credentials) agentKeys(ctx context.Context) ([]ssh.Signer, error) {
	if c.AgentSocket == "" {
		return nil, errors.New("git credentials: there is no SSH agent, SSH_AUTH_SOCK is not set: start one and give it a key (eval $(ssh-agent); ssh-add FILE), or let the remote name a Secret with a key (spec.secretRef)")
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", c.AgentSocket)
	if err != nil {
		return nil, fmt.Errorf("git credentials: no SSH agent answers where SSH_AUTH_SOCK says, start one and set it anew: %w", err)
	}
	context.AfterFunc(ctx, func() { _ = conn.Close() })
	signers, err := agent.NewClient(conn).Signers()
	if err != nil {
		return nil, fmt.Errorf("git credentials: asking the SSH agent for its keys: %w", err)
	}
	if len(signers) == 0 {
		return nil, errors.New("git credentials: the SSH agent holds no key: give it one (ssh-add FILE)")
	}
	return signers, nil
}
