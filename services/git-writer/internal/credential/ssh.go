package credential

import (
	"bytes"
	"errors"
	"fmt"

	"golang.org/x/crypto/ssh"

	"github.com/kubescribe/kubescribe/shared/secret"
)

// SSH is what opens a remote over ssh.
type SSH struct {
	Key        ssh.Signer
	KnownHosts []byte // the lines of a known_hosts file; there is one at least
}

// ParseSSH is what opens a remote over ssh: a private key, its passphrase if it has one,
// and the hosts that are trusted, without which none is.
func ParseSSH(data map[string][]byte) (SSH, error) {
	r := &reader{data: data}
	if err := r.checkRefused(); err != nil {
		return SSH{}, err
	}
	key, err := r.privateKey()
	if err != nil {
		return SSH{}, err
	}
	hosts, err := r.hosts()
	if err != nil {
		return SSH{}, err
	}
	return SSH{Key: key, KnownHosts: hosts}, r.err
}

func (r *reader) privateKey() (ssh.Signer, error) {
	key, passphrase := r.get(secret.SSHKey), r.get(secret.Password)
	if key.empty() {
		return nil, errors.New("it has no SSH key, and this remote is reached over ssh: add identity (or ssh-privatekey, or sshPrivateKey), or use the remote's https URL")
	}
	signer, err := OpenKey(key.data, passphrase.data)
	switch {
	case errors.Is(err, ErrNoPassphrase):
		return nil, fmt.Errorf("%s is encrypted, and password is missing or empty: put its passphrase there", key.name)
	case errors.Is(err, ErrPassphrase):
		return nil, fmt.Errorf("password is not the passphrase of %s: correct one of them", key.name)
	case err != nil:
		return nil, fmt.Errorf("%s is no SSH private key that can be read: write one as ssh-keygen does, of type ed25519, ecdsa or rsa", key.name)
	}
	return signer, nil
}

func (r *reader) hosts() ([]byte, error) {
	v := r.get(secret.KnownHosts)
	known, number := 0, 0
	for line := range bytes.Lines(v.data) {
		number++
		if line = bytes.TrimSpace(line); len(line) == 0 || line[0] == '#' {
			continue
		}
		if _, _, _, _, _, err := ssh.ParseKnownHosts(line); err != nil {
			return nil, fmt.Errorf("line %d of known_hosts cannot be read: write it as ssh-keyscan does", number)
		}
		known++
	}
	if known == 0 {
		return nil, errors.New("no SSH host is trusted, since known_hosts is missing or empty: put there what ssh-keyscan HOST prints, once you have compared it with the host's documentation")
	}
	return v.data, nil
}
