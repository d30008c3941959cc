package repo

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/transport"
	gitssh "github.com/go-git/go-git/v5/plumbing/transport/ssh"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// sshFault tells what of SSH a transport failed with, and a nil kind if nothing.
func sshFault(err error, auth transport.AuthMethod) (detail string, kind error) {
	var unknown *knownhosts.KeyError
	var differ *ssh.AlgorithmNegotiationError
	switch text := err.Error(); {
	case errors.Is(err, ErrHostKey):
		_, detail, _ = strings.Cut(text, ErrHostKey.Error()+": ")
		return detail, ErrHostKey
	case errors.As(err, &unknown):
		return text, ErrHostKey
	case errors.As(err, &differ) && differ.What == "host key":
		return fmt.Sprintf("it has keys of the types %s, and known_hosts has only those of %s: it may have got new keys, or somebody may stand between here and it; compare its fingerprint with the host's documentation before adding it",
			strings.Join(differ.RequestedAlgorithms, ", "), strings.Join(differ.SupportedAlgorithms, ", ")), ErrHostKey
	case strings.Contains(text, "ssh: unable to authenticate"), strings.Contains(text, "Too many authentication failures"):
		// x/crypto/ssh has no type for either.
		return offered(auth), ErrSSHKeys
	}
	return "", nil
}

// maxKeysNamed bounds how many keys are named in an error.
const maxKeysNamed = 4

// offered says what was offered to a host that took none of it.
func offered(auth transport.AuthMethod) string {
	agent, ok := auth.(*gitssh.PublicKeysCallback)
	if !ok {
		return ""
	}
	signers, err := agent.Callback()
	if err != nil {
		return ""
	}
	var keys []string
	for i, s := range signers {
		if i == maxKeysNamed {
			keys = append(keys, fmt.Sprintf("and %d more", len(signers)-i))
			break
		}
		keys = append(keys, s.PublicKey().Type()+" "+ssh.FingerprintSHA256(s.PublicKey()))
	}
	return "as " + agent.User + ", with " + strings.Join(keys, ", ")
}

// SSHAddress is where an SSH host is connected to, by go-git too, which is what
// known_hosts is to be asked for: ssh_config(5) may say another name for the host.
func SSHAddress(end *transport.Endpoint) string {
	host, port := strings.Trim(strings.ToLower(end.Host), "[]"), end.Port // an IPv6 address comes in brackets
	if name := gitssh.DefaultSSHConfig.Get(host, "Hostname"); name != "" {
		host = name
		if n, err := strconv.Atoi(gitssh.DefaultSSHConfig.Get(strings.ToLower(end.Host), "Port")); err == nil {
			port = n
		}
	}
	if port <= 0 {
		port = gitssh.DefaultPort
	}
	return net.JoinHostPort(host, strconv.Itoa(port))
}
