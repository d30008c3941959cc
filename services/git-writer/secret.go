package gitwriter

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/transport"

	"github.com/kubescribe/kubescribe/services/git-writer/internal/credential"
	"github.com/kubescribe/kubescribe/services/git-writer/internal/repo"
)

// maxSecret bounds what is read of one file: Kubernetes lets no Secret be larger.
const maxSecret = 1 << 20

// secretName is the cluster, namespace and name of a Secret, none of which leads elsewhere:
// that of a cluster may begin with no dot, and else be anything.
var secretName = regexp.MustCompile(`^[^/.\x00][^/\x00]*/[a-z0-9]([-a-z0-9]*[a-z0-9])?/[a-z0-9]([-.a-z0-9]*[a-z0-9])?$`)

// fromSecret is what a Secret opens a remote with, and nothing else is asked.
func (c Config) fromSecret(remote, name string) (repo.Access, error) {
	access, err := c.parseSecret(remote, name)
	if err != nil {
		return repo.Access{}, fmt.Errorf("git credentials: Secret %s: %w", name, err)
	}
	return access, nil
}

func (c Config) parseSecret(remote, name string) (repo.Access, error) {
	end, err := transport.NewEndpoint(remote)
	if err != nil {
		return repo.Access{}, errors.New("the remote's URL is not one")
	}
	data, err := readSecret(c.Credentials.Dir, name)
	if err != nil {
		return repo.Access{}, err
	}
	switch end.Protocol {
	case "http", "https":
		return credential.ParseWeb(data)
	case "ssh":
		secret, err := credential.ParseSSH(data)
		if err != nil {
			return repo.Access{}, err
		}
		hosts, err := secretKnownHosts(c.CacheDir, name, secret.KnownHosts)
		if err != nil {
			return repo.Access{}, err
		}
		return repo.Access{Method: publicKeys(end, hosts, secret.Key)}, nil
	}
	return repo.Access{}, nil // a bare path needs nothing
}

// readSecret is the data of the Secret of that name, cluster/namespace/name, as it stands in
// a directory: dir/cluster/namespace/name/ with a file for each key. Secrets of one cluster
// open nothing for another. A Secret that Kubernetes mounts
// there is one; all of what is read is of one version of it.
func readSecret(dir, name string) (map[string][]byte, error) {
	if dir == "" {
		return nil, errors.New("the remote names it, and it is not said where Secrets are: set --git-credentials or KUBESCRIBE_GIT_CREDENTIALS_DIR to their directory")
	}
	if !secretName.MatchString(name) {
		return nil, errors.New("that is no cluster/namespace/name of a Secret: correct spec.secretRef of the GitRemote")
	}
	at := filepath.Join(dir, filepath.FromSlash(name))
	// Kubernetes replaces this link, and with it all keys at once.
	if version, err := filepath.EvalSymlinks(filepath.Join(at, "..data")); err == nil {
		at = version
	}
	files, err := os.ReadDir(at)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no directory %s: mount the Secret there, or write a file for each of its keys", at)
	}
	if err != nil {
		return nil, fmt.Errorf("reading it: %w", err)
	}
	data := map[string][]byte{}
	for _, f := range files {
		if strings.HasPrefix(f.Name(), "..") { // other versions
			continue
		}
		path := filepath.Join(at, f.Name())
		info, err := os.Stat(path)
		if err != nil {
			return nil, fmt.Errorf("reading it: %w", err)
		}
		switch {
		case !info.Mode().IsRegular():
			continue
		case info.Size() > maxSecret:
			return nil, fmt.Errorf("%s is larger than 1 MiB, which no Secret is", path)
		}
		if data[f.Name()], err = os.ReadFile(path); err != nil {
			return nil, fmt.Errorf("reading it: %w", err)
		}
	}
	return data, nil
}
