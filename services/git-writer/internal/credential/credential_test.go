package credential

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"

	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"
	"golang.org/x/crypto/ssh"

	"github.com/kubescribe/kubescribe/shared/gittest"
)

// dataOf is the data of a Secret, in pairs of keys and values.
func dataOf(pairs ...string) map[string][]byte {
	data := map[string][]byte{}
	for i := 0; i < len(pairs); i += 2 {
		data[pairs[i]] = []byte(pairs[i+1])
	}
	return data
}

// checkError wants an error that says all of that, in a line, and nothing that the data holds.
func checkError(t *testing.T, name string, data map[string][]byte, err error, says ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: no error", name)
		return
	}
	for _, want := range says {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %q is not in: %v", name, want, err)
		}
	}
	for key, content := range data {
		for line := range bytes.Lines(content) {
			if line = bytes.TrimSpace(line); len(line) > 3 && strings.Contains(err.Error(), string(line)) {
				t.Errorf("%s: the value of %s is in: %v", name, key, err)
			}
		}
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("%s: more than a line: %v", name, err)
	}
}

type issued struct{ ca, other, crt, key, strange string }

func issue(t *testing.T) issued {
	t.Helper()
	a, err := gittest.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	other, err := gittest.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	crt, key, err := a.Issue("writer")
	if err != nil {
		t.Fatal(err)
	}
	_, strange, err := other.Issue("writer")
	if err != nil {
		t.Fatal(err)
	}
	return issued{string(a.PEM), string(other.PEM), string(crt), string(key), string(strange)}
}

func TestParseWeb(t *testing.T) {
	t.Parallel()
	c := issue(t)
	for name, test := range map[string]struct {
		data        map[string][]byte
		method      any
		authorities int
		certificate bool
	}{
		"kubernetes.io/basic-auth":       {dataOf("username", "me", "password", "hush"), &githttp.BasicAuth{Username: "me", Password: "hush"}, 0, false},
		"files that were edited":         {dataOf("username", "me\n", "password", "hush \r\n"), &githttp.BasicAuth{Username: "me", Password: "hush "}, 0, false},
		"no user, as Azure has it":       {dataOf("password", "hush"), &githttp.BasicAuth{Password: "hush"}, 0, false},
		"an empty user":                  {dataOf("username", "", "password", "hush"), &githttp.BasicAuth{Password: "hush"}, 0, false},
		"a token":                        {dataOf("bearerToken", "hush\n"), &githttp.TokenAuth{Token: "hush"}, 0, false},
		"a token, and empty keys beside": {dataOf("bearerToken", "hush", "username", "", "password", ""), &githttp.TokenAuth{Token: "hush"}, 0, false},
		"kubernetes.io/tls":              {dataOf("tls.crt", c.crt, "tls.key", c.key), nil, 0, true},
		"of an issuer without authority": {dataOf("tls.crt", c.crt, "tls.key", c.key, "ca.crt", ""), nil, 0, true},
		"Flux":                           {dataOf("username", "me", "password", "hush", "ca.crt", c.ca), &githttp.BasicAuth{Username: "me", Password: "hush"}, 1, false},
		"Flux, former names":             {dataOf("certFile", c.crt, "keyFile", c.key, "caFile", c.ca+"\n"+c.other), nil, 2, true},
		"both names, one value":          {dataOf("caFile", c.ca, "ca.crt", c.ca), nil, 1, false},
		"Argo CD": {
			dataOf("type", "git", "url", "https://git.example.com/a.git", "project", "p", "username", "me", "password", "hush", "tlsClientCertData", c.crt,
				"tlsClientCertKey", c.key, "insecure", "false", "enableLfs", "true", "forceHttpBasicAuth", "true"),
			&githttp.BasicAuth{Username: "me", Password: "hush"}, 0, true,
		},
		"an authority alone": {dataOf("ca.crt", c.ca), nil, 1, false},
	} {
		got, err := ParseWeb(test.data)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if fmt.Sprintf("%#v", got.Method) != fmt.Sprintf("%#v", test.method) {
			t.Errorf("%s: opened with a %T", name, got.Method)
		}
		if len(got.TLS.Authorities) != test.authorities || (got.TLS.Certificate != nil) != test.certificate {
			t.Errorf("%s: %d authorities, certificate %v", name, len(got.TLS.Authorities), got.TLS.Certificate != nil)
		}
	}
}

func TestParseWebErrors(t *testing.T) {
	t.Parallel()
	c := issue(t)
	for name, test := range map[string]struct {
		data map[string][]byte
		says []string
	}{
		"nothing":                 {dataOf(), []string{"nothing in it", "username and password", "bearerToken", "tls.crt", "ca.crt"}},
		"nothing of ours":         {dataOf("githubAppID", "hush", "url", "https://hush.example.com"), []string{"nothing in it"}},
		"no password":             {dataOf("username", "hush-me"), []string{"password is missing or empty"}},
		"an empty password":       {dataOf("username", "hush-me", "password", "\n"), []string{"password is missing or empty"}},
		"an empty token":          {dataOf("bearerToken", ""), []string{"bearerToken is empty"}},
		"a token of two lines":    {dataOf("bearerToken", "hush\nhush"), []string{"bearerToken has a space or line break"}},
		"a user with a colon":     {dataOf("username", "hush:me", "password", "hush"), []string{"username has a colon"}},
		"a password and a token":  {dataOf("username", "hush-me", "password", "hush", "bearerToken", "hush-too"), []string{"bearerToken and username or password", "remove one"}},
		"a certificate alone":     {dataOf("tls.crt", c.crt), []string{"tls.crt is there without tls.key"}},
		"a key alone":             {dataOf("tlsClientCertKey", c.key), []string{"tlsClientCertKey is there without tls.crt"}},
		"another's key":           {dataOf("certFile", c.crt, "keyFile", c.strange), []string{"certFile and keyFile are no certificate with its private key"}},
		"no certificate":          {dataOf("tls.crt", "hush", "tls.key", c.key), []string{"tls.crt and tls.key are no certificate"}},
		"no authority":            {dataOf("ca.crt", "hush-hush"), []string{"ca.crt holds no certificate"}},
		"a key for an authority":  {dataOf("caFile", c.ca+c.key), []string{"caFile cannot be read, its block 2 is no certificate"}},
		"two authorities":         {dataOf("caFile", c.ca, "ca.crt", c.other), []string{"ca.crt and caFile mean the same and differ: remove one"}},
		"two certificates":        {dataOf("tls.crt", c.crt, "tls.key", c.key, "tlsClientCertData", c.other), []string{"tls.crt and tlsClientCertData mean the same and differ"}},
		"trust in anybody":        {dataOf("username", "hush-me", "password", "hush", "insecure", "true\n"), []string{"insecure is not supported", "ca.crt", "known_hosts"}},
		"trust in anybody, maybe": {dataOf("username", "hush-me", "password", "hush", "insecure", "yes"), []string{"insecure is not supported"}},
		"a proxy":                 {dataOf("username", "hush-me", "password", "hush", "proxy", "https://hush@proxy"), []string{"proxy is not supported", "HTTPS_PROXY"}},
		"an SSH key":              {dataOf("identity", "hush-key", "password", "hush"), []string{"identity is an SSH key", "over http"}},
	} {
		_, err := ParseWeb(test.data)
		checkError(t, name, test.data, err, test.says...)
	}
}

func newKey(t *testing.T, algorithm string) gittest.Key {
	t.Helper()
	key, err := gittest.NewKey(algorithm)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func pemOf(t *testing.T, key gittest.Key, passphrase string) string {
	t.Helper()
	out, err := key.PEM(passphrase)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// line is one of a known_hosts file.
func line(hosts string, key gittest.Key) string {
	return hosts + " " + string(ssh.MarshalAuthorizedKey(key.PublicKey()))
}

func TestParseSSH(t *testing.T) {
	t.Parallel()
	host := newKey(t, ssh.KeyAlgoED25519)
	known := "# git.example.com\n\n" + line("git.example.com,[10.0.0.1]:2222", host) + line("@cert-authority *.example.com", host) + line("|1|F1E1KeoE/eEWhi10WpGv4OdiO6Y=|3988QV0VE8wmZL7suNrYQLITLCg=", host)
	for _, algorithm := range []string{ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoRSA} {
		key := newKey(t, algorithm)
		for name, data := range map[string]map[string][]byte{
			"kubernetes.io/ssh-auth": dataOf("ssh-privatekey", pemOf(t, key, ""), "known_hosts", known),
			"Flux":                   dataOf("identity", pemOf(t, key, ""), "identity.pub", line("", key), "known_hosts", known),
			"Argo CD":                dataOf("type", "git", "url", "git@git.example.com:a.git", "sshPrivateKey", strings.TrimSpace(pemOf(t, key, "")), "insecure", "false", "known_hosts", known),
			"a passphrase for none":  dataOf("identity", pemOf(t, key, ""), "password", "hush", "known_hosts", strings.ReplaceAll(known, "\n", "\r\n")),
		} {
			got, err := ParseSSH(data)
			if err != nil || !bytes.Equal(got.Key.PublicKey().Marshal(), key.PublicKey().Marshal()) || len(got.KnownHosts) == 0 {
				t.Errorf("%s of a %s key: %v", name, algorithm, err)
			}
		}
	}
}

// TestParseEncryptedKey: the passphrase is asked of password.
func TestParseEncryptedKey(t *testing.T) {
	t.Parallel()
	key := newKey(t, ssh.KeyAlgoED25519)
	got, err := ParseSSH(dataOf("identity", pemOf(t, key, "hush"), "password", "hush\n", "known_hosts", line("git.example.com", key)))
	if err != nil || !bytes.Equal(got.Key.PublicKey().Marshal(), key.PublicKey().Marshal()) {
		t.Error(err)
	}
}

// TestParseOlderKeys: keys as other programs than ssh-keygen write them.
func TestParseOlderKeys(t *testing.T) {
	t.Parallel()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(rsaKey)
	if err != nil {
		t.Fatal(err)
	}
	sec1, err := x509.MarshalECPrivateKey(ecKey)
	if err != nil {
		t.Fatal(err)
	}
	known := line("git.example.com", newKey(t, ssh.KeyAlgoED25519))
	for name, block := range map[string]*pem.Block{
		"PKCS#1": {Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(rsaKey)},
		"PKCS#8": {Type: "PRIVATE KEY", Bytes: pkcs8},
		"SEC 1":  {Type: "EC PRIVATE KEY", Bytes: sec1},
	} {
		if _, err := ParseSSH(dataOf("identity", string(pem.EncodeToMemory(block)), "known_hosts", known)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestParseSSHErrors(t *testing.T) {
	t.Parallel()
	key, other := newKey(t, ssh.KeyAlgoED25519), newKey(t, ssh.KeyAlgoED25519)
	plain, encrypted := pemOf(t, key, ""), pemOf(t, key, "hush-hush")
	known := line("git.example.com", newKey(t, ssh.KeyAlgoED25519))
	for name, test := range map[string]struct {
		data map[string][]byte
		says []string
	}{
		"nothing":                   {dataOf(), []string{"no SSH key", "identity", "ssh-privatekey", "sshPrivateKey", "https URL"}},
		"a password":                {dataOf("username", "hush-me", "password", "hush"), []string{"no SSH key"}},
		"no known_hosts":            {dataOf("sshPrivateKey", plain), []string{"no SSH host is trusted", "known_hosts is missing or empty", "ssh-keyscan"}},
		"known_hosts of comments":   {dataOf("identity", plain, "known_hosts", "# nobody\n\n"), []string{"known_hosts is missing or empty"}},
		"known_hosts of keys alone": {dataOf("identity", plain, "known_hosts", known+"ssh-ed25519 AAAA"), []string{"line 2 of known_hosts cannot be read"}},
		"no key at all":             {dataOf("ssh-privatekey", "hush-hush", "known_hosts", known), []string{"ssh-privatekey is no SSH private key"}},
		"the public key":            {dataOf("identity", line("", key), "known_hosts", known), []string{"identity is no SSH private key"}},
		"a key cut short":           {dataOf("identity", plain[:len(plain)/2], "known_hosts", known), []string{"identity is no SSH private key"}},
		"no passphrase":             {dataOf("identity", encrypted, "known_hosts", known), []string{"identity is encrypted", "password is missing or empty"}},
		"an empty passphrase":       {dataOf("identity", encrypted, "password", "\n", "known_hosts", known), []string{"identity is encrypted", "password is missing or empty"}},
		"another passphrase":        {dataOf("ssh-privatekey", encrypted, "password", "shout", "known_hosts", known), []string{"password is not the passphrase of ssh-privatekey"}},
		"two keys":                  {dataOf("identity", plain, "ssh-privatekey", pemOf(t, other, ""), "known_hosts", known), []string{"identity and ssh-privatekey mean the same and differ"}},
		"trust in any host":         {dataOf("identity", plain, "insecure", "true", "known_hosts", known), []string{"insecure is not supported", "known_hosts"}},
		"trust in any host, still":  {dataOf("identity", plain, "insecureIgnoreHostKey", "true", "known_hosts", known), []string{"insecureIgnoreHostKey is not supported"}},
	} {
		_, err := ParseSSH(test.data)
		checkError(t, name, test.data, err, test.says...)
	}
}
