package repo

import (
	"strings"

	"github.com/go-git/go-git/v5/plumbing/transport"
)

// phrase is what hosts say, in lower case, and what it means: Git's protocols have words for
// people only.
type phrase struct {
	says string
	is   error
}

// meant is what a host means that says this; nil: that is not known.
func meant(said string, by []phrase) error {
	said = strings.ToLower(said)
	for _, p := range by {
		if strings.Contains(said, p.says) {
			return p.is
		}
	}
	return nil
}

// refusals are for who may not come in, instead of serving. Of those for a repository that is
// not there some do not say that it is.
var refusals = []phrase{
	{"does not appear to be a git repository", transport.ErrRepositoryNotFound}, // git itself
	{"repository not found", transport.ErrRepositoryNotFound},                   // GitHub
	{"no such repository", transport.ErrRepositoryNotFound},
	{"repository does not exist", transport.ErrRepositoryNotFound},                       // Bitbucket, Gogs, Gitea
	{"project you were looking for could not be found", transport.ErrRepositoryNotFound}, // GitLab
	{"permission", transport.ErrAuthorizationFailed},
	{"denied", transport.ErrAuthorizationFailed},
	{"not allowed", transport.ErrAuthorizationFailed},
	{"read only", transport.ErrAuthorizationFailed},
	{"read-only", transport.ErrAuthorizationFailed},
	{"unauthorized", transport.ErrAuthorizationFailed},
}

// judgements are for a push that is refused: whole phrases, since a hook may name any file
// and any rule.
var judgements = []phrase{
	{"quota exceeded", ErrNoRoom},
	{"exceeded quota", ErrNoRoom},
	{"over quota", ErrNoRoom},
	{"storage quota", ErrNoRoom},
	{"no space left on device", ErrNoRoom},
	{"storage limit", ErrNoRoom},                     // GitLab
	{"repository size limit", ErrNoRoom},             // GitLab, Bitbucket
	{"file size limit of", ErrNoRoom},                // GitHub
	{"exceeds maximum allowed size", ErrNoRoom},      // git itself: receive.maxInputSize
	{"protected branch update failed", ErrProtected}, // GitHub
	{"protected branch hook declined", ErrProtected},
	{"must be made through a pull request", ErrProtected},
	{"push code to protected branches", ErrProtected},    // GitLab
	{"push to protected branch", ErrProtected},           // Gitea
	{"permission denied to update branch", ErrProtected}, // Bitbucket
	{"tf402455", ErrProtected},                           // Azure DevOps: pull requests only
}
