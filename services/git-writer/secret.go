package gitwriter

import (
	"context"
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

// errNoDirectory says that a Secret has no directory.
var errNoDirectory = errors.New("there is no directory")

// fromSecret is what a Secret opens a remote with, and nothing else is asked.
func (o opener) fromSecret(ctx context.Context, remote, name string) (repo.Access, error) {
	access, err := o.parseSecret(ctx, remote, name)
	if err != nil {
		return repo.Access{}, fmt.Errorf("git credentials: Secret %s: %w", name, err)
	}
	return access, nil
}

func (o opener) parseSecret(ctx context.Context, remote, name string) (repo.Access, error) {
	end, err := transport.NewEndpoint(remote)
	if err != nil {
		return repo.Access{}, errors.New("the remote's URL is not one")
	}
	data, err := o.secretData(ctx, remote, name)
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
		hosts, err := secretKnownHosts(o.CacheDir, name, secret.KnownHosts)
		if err != nil {
			return repo.Access{}, err
		}
		return repo.Access{Method: publicKeys(end, hosts, secret.Key)}, nil
	}
	return repo.Access{}, nil // a bare path needs nothing
}

// secretData is what stands in a Secret: in its directory if it has one, which then counts
// alone, else in what the watcher has sealed.
func (o opener) secretData(ctx context.Context, remote, name string) (map[string][]byte, error) {
	if !secretName.MatchString(name) {
		return nil, errors.New("that is no cluster/namespace/name of a Secret: correct spec.secretRef of the GitRemote")
	}
	dir, identity := o.Credentials.Dir, o.Credentials.Identity
	if dir == "" && identity == "" {
		return nil, errors.New("the remote names it, and it is not said where Secrets are: set --git-credentials or KUBESCRIBE_GIT_CREDENTIALS_DIR to their directory, or have the watcher seal them (--credentials-recipient) and set --credentials-identity or KUBESCRIBE_CREDENTIALS_IDENTITY_FILE")
	}
	if dir == "" {
		return o.unseal(ctx, remote, name)
	}
	data, err := readSecret(dir, name)
	if identity == "" || !errors.Is(err, errNoDirectory) {
		return data, err
	}
	data, serr := o.unseal(ctx, remote, name)
	if serr != nil {
		return nil, fmt.Errorf("%w; and %w", err, serr)
	}
	return data, nil
}

// readSecret is the data of the Secret of a name, cluster/namespace/name, as it stands in
// a directory: dir/cluster/namespace/name/ with a file for each key. Secrets of one cluster
// open nothing for another. A Secret that Kubernetes mounts
// there is one; all of what is read is of one version of it.
func readSecret(dir, name string) (map[string][]byte, error) {
	at := filepath.Join(dir, filepath.FromSlash(name))
	// Kubernetes replaces this link, and with it all keys at once.
	if version, err := filepath.EvalSymlinks(filepath.Join(at, "..data")); err == nil {
		at = version
	}
	files, err := os.ReadDir(at)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w %s: mount the Secret there, or write a file for each of its keys", errNoDirectory, at)
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
