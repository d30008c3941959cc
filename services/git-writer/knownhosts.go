package gitwriter

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	gitssh "github.com/go-git/go-git/v5/plumbing/transport/ssh"
	"github.com/skeema/knownhosts"
	"golang.org/x/crypto/ssh"
	xknownhosts "golang.org/x/crypto/ssh/knownhosts"

	"github.com/kubescribe/kubescribe/services/git-writer/internal/repo"
)

// knownHosts says which SSH hosts are trusted, and what to do about one that is not.
type knownHosts struct {
	db     *knownhosts.HostKeyDB
	files  []string // where hosts are looked for; the first is where to add one
	secret string   // whose known_hosts they are instead
}

// readKnownHosts reads the files of the list, else the user's and the machine's.
// address is the host that it is for.
func readKnownHosts(list, address string) (knownHosts, error) {
	k := knownHosts{files: filepath.SplitList(list)}
	if len(k.files) == 0 {
		home, err := os.UserHomeDir()
		if err != nil {
			return knownHosts{}, fmt.Errorf("git credentials: looking for known_hosts, without which no SSH host is trusted: %w: set SSH_KNOWN_HOSTS to its path", err)
		}
		k.files = []string{filepath.Join(home, ".ssh", "known_hosts"), "/etc/ssh/ssh_known_hosts"}
	}
	var there []string
	for _, file := range k.files {
		if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
			there = append(there, file)
		}
	}
	if len(there) == 0 {
		return knownHosts{}, fmt.Errorf("git credentials: no SSH host is trusted, there is no known_hosts file (%s): %s, and compare the key with the host's documentation", strings.Join(k.files, ", "), k.scan(address))
	}
	var err error
	if k.db, err = gitssh.NewKnownHostsDb(there...); err != nil {
		return knownHosts{}, fmt.Errorf("git credentials: reading known_hosts, without which no SSH host is trusted: %w", err)
	}
	return k, nil
}

// secretKnownHosts reads what stands in the known_hosts of a Secret. The library takes
// files alone: dir is where one may be for a moment.
func secretKnownHosts(dir, secret string, lines []byte) (k knownHosts, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return k, fmt.Errorf("making the directory for known_hosts: %w", err)
	}
	f, err := os.CreateTemp(dir, "known_hosts-")
	if err != nil {
		return k, fmt.Errorf("writing known_hosts: %w", err)
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.Write(lines)
	if err = errors.Join(err, f.Close()); err != nil {
		return k, fmt.Errorf("writing known_hosts: %w", err)
	}
	db, err := gitssh.NewKnownHostsDb(f.Name())
	if err != nil {
		return k, fmt.Errorf("reading known_hosts: %s", strings.ReplaceAll(err.Error(), f.Name(), "known_hosts"))
	}
	return knownHosts{db: db, secret: secret}, nil
}

// scan is the command that adds a host, or whose output does.
func (k knownHosts) scan(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		host, port = address, "22"
	}
	if port != "22" {
		host = "-p " + port + " " + host
	}
	if k.secret != "" {
		return "ssh-keyscan " + host + ", into known_hosts of the Secret " + k.secret
	}
	return "ssh-keyscan " + host + " >> " + k.files[0]
}

// at is where a key stands.
func (k knownHosts) at(known xknownhosts.KnownKey) string {
	if k.secret != "" {
		return fmt.Sprintf("known_hosts:%d of the Secret %s", known.Line, k.secret)
	}
	return fmt.Sprintf("%s:%d", known.Filename, known.Line)
}

// check is an ssh.HostKeyCallback. Its errors are repo.ErrHostKey, with what a
// person needs to decide.
func (k knownHosts) check(address string, remote net.Addr, key ssh.PublicKey) error {
	err := k.db.HostKeyCallback()(address, remote, key)
	shown := key.Type() + " " + ssh.FingerprintSHA256(key)
	var differs *xknownhosts.KeyError
	var revoked *xknownhosts.RevokedError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &revoked):
		return fmt.Errorf("%w: %s shows the key %s, which %s revokes: somebody may stand between here and the host", repo.ErrHostKey, address, shown, k.at(revoked.Revoked))
	case errors.As(err, &differs) && len(differs.Want) == 0:
		return fmt.Errorf("%w: known_hosts does not name %s, which shows the key %s: compare that with the host's documentation, then add it: %s", repo.ErrHostKey, address, shown, k.scan(address))
	case errors.As(err, &differs):
		var lines []string
		for _, known := range differs.Want {
			lines = append(lines, k.at(known))
		}
		return fmt.Errorf("%w: THE HOST KEY HAS CHANGED, this may be an attack: %s shows the key %s, which is not the one at %s; only if the host's documentation shows this fingerprint, remove that line, then: %s", repo.ErrHostKey, address, shown, strings.Join(lines, ", "), k.scan(address))
	default:
		return fmt.Errorf("%w: %w", repo.ErrHostKey, err)
	}
}
