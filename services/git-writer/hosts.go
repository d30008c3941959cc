package gitwriter

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/kubescribe/kubescribe/services/git-writer/internal/repo"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
)

// forOneOf is what a session with the remote of one of all destinations is opened with.
func (c Credentials) forOneOf(ctx context.Context, all map[event.DestinationKey]bus.Registered, remote string) (repo.Access, error) {
	if err := c.checkHosts(all); err != nil {
		return repo.Access{}, err
	}
	method, err := c.auth(ctx, remote)
	return repo.Access{Method: method}, err
}

// checkHosts refuses to use one password for several hosts: whoever may write a
// destination could have it sent to a host of theirs. Which of the hosts it was
// meant for is nothing to guess.
func (c Credentials) checkHosts(all map[event.DestinationKey]bus.Registered) error {
	if c.Username == "" {
		return nil
	}
	hosts := map[string]bool{}
	for _, d := range all {
		if u, err := url.Parse(d.URL); err == nil && (u.Scheme == "https" || u.Scheme == "http") {
			usual := map[string]string{"https": ":443", "http": ":80"}[u.Scheme]
			hosts[strings.TrimSuffix(strings.ToLower(u.Host), usual)] = true
		}
	}
	if len(hosts) < 2 {
		return nil
	}
	names := slices.Sorted(maps.Keys(hosts))
	return fmt.Errorf("git credentials: KUBESCRIBE_GIT_USERNAME and its password are for one host, and destinations point to %s: unset them, and give each host's to git's credential helper (git help credentials)",
		strings.Join(names, " and "))
}
