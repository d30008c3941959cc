package repo

import (
	"errors"
	"testing"

	"github.com/go-git/go-git/v5/plumbing/transport"
)

// TestAtTheDoor: what hosts say to whom they do not serve.
func TestAtTheDoor(t *testing.T) {
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
		if got := atTheDoor(said); !errors.Is(got, want) {
			t.Errorf("%q: %v", said, got)
		}
	}
}
