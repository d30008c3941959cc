package credential

import (
	"errors"

	"golang.org/x/crypto/ssh"
)

// What can be wrong with a key, for errors.Is.
var (
	// ErrNoPassphrase: the key is encrypted, and nothing is given that opens it.
	ErrNoPassphrase = errors.New("the key is encrypted")
	// ErrPassphrase: what is given does not open the key.
	ErrPassphrase = errors.New("the passphrase is not that of the key")
)

// OpenKey reads an SSH private key in any of the formats that ssh-keygen writes, with its
// passphrase if it is encrypted. ErrNoPassphrase, ErrPassphrase, or why it cannot be read.
func OpenKey(key, passphrase []byte) (ssh.Signer, error) {
	signer, err := ssh.ParsePrivateKey(key)
	var encrypted *ssh.PassphraseMissingError
	switch {
	case !errors.As(err, &encrypted):
		return signer, err
	case len(passphrase) == 0:
		return nil, ErrNoPassphrase
	}
	if signer, err = ssh.ParsePrivateKeyWithPassphrase(key, passphrase); err != nil {
		return nil, ErrPassphrase
	}
	return signer, nil
}
