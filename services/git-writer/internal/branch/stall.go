package branch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/kubescribe/kubescribe/services/git-writer/internal/repo"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/fault"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// Why a destination is stalled: one word for machines beside the sentence for
// people.
const (
	ReasonAuthentication = "AuthenticationFailed"
	ReasonForbidden      = "AccessDenied"
	ReasonNotFound       = "RepositoryNotFound"
	ReasonRefused        = "PushRefused"
	ReasonProtected      = "BranchProtected"
	ReasonNoRoom         = "QuotaExceeded"
	ReasonHostKey        = "HostKeyNotTrusted"
	ReasonUnreachable    = "RemoteUnreachable"
	ReasonBadURL         = "InvalidURL"
	ReasonNoKey          = "EncryptionKeyMissing"
	ReasonOther          = "Failed"
)

// remedy is what a person can do about an error, "" if waiting is all. secret names what
// opens the remote, if that is one.
func remedy(err error, secret string) string {
	switch {
	case errors.Is(err, repo.ErrAuth) && secret != "":
		return "check what stands in the Secret " + secret + ", and that it has not expired"
	case errors.Is(err, repo.ErrClientCertificate) && secret != "":
		return "put a certificate that the remote knows into tls.crt of the Secret " + secret + ", and its key into tls.key"
	case errors.Is(err, repo.ErrSSHKeys) && secret != "":
		return "give the host the public half of the key in the Secret " + secret + ", or the Secret a key that the host knows"
	case errors.Is(err, repo.ErrUnreachable) && secret != "" && strings.Contains(err.Error(), "x509:"):
		return "put the authority that signed the remote's certificate into ca.crt of the Secret " + secret
	case errors.Is(err, repo.ErrAuth):
		return "check the user and password: KUBESCRIBE_GIT_USERNAME with KUBESCRIBE_GIT_PASSWORD_FILE, else what git credential fill knows for this URL"
	case errors.Is(err, repo.ErrClientCertificate):
		return "let the remote name a Secret (spec.secretRef) with a certificate that it knows in tls.crt, and its key in tls.key"
	case errors.Is(err, repo.ErrSSHKeys):
		return "give the host the public half of a key that the SSH agent holds (ssh-add -L), or the agent the key that the host knows (ssh-add FILE)"
	case errors.Is(err, repo.ErrForbidden):
		return "let this user write to the repository"
	case errors.Is(err, repo.ErrNotFound):
		return "create the repository, or check its URL and that this user may see it"
	case errors.Is(err, repo.ErrProtected):
		return "let this user push to the branch, or name another branch"
	case errors.Is(err, repo.ErrNoRoom):
		return "make room on the remote, or raise its limit: of the repository, of its disk, or of a request in what stands before it (nginx: client_max_body_size)"
	case errors.Is(err, repo.ErrRefused):
		return "do what the remote says, have its hook let these commits in, or name another branch"
	case errors.Is(err, repo.ErrProxy):
		return "put user and password of the proxy into the URL in HTTPS_PROXY or HTTP_PROXY"
	case errors.Is(err, repo.ErrUnreachable) && strings.Contains(err.Error(), "x509:"):
		return "let SSL_CERT_FILE name a file with the authority that signed the remote's certificate, or let the remote name a Secret with it"
	case errors.Is(err, repo.ErrUnreachable) && strings.Contains(err.Error(), "HTTP response to HTTPS client"):
		return "the remote speaks plain http: check the URL"
	}
	return ""
}

func reason(err error) string {
	for _, r := range []struct {
		is   error
		word string
	}{
		{repo.ErrAuth, ReasonAuthentication},
		{repo.ErrNoCredentials, ReasonAuthentication},
		{repo.ErrClientCertificate, ReasonAuthentication},
		{repo.ErrSSHKeys, ReasonAuthentication},
		{repo.ErrHostKey, ReasonHostKey},
		{repo.ErrForbidden, ReasonForbidden},
		{repo.ErrNotFound, ReasonNotFound},
		{repo.ErrProtected, ReasonProtected},
		{repo.ErrNoRoom, ReasonNoRoom},
		{repo.ErrRefused, ReasonRefused},
		{repo.ErrBadURL, ReasonBadURL},
		{repo.ErrProxy, ReasonUnreachable},
		{repo.ErrUnreachable, ReasonUnreachable},
		{errAlone, ReasonUnreachable},
		{ErrNoKey, ReasonNoKey},
	} {
		if errors.Is(err, r.is) {
			return r.word
		}
	}
	return ReasonOther
}

// stall says why nothing moves, everywhere, and waits.
func (w *Worker) stall(ctx context.Context, err error, d time.Duration) {
	if what := remedy(err, w.Credentials); what != "" {
		err = fmt.Errorf("%w; %s", err, what)
	}
	left := w.Pace.asked(time.Now()) // by this branch, or by another one of the remote
	d += left                        // by chance more, so that they do not all come back at once
	w.show(func(s *Snapshot) { s.Why, s.Next = err, time.Now().Add(d) })
	level := slog.LevelDebug // said before; /readyz goes on saying it
	if said := fault.Gist(err); said != w.said {
		level, w.said = slog.LevelWarn, said
	}
	w.Log.Log(ctx, level, "branch does not move, retrying", "url", repo.Redact(w.URL), "branch", w.Branch, "key", w.BranchKey, "in", d.Round(time.Millisecond).String(), "err", err)
	w.count(ctx)
	w.Metrics.Failures.WithLabelValues(reason(err)).Inc()
	if ctx.Err() == nil {
		for _, dest := range w.destinations() {
			w.tell(ctx, dest.Key, func(s *event.Status) {
				if !s.Stalled.Refused() { // that is remembered: see admit
					s.Stalled = stalled(s.Stalled, reason(err), err.Error())
				}
			})
		}
	}
	w.rest(ctx, d, left)
}

// leastRest is how long a worker waits that is woken: what opens a remote may change more
// often than that may be tried.
const leastRest = 5 * time.Second

// rest waits, and less if it is woken, but as long as the remote asked to be left alone.
func (w *Worker) rest(ctx context.Context, d, asked time.Duration) {
	least := max(asked, min(d, leastRest))
	if fault.Wait(ctx, least) != nil {
		return
	}
	t := time.NewTimer(d - least)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-w.woken:
	case <-t.C:
	}
}

// count shows how much waits while nothing moves.
func (w *Worker) count(ctx context.Context) {
	n, err := w.Bus.Waiting(ctx, subject.Write, subject.WriteBranch(w.BranchKey), w.reached)
	if err != nil {
		w.Log.Debug("backlog not counted", "branch", w.Branch, "err", err)
		return
	}
	w.show(func(s *Snapshot) { s.Pending = n })
	w.Metrics.Lag.WithLabelValues(w.BranchKey).Set(float64(n))
}
