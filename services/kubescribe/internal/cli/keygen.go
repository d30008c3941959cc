package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/kubescribe/kubescribe/shared/seal"
	"github.com/kubescribe/kubescribe/shared/secretmark"
)

const keygenLong = `Make a key, in a file that only its owner may read.

  reader      decrypts Secrets in Git: sops finds it by SOPS_AGE_KEY_FILE. Its public half,
              which is printed, is a recipient: --recipient of kubescribe run, or one of a
              GitDestination's spec.encryption.recipients. Keep it where the cluster's loss
              does not take it along, and give it to nobody who may not read Secrets.
  git-writer  opens what watchers seal: --credentials-identity of the git-writer. Its public
              half, which is printed, is --credentials-recipient of each watcher.
  watcher     marks Secrets, so that a change of one is seen without decrypting it: --mark-key
              of the watcher.

kubescribe run makes the last two itself, in its data directory.`

// keys are those that are made, by who holds them.
var keys = map[string]func() ([]byte, error){
	"reader": seal.Generate, "git-writer": seal.Generate,
	"watcher": func() ([]byte, error) { return secretmark.Generate(), nil },
}

func keygenCommand(env Env) *cobra.Command {
	return &cobra.Command{
		Use: "keygen {reader | git-writer | watcher} FILE", Short: "Make a key", Long: keygenLong,
		Example: "  kubescribe keygen reader reader.key",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 || keys[args[0]] == nil {
				return usage("name whose key it is, reader, git-writer or watcher, and the file that it is to stand in")
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error { return keygen(env.Stdout, args[0], args[1]) },
	}
}

// keygen makes a key in a file that does not exist yet, and prints what of it others may know.
func keygen(out io.Writer, whose, file string) error {
	b, err := keys[whose]()
	if err != nil {
		return err
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists, and may be a key that somebody needs: name another file", file)
	}
	if err != nil {
		return fmt.Errorf("making a key: %w", err)
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("making a key: %w", errors.Join(err, os.Remove(file)))
	}
	if whose == "watcher" {
		return nil
	}
	ids, err := seal.ParseIdentities(b)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, ids.Recipients()[0])
	return err
}
