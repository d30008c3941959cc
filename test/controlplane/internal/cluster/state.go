package cluster

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
)

// state is what must stay the same over restarts besides etcd's data. It lives
// in one file that is replaced atomically, so that a kill at any moment leaves
// either none of it or all of it.
type state struct {
	Port              int
	Tokens            map[string]string // bearer tokens by user name
	ServingCert       []byte            // PEM: the serving certificate, then its CA
	ServingKey        []byte            // PEM
	ServiceAccountKey []byte            // PEM: signs service account tokens
}

const (
	stateFile     = "state.json"
	tenYears      = 10 * 365 * 24 * time.Hour
	releaseWindow = 2 * time.Second // for what a process killed just now still holds
)

// lockDir makes this process the only one that uses the working directory,
// until it ends or calls unlock.
func lockDir() (unlock func(), err error) {
	f, err := os.OpenFile("lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := retry(func() error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) }); err != nil {
		owner, _ := os.ReadFile("lock")
		f.Close()
		return nil, fmt.Errorf("another controlplane (process %s) uses this directory: %w", strings.TrimSpace(string(owner)), err)
	}
	_, err = f.WriteAt(fmt.Appendf(nil, "%-10d\n", os.Getpid()), 0)
	if err != nil {
		f.Close()
		return nil, err
	}
	return func() { f.Close() }, nil
}

// loadState reads the state, or makes and stores it on the first run, and
// listens on its port. It fails if a port other than the stored one is asked for.
func loadState(port int) (*state, net.Listener, error) {
	st := &state{Tokens: map[string]string{}}
	data, err := os.ReadFile(stateFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := st.generate(); err != nil {
			return nil, nil, err
		}
	case err != nil:
		return nil, nil, err
	default:
		if err := json.Unmarshal(data, st); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", stateFile, err)
		}
	}
	for _, u := range users() {
		if st.Tokens[u.name] == "" { // a new directory, or a new kind of user
			st.Tokens[u.name] = rand.Text()
		}
	}
	if port != 0 && st.Port != 0 && port != st.Port {
		return nil, nil, fmt.Errorf("--port %d: this directory already has port %d; leave --port out or use another --dir", port, st.Port)
	}
	listener, err := listen(max(port, st.Port))
	if err != nil {
		return nil, nil, err
	}
	st.Port = listener.Addr().(*net.TCPAddr).Port
	if data, err = json.Marshal(st); err == nil {
		err = writeFile(stateFile, data)
	}
	if err != nil {
		listener.Close()
		return nil, nil, err
	}
	return st, listener, nil
}

// generate makes the certificates and keys of a new control plane.
func (s *state) generate() (err error) {
	s.ServingCert, s.ServingKey, err = cert.GenerateSelfSignedCertKeyWithOptions(cert.SelfSignedCertKeyOptions{
		Host:         "127.0.0.1",
		AlternateDNS: []string{"localhost"},
		MaxAge:       tenYears,
	})
	if err != nil {
		return err
	}
	s.ServiceAccountKey, err = keyutil.MakeEllipticPrivateKeyPEM()
	return err
}

// url returns the API server's address.
func (s *state) url() string { return fmt.Sprintf("https://127.0.0.1:%d", s.Port) }

// restConfig returns a client configuration for the user, without a client-side rate limit.
func (s *state) restConfig(user string) *rest.Config {
	return &rest.Config{
		Host:            s.url(),
		BearerToken:     s.Tokens[user],
		TLSClientConfig: rest.TLSClientConfig{CAData: s.ServingCert},
		QPS:             -1,
	}
}

// retry calls do until it succeeds, for at most releaseWindow, and returns its last error.
func retry(do func() error) error {
	for deadline := time.Now().Add(releaseWindow); ; time.Sleep(20 * time.Millisecond) {
		if err := do(); err == nil || time.Now().After(deadline) {
			return err
		}
	}
}

// writeFile replaces the file at path by data, readable by its owner only, in
// one step: after a crash it has either its old content or all of data.
func writeFile(path string, data []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".tmp-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(data)
	if err := errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}
