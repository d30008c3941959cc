package gitwriter

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/kubescribe/kubescribe/services/git-writer/internal/repo"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
)

// opener knows what remotes are opened with.
type opener struct {
	Config
	sealed sealed        // KS_CREDENTIAL
	wait   time.Duration // for what is not sealed yet
}

// access is what a session with a remote is opened with: by the Secret that it names, or
// where it names none by what the environment knows, for one of all destinations.
func (o opener) access(ctx context.Context, all map[event.DestinationKey]bus.Registered, remote, secret string) (repo.Access, error) {
	if secret != "" {
		return o.fromSecret(ctx, remote, secret)
	}
	if err := o.Credentials.checkHosts(all); err != nil {
		return repo.Access{}, err
	}
	method, err := o.Credentials.auth(ctx, remote)
	return repo.Access{Method: method}, err
}

// checkHosts refuses to use one password for several hosts: whoever may write a
// destination could have it sent to a host of theirs. Which of the hosts it was
// meant for is nothing to guess. Remotes that name a Secret do not get it.
func (c Credentials) checkHosts(all map[event.DestinationKey]bus.Registered) error {
	if c.Username == "" {
		return nil
	}
	hosts := map[string]bool{}
	for _, d := range all {
		if d.Credentials != "" {
			continue
		}
		if u, err := url.Parse(d.URL); err == nil && (u.Scheme == "https" || u.Scheme == "http") {
			usual := map[string]string{"https": ":443", "http": ":80"}[u.Scheme]
			hosts[strings.TrimSuffix(strings.ToLower(u.Host), usual)] = true
		}
	}
	if len(hosts) < 2 {
		return nil
	}
	names := slices.Sorted(maps.Keys(hosts))
	return fmt.Errorf("git credentials: KUBESCRIBE_GIT_USERNAME and its password are for one host, and destinations point to %s: unset them, and name a Secret in spec.secretRef of each GitRemote, or give each host's to git's credential helper (git help credentials)",
		strings.Join(names, " and "))
}
