package repo

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
	"unicode"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"
	gitssh "github.com/go-git/go-git/v5/plumbing/transport/ssh"
)

// What can be wrong, for errors.Is. Pending commits stay pending under every
// one of them.
var (
	// ErrBadURL: the URL names no repository that can be reached.
	ErrBadURL = errors.New("not a usable repository URL")
	// ErrBadBranch: the branch name is none.
	ErrBadBranch = errors.New("not a branch name")
	// ErrBadPath: a path that no repository may hold, or that would leave it.
	ErrBadPath = errors.New("not a safe path")
	// ErrNotFetched: nothing is known of the remote branch yet.
	ErrNotFetched = errors.New("branch was not fetched yet")
	// ErrCache: a fetched object cannot be read any more; the next Fetch mends it.
	ErrCache = errors.New("cached object is unreadable")
	// ErrPathConflict: something that is no regular file stands where a file or
	// a directory is needed. It is a *PathConflictError.
	ErrPathConflict = errors.New("path is taken")

	// ErrNoCredentials: Config.Auth failed; its error says what to do.
	ErrNoCredentials = errors.New("credentials could not be had")
	// ErrProxy: a proxy wants other credentials, or any.
	ErrProxy = errors.New("not let through by the proxy")
	// ErrAuth: the credentials were missing or not accepted.
	ErrAuth = errors.New("authentication failed")
	// ErrClientCertificate: the remote wants another client certificate, or one at all.
	ErrClientCertificate = errors.New("no client certificate was accepted")
	// ErrSSHKeys: the host accepted none of the SSH keys.
	ErrSSHKeys = errors.New("no SSH key was accepted")
	// ErrHostKey: an SSH host did not prove to be the one that is known by its
	// name. A HostKeyCallback's error that is one says all that there is to say.
	ErrHostKey = errors.New("the SSH host is not trusted")
	// ErrForbidden: the credentials were accepted and do not suffice.
	ErrForbidden = errors.New("access denied")
	// ErrNotFound: there is no such repository, or it is not shown.
	ErrNotFound = errors.New("repository not found")
	// ErrRefused: the remote understood the push and refused it (a hook, a
	// protected branch, a limit) while the branch stands where it stood.
	ErrRefused = errors.New("push refused by the remote")
	// ErrProtected is an ErrRefused: the branch is protected from this user.
	ErrProtected = fmt.Errorf("%w: the branch is protected", ErrRefused)
	// ErrNoRoom is an ErrRefused: a quota or limit of the remote, or its disk, has no room
	// for the push.
	ErrNoRoom = fmt.Errorf("%w: it has no room for it", ErrRefused)
	// ErrMoved: others kept pushing first. Try again.
	ErrMoved = errors.New("remote branch keeps moving")
	// ErrUnreachable: the network, a deadline, or the server's own failure. Try again.
	ErrUnreachable = errors.New("remote unreachable")
	// ErrRival: another writer has pushed commits of the same changes. Which of
	// the pending ones, and of those to come, are in them is for the caller to find
	// out, from the branch: they must not be built again on top.
	ErrRival = errors.New("another writer has pushed the same changes")
	// ErrHistoryRewritten: the remote branch does not contain any more what it
	// contained. Pending commits were rebuilt on what it contains now and are
	// still pending: calling again goes on from there, after the caller decided
	// what the change means.
	ErrHistoryRewritten = errors.New("history of the remote branch was rewritten")
)

// RemoteError is what talking to the remote fails with. No credential is in any
// of its fields.
type RemoteError struct {
	Kind       error         // one of the sentinels
	Doing      string        // what was being done
	URL        string        // the remote, redacted
	Detail     string        // what happened, for people
	Words      string        // what the remote itself said to people, in lines: a hook's output
	RetryAfter time.Duration // how long the remote asked to be left alone; 0 if it did not

	ctx error // context.Canceled or DeadlineExceeded when the caller's context ended it
}

// Error is one line.
func (e *RemoteError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s: %v", e.Doing, e.URL, e.Kind)
	if e.Detail != "" {
		b.WriteString(": " + oneLine(e.Detail))
	}
	if e.Words != "" {
		b.WriteString(": " + oneLine(e.Words))
	}
	return b.String()
}

// oneLine keeps lines apart by a bar, for logs that hold a line per event.
func oneLine(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, " | ")
}

// Unwrap gives the sentinel, and the context's error if that ended it.
func (e *RemoteError) Unwrap() []error {
	if e.ctx != nil {
		return []error{e.Kind, e.ctx}
	}
	return []error{e.Kind}
}

// PathConflictError says what stands in the way of a file. When it comes from
// Push or Fetch, a commit of somebody else put it there before pending commits
// could land, and Skip is the way out.
type PathConflictError struct {
	Path     string            // of the operation
	At       string            // the path that is taken: Path itself or one above it
	Mode     filemode.FileMode // of what stands there
	Blob     plumbing.Hash     // a file's that stands at Path instead of what Op.Replaces names; else zero
	Position uint64            // of the pending commit
}

// Error names both paths.
func (e *PathConflictError) Error() string {
	var what string
	switch e.Mode {
	case filemode.Dir:
		what = "a directory"
	case filemode.Symlink:
		what = "a symbolic link"
	case filemode.Submodule:
		what = "a submodule"
	default:
		what = "a file"
	}
	return fmt.Sprintf("writing %s: %v: %s stands at %s", e.Path, ErrPathConflict, what, e.At)
}

// Unwrap makes it an ErrPathConflict.
func (e *PathConflictError) Unwrap() error { return ErrPathConflict }

const (
	maxDetail = 1 << 10
	maxWords  = 8 << 10
)

// clean makes text from elsewhere fit for an error: bounded, printable, without
// any of the secrets.
func clean(text string, limit int, secrets []string) string {
	for _, s := range secrets {
		text = strings.ReplaceAll(text, s, "***")
	}
	text = strings.Map(func(r rune) rune {
		if r == '\n' || unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, strings.ToValidUTF8(text, "�"))
	text = strings.TrimSpace(text)
	if len(text) > limit {
		text = strings.ToValidUTF8(text[:limit], "") + "…"
	}
	return text
}

// secretsOf lists what must not be in any text: the credentials in the forms
// in which a server, a proxy or a library may echo them. On the web a user
// without a password is a token; elsewhere it is a name, as in git@host.
func secretsOf(user *url.Userinfo, web bool, auth transport.AuthMethod) []string {
	var out []string
	add := func(name, password string) {
		secret := password
		if secret == "" {
			return
		}
		out = append(out, base64.StdEncoding.EncodeToString([]byte(name+":"+password)))
		out = append(out, secret)
		for _, escaped := range []string{url.QueryEscape(secret), url.PathEscape(secret), url.UserPassword("", secret).String()[1:]} {
			if escaped != secret {
				out = append(out, escaped)
			}
		}
	}
	if user != nil {
		password, ok := user.Password()
		if !ok && web {
			password = user.Username() // https://TOKEN@host
		}
		add(user.Username(), password)
	}
	switch a := auth.(type) {
	case *githttp.BasicAuth:
		if a != nil {
			add(a.Username, a.Password)
			if a.Password == "" {
				add(a.Username, a.Username)
			}
		}
	case *githttp.TokenAuth:
		if a != nil {
			add("", a.Token)
		}
	case *gitssh.Password:
		if a != nil {
			add(a.User, a.Password)
		}
	}
	return out
}
