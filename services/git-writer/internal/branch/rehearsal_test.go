package branch

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/kubescribe/kubescribe/services/git-writer/internal/file"
	"github.com/kubescribe/kubescribe/services/git-writer/internal/repo"
	"github.com/kubescribe/kubescribe/shared/event"
)

func blobOf(content string) plumbing.Hash {
	return plumbing.ComputeHash(plumbing.BlobObject, []byte(content))
}

// TestRehearsal plays versions of a file that stands in Git or does not, and compares each with
// what the one before would have left.
func TestRehearsal(t *testing.T) {
	const gone = ""
	for name, tt := range map[string]struct {
		git      string // what stands there, gone for nothing
		versions []string
		want     string
		planned  int // how many files would differ from Git in the end
	}{
		"new":                    {gone, []string{"a"}, "[Create f]", 1},
		"new, and the same":      {gone, []string{"a", "a"}, "[Create f] []", 1},
		"there and back":         {"a", []string{"b", "a", "b"}, "[Update f] [Update f] [Update f]", 1},
		"back to what is in Git": {"a", []string{"b", "a", "a"}, "[Update f] [Update f] []", 0},
		"made and removed":       {gone, []string{"a", gone, gone}, "[Create f] [Delete f] []", 0},
		"removed and made":       {"a", []string{gone, "a"}, "[Delete f] [Create f]", 0},
		"as it stands":           {"a", []string{"a"}, "[]", 0},
		"nothing to remove":      {gone, []string{gone}, "[]", 0},
	} {
		t.Run(name, func(t *testing.T) {
			r, git := newRehearsal(), map[string]plumbing.Hash{}
			if tt.git != gone {
				git["f"] = blobOf(tt.git)
			}
			got := ""
			for _, v := range tt.versions {
				stand, holds := maps.Clone(git), map[plumbing.Hash]file.Contents{}
				r.over("f", git, stand, holds)
				op := repo.Op{Path: "f", Content: []byte(v), Delete: v == gone, Replaces: stand["f"]}
				var changes []string
				for _, c := range r.apply([]repo.Op{op}) {
					changes = append(changes, c.What.String()+" "+c.Path)
				}
				got += fmt.Sprint(changes) + " "
			}
			if got != tt.want+" " || len(r.files) != tt.planned {
				t.Errorf("it is %s and %d files, want %s and %d", got, len(r.files), tt.want, tt.planned)
			}
		})
	}
}

// TestRehearsalOfMarker: the marker, of which it is only known what stood when the folder was
// looked at, is made once.
func TestRehearsalOfMarker(t *testing.T) {
	r, mark := newRehearsal(), repo.Op{Path: ".kubescribe.yaml", Content: []byte("ours")}
	for i, want := range []int{1, 0, 0} {
		if got := r.apply([]repo.Op{mark}); len(got) != want {
			t.Errorf("in commit %d it is %v", i, got)
		}
	}
	mark.Replaces = blobOf("theirs") // as another session sees it
	if got := r.apply([]repo.Op{mark}); len(got) != 1 || got[0].What != repo.Updated {
		t.Errorf("over another one it is %v", got)
	}
}

// TestRehearsalOfOthers: what somebody else has changed in Git is what counts there.
func TestRehearsalOfOthers(t *testing.T) {
	r := newRehearsal()
	r.apply([]repo.Op{{Path: "f", Content: []byte("b"), Replaces: blobOf("a")}})
	git := map[string]plumbing.Hash{"f": blobOf("theirs")}
	stand := maps.Clone(git)
	r.over("f", git, stand, map[plumbing.Hash]file.Contents{})
	if stand["f"] != blobOf("theirs") || len(r.files) != 0 {
		t.Errorf("%v stands, and %v would", stand, r.files)
	}
}

func TestRehearsalBounded(t *testing.T) {
	r, most := newRehearsal(), 0
	for i := range 2 * plannedFiles {
		r.apply([]repo.Op{{Path: fmt.Sprint(i), Content: []byte("a")}})
		most = max(most, len(r.files))
	}
	if most != plannedFiles {
		t.Errorf("it knows of %d files at most, want %d", most, plannedFiles)
	}
}

// TestShown: what is shown adds up, is the newest, and stays small.
func TestShown(t *testing.T) {
	var changes []repo.Change
	for i := range 9 {
		changes = append(changes, repo.Change{Path: fmt.Sprint(i)})
	}
	since := time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC)
	shown := event.DryRun{Since: since}
	for i := range 25 {
		was, before := shown, fmt.Sprint(shown)
		shown = with(shown, wouldBe(since, fmt.Sprint(i), changes))
		if fmt.Sprint(was) != before {
			t.Fatal("what news came to is changed")
		}
	}
	if shown.Since != since || shown.Commits != 25 || shown.Files != 225 || len(shown.Newest) != shownCommits {
		t.Errorf("shown is %+v", shown)
	}
	for i, c := range shown.Newest {
		if c.Subject != fmt.Sprint(24-i) || c.Files != 9 || len(c.Changes) != shownChanges || c.Changes[0] != "Create 0" {
			t.Errorf("in place %d is %+v", i, c)
		}
	}
}
