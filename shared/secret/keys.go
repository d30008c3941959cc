// Package secret knows which keys of a Kubernetes Secret say how a Git remote is opened:
// those of Kubernetes' own types of Secrets, of Flux and of Argo CD. The watcher hands on
// no other key, and the git-writer reads no other.
package secret

import "slices"

// The keys, under each name that they have; read only.
var (
	Username    = []string{"username"}
	Password    = []string{"password"} // of the user; beside an SSH key, what it is encrypted with
	BearerToken = []string{"bearerToken"}
	Authorities = []string{"ca.crt", "caFile"}
	Certificate = []string{"tls.crt", "certFile", "tlsClientCertData"}
	CertKey     = []string{"tls.key", "keyFile", "tlsClientCertKey"}
	SSHKey      = []string{"identity", "ssh-privatekey", "sshPrivateKey"}
	KnownHosts  = []string{"known_hosts"}

	// Insecure and Proxy are refused, and so have to be seen.
	Insecure = []string{"insecure", "insecureIgnoreHostKey"}
	Proxy    = []string{"proxy"}
)

// Select is what of a Secret's data says how a remote is opened.
func Select(data map[string][]byte) map[string][]byte {
	selected := map[string][]byte{}
	for _, key := range slices.Concat(Username, Password, BearerToken, Authorities, Certificate, CertKey, SSHKey, KnownHosts, Insecure, Proxy) {
		if value, ok := data[key]; ok {
			selected[key] = value
		}
	}
	return selected
}
