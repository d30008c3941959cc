package repo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"
	"github.com/go-git/go-git/v5/plumbing/transport"
)

// upload is a session of git-upload-pack whose advertisement was read. It serves
// one fetch.
type upload struct {
	*session
	conn   transport.UploadPackSession
	caps   *capability.List
	tip    plumbing.Hash // of the branch; zero: it does not exist
	others []string      // some branches there are, if ours does not exist
}

func (r *remote) upload(ctx context.Context) (*upload, error) {
	s, err := r.begin(ctx, "fetching from")
	if err != nil {
		return nil, err
	}
	u := &upload{session: s}
	u.conn, err = open(s, func() (transport.UploadPackSession, error) {
		return s.transport().NewUploadPackSession(s.endpoint, s.access.Method)
	}, func(conn transport.UploadPackSession) { _ = conn.Close() })
	if err != nil {
		defer s.end()
		return nil, s.classify(err)
	}
	adv, err := u.conn.AdvertisedReferencesContext(s.ctx)
	switch {
	case errors.Is(err, transport.ErrEmptyRemoteRepository):
		return u, nil
	case err != nil:
		defer u.close()
		return nil, s.classify(err)
	}
	s.watch.alive()
	s.discovered()
	u.caps, u.tip = adv.Capabilities, adv.References[r.ref.String()]
	if u.tip.IsZero() {
		for ref := range adv.References {
			if name := plumbing.ReferenceName(ref); name.IsBranch() && len(u.others) < maxOthers {
				u.others = append(u.others, name.Short())
			}
		}
		slices.Sort(u.others)
	}
	return u, nil
}

// maxOthers bounds how many branches are named instead of ours.
const maxOthers = 5

func (u *upload) close() {
	_ = u.conn.Close()
	u.end()
}

// offers says whether the server has the capability.
func (u *upload) offers(c capability.Capability) bool { return u.caps != nil && u.caps.Supports(c) }

// want is what to ask a fetch for. No fetch says what is there already: what it
// brings stands by itself, in a pack of its own.
type want struct {
	objects []plumbing.Hash
	depth   int          // commits deep; 0: all of history, or objects that are no commits
	filter  packp.Filter // used where offered
}

// fetch asks and passes the pack to store.
func (u *upload) fetch(w want, store func(io.Reader) error) error {
	req := packp.NewUploadPackRequestFromCapabilities(u.caps)
	req.Wants = slices.Clone(w.objects) // they are sorted in place
	if u.offers(capability.NoProgress) {
		_ = req.Capabilities.Set(capability.NoProgress)
	}
	if w.depth > 0 && u.offers(capability.Shallow) {
		_ = req.Capabilities.Set(capability.Shallow)
		req.Depth = packp.DepthCommits(w.depth)
	}
	if w.filter != "" && u.offers(capability.Filter) {
		_ = req.Capabilities.Set(capability.Filter)
		req.Filter = w.filter
	}
	res, err := u.conn.UploadPack(u.ctx, req)
	if err != nil {
		return u.classify(err)
	}
	defer func() { _ = res.Close() }() // the pack was read to its end, or is not wanted

	var pack io.Reader = moving{res, u.watch}
	switch {
	case req.Capabilities.Supports(capability.Sideband64k):
		pack = sideband.NewDemuxer(sideband.Sideband64k, pack)
	case req.Capabilities.Supports(capability.Sideband):
		pack = sideband.NewDemuxer(sideband.Sideband, pack)
	}
	broken := &readError{Reader: pack}
	if err := store(broken); err != nil {
		if broken.err != nil {
			return u.classify(broken.err)
		}
		if errors.Is(err, errTorn) { // the connection ended early, or the server erred
			return u.classify(err)
		}
		return fmt.Errorf("storing what was fetched from %s: %w", u.remote.url, err)
	}
	return nil
}

// readError remembers what reading failed with, to tell it from what storing did.
type readError struct {
	io.Reader
	err error
}

func (r *readError) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err != nil && err != io.EOF {
		r.err = err
	}
	return n, err
}
