// Package credential makes of a Secret's data what a session with a Git remote is opened
// with. It reads the keys of package secret: those of Kubernetes' own types of Secrets and
// of Flux and Argo CD, so that a Secret made for one of them can be used as it is.
//
// It reads and asks nothing: whatever brings the data. What is missing, cannot be read or
// contradicts itself is an error that names the key and what to do, and repeats no value.
package credential

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"

	"github.com/kubescribe/kubescribe/shared/secret"
)

// value is what a Secret holds under one of a key's names.
type value struct {
	name string // the first of them, where it holds nothing
	data []byte // without the line break that an editor puts at its end
}

func (v value) empty() bool { return len(v.data) == 0 }

// reader takes values out of a Secret's data, up to the first contradiction.
type reader struct {
	data map[string][]byte
	err  error
}

// get is the value under any of a key's names.
func (r *reader) get(names []string) value {
	v := value{name: names[0]}
	for _, name := range names {
		data := bytes.TrimRight(r.data[name], "\r\n")
		switch {
		case len(data) == 0:
		case v.empty():
			v = value{name, data}
		case !bytes.Equal(v.data, data) && r.err == nil:
			r.err = fmt.Errorf("%s and %s mean the same and differ: remove one", v.name, name)
		}
	}
	return v
}

// has is whether a key is there, if only with nothing in it.
func (r *reader) has(names []string) bool {
	for _, name := range names {
		if _, ok := r.data[name]; ok {
			return true
		}
	}
	return false
}

// checkRefused refuses what Argo CD would open a remote by, and nothing here does: a
// session that is less safe than its Secret's owner thinks, or takes another way, is worse
// than none.
func (r *reader) checkRefused() error {
	for _, name := range secret.Insecure {
		data := string(bytes.TrimSpace(r.data[name]))
		if on, err := strconv.ParseBool(data); data != "" && (on || err != nil) {
			return fmt.Errorf("%s is not supported, since a remote always has to prove who it is: remove it, and put the authority that signed its certificate into ca.crt, or its host keys into known_hosts", name)
		}
	}
	if !r.get(secret.Proxy).empty() {
		return errors.New("proxy is not supported in a Secret: remove it, and set HTTPS_PROXY where the git-writer runs")
	}
	return nil
}
