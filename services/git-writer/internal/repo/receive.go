package repo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"
	"github.com/go-git/go-git/v5/plumbing/transport"

	"github.com/kubescribe/kubescribe/shared/faultpoint"
)

// answer is what the remote said to a push that it understood.
type answer struct {
	ref    plumbing.ReferenceName // what was pushed to
	report *packp.ReportStatus
	words  string // for people: hooks' output

	secrets []string // that the report may repeat
}

// landed says whether the branch was moved: the report has to say so of this
// very branch. One that says nothing of it leaves that open.
func (a *answer) landed() bool { return a.report.Error() == nil && a.named() }

// named says whether the report says anything of the branch.
func (a *answer) named() bool {
	return slices.ContainsFunc(a.report.CommandStatuses, func(s *packp.CommandStatus) bool { return s.ReferenceName == a.ref })
}

// unpacked says whether the remote could read the pack.
func (a *answer) unpacked() bool { return a.report.UnpackStatus == "ok" }

// discovery is what an advertisement of git-receive-pack said, for the next
// pushes over HTTP: a push there is one request, and the branch's tip, the only
// other thing in an advertisement, is of no use to it.
type discovery struct {
	caps     *capability.List
	endpoint transport.Endpoint
	access   Access // with which it was read
}

// receivePack sends one command with its pack. A nil answer comes with an error
// that leaves open whether the branch was moved. thin says whether the server
// takes a thin pack.
func (r *remote) receivePack(ctx context.Context, command *packp.Command, pack func(w io.Writer, thin bool) error) (*answer, error) {
	s, err := r.begin(ctx, "pushing to")
	if err != nil {
		return nil, err
	}
	defer s.end()
	if err := faultpoint.Before(faultpoint.Push, "the remote"); err != nil {
		return nil, s.classify(err)
	}
	receive := s.receiveProgram
	if s.overHTTP() {
		receive = s.receiveHTTP
	}
	a, err := receive(command, pack)
	if err != nil {
		return nil, err
	}
	if err := faultpoint.After(faultpoint.Push, "the remote"); err != nil {
		return nil, s.classify(err)
	}
	return a, nil
}

// request is the message of gitprotocol-pack, "Reference Update Request and
// Packfile Transfer". No shallow line is needed: the remote has all of the history
// below Old, and the pack all that is above it.
func (s *session) request(caps *capability.List, command *packp.Command, pack func(w io.Writer, thin bool) error) (*packp.ReferenceUpdateRequest, error) {
	req := packp.NewReferenceUpdateRequestFromCapabilities(caps) // report-status, agent
	for _, c := range []capability.Capability{capability.Sideband64k, capability.Quiet} {
		if caps.Supports(c) {
			_ = req.Capabilities.Set(c)
		}
	}
	req.Commands = []*packp.Command{command}
	var body bytes.Buffer
	if err := pack(&body, !caps.Supports("no-thin")); err != nil {
		return nil, err
	}
	req.Packfile = io.NopCloser(moving{&body, s.watch})
	return req, nil
}

// receiveHTTP pushes in one request (gitprotocol-http, "Smart Service
// git-receive-pack"), if an earlier push with the same credentials told what the
// server can do. go-git's session does the same and never closes the answer,
// which costs a connection per push.
func (s *session) receiveHTTP(command *packp.Command, pack func(w io.Writer, thin bool) error) (_ *answer, err error) {
	known, err := s.discover()
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.remote.forget()
		}
	}()
	req, err := s.request(known.caps, command, pack)
	if err != nil {
		return nil, err
	}
	var body bytes.Buffer
	if err := req.Encode(&body); err != nil {
		return nil, fmt.Errorf("encoding push: %w", err)
	}
	post, err := http.NewRequestWithContext(s.ctx, http.MethodPost, known.endpoint.String()+"/git-receive-pack", &body)
	if err != nil {
		return nil, s.classify(err)
	}
	post.Header.Set("User-Agent", capability.DefaultAgent())
	post.Header.Set("Content-Type", "application/x-git-receive-pack-request")
	post.Header.Set("Accept", "application/x-git-receive-pack-result")
	if auth, ok := s.access.Method.(interface{ SetAuth(*http.Request) }); ok && sameOrigin(s.remote.where.endpoint(), &known.endpoint) {
		auth.SetAuth(post)
	}
	client := s.client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	res, err := client.Do(post)
	if err != nil {
		return nil, s.classify(err)
	}
	defer res.Body.Close()
	words := &talk{watch: s.watch}
	if res.StatusCode != http.StatusOK {
		return nil, s.classifyPush(errors.New("push was not taken"), words)
	}
	a, err := readAnswer(res.Body, command.Name, req.Capabilities, words)
	if err != nil {
		return nil, s.classifyPush(err, words)
	}
	a.words, a.secrets = clean(words.String(), maxWords, s.secrets), s.secrets
	// Past the report: a post-receive hook may be running still, and would be killed
	// with the connection.
	_, _ = io.Copy(io.Discard, res.Body)
	if !a.landed() {
		s.remote.forget()
	}
	return a, nil
}

// readAnswer reads the report, and what hooks said until then into words.
func readAnswer(r io.Reader, ref plumbing.ReferenceName, caps *capability.List, words io.Writer) (*answer, error) {
	report := r
	if caps.Supports(capability.Sideband64k) {
		band := sideband.NewDemuxer(sideband.Sideband64k, r)
		band.Progress = words
		report = band
	}
	if !caps.Supports(capability.ReportStatus) {
		return nil, errors.New("the server does not report")
	}
	a := &answer{ref: ref, report: packp.NewReportStatus()}
	if err := a.report.Decode(report); err != nil {
		return nil, fmt.Errorf("reading report: %w", err)
	}
	return a, nil
}

// classifyPush is classify for the request with the pack. An answer in the
// range of the client's faults that is none of the known ones is the server's
// judgement of the push: too large, not allowed there.
func (s *session) classifyPush(err error, words *talk) *RemoteError {
	if err == nil {
		err = errors.New("no answer")
	}
	e := s.classify(err)
	if s.wire != nil && errors.Is(e, ErrUnreachable) {
		switch status := s.wire.last().status; status {
		case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		case http.StatusRequestEntityTooLarge, http.StatusInsufficientStorage:
			e.Kind = ErrNoRoom
		default:
			if status >= 400 && status < 500 {
				e.Kind = ErrRefused
			}
		}
	}
	e.Words = clean(words.String(), maxWords, s.secrets)
	if is := meant(e.Detail+"\n"+e.Words, judgements); is != nil && (errors.Is(e, ErrRefused) || errors.Is(e, ErrForbidden)) {
		e.Kind = is
	}
	return e
}

// discover reads what the server can do, unless it is known.
func (s *session) discover() (*discovery, error) {
	r := s.remote
	r.mu.Lock()
	known := r.pushes
	r.mu.Unlock()
	if known != nil && known.access.equal(s.access) {
		return known, nil
	}
	conn, err := s.transport().NewReceivePackSession(s.endpoint, s.access.Method)
	if err != nil {
		return nil, s.classify(err)
	}
	defer conn.Close()
	adv, err := conn.AdvertisedReferencesContext(s.ctx)
	if err != nil {
		return nil, s.classify(err)
	}
	redirected := s.discovered()
	known = &discovery{adv.Capabilities, *s.endpoint, s.access}
	// A redirect is followed again each time: it may be there for this moment only.
	if !redirected {
		r.mu.Lock()
		r.pushes = known
		r.mu.Unlock()
	}
	return known, nil
}

func (r *remote) forget() {
	r.mu.Lock()
	r.pushes = nil
	r.mu.Unlock()
}

// talk collects what the remote says to people, as much of it as fits.
type talk struct {
	said  bytes.Buffer
	watch *watchdog
}

func (t *talk) Write(p []byte) (int, error) {
	t.watch.alive()
	if room := maxWords + 1 - t.said.Len(); room > 0 {
		t.said.Write(p[:min(len(p), room)])
	}
	return len(p), nil
}

func (t *talk) String() string { return t.said.String() }
