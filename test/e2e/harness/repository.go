package harness

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/kubescribe/kubescribe/shared/gittest"
)

// Repository is a branch of a bare repository on this machine, read by stock git.
type Repository struct {
	Dir    string
	Branch string
}

// Tip is the commit that the branch points to, empty if there is no such branch.
func (r Repository) Tip() (string, error) {
	tip, err := r.loose()
	if err != nil || tip != "" {
		return tip, err
	}
	return gittest.Git(r.Dir, "for-each-ref", "--format=%(objectname)", "refs/heads/"+r.Branch)
}

// loose is Tip as the branch's own file says it, empty if it has none: not there
// yet, or packed. It may be asked a thousand times a second.
func (r Repository) loose() (string, error) {
	b, err := os.ReadFile(filepath.Join(r.Dir, "refs", "heads", filepath.FromSlash(r.Branch)))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("reading the branch: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}

// Count is how many commits the branch has.
func (r Repository) Count() (int, error) {
	tip, err := r.Tip()
	if err != nil || tip == "" {
		return 0, err
	}
	out, err := gittest.Git(r.Dir, "rev-list", "--count", tip)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(out)
}

// File is a file of a commit's tree.
type File struct {
	Mode    string
	Content string
}

// Files reads all files of the branch's tip that lie in a folder ("" or "." for
// all there are), by their paths from the root.
func (r Repository) Files(folder string) (map[string]File, error) {
	files := map[string]File{}
	tip, err := r.Tip()
	if err != nil || tip == "" {
		return files, err
	}
	args := []string{"ls-tree", "-r", "-z", tip}
	if folder != "" && folder != "." {
		args = append(args, "--", folder+"/")
	}
	listing, err := gittest.Git(r.Dir, args...)
	if err != nil {
		return nil, err
	}
	var paths, hashes []string
	for entry := range strings.SplitSeq(strings.TrimSuffix(listing, "\x00"), "\x00") {
		if entry == "" {
			continue
		}
		what, path, ok := strings.Cut(entry, "\t")
		fields := strings.Fields(what)
		if !ok || len(fields) != 3 {
			return nil, fmt.Errorf("reading git ls-tree: unexpected entry %q", entry)
		}
		files[path] = File{Mode: fields[0]}
		if fields[1] == "blob" {
			paths, hashes = append(paths, path), append(hashes, fields[2])
		}
	}
	contents, err := r.blobs(hashes, paths)
	if err != nil {
		return nil, err
	}
	for path, content := range contents {
		files[path] = File{Mode: files[path].Mode, Content: content}
	}
	return files, nil
}

// blobs reads objects that Git knows by names, and gives each another one.
func (r Repository) blobs(names, as []string) (map[string]string, error) {
	contents := make(map[string]string, len(names))
	if len(names) == 0 {
		return contents, nil
	}
	blobs, err := gittest.GitInput(r.Dir, strings.Join(names, "\n")+"\n", "cat-file", "--batch")
	if err != nil {
		return nil, err
	}
	blobs += "\n" // of which the last was cut off
	for _, name := range as {
		head, rest, ok := strings.Cut(blobs, "\n")
		fields := strings.Fields(head)
		if !ok || len(fields) != 3 {
			return nil, fmt.Errorf("reading git cat-file: unexpected line %q", head)
		}
		size, err := strconv.Atoi(fields[2])
		if err != nil || size+1 > len(rest) {
			return nil, fmt.Errorf("reading git cat-file: unexpected line %q", head)
		}
		contents[name] = rest[:size]
		blobs = rest[size+1:]
	}
	return contents, nil
}

// History reads the branch's commits, oldest first: all of them, or those of a
// range such as "OLD..NEW".
func (r Repository) History(revisions ...string) ([]Commit, error) {
	if len(revisions) == 0 {
		tip, err := r.Tip()
		if err != nil || tip == "" {
			return nil, err
		}
		revisions = []string{tip}
	}
	out, err := gittest.Git(r.Dir, append([]string{
		"log", "--reverse", "--topo-order", "--name-status", "--no-renames", "-z", "--format=" + historyFormat,
	}, revisions...)...)
	if err != nil {
		return nil, err
	}
	return ParseHistory(out)
}
