package repo

import (
	"errors"
	"testing"

	"github.com/go-git/go-git/v5/plumbing/transport"
)

// TestRefusals: what hosts say to whom they do not serve.
func TestRefusals(t *testing.T) {
	for said, want := range map[string]error{
		"fatal: '/srv/none.git' does not appear to be a git repository\n":                         transport.ErrRepositoryNotFound,
		"ERROR: Repository not found.\nfatal: Could not read from remote repository.":             transport.ErrRepositoryNotFound,
		"Gogs: Repository does not exist or you do not have access":                               transport.ErrRepositoryNotFound,
		"ERROR: The project you were looking for could not be found or you don't have permission": transport.ErrRepositoryNotFound,
		"ERROR: The key you are authenticating with has been marked as read only.":                transport.ErrAuthorizationFailed,
		"ERROR: Permission to shop/state.git denied to deploy key":                                transport.ErrAuthorizationFailed,
		"Gitea: Deploy key: 1 is not authorized to write to shop/state. Unauthorized\n":           transport.ErrAuthorizationFailed,
		"GitLab: You are not allowed to push code to this project.":                               transport.ErrAuthorizationFailed,
		"":                       nil,
		"We are down for repair": nil,
	} {
		if got := meant(said, refusals); !errors.Is(got, want) {
			t.Errorf("%q: %v", said, got)
		}
	}
}

// TestJudgements: what hosts say of a push that they refuse.
func TestJudgements(t *testing.T) {
	for said, want := range map[string]error{
		"protected branch hook declined\nerror: GH006: Protected branch update failed for refs/heads/main.":                                ErrProtected,
		"GH013: Repository rule violations found for refs/heads/main.\n- Changes must be made through a pull request.":                     ErrProtected,
		"pre-receive hook declined\nGitLab: You are not allowed to push code to protected branches on this project":                        ErrProtected,
		"pre-receive hook declined\nGitea: Not allowed to push to protected branch main":                                                   ErrProtected,
		"TF402455: Pushes to this branch are not permitted; you must use a pull request to update this branch.":                            ErrProtected,
		"pre-receive hook declined\nYour push to this repository cannot be completed because the namespace has exceeded its storage limit": ErrNoRoom,
		"unpacking: unpack-objects abnormal exit\nfatal: pack exceeds maximum allowed size (10.00 KiB)":                                    ErrNoRoom,
		"unpacking: index-pack abnormal exit\nfatal: write error: No space left on device":                                                 ErrNoRoom,
		"pre-receive hook declined\nno deploys on Friday":                                                                                  nil,
		"Permission denied to update branch main.":                                                                                         ErrProtected,
		// What a hook says may name anything.
		"policy: shop/resourcequotas/x.yaml sets no quota for pods":                         nil,
		"GH013: Repository rule violations found\n- Commits must have verified signatures.": nil,
		"the subject is over the size limit of 72; see the page about protected branches":   nil,
		"": nil,
	} {
		if got := meant(said, judgements); !errors.Is(got, want) || want == nil && got != nil {
			t.Errorf("%q: %v", said, got)
		}
	}
}
