package demo

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/kubescribe/kubescribe/shared/gittest"
	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

// orphans is how many files of resources stand in the folder that the cluster does
// not have.
const orphans = 5

// others is what else somebody left in the folder, by its path from there: neither
// is kubescribe's to touch.
var others = map[string]string{
	"README.md":         "# What runs in the cluster\n",
	"tools/backup.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: backup\n  namespace: tools\ndata:\n  every: day\n",
}

// othersFile reports whether a file of the folder is somebody else's.
func othersFile(path string) bool { _, is := others[path]; return is }

// furnish commits to a bare repository what somebody may have left in it.
func furnish(bare, scratch string) error {
	files := map[string]string{}
	for path, content := range others {
		files[path] = content
	}
	for i := range orphans {
		name := fmt.Sprintf("old-%d", i+1)
		files["default/configmaps/"+name+".yaml"] = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: " + name + "\n  namespace: default\ndata:\n  left: behind\n"
	}
	for path, content := range files {
		path = filepath.Join(scratch, folder, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fmt.Errorf("filling the repository: %w", err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			return fmt.Errorf("filling the repository: %w", err)
		}
	}
	for _, args := range [][]string{
		{"init", "--quiet", "--initial-branch=" + harness.Branch},
		{"add", "."},
		{"commit", "--quiet", "--message=Leave something behind"},
		{"push", "--quiet", bare, harness.Branch},
	} {
		if _, err := gittest.Git(scratch, args...); err != nil {
			return fmt.Errorf("filling the repository: %w", err)
		}
	}
	return nil
}

// reconciled is the commit of the first run, which must be the only one of
// kubescribe's, and must have left alone what is not its own.
func (s *stage) reconciled() (harness.Commit, error) {
	history, err := s.remote.History()
	if err != nil {
		return harness.Commit{}, err
	}
	ours := slices.DeleteFunc(history, func(c harness.Commit) bool { return !c.Ours })
	if len(ours) != 1 {
		return harness.Commit{}, fmt.Errorf("the start made %d commits, want one", len(ours))
	}
	files, err := s.remote.Files(folder)
	if err != nil {
		return harness.Commit{}, err
	}
	for path, content := range others {
		if files[folder+"/"+path].Content != content {
			return harness.Commit{}, fmt.Errorf("%s is not what it was", path)
		}
	}
	return ours[0], nil
}
