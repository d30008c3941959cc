package branch

import (
	"fmt"
	"strings"
	"testing"

	"github.com/kubescribe/kubescribe/services/git-writer/internal/repo"
)

// TestRemedies: what opens a remote is looked for where it is: in the Secret that the
// remote names, or in the environment.
func TestRemedies(t *testing.T) {
	for name, tt := range map[string]struct {
		err                 error
		reason              string
		withSecret, without string
	}{
		"password":             {repo.ErrAuth, ReasonAuthentication, "what stands in the Secret prod/shop/key", "KUBESCRIBE_GIT_PASSWORD_FILE"},
		"SSH key":              {repo.ErrSSHKeys, ReasonAuthentication, "the key in the Secret prod/shop/key", "ssh-add -L"},
		"client certificate":   {repo.ErrClientCertificate, ReasonAuthentication, "tls.crt of the Secret prod/shop/key", "name a Secret (spec.secretRef)"},
		"server's certificate": {fmt.Errorf("%w: x509: signed by nobody", repo.ErrUnreachable), ReasonUnreachable, "ca.crt of the Secret prod/shop/key", "SSL_CERT_FILE"},
		"permission":           {repo.ErrForbidden, ReasonForbidden, "let this user write", "let this user write"},
		"network":              {repo.ErrUnreachable, ReasonUnreachable, "", ""},
		"left alone":           {errAlone, ReasonUnreachable, "", ""},
		"proxy":                {repo.ErrProxy, ReasonUnreachable, "HTTPS_PROXY", "HTTPS_PROXY"},
		"host key":             {repo.ErrHostKey, ReasonHostKey, "", ""}, // its error says what to do
		"repository":           {repo.ErrNotFound, ReasonNotFound, "create the repository", "create the repository"},
		"URL":                  {repo.ErrBadURL, ReasonBadURL, "", ""},
		"hook":                 {repo.ErrRefused, ReasonRefused, "what the remote says", "what the remote says"},
		"protected branch":     {repo.ErrProtected, ReasonProtected, "let this user push", "let this user push"},
		"quota":                {repo.ErrNoRoom, ReasonNoRoom, "make room", "client_max_body_size"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := reason(tt.err); got != tt.reason {
				t.Errorf("the reason is %s, want %s", got, tt.reason)
			}
			for secret, want := range map[string]string{"prod/shop/key": tt.withSecret, "": tt.without} {
				got := remedy(tt.err, secret)
				if !strings.Contains(got, want) || (want == "") != (got == "") || secret == "" && strings.Contains(got, "prod/shop/key") {
					t.Errorf("with the Secret %q it is %q, want %q", secret, got, want)
				}
			}
		})
	}
}
