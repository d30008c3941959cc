package cli

import (
	"errors"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kubescribe/kubescribe/services/watcher"
	"github.com/kubescribe/kubescribe/shared/api/v1alpha1"
)

// documents are what flags or a file ask for; nil: the cluster's custom resources say it.
func documents(cmd *cobra.Command, f runFlags) (*v1alpha1.Documents, error) {
	switch {
	case f.repo == "" && f.config == "" && !f.crds:
		return nil, usage("where to? name a repository with --repo URL, documents with --config FILE, or take those of the cluster with --crds")
	case f.repo != "" && f.config != "":
		return nil, usage("--repo and --config exclude each other: the file says what goes where")
	case f.crds && (f.repo != "" || f.config != ""):
		return nil, usage("--crds excludes --repo and --config: the cluster says what goes where")
	case f.repo == "":
		for _, name := range []string{"branch", "base-folder", "namespace", "adopt", "recipient"} {
			if cmd.Flags().Changed(name) {
				return nil, usage("--%s goes with --repo: with --config or --crds the documents say what goes where", name)
			}
		}
		if f.crds {
			return nil, nil //nolint:nilnil // the cluster's
		}
		docs, err := watcher.LoadDocuments(f.config)
		if err != nil {
			return nil, usageError{err}
		}
		return docs, nil
	}
	docs := v1alpha1.ZeroConfig(v1alpha1.ZeroConfigOptions{
		Repo: absolute(f.repo), Branch: f.branch, BaseFolder: f.baseFolder, Namespaces: f.namespaces, Adopt: f.adopt,
		Recipients: f.recipients,
	})
	return docs, asFlags(docs.Validate())
}

// absolute makes a relative path of a local repository absolute; URLs and what
// looks like git@host:path stay.
func absolute(repo string) string {
	if repo == "" || filepath.IsAbs(repo) || strings.Contains(repo, ":") {
		return repo
	}
	if abs, err := filepath.Abs(repo); err == nil {
		return abs
	}
	return repo
}

// asFlags says what is wrong with documents that flags stand for in terms of
// those flags.
func asFlags(err error) error {
	var problems v1alpha1.Problems
	if !errors.As(err, &problems) {
		return err
	}
	var lines []string
	for _, p := range problems {
		flag := p.Path
		for path, name := range map[string]string{
			"spec.url": "--repo", "spec.branch": "--branch", "spec.baseFolder": "--base-folder", "spec.namespaces": "--namespace",
			"spec.encryption.recipients": "--recipient",
		} {
			if strings.HasPrefix(p.Path, path) {
				flag = name
			}
		}
		lines = append(lines, flag+": "+p.Text)
	}
	return usageError{errors.New(strings.Join(lines, "\n"))}
}
