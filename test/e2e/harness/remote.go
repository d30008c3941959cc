package harness

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"

	"github.com/kubescribe/kubescribe/shared/gittest"
)

// RemoteOptions says how a remote is served.
type RemoteOptions struct {
	Dir            string // of the repositories
	Name           string // of the repository; empty: live.git
	User, Password string // asked for, if set
	Address        string // to listen on; empty: any free one
	// Wrap, if set, puts a handler around everything: to hang, say.
	Wrap func(http.Handler) http.Handler
}

// Branch is the branch that kubescribe writes to when nobody names one.
const Branch = "main"

// Remote is a bare repository behind canonical git's smart HTTP on loopback.
type Remote struct {
	Repository
	URL    string
	Server *gittest.Server
}

// Close ends the server. The repository stays.
func (r *Remote) Close() error { return r.Server.Close() }

// ServeRemote makes the repository, if it is not there, and serves it until Close.
func ServeRemote(o RemoteOptions) (*Remote, error) {
	if o.Name == "" {
		o.Name = "live.git"
	}
	dir := filepath.Join(o.Dir, o.Name)
	if _, err := os.Stat(filepath.Join(dir, "HEAD")); err != nil {
		if err := gittest.InitBare(dir, Branch); err != nil {
			return nil, fmt.Errorf("making the remote: %w", err)
		}
	}
	s, err := gittest.Serve(gittest.Options{Dir: o.Dir, User: o.User, Password: o.Password, Address: o.Address, Wrap: o.Wrap})
	if err != nil {
		return nil, fmt.Errorf("serving the remote: %w", err)
	}
	return &Remote{Repository: Repository{Dir: dir, Branch: Branch}, URL: s.URL(o.Name), Server: s}, nil
}
