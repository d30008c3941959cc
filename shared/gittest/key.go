package gittest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"fmt"

	"golang.org/x/crypto/ssh"
)

// Key is an SSH key, of a host or of a client.
type Key struct {
	ssh.Signer
	private crypto.Signer
}

// NewKey makes a key of the type ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256 or
// ssh.KeyAlgoRSA.
func NewKey(algorithm string) (key Key, err error) {
	switch algorithm {
	case ssh.KeyAlgoED25519:
		_, key.private, err = ed25519.GenerateKey(rand.Reader)
	case ssh.KeyAlgoECDSA256:
		key.private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case ssh.KeyAlgoRSA:
		key.private, err = rsa.GenerateKey(rand.Reader, 2048)
	default:
		return Key{}, fmt.Errorf("making a key: type %q is not known", algorithm)
	}
	if err == nil {
		key.Signer, err = ssh.NewSignerFromSigner(key.private)
	}
	if err != nil {
		return Key{}, fmt.Errorf("making a key: %w", err)
	}
	return key, nil
}

// PEM is the private key as ssh-keygen(1) writes it, encrypted if there is a passphrase.
func (k Key) PEM(passphrase string) ([]byte, error) {
	block, err := ssh.MarshalPrivateKey(k.private, "")
	if passphrase != "" {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(k.private, "", []byte(passphrase))
	}
	if err != nil {
		return nil, fmt.Errorf("encoding a key: %w", err)
	}
	return pem.EncodeToMemory(block), nil
}
