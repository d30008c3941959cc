package bench

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kubescribe/kubescribe/shared/gittest"
	"github.com/kubescribe/kubescribe/shared/manifest"
	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

const (
	// folder is the base folder.
	folder = "live"
	// marker is the file in it that is no manifest.
	marker = "/.kubescribe.yaml"
)

// folderOf is what a generated state looks like in Git: as [listing] says it.
func folderOf(size int, at func(object) version) (string, error) {
	var lines []string
	for o := range objects(size) {
		path, content, err := o.rendered(at(o))
		if err != nil {
			return "", err
		}
		lines = append(lines, folder+"/"+path+" "+manifest.Hash(content))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n"), nil
}

// listing is what stock git says a commit's base folder holds: a line of path and
// blob for each file but the marker, sorted.
func listing(r harness.Repository, base, commit string) (string, error) {
	out, err := gittest.Git(r.Dir, "ls-tree", "-r", "-z", commit, "--", base+"/")
	if err != nil {
		return "", err
	}
	var lines []string
	for entry := range strings.SplitSeq(strings.TrimSuffix(out, "\x00"), "\x00") {
		what, path, ok := strings.Cut(entry, "\t")
		hash, regular := strings.CutPrefix(what, "100644 blob ")
		switch {
		case entry == "" || path == base+marker:
		case !ok || !regular:
			return "", fmt.Errorf("the base folder holds %q, which is no manifest", entry)
		default:
			lines = append(lines, path+" "+hash)
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n"), nil
}

// commit is a commit of somebody's, as git fast-import reads it.
type commit struct {
	strings.Builder
	count int
}

func newCommit(tip, message string) *commit {
	c := &commit{}
	fmt.Fprintf(&c.Builder, "commit refs/heads/%s\ncommitter Somebody Else <else@example.com> 1767225600 +0000\ndata %d\n%s\n", harness.Branch, len(message), message)
	if tip != "" {
		fmt.Fprintf(&c.Builder, "from %s\n", tip)
	}
	return c
}

func (c *commit) put(path, content string) {
	fmt.Fprintf(&c.Builder, "M 100644 inline %s\ndata %d\n%s\n", path, len(content), content)
}

func (c *commit) remove(path string) { fmt.Fprintf(&c.Builder, "D %s\n", path) }

func (c *commit) land(r harness.Repository) error {
	_, err := gittest.GitInput(r.Dir, c.String(), "fast-import", "--quiet")
	return err
}

// populate commits the files of a generated state.
func populate(r harness.Repository, size int) error {
	c := newCommit("", "What was there")
	for o := range objects(size) {
		path, content, err := o.rendered(version{revision: 1})
		if err != nil {
			return err
		}
		c.put(folder+"/"+path, string(content))
	}
	return c.land(r)
}

// damage has somebody change a share of the files by hand, in percent: of four, three
// are edited and one is removed; and for each ten there is one whose object does not
// exist. No edit makes a file that stood there before: a git-writer would know it.
func damage(r harness.Repository, percent int) error {
	tip, err := r.Tip()
	if err != nil {
		return err
	}
	files, err := r.Files(folder)
	if err != nil {
		return err
	}
	paths := make([]string, 0, len(files))
	for path := range files {
		if path != folder+marker {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	c := newCommit(tip, "By hand")
	for i := 0; i < len(paths); i += 100 / percent {
		path := paths[i]
		if c.count%4 == 3 {
			c.remove(path)
		} else {
			c.put(path, files[path].Content+"# edited upon "+tip+"\n")
		}
		if c.count%10 == 0 {
			name := fmt.Sprintf("orphan-%06d", c.count)
			c.put(folder+"/"+namespaceName(c.count%namespaces)+"/configmaps/"+name+".yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: "+name+"\n")
		}
		c.count++
	}
	return c.land(r)
}
