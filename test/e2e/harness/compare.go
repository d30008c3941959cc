package harness

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/client-go/rest"
)

// Scope says what a base folder has to agree with.
type Scope struct {
	Folder     string   // the base folder
	Namespaces []string // only these; empty: all, and what is cluster-scoped
	// Selects reports whether an object that belongs into Git does into this folder.
	// Nil: each does.
	Selects func(Identity) bool
	// Others reports whether a file below the base folder, named by its path
	// from there, belongs to somebody else. Nil: none does.
	Others func(path string) bool
	// Decrypt makes the manifest of an encrypted file. Nil: Secrets do not belong into Git.
	Decrypt func(content string) (string, error)
}

// Comparison is what [Compare] found.
type Comparison struct {
	Objects     int      // that belong into Git
	Files       int      // that stand for one
	Differences []string // one line each, sorted
}

// Err is nil if cluster and Git agree.
func (c Comparison) Err() error {
	if len(c.Differences) == 0 {
		return nil
	}
	const shown = 20
	more := ""
	if n := len(c.Differences); n > shown {
		more = fmt.Sprintf("\n  and %d more", n-shown)
	}
	return fmt.Errorf("%d differences between cluster and Git (%d objects, %d files):\n  %s%s", len(c.Differences), c.Objects, c.Files,
		strings.Join(c.Differences[:min(shown, len(c.Differences))], "\n  "), more)
}

// marker is the file by which kubescribe knows a folder as its own.
const marker = ".kubescribe.yaml"

// Compare lists a cluster and reads a branch, and says where they disagree: an
// object without its file, a file without its object, and an object whose file
// says something else than it does. While something changes, they may differ for
// a moment.
func Compare(ctx context.Context, cfg *rest.Config, repo Repository, scope Scope) (Comparison, error) {
	objects, err := listCluster(ctx, cfg, scope.Namespaces, scope.Decrypt != nil)
	if err != nil {
		return Comparison{}, err
	}
	if scope.Selects != nil {
		maps.DeleteFunc(objects, func(id Identity, _ map[string]any) bool { return !scope.Selects(id) })
	}
	files, err := repo.Files(scope.Folder)
	if err != nil {
		return Comparison{}, err
	}
	inside, err := decrypted(below(scope.Folder, files), scope.Decrypt)
	if err != nil {
		return Comparison{}, err
	}
	return compare(objects, inside, scope.Others), nil
}

// AwaitEqual waits until Compare finds no difference.
func AwaitEqual(ctx context.Context, cfg *rest.Config, repo Repository, scope Scope) (Comparison, error) {
	var last Comparison
	err := Poll(ctx, pollCompare, "Git to equal the cluster", func(ctx context.Context) error {
		c, err := Compare(ctx, cfg, repo, scope)
		if err != nil {
			return err
		}
		last = c
		return c.Err()
	})
	return last, err
}

// below names files by their paths from a folder.
func below(folder string, files map[string]File) map[string]File {
	if folder == "" || folder == "." {
		return files
	}
	inside := make(map[string]File, len(files))
	for path, f := range files {
		if rest, ok := strings.CutPrefix(path, folder+"/"); ok {
			inside[rest] = f
		}
	}
	return inside
}

// encryptedExtension is what the names of encrypted files end in.
const encryptedExtension = ".sops.yaml"

// decrypted has the manifests of encrypted files for these.
func decrypted(files map[string]File, decrypt func(string) (string, error)) (map[string]File, error) {
	if decrypt == nil {
		return files, nil
	}
	plain := make(map[string]File, len(files))
	for path, f := range files {
		if strings.HasSuffix(path, encryptedExtension) {
			var err error
			if f.Content, err = decrypt(f.Content); err != nil {
				return nil, fmt.Errorf("decrypting %s: %w", path, err)
			}
		}
		plain[path] = f
	}
	return plain, nil
}

// compare does the comparing. Files are named from the base folder.
func compare(objects map[Identity]map[string]any, files map[string]File, others func(string) bool) Comparison {
	c := Comparison{Objects: len(objects)}
	add := func(format string, args ...any) { c.Differences = append(c.Differences, fmt.Sprintf(format, args...)) }
	found := make(map[Identity]string, len(files))
	for path, f := range files {
		if path == marker || (others != nil && others(path)) {
			continue
		}
		content, err := readManifest(f.Content)
		if err != nil {
			add("%s: %v", path, err)
			continue
		}
		id, err := identify(path, content)
		if err != nil {
			add("%s: %v", path, err)
			continue
		}
		c.Files++
		if first, twice := found[id]; twice {
			add("%s: %s is the file of %s already", path, first, id)
		}
		found[id] = path
		object, ok := objects[id]
		if !ok {
			add("%s: the cluster has no %s", path, id)
			continue
		}
		if f.Mode != "100644" {
			add("%s: has mode %s", path, f.Mode)
		}
		for _, d := range differences(object, content) {
			add("%s: %s", path, d)
		}
	}
	for id := range objects {
		if _, ok := found[id]; !ok {
			add("%s: has no file", id)
		}
	}
	slices.Sort(c.Differences)
	return c
}
