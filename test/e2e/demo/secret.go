package demo

import (
	"encoding/base64"
	"fmt"
	"path"
	"path/filepath"
	"strings"

	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

// The Secret of the workload: where it stands, and what must not.
const (
	secretFile  = "shop/secrets/db.sops.yaml"
	secretValue = "correct-horse-battery-staple"
)

// isEncrypted reports whether a file of the folder is an encrypted one. The demonstration has no
// sops to look into it.
func isEncrypted(file string) bool { return strings.HasSuffix(file, ".sops.yaml") }

// makeReader makes the key of who may read Secrets.
func (s *stage) makeReader() (err error) {
	s.reader, err = harness.ReaderKey(s.bins, s.readerKey())
	return err
}

// readerKey is the file of that key.
func (s *stage) readerKey() string { return filepath.Join(s.dir, "reader.key") }

// showSecret shows how the Secret has come to Git, and who can read it. kept is whether the key
// and the repository are there behind the demonstration.
func (s *stage) showSecret(kept bool) error {
	files, err := s.remote.Files(folder)
	if err != nil {
		return err
	}
	file := path.Join(folder, secretFile)
	content := files[file].Content
	for _, form := range []string{secretValue, base64.StdEncoding.EncodeToString([]byte(secretValue))} {
		if strings.Contains(content, form) {
			return fmt.Errorf("%s holds the Secret's value in clear", file)
		}
	}
	if !strings.Contains(content, "password: ENC[AES256_GCM,") || !strings.Contains(content, s.reader) {
		return fmt.Errorf("%s is not encrypted to %s:\n%s", file, s.reader, content)
	}
	s.say("")
	s.say("The Secret has arrived encrypted, in %s:", file)
	s.say("")
	shown, _, _ := strings.Cut(content, "\nsops:\n")
	for line := range strings.Lines(shown) {
		if !strings.HasPrefix(line, "#") {
			s.say("  %s", short(strings.TrimRight(line, "\n")))
		}
	}
	s.say("")
	s.say("Who has the key reads it, with the stock sops, in a clone:")
	s.say("")
	s.say("  %s", s.decryptCommand())
	if !kept {
		s.say("")
		s.say("Key and repository go with the demonstration: make demo KEEP=1 leaves both to try it.")
	}
	return nil
}

// decryptCommand is what a person types.
func (s *stage) decryptCommand() string {
	return fmt.Sprintf("SOPS_AGE_KEY_FILE=%s sops --decrypt %s", s.readerKey(), path.Join(folder, secretFile))
}

// short is a line as far as it fits.
func short(line string) string {
	const most = 100
	if len(line) <= most {
		return line
	}
	return line[:most] + "…"
}
