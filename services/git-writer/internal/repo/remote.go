package repo

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/transport"
	"github.com/go-git/go-git/v5/plumbing/transport/file"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"
	gitssh "github.com/go-git/go-git/v5/plumbing/transport/ssh"
)

func init() {
	// go-git hides multi_ack from its callers because it cannot negotiate with
	// it. Nothing is negotiated here (no fetch has haves), and there are
	// servers (Azure DevOps) that refuse a client that does not ask for it.
	transport.UnsupportedCapabilities = []capability.Capability{capability.ThinPack}
}

const (
	defaultTimeout = time.Minute
	// longest is how many times as long as a session may go without any progress it may
	// last with it: a peer that sends a byte now and then does not hold the branch for ever.
	longest = 30
)

// remote is how to reach the repository.
type remote struct {
	url      string // without credentials
	ref      plumbing.ReferenceName
	where    location
	err      error // what is wrong with the configuration
	auth     func(ctx context.Context) (Access, error)
	carriers carriers
	timeout  time.Duration // without progress
	longest  time.Duration // with it

	mu     sync.Mutex
	pushes *discovery // of the last HTTP push; nil if it is to be read
}

func newRemote(cfg Config) *remote {
	r := &remote{
		url: Redact(cfg.URL), ref: plumbing.NewBranchReferenceName(cfg.Branch),
		auth: cfg.Auth, timeout: cfg.Timeout,
	}
	if r.timeout <= 0 {
		r.timeout = defaultTimeout
	}
	r.longest = longest * r.timeout
	var err error
	if r.where, err = locate(cfg.URL); err != nil {
		r.err = fmt.Errorf("reading %q: %w: %w", r.url, ErrBadURL, err)
	} else if cfg.Branch == "" || r.ref.Validate() != nil {
		r.err = fmt.Errorf("reading %q: %w", cfg.Branch, ErrBadBranch)
	}
	return r
}

// session is one exchange with the remote, of one service, with credentials
// of its own. Its context ends when nothing moves for the timeout, or it comes to no end.
type session struct {
	remote   *remote
	doing    string
	ctx      context.Context
	caller   context.Context
	watch    *watchdog
	access   Access
	secrets  []string
	endpoint *transport.Endpoint // go-git changes it when it is redirected
	wire     *wire               // of http and https
}

// begin starts a session; end has to be called.
func (r *remote) begin(ctx context.Context, doing string) (*session, error) {
	if r.err != nil {
		return nil, r.err
	}
	s := &session{remote: r, doing: doing, caller: ctx, endpoint: r.where.endpoint()}
	s.ctx, s.watch = watch(ctx, r.timeout, r.longest)
	s.secrets = secretsOf(r.where.user, r.where.web(), nil)
	if r.auth != nil {
		access, err := r.auth(s.ctx)
		if err != nil {
			defer s.end()
			if s.ctx.Err() != nil {
				return nil, s.classify(err)
			}
			return nil, s.fail(ErrNoCredentials, err.Error())
		}
		s.access = access
		s.secrets = append(s.secrets, secretsOf(nil, false, access.Method)...)
	}
	if s.endpoint.Protocol == "ssh" {
		s.dialItself()
	}
	if s.overHTTP() {
		if s.access.Method == nil && r.where.user != nil {
			password, _ := r.where.user.Password()
			s.access.Method = &githttp.BasicAuth{Username: r.where.user.Username(), Password: password}
		}
		s.wire = &wire{base: r.carriers.pick(s.access.TLS), watch: s.watch}
	}
	return s, nil
}

func (s *session) end() { s.watch.stop() }

func (s *session) overHTTP() bool {
	return s.endpoint.Protocol == "http" || s.endpoint.Protocol == "https"
}

// client is an HTTP client for this session.
func (s *session) client() *http.Client { return &http.Client{Transport: s.wire} }

// transport is what speaks the URL's protocol.
func (s *session) transport() transport.Transport {
	switch s.endpoint.Protocol {
	case "ssh":
		return gitssh.DefaultClient
	case "file":
		return file.DefaultClient
	default:
		return githttp.NewClient(s.client())
	}
}

// open runs connect, which may block without looking at a context (an SSH
// handshake does), for as long as the session lives. A connection that comes
// later is closed by abandon.
func open[T any](s *session, connect func() (T, error), abandon func(T)) (T, error) {
	type outcome struct {
		got T
		err error
	}
	done := make(chan outcome, 1)
	go func() {
		got, err := connect()
		done <- outcome{got, err}
	}()
	select {
	case o := <-done:
		return o.got, o.err
	case <-s.ctx.Done():
		go func() {
			if o := <-done; o.err == nil {
				abandon(o.got)
			}
		}()
		var none T
		return none, s.ctx.Err()
	}
}

// fail makes an error of a known kind.
func (s *session) fail(kind error, detail string) *RemoteError {
	e := &RemoteError{Kind: kind, Doing: s.doing, URL: s.remote.url, Detail: clean(detail, maxDetail, s.secrets)}
	if s.wire != nil {
		e.RetryAfter = s.wire.last().wait
	}
	return e
}

// classify makes an error of what a transport failed with: by who ended the
// session, by the status of the last HTTP answer, by go-git's sentinels. What is
// left is the network's or the server's doing and may pass.
func (s *session) classify(err error) *RemoteError {
	if hidden := (*plumbing.UnexpectedError)(nil); errors.As(err, &hidden) { // it does not unwrap
		err = hidden.Err
	}
	if s.caller.Err() != nil {
		e := s.fail(ErrUnreachable, s.caller.Err().Error())
		e.ctx = s.caller.Err()
		return e
	}
	if errors.Is(context.Cause(s.ctx), errStalled) {
		return s.fail(ErrUnreachable, fmt.Sprintf("nothing came or went for %s", s.remote.timeout))
	}
	if errors.Is(context.Cause(s.ctx), errEndless) {
		return s.fail(ErrUnreachable, fmt.Sprintf("it came to no end within %s", s.remote.longest))
	}
	if s.wire != nil {
		switch was := s.wire.last(); {
		case was.status >= 400: // go-git's text would repeat the whole of the answer
			return s.fail(kindOfStatus(was.status), was.String())
		case was.status >= 300:
			return s.fail(kindOfStatus(was.status), fmt.Sprintf("%v: %v", was, err))
		case was.page:
			return s.fail(ErrUnreachable, fmt.Sprintf("%v: a web page came where Git's answer should be: check the URL, and what stands between here and the server", was))
		}
	}
	if detail, kind := sshFault(err, s.access.Method); kind != nil {
		return s.fail(kind, detail)
	}
	if missing := (*exec.Error)(nil); errors.As(err, &missing) {
		return s.fail(ErrUnreachable, "a path is reached by git's own programs, and git is not installed, or not in PATH: install it")
	}
	if _, said, ok := strings.Cut(err.Error(), "unknown error: "); ok { // what go-git makes of words at the door
		if is := meant(said, refusals); is != nil {
			err = fmt.Errorf("%w: %s", is, said)
		}
	}
	switch {
	case errors.Is(err, ErrProxy):
		return s.fail(ErrProxy, "")
	case ourCertificate(err):
		return s.fail(ErrClientCertificate, err.Error())
	case strings.Contains(err.Error(), "object-format=sha256"): // go-git stumbles over the length of the names
		return s.fail(ErrBadURL, "its objects are named by SHA-256, which is not supported")
	case errors.Is(err, transport.ErrAuthenticationRequired), errors.Is(err, transport.ErrInvalidAuthMethod):
		return s.fail(ErrAuth, err.Error())
	case errors.Is(err, transport.ErrAuthorizationFailed):
		return s.fail(ErrForbidden, err.Error())
	case errors.Is(err, transport.ErrRepositoryNotFound):
		return s.fail(ErrNotFound, err.Error())
	default:
		return s.fail(ErrUnreachable, err.Error())
	}
}

// ourCertificate says whether the remote refused the certificate that it was shown, or
// was shown none. crypto/tls has no type for what the other side says.
func ourCertificate(err error) bool {
	_, says, remote := strings.Cut(err.Error(), "remote error: tls: ")
	return remote && strings.Contains(says, "certificate")
}

// refused says whether err was the server's answer to what was asked, as far as can
// be told: another question may do.
func (s *session) refused(err error) bool {
	var e *RemoteError
	return errors.As(err, &e) && errors.Is(e, ErrUnreachable) && s.ctx.Err() == nil &&
		(s.wire == nil || s.wire.last().status == http.StatusOK)
}

func kindOfStatus(status int) error {
	switch status {
	case http.StatusUnauthorized:
		return ErrAuth
	case http.StatusProxyAuthRequired:
		return ErrProxy
	case http.StatusForbidden:
		return ErrForbidden
	case http.StatusNotFound, http.StatusGone:
		return ErrNotFound
	default:
		return ErrUnreachable
	}
}

// discovered is to be called once an advertisement was read. go-git has then
// written where it came from into the endpoint, with the path unescaped, which
// is mended here. It says whether that is another place than was asked.
func (s *session) discovered() (redirected bool) {
	if !s.overHTTP() {
		return false
	}
	s.endpoint.Path = (&url.URL{Path: s.endpoint.Path}).EscapedPath()
	asked := s.remote.where.endpoint()
	return !sameOrigin(asked, s.endpoint) || asked.Protocol != s.endpoint.Protocol || asked.Path != s.endpoint.Path
}

// sameOrigin says whether credentials for one endpoint may go to another, to
// which go-git was redirected: the same host and port, or from http to https on
// their default ports.
func sameOrigin(from, to *transport.Endpoint) bool {
	port := func(ep *transport.Endpoint) int {
		if ep.Port != 0 {
			return ep.Port
		}
		return defaultPorts[ep.Protocol]
	}
	if !strings.EqualFold(from.Host, to.Host) {
		return false
	}
	return from.Protocol == to.Protocol && port(from) == port(to) ||
		from.Protocol == "http" && to.Protocol == "https" && port(from) == 80 && port(to) == 443
}
