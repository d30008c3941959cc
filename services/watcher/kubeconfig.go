package watcher

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/kubescribe/kubescribe/shared/api/v1alpha1"
)

// LoadREST finds an API server by the usual rules: the file given, else
// $KUBECONFIG, else ~/.kube/config, else the service account of the Pod; in it
// the context given, else the current one. It also returns a name for the
// cluster: that of the context's cluster entry, "in-cluster" inside a Pod. The
// Host it returns may be shown to anybody: a user and a password in the server's
// URL are taken out of it, and are used as before.
func LoadREST(kubeconfig, kubecontext string) (*rest.Config, string, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = kubeconfig
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: kubecontext})
	raw, err := loader.RawConfig()
	if err != nil {
		return nil, "", fmt.Errorf("reading the kubeconfig: %w; name another with --kubeconfig or $KUBECONFIG", err)
	}
	if kubecontext != "" && raw.Contexts[kubecontext] == nil {
		return nil, "", fmt.Errorf("the kubeconfig has no context %q: see kubectl config get-contexts", kubecontext)
	}
	rc, err := loader.ClientConfig()
	if clientcmd.IsEmptyConfig(err) {
		return nil, "", fmt.Errorf("no cluster to watch: no kubeconfig with a current context at %s; name one with --kubeconfig or $KUBECONFIG",
			strings.Join(rules.GetLoadingPrecedence(), ", "))
	}
	if err != nil {
		return nil, "", fmt.Errorf("reading the kubeconfig: %w", err)
	}
	if err := hideUser(rc); err != nil {
		return nil, "", fmt.Errorf("reading the kubeconfig: %w", err)
	}
	name := raw.CurrentContext
	if kubecontext != "" {
		name = kubecontext
	}
	if c := raw.Contexts[name]; c != nil && c.Cluster != "" {
		// Names of some hosting services are paths: a slash cannot stand in a
		// destination's key.
		return rc, strings.ReplaceAll(c.Cluster, "/", "-"), nil
	}
	return rc, "in-cluster", nil
}

// hideUser moves the user of the server's URL to where nothing prints it: the
// Host stands in logs, in readiness and in the errors of client-go.
func hideUser(rc *rest.Config) error {
	u, _, err := rest.DefaultServerUrlFor(rc)
	if err != nil {
		return errors.New("the cluster's server is no URL") // err quotes it, and what it holds
	}
	if u.User == nil {
		return nil
	}
	rc.Username = u.User.Username()
	rc.Password, _ = u.User.Password()
	rc.BearerToken, rc.BearerTokenFile = "", "" // a request that has a user in its URL is never given the token
	u.User = nil
	rc.Host = u.String()
	return nil
}

// LoadDocuments reads a configuration file, complete and valid.
func LoadDocuments(file string) (*v1alpha1.Documents, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	defer func() { _ = f.Close() }() // only read
	return v1alpha1.Load(f, file)
}
