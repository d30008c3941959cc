package v1alpha1

import (
	"testing"
	"time"
)

// TestDefaultPushInterval: hosting services are left in peace, by whichever of their names
// and protocols; what only looks like one is not one.
func TestDefaultPushInterval(t *testing.T) {
	for remote, want := range map[string]time.Duration{
		"https://github.com/org/state.git":             HostedPushInterval,
		"git@github.com:org/state.git":                 HostedPushInterval,
		"ssh://git@ssh.github.com:443/org/state.git":   HostedPushInterval,
		"https://GitLab.com/org/state":                 HostedPushInterval,
		"git@ssh.dev.azure.com:v3/org/project/state":   HostedPushInterval,
		"https://dev.azure.com/org/project/_git/state": HostedPushInterval,
		"https://bitbucket.org/org/state.git":          HostedPushInterval,
		"https://git.example.com/github.com/state.git": 0,
		"https://notgithub.com/org/state.git":          0,
		"/srv/git/github.com":                          0,
	} {
		d := &Documents{GitRemotes: []GitRemote{{Spec: GitRemoteSpec{URL: remote}}}}
		SetDefaults(d)
		if got := d.GitRemotes[0].Spec.MinPushInterval.Duration; got != want {
			t.Errorf("%s: %s, want %s", remote, got, want)
		}
	}
}
