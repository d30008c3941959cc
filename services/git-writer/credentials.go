package gitwriter

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing/transport"
	"github.com/go-git/go-git/v5/plumbing/transport/http"
)

// helperWait bounds how long a credential helper may think.
const helperWait = 20 * time.Second

// Credentials says what opens remotes. One that names a Secret: that alone, from its
// directory below Dir if it has one, else as the watcher has sealed it. Others, for
// http and https: the user name and the password in a file, if given, else what git's
// credential helpers know. For ssh: the agent, and hosts that known_hosts names. All are
// read again for each session, so that rotation needs no restart.
type Credentials struct {
	Dir          string // of Secrets: cluster/namespace/name/key; empty: there are none
	Identity     string // file with the private key that the watcher seals Secrets to; empty: there is none
	Username     string
	PasswordFile string
	AgentSocket  string // of the SSH agent: what SSH_AUTH_SOCK says
	KnownHosts   string // a list of files: what SSH_KNOWN_HOSTS says; empty: the user's and the machine's
}

// HasFiles is whether a Secret, cluster/namespace/name, has a directory below Dir: then that
// counts alone.
func (c Credentials) HasFiles(secret string) bool {
	if c.Dir == "" || !secretName.MatchString(secret) {
		return false
	}
	_, err := os.Stat(filepath.Join(c.Dir, filepath.FromSlash(secret)))
	return err == nil
}

// Validate checks that what is given is whole.
func (c Credentials) Validate() error {
	if c.Dir != "" {
		if info, err := os.Stat(c.Dir); err != nil {
			return fmt.Errorf("git credentials: the directory of Secrets: %w", err)
		} else if !info.IsDir() {
			return fmt.Errorf("git credentials: %s is no directory: name the one of Secrets, which has cluster/namespace/name/key", c.Dir)
		}
	}
	if c.Identity != "" {
		if _, err := readIdentities(c.Identity); err != nil {
			return fmt.Errorf("git credentials: %w", err)
		}
	}
	if (c.Username == "") != (c.PasswordFile == "") {
		return errors.New("git credentials: KUBESCRIBE_GIT_USERNAME and KUBESCRIBE_GIT_PASSWORD_FILE belong together; set both or none")
	}
	if c.PasswordFile == "" {
		return nil
	}
	_, err := c.password()
	return err
}

func (c Credentials) password() (string, error) {
	b, err := os.ReadFile(c.PasswordFile)
	if err != nil {
		return "", fmt.Errorf("git credentials: reading the password file: %w", err)
	}
	p := strings.TrimRight(string(b), "\r\n")
	if p == "" {
		return "", fmt.Errorf("git credentials: the password file %s is empty", c.PasswordFile)
	}
	return p, nil
}

// auth is what the environment knows to open a session with a remote, nil for nothing.
// It holds until ctx ends.
func (c Credentials) auth(ctx context.Context, remote string) (transport.AuthMethod, error) {
	end, err := transport.NewEndpoint(remote)
	if err != nil {
		return nil, errors.New("git credentials: the remote's URL is not one")
	}
	switch end.Protocol {
	case "http", "https":
		if c.Username != "" {
			p, err := c.password()
			if err != nil {
				return nil, err
			}
			return &http.BasicAuth{Username: c.Username, Password: p}, nil
		}
		return fromHelper(ctx, remote)
	case "ssh":
		return c.fromAgent(ctx, end)
	}
	return nil, nil //nolint:nilnil // a bare path needs nothing
}

// fromHelper asks git's own helpers (gitcredentials(7)), without a prompt. Knowing
// nothing is no error: the remote may be open to all.
func fromHelper(ctx context.Context, remote string) (transport.AuthMethod, error) {
	u, err := url.Parse(remote)
	if err != nil {
		return nil, errors.New("git credentials: the remote's URL is not one")
	}
	ctx, cancel := context.WithTimeout(ctx, helperWait)
	defer cancel()
	cmd := exec.CommandContext(ctx, "git", "credential", "fill")
	cmd.Env = append(cmd.Environ(), "GIT_TERMINAL_PROMPT=0", "GIT_ASKPASS=", "SSH_ASKPASS=")
	cmd.Stdin = strings.NewReader(fmt.Sprintf("protocol=%s\nhost=%s\npath=%s\n\n", u.Scheme, u.Host, strings.TrimPrefix(u.Path, "/")))
	var out bytes.Buffer
	cmd.Stdout = &out
	if err := cmd.Run(); err != nil {
		return nil, nil //nolint:nilnil,nilerr // no helper, or none that knows this host
	}
	var user, password string
	for line := range strings.Lines(out.String()) {
		key, value, _ := strings.Cut(strings.TrimRight(line, "\n"), "=")
		switch key {
		case "username":
			user = value
		case "password":
			password = value
		}
	}
	if password == "" {
		return nil, nil //nolint:nilnil // the helper knows nothing
	}
	return &http.BasicAuth{Username: user, Password: password}, nil
}
