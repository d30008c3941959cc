package gitwriter

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"

	"github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"

	"github.com/kubescribe/kubescribe/services/git-writer/internal/credential"
	"github.com/kubescribe/kubescribe/services/git-writer/internal/repo"
)

// signedFor is the namespace that git signs objects in.
const signedFor = "git"

// signingKeys are the types that git's verifier takes, and of which a signature does
// not depend on chance here: a commit that is made again has the same hash.
var signingKeys = []string{ssh.KeyAlgoED25519, ssh.KeyAlgoRSA, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521}

// Signing says what commits are signed with: an SSH private key in a file, and the
// passphrase that opens it, if it needs one, in another. Both are read again for each
// push, so that rotation needs no restart.
type Signing struct {
	KeyFile        string // empty: commits are not signed
	PassphraseFile string
}

// Validate reads the key and signs with it.
func (s Signing) Validate() error {
	if s.KeyFile == "" && s.PassphraseFile != "" {
		return errors.New("git signing: KUBESCRIBE_GIT_SIGNING_PASSPHRASE_FILE is for the key in KUBESCRIBE_GIT_SIGNING_KEY_FILE; set both, or the key alone, or none")
	}
	_, err := (&signer{Signing: s}).sign()
	return err
}

// signer keeps the key that was read last: opening one with a passphrase takes long.
type signer struct {
	Signing

	mu         sync.Mutex
	key        ssh.Signer // nil: none was read yet
	file, pass []byte     // that it was read from
}

// sign is what signs now, nil for nothing.
func (s *signer) sign() (repo.Sign, error) {
	if s.KeyFile == "" {
		return nil, nil //nolint:nilnil // commits are not signed
	}
	file, err := os.ReadFile(s.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("git signing: reading the key that KUBESCRIBE_GIT_SIGNING_KEY_FILE names: %w", err)
	}
	var pass []byte
	if s.PassphraseFile != "" {
		if pass, err = os.ReadFile(s.PassphraseFile); err != nil {
			return nil, fmt.Errorf("git signing: reading the passphrase that KUBESCRIBE_GIT_SIGNING_PASSPHRASE_FILE names: %w", err)
		}
		pass = bytes.TrimRight(pass, "\r\n")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.key == nil || !bytes.Equal(file, s.file) || !bytes.Equal(pass, s.pass) {
		key, err := s.open(file, pass)
		if err != nil {
			return nil, err
		}
		s.key, s.file, s.pass = key, file, pass
	}
	key := s.key
	return func(content []byte) ([]byte, error) { return sshSignature(key, content) }, nil
}

// open makes a key of what the files hold, and tries it.
func (s *signer) open(file, pass []byte) (ssh.Signer, error) {
	key, err := credential.OpenKey(file, pass)
	switch {
	case errors.Is(err, credential.ErrNoPassphrase):
		return nil, fmt.Errorf("git signing: the key in %s has a passphrase: let KUBESCRIBE_GIT_SIGNING_PASSPHRASE_FILE name a file with it", s.KeyFile)
	case errors.Is(err, credential.ErrPassphrase):
		return nil, fmt.Errorf("git signing: the passphrase in %s does not open the key in %s: correct one of them", s.PassphraseFile, s.KeyFile)
	case err != nil:
		if _, _, _, _, public := ssh.ParseAuthorizedKey(file); public == nil {
			return nil, fmt.Errorf("git signing: %s holds a public key: let KUBESCRIBE_GIT_SIGNING_KEY_FILE name the private one", s.KeyFile)
		}
		return nil, fmt.Errorf("git signing: %s holds no SSH private key that can be read (%w): make one with ssh-keygen -t ed25519 -f FILE", s.KeyFile, err)
	}
	if kind := key.PublicKey().Type(); !slices.Contains(signingKeys, kind) {
		return nil, fmt.Errorf("git signing: the key in %s is of type %s, which git does not take any more: make one with ssh-keygen -t ed25519 -f FILE", s.KeyFile, kind)
	}
	if _, err := sshSignature(key, nil); err != nil {
		return nil, fmt.Errorf("git signing: the key in %s does not sign (%w): make one with ssh-keygen -t ed25519 -f FILE", s.KeyFile, err)
	}
	return key, nil
}

// sshSignature signs as ssh-keygen -Y sign -n git does (PROTOCOL.sshsig of OpenSSH).
// Without a source of chance RSA and Ed25519 do not ask for one, and ECDSA is that of
// RFC 6979.
func sshSignature(key ssh.Signer, content []byte) ([]byte, error) {
	s, err := sshsig.SignWithRand(bytes.NewReader(content), nil, key, sshsig.HashSHA512, signedFor)
	if err != nil {
		return nil, err
	}
	return sshsig.Armor(s), nil
}
